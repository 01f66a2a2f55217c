"""Whatever an IMAP server writes, and however it is cut: no exception, one meaning."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.errors import MailboxLost
from worker.inbox import responses
from worker.inbox.responses import Answer
from worker.inbox.wire import Wire

FRAGMENTS = (
    b"* ",
    b"+ ",
    b"BYE",
    b"OK",
    b" NO ",
    b"A0 ",
    b"1 FETCH (UID 5 BODY[] ",
    b"RFC822.SIZE 7 INTERNALDATE ",
    b'"',
    b"\\",
    b"(",
    b")",
    b"{0}",
    b"{3}",
    b"{99999999999}",
    b"SEARCH 5 7",
    b"2 EXISTS",
    b"EXPUNGE",
    b'LIST () "/" ',
    b'NAMESPACE (("" ".")) NIL NIL',
    b"CAPABILITY IDLE",
    b"[COPYUID 1 2 3]",
    b"\r\n",
    b"\r",
    b"\n",
)
SERVER_BYTES = st.lists(
    st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=20)), max_size=60
).map(b"".join)
CUTS = st.lists(st.integers(0, 400), max_size=8)


class Transport:
    """A connection that nobody hears."""

    def abort(self) -> None:
        """Go away, as far as there is anything."""

    def write(self, octets: bytes) -> None:
        """Say something to nobody."""


def answer_to(octets: bytes, cuts: list[int]) -> Answer | str | None:
    """What a command makes of *octets*: its answer, why there is none, or nothing yet."""

    async def read() -> Answer | str | None:
        wire = Wire()
        wire.transport = Transport()
        wire.tagpre, wire.tagnum = "A", 0
        wire.data_received(b"* OK hello\r\n")
        command = wire.start("UID FETCH 5 (UID BODY.PEEK[])")
        for start, end in pairwise([0, *sorted(cuts), len(octets)]):
            wire.data_received(octets[start : max(start, end)])
        if not command.ended:
            return None
        try:
            return await command.answer()
        except MailboxLost as lost:
            return str(lost)

    return asyncio.run(read())


@given(octets=SERVER_BYTES, cuts=CUTS)
def test_any_bytes(octets: bytes, cuts: list[int]) -> None:
    """The connection takes anything, and how it was cut changes nothing."""
    cuts = [cut for cut in cuts if cut <= len(octets)]

    assert answer_to(octets, cuts) == answer_to(octets, [])


@given(body=st.binary(max_size=300), tail=SERVER_BYTES, cuts=CUTS)
def test_any_body(body: bytes, tail: bytes, cuts: list[int]) -> None:
    """A body comes back as it is, whatever it looks like."""
    body += tail
    octets = b"* 1 FETCH (UID 5 BODY[] {%d}\r\n%b)\r\nA0 OK done\r\n" % (len(body), body)
    answer = answer_to(octets, [cut for cut in cuts if cut <= len(octets)])

    assert isinstance(answer, Answer)
    assert responses.read_body(answer, 5) == body


@given(octets=SERVER_BYTES)
def test_any_answer(octets: bytes) -> None:
    """The readers leave out what they cannot read."""
    answer = answer_to(octets + b"\r\nA0 OK " + octets.replace(b"\n", b"") + b"\r\n", [])
    if isinstance(answer, Answer):
        responses.read_body(answer, 5)
        responses.read_size(answer, 5)
        responses.read_search(answer)
        responses.read_uidvalidity(answer)
        responses.read_copied_uid(answer)
        responses.read_capabilities(answer)
        responses.read_folder_names(answer)
        responses.is_listed(answer)
        responses.read_text(answer.text)
