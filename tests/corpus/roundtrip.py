"""The copies of the shared corpus over real servers: Postfix takes them, Dovecot gives them back.

    python -m tests.corpus.roundtrip [FOLDER]

Each message of posts and malformed becomes a signed copy, is submitted as the
worker submits, passes two hops of Postfix, and is fetched by IMAP. It must come
back with every byte that was submitted, and dkimpy must verify it.
"""

from __future__ import annotations

import asyncio
import imaplib
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.corpus.copies import COMITE, CORPUS, FOOTERS, messages
from tests.servers.dovecot import PASSWORD, Dovecot
from tests.servers.postfix import Postfix
from tests.servers.process import wait_until
from tests.servers.tls import Certificates
from tests.unit.mail.signing_keys import RSA, is_verified
from worker.config import Endpoint, Tls
from worker.mail.copy import Personal, for_reader
from worker.mail.dkim_signing import read_signed_template
from worker.mail.list_headers import Author
from worker.mail.preparation import prepare
from worker.mail.reply import Disposition, Reply
from worker.submission.connect import open_session
from worker.submission.session import Envelope, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 11, 27, tzinfo=UTC)
READER = "lecteur@membres.test"


@dataclass(frozen=True, slots=True)
class Sent:
    """A copy that was submitted, and what the host answered."""

    file: str
    copy: bytes  # As its reader should get it, dots unstuffed.
    reply: Reply


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What became of all copies; each failure names its file."""

    sent: int
    accepted: int
    unchanged: int
    verified: int
    failures: tuple[str, ...]


def signed_copy(raw: bytes, number: int) -> bytes:
    """Return the signed copy of *raw*, dots stuffed; *number* tells it from others."""
    frozen = prepare(
        raw,
        identity=COMITE,
        author=Author("jean@b.fr", "Jean"),
        footers=FOOTERS,
        now=NOW,
        signer=RSA.signer,
    )
    reference = b"%032d" % number
    personal = Personal(reference, b"u" * 32, READER)
    return read_signed_template(for_reader(frozen, "fr"), RSA.sign).copy(personal)


async def submit_all(port: int, found: Sequence[tuple[str, bytes]]) -> list[Sent]:
    """Submit a copy of each message over one session, as the worker does."""
    endpoint = Endpoint("127.0.0.1", port, "", "", Tls.NONE)
    session = await open_session(endpoint, local_hostname=COMITE.domain)
    if not isinstance(session, Session):
        raise TypeError(f"Postfix refused us: {session}")
    sent = []
    for number, (file, raw) in enumerate(found):
        body = signed_copy(raw, number)
        envelope = Envelope(f"return-x@{COMITE.domain}", READER, len(body))
        reply = await session.submit(envelope, body, mark=_marked)
        if reply is None:
            raise AssertionError("the mark is always given")
        sent.append(Sent(file, body.replace(b"\r\n..", b"\r\n."), reply))
    await session.quit()
    return sent


async def _marked() -> bool:
    return True


def fetched(port: int) -> dict[bytes, bytes]:
    """Return what lies in the reader's mailbox, by the reference of each copy."""
    found = {}
    with imaplib.IMAP4("127.0.0.1", port) as imap:
        imap.login(READER, PASSWORD)
        imap.select("INBOX", readonly=True)
        _, listed = imap.uid("SEARCH", "ALL")
        for uid in listed[0].split():
            _, data = imap.uid("FETCH", uid, "(BODY.PEEK[])")
            message = data[0][1]
            found[_reference(message)] = message
    return found


def _reference(message: bytes) -> bytes:
    return message.partition(b"\r\nX-Relais-Ref: ")[2][:32]


def compared(sent: Sequence[Sent], received: dict[bytes, bytes]) -> RoundTrip:
    """Say what came back as it was submitted."""
    failures, accepted, unchanged, verified = [], 0, 0, 0
    for one in sent:
        if one.reply.disposition is not Disposition.HANDED_OVER:
            failures.append(f"{one.file}: refused: {one.reply}")
            continue
        accepted += 1
        message = received.get(_reference(one.copy), b"")
        is_whole, is_genuine = message.endswith(one.copy), is_verified(message, RSA)
        unchanged += is_whole
        verified += is_genuine
        if not message:
            failures.append(f"{one.file}: did not arrive")
        elif not is_whole:
            failures.append(f"{one.file}: was changed on its way")
        elif not is_genuine:
            failures.append(f"{one.file}: is not verified")
    return RoundTrip(len(sent), accepted, unchanged, verified, tuple(failures))


def round_trip(dovecot: Dovecot, postfix: Postfix, found: Sequence[tuple[str, bytes]]) -> RoundTrip:
    """Send a copy of each message, and compare what comes back."""
    sent = asyncio.run(submit_all(postfix.smtp_port, found))
    accepted = sum(one.reply.disposition is Disposition.HANDED_OVER for one in sent)
    wait_until(lambda: len(dovecot.received(READER)) >= accepted, 120, "copies to arrive")
    return compared(sent, fetched(dovecot.imap_port))


def main() -> int:
    """Run the whole corpus, and print what became of it."""
    corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS
    with (
        tempfile.TemporaryDirectory() as folder,
        Dovecot(Certificates(Path(folder))) as dovecot,
        Postfix(dovecot) as postfix,
    ):
        became = round_trip(dovecot, postfix, list(messages(corpus)))
    sys.stdout.write(
        f"{became.sent} submitted, {became.accepted} accepted by Postfix, {became.unchanged} read"
        f" back from Dovecot unchanged, {became.verified} verified by dkimpy\n"
    )
    sys.stdout.writelines(f"{failure}\n" for failure in became.failures)
    return 1 if became.failures else 0


if __name__ == "__main__":
    sys.exit(main())
