"""Every reader of foreign bytes: any input, no exception, time that is linear."""

from __future__ import annotations

from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.accidents import accidents
from worker.mail import address, envelope, header, parts, returns, trace
from worker.mail.authentication import authenticate
from worker.mail.authentication_results import read_authentication_results
from worker.mail.content import content_hash
from worker.mail.dkim_signature import is_key_in_use, signatures_of_author
from worker.mail.host import HOSTS
from worker.mail.received import client_network, own_hops

DOMAIN = "listes.example.fr"
QUICK = settings(
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)

SEED = (
    b"Return-Path: <>\r\nReceived: from a by b for <a@listes.example.fr>\r\n"
    b'From: Mail Delivery <mailer-daemon@x.fr>\r\nTo: "A" <a@listes.example.fr>\r\n'
    b"Authentication-Results: mx.google.com; dkim=pass (k) header.d=x.fr; dmarc=pass\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256; d=x.fr; s=s1; h=from; bh=AA==; b=AA==\r\n"
    b"Received: from x (x [198.51.100.7]) by mx.google.com with ESMTP; x\r\n"
    b"Delivered-To: a@listes.example.fr\r\nList-Id: <x.listes.example.fr>\r\n"
    b"Subject: =?utf-8?q?Undelivered_=C3=A9?= =?utf-8?b?w6k=?=\r\n"
    b"X-Failed-Recipients: a@x.fr, b@x.fr\r\nAuto-Submitted: auto-replied (x); y=z\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<a@x.fr>: 550 5.1.1 =E9\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
    b"Final-Recipient: rfc822; a@x.fr\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--c--\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nX-Relais-Ref: t\r\n\r\nx\r\n--b--\r\n"
)
PIECES = [
    *(line + b"\r\n" for line in SEED.split(b"\r\n")),
    *(b"\r\n", b"\n", b"\r", b"\0", b'"', b"(", b")", b"<", b">", b"@", b";", b"=?", b"?="),
    *(b"--b", b"--b--", b"--", b"=", b"\\", b" ", b"\t", b":", b"\xff", b"\xc3", b"A" * 70),
]


def _read_everything(raw: bytes) -> None:
    """Call every reader; what they promise of any input is asserted here."""
    _read_contents(raw)
    _read_the_way(raw)


def _read_contents(raw: bytes) -> None:
    """Read who wrote what."""
    message = header.read_message(raw)
    for field in message.fields:
        assert not {"\r", "\n", "\0"} & set(field.text)
        field.text.encode()  # No lone surrogate.
    author = address.read_author(message)
    assert author is None or address.usable_address(author)
    address.display_name(message).encode()
    trace.is_automatic(message)
    trace.is_loop(message, domain=DOMAIN)
    trace.is_from_another_list(message)
    trace.is_not_to_be_answered(message)
    assert content_hash(message, raw)
    for part in parts.entities(raw):
        assert 0 <= part.header_at <= part.body_at <= part.end <= len(raw)
        assert part.depth <= parts.DEPTH_LIMIT
        parts.decoded_text(part).encode()
    found = returns.read_return(raw)
    if found:
        assert all(report.final_recipient for report in found.recipients)


def _read_the_way(raw: bytes) -> None:
    """Read what a host wrote of the envelope and of the author, for each kind of recipe."""
    message = header.read_message(raw)
    read_authentication_results(raw)
    is_key_in_use(raw)
    for signature in signatures_of_author(raw, message):
        signature.key_name.encode("ascii")
    for host in map(HOSTS.get, ("ovh", "google", "microsoft")):
        assert host is not None
        found = envelope.envelope_recipients(
            message, host=host, domain=DOMAIN, account=f"a@{DOMAIN}"
        )
        assert all(address.usable_address(f"{local_part}@{DOMAIN}") for local_part in found)
        authenticate(message, host=host)
        for trust_names in (False, True):
            own = own_hops(message, host, trust_names=trust_names)
            assert own.border is None or own.border == own.hops[-1]
            if own.border:
                client_network(own.border)


@QUICK
@given(st.binary(max_size=2000))
def test_any_bytes(raw: bytes) -> None:
    """Noise is read without an exception."""
    _read_everything(raw)


@QUICK
@given(st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join))
def test_any_order_of_pieces(raw: bytes) -> None:
    """What looks like mail, in an order that no mailer makes."""
    _read_everything(raw)


def test_mutations() -> None:
    """A return with bytes changed, cut, doubled and moved."""
    for raw in accidents(SEED, PIECES, count=1500, seed=20240611):
        _read_everything(raw)


@QUICK
@given(
    st.lists(
        st.sampled_from(
            [
                *("a@x.fr", "b@y.fr", "<a@x.fr>", "Jean", "=?utf-8?q?x?=", "(c)", "é"),
                *'<>"(),;:@ \\[].',
            ]
        ),
        max_size=9,
    )
)
def test_other_parsers_agree_on_the_author(pieces: list[str]) -> None:
    """Who is accepted as the author is so for the standard library's two parsers."""
    value = "".join(pieces)
    author = address.read_author(header.read_message(f"From: {value}\r\n\r\n".encode()))
    if author is None:
        return

    assert [found for _, found in getaddresses([value.strip()])] == [author]
    parsed = default.header_factory("From", value.strip())
    assert [str(found.addr_spec) for found in parsed.addresses] == [author]


REPORT = (
    b"From: mailer-daemon@x.fr\nSubject: failure\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
)
STATUS = REPORT + b"--b\nContent-Type: message/delivery-status\n\n"
TEXT = b"From: mailer-daemon@x.fr\nSubject: failure\n\n"
RESULTS = b"Authentication-Results: mx.google.com; dkim=pass "
HOSTILE = {
    "quotes": (b"From: " + b'"' * 200_000, b""),
    "escapes": (b'To: "', b'\\"' * 100_000),
    "comments": (b"From: ", b"(" * 200_000),
    "angles": (b"To: ", b"<" * 200_000),
    "ats": (b"To: ", b"a@" * 100_000),
    "long local part": (b"To: ", b"a" * 200_000),
    "addresses": (b"To: ", b"a@x.fr, " * 25_000),
    "words": (b"Subject: ", b"=?utf-8?q?a?= " * 15_000),
    "open words": (b"Subject: ", b"=?utf-8?q?" * 20_000),
    "spaces": (b"Subject: x", b" " * 200_000),
    "parameters": (b"Content-Type: a/b", b"; a*0=b" * 30_000),
    "folds": (b"Subject: x", b"\n x" * 70_000),
    "fields": (b"", b"Received: x\n" * 20_000),
    "hops": (b"", b"Received: from x (x [10.0.0.1]) by x with LMTP for <a@x.fr>\n" * 3000),
    "received by": (b"Received: from ", b"by " * 60_000),
    "received addresses": (b"Received: from ", b"1:" * 100_000 + b"z"),
    "received comments": (b"Received: from ", b"(" * 200_000),
    "received quotes": (b"Received: from ", b'"\\' * 100_000),
    "results": (RESULTS, b";a=b" * 50_000),
    "results, short": (RESULTS, b";a=b (c)" * 1200),
    "results comments": (RESULTS, b"(" * 200_000),
    "results quotes": (RESULTS, b'"\\' * 4000),
    "results fields": (b"", (RESULTS + b'"\\' * 900 + b"\n") * 100),
    "results equals": (RESULTS, b"=" * 9000),
    "results properties": (RESULTS, b" a.b=c" * 1500),
    "signature fields": (b"From: a@x.fr\n", b"DKIM-Signature: d=x.fr\n" * 9000),
    "signature tags": (b"From: a@x.fr\nDKIM-Signature: ", b"a=b;" * 50_000),
    "signature spaces": (b"From: a@x.fr\nDKIM-Signature: ", b" " * 200_000),
    "signature folds": (b"From: a@x.fr\nDKIM-Signature: a", b"\n " * 100_000),
    "prefixes": (b"Delivered-To: ", b"listes.example.fr-" * 11_000),
    "delimiters": (REPORT, b"--b\n" * 50_000),
    "almost delimiters": (REPORT, b"\n--bx" * 40_000),
    "delimiter spaces": (REPORT + b"\n--b", b" " * 200_000 + b"x"),
    "status fields": (STATUS, b"Final-Recipient: rfc822; a@x.fr\n" * 6000),
    "status rubbish": (STATUS, b"x\n" * 100_000),
    "status folds": (STATUS, b"x\n" + b" y\n" * 70_000),
    "status empty lines": (STATUS, b"\n" * 200_000),
    "status diagnostic": (STATUS, b"Final-Recipient: a@x.fr\nDiagnostic-Code: " + b"5." * 90_000),
    "text addresses": (TEXT, b"<a@x.fr>:\n" * 20_000),
    "text ats": (TEXT, b"a@" * 100_000),
    "text dots": (TEXT, b"5.1." * 50_000),
    "text digits": (TEXT, b"5" * 200_000),
    "text dashes": (TEXT, b"-" * 200_000),
    "text dash lines": (TEXT, b"----\n" * 40_000),
    "text spaces": (TEXT, b" " * 200_000 + b"x"),
    "text empty lines": (TEXT, b"a@x.fr\n" + b" \n" * 100_000),
    "text quotes": (TEXT, b"> " * 100_000),
    "text returning": (TEXT, b"returned " * 20_000),
    "text delivery": (TEXT, b"delivery " * 20_000),
    "text original": (TEXT, b"\noriginal message " * 12_000),
    "html": (TEXT[:-1] + b"Content-Type: text/html\n\n", b"<a" * 100_000),
    "base64": (TEXT[:-1] + b"Content-Transfer-Encoding: base64\n\n", b"A=" * 100_000),
}


# A parser that backtracks would not come back within the day, let alone a minute.
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("head", "tail"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_is_read(head: bytes, tail: bytes) -> None:
    """200 kB made to make a parser backtrack are read like any others."""
    for read in (_read_contents, _read_the_way):
        read(head + tail)
