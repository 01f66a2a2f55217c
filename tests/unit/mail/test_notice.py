"""Notices: what a mail program reads of them, whatever was put in."""

from __future__ import annotations

import email
import email.policy
import email.utils
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from worker.mail.copy import Personal, read_template
from worker.mail.notice import Envelope, Letter, attached_header, attachment, write_notice

if TYPE_CHECKING:
    from email.message import EmailMessage

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
REFERENCE = b"r" * 32
TEXT = "Un message à votre nom est arrivé.\n\n→ Répondez OK\n  https://listes.example.fr/c/k7\n"
LETTER = Letter("À confirmer \u2013 Convocation AG", TEXT, "fr")
ENVELOPE = Envelope(
    sender_name="listes.example.fr",
    sender="confirm-k7@listes.example.fr",
    recipient="marie@example.fr",
    domain="listes.example.fr",
    thread=("<0@example.fr>", "<1@example.fr>"),
)
MESSAGE = (
    b"From: =?utf-8?q?Marie?= <marie@example.fr>\r\nSubject: AG\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n\r\n.Bonjour \xc3\xa0 tous  \r\n.\r\n..\r\n\r\n--b--\r\n"
)


def wire(
    letter: Letter = LETTER, envelope: Envelope = ENVELOPE, attached: bytes | None = None
) -> bytes:
    """Write a notice as it goes over the wire."""
    part = None if attached is None else attachment(attached)
    template = write_notice(letter, envelope, now=NOW, attached=part)
    return read_template(template).copy(Personal(REFERENCE))


def read(octets: bytes) -> EmailMessage:
    """Read a notice as a mail program does, dots unstuffed."""
    unstuffed = octets.replace(b"\r\n..", b"\r\n.")
    return email.message_from_bytes(unstuffed, policy=email.policy.default)


def text_of(notice: EmailMessage) -> str:
    """Return the text that is shown."""
    body = notice.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def attached_to(octets: bytes) -> tuple[str, bytes]:
    """Return the type of the attachment, and its bytes as they were put in."""
    [part] = read(octets).iter_attachments()
    assert part.get_filename() == "message.eml"
    if part.get_content_type() == "application/octet-stream":
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        return part.get_content_type(), content
    unstuffed = octets.replace(b"\r\n..", b"\r\n.")
    boundary = str(read(octets).get_boundary()).encode()
    piece = unstuffed.split(b"\r\n--" + boundary)[2]
    return part.get_content_type(), piece.partition(b"\r\n\r\n")[2]


def test_the_header_of_a_notice() -> None:
    """Each field once, and nothing else; no program answers it."""
    notice = read(wire())

    assert dict(notice.items()) == {
        "From": '"listes.example.fr" <confirm-k7@listes.example.fr>',
        "To": "marie@example.fr",
        "Subject": "À confirmer \u2013 Convocation AG",
        "Date": "Tue, 24 Nov 2026 10:30:00 +0000",
        "Message-ID": f"<{'r' * 32}@listes.example.fr>",
        "In-Reply-To": "<1@example.fr>",
        "References": "<0@example.fr> <1@example.fr>",
        "Auto-Submitted": "auto-replied",
        "X-Auto-Response-Suppress": "All",
        "Content-Language": "fr",
        "X-Relais-Ref": "r" * 32,
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "quoted-printable",
    }
    assert len(notice.items()) == len({name.lower() for name in notice.keys()})  # noqa: SIM118 - a message, no mapping


def test_the_text_is_as_written() -> None:
    """Links whole, on lines of their own."""
    assert text_of(read(wire())) == TEXT


def test_what_answers_nothing() -> None:
    """RFC 3834, section 5.1: a program wrote it, and of itself."""
    notice = read(wire(envelope=replace(ENVELOPE, thread=(), is_response=False)))

    assert notice["auto-submitted"] == "auto-generated"
    assert notice["references"] is None


def test_a_long_thread_is_folded() -> None:
    """No line is longer than a line may be, and what cannot stand there is left out."""
    ids = tuple(f"<{number}{'x' * 200}@example.fr>" for number in range(20))

    octets = wire(envelope=replace(ENVELOPE, thread=("é", *ids)))

    assert str(read(octets)["references"]).split() == list(ids)
    assert read(octets)["in-reply-to"] == ids[-1]
    assert max(map(len, octets.split(b"\r\n"))) < 998


def test_where_an_answer_goes() -> None:
    """To the address that asks; else to a human."""
    human = replace(ENVELOPE, reply_to="aide@example.fr")

    assert read(wire())["reply-to"] is None
    assert str(read(wire(envelope=human))["reply-to"]) == "aide@example.fr"


THREADS = {
    "none": "",
    "no brackets": "1@example.fr",
    "a space": "<1 @example.fr>",
    "two": "<1@example.fr> <2@example.fr>",
    "a line end": "<1@example.fr>\r\nBcc: <e@e.fr>",
    "letters": "<é@example.fr>",
    "too long": f"<{'x' * 901}>",
}


@pytest.mark.parametrize("message_id", THREADS.values(), ids=THREADS)
def test_no_thread_is_better_than_a_broken_one(message_id: str) -> None:
    """A Message-ID is foreign."""
    notice = read(wire(envelope=replace(ENVELOPE, thread=(message_id,))))

    assert notice["in-reply-to"] is None
    assert notice["references"] is None
    assert notice["bcc"] is None


HOSTILE_SUBJECTS = {
    "a line end": "AG\r\nBcc: e@e.fr",
    "a bare LF": "AG\nBcc: e@e.fr\n\nbody",
    "an encoded line end": "=?utf-8?q?AG=0D=0ABcc=3A_e=40e.fr?=",
    "a slot of ours": "AG\0R\0",
    "what turns the direction": "AG \u202egpj.exe",
    "controls": "AG\x07\x1b[31m\x85\u2028",
    "a lone surrogate": "AG \ud800",
    "one long word": "x" * 5000,
    "one long word of letters": "é" * 5000,
    "nothing": "",
    "spaces": "   ",
}
HOSTILE_NAMES = {
    "a line end": "Listes\r\nBcc: e@e.fr",
    "an address": "marie@example.fr",
    "brackets": "Marie <marie@example.fr>",
    "quotes": 'a"b\\c"',
    "an encoded line end": "=?utf-8?q?a=0D=0ABcc=3A_e=40e.fr?=",
    "a slot of ours": "\0R\0",
    "what turns the direction": "\u202eliste",
    "letters": "Fédération «é»",
    "one long word": "x" * 5000,
    "nothing": "",
}
HOSTILE_TEXTS = {
    "dots": ".\n.\n..x\n\n.",
    "smuggled end of data": "a\r\n.\r\nMAIL FROM:<e@e.fr>\r\n",
    "bare CR": "a\rb\r.\rc",
    "NUL and slots": "a\0R\0b\0U\0",
    "a long line": "x" * 20_000,
    "a long line of letters": "é" * 20_000,
    "a lone surrogate": "a\ud800b",
    "trailing spaces": "a  \nb\t\n",
    "From at the beginning": "From a to b\n>From c",
    "boundary-like": "--=_0123456789abcdef\n--=_0123456789abcdef--\n",
    "nothing": "",
}
HOSTILE = {
    **{
        f"subject: {n}": (replace(LETTER, subject=s), ENVELOPE) for n, s in HOSTILE_SUBJECTS.items()
    },
    **{f"name: {n}": (LETTER, replace(ENVELOPE, sender_name=s)) for n, s in HOSTILE_NAMES.items()},
    **{f"text: {n}": (replace(LETTER, text=s), ENVELOPE) for n, s in HOSTILE_TEXTS.items()},
}
ATTACHED = {
    "none": None,
    "ordinary": MESSAGE,
    "smuggled end of data": b"Subject: x\r\n\r\na\r\n.\r\nMAIL FROM:<x@y.fr>\r\n",
    "bare LF": b"Subject: x\n\n.\nb\n",
    "bare CR": b"Subject: x\r\n\r\na\r.\rb\r\r\n",
    "NUL and slots": b"Subject: \0R\0\r\n\r\n\0U\0\r\n",
    "a long line": b"Subject: x\r\n\r\n" + b"x" * 5000,
    "no line end": b"Subject: x\r\n\r\nno end",
    "nothing": b"",
    "garbage": bytes(range(256)) * 20,
}


@pytest.mark.parametrize("attached", ATTACHED.values(), ids=ATTACHED)
@pytest.mark.parametrize(("letter", "envelope"), HOSTILE.values(), ids=HOSTILE)
def test_a_notice_is_safe_on_the_wire(
    letter: Letter, envelope: Envelope, attached: bytes | None
) -> None:
    """CRLF only, no lone dot, no NUL, short lines, an ASCII header, no field added."""
    octets = wire(letter, envelope, attached)
    header = octets.partition(b"\r\n\r\n")[0]
    notice = read(octets)

    assert octets.endswith(b"\r\n")
    assert b"\0" not in octets
    assert b"\r\n.\r\n" not in b"\r\n" + octets
    assert not {13, 10} & set(octets.replace(b"\r\n", b""))
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert header.isascii()
    assert sorted(notice.keys()) == sorted(read(wire()).keys())
    assert notice["bcc"] is None
    assert [a.addr_spec for a in notice["from"].addresses] == ["confirm-k7@listes.example.fr"]
    assert len(list(notice.iter_attachments())) == (attached is not None)


@pytest.mark.parametrize(("letter", "envelope"), HOSTILE.values(), ids=HOSTILE)
def test_a_second_rendering_is_byte_identical(letter: Letter, envelope: Envelope) -> None:
    """In doubt, the same bytes are submitted again."""
    assert wire(letter, envelope, MESSAGE) == wire(letter, envelope, MESSAGE)


@pytest.mark.parametrize("subject", HOSTILE_SUBJECTS.values(), ids=HOSTILE_SUBJECTS)
def test_a_subject_is_one_line_of_text(subject: str) -> None:
    """What looks encoded is shown as it was written, not decoded."""
    shown = str(read(wire(replace(LETTER, subject=subject)))["subject"])

    assert not {"\r", "\n", "\0"} & set(shown)
    assert "=?utf-8?q?AG=0D=0A" not in subject or shown == subject


NO_ADDRESSES = {
    "a line end": "marie@example.fr>\r\nBcc: <e@e.fr",
    "a bracket": "a@b.fr> <c@d.fr",
    "a space": "a @b.fr",
    "letters": "é@example.fr",
    "NUL": "a\0@b.fr",
    "empty": "",
    "too long": "a" * 400 + "@b.fr",
}


@pytest.mark.parametrize("address", NO_ADDRESSES.values(), ids=NO_ADDRESSES)
def test_what_is_no_address_is_a_bug(address: str) -> None:
    """Whoever is written to was found to be usable before; a log must not show who."""
    with pytest.raises(ValueError, match="no address"):
        wire(envelope=replace(ENVELOPE, recipient=address))
    if address:
        with pytest.raises(ValueError, match="no address"):
            wire(envelope=replace(ENVELOPE, reply_to=address))


KEPT = {
    "ordinary": MESSAGE,
    "no line end": b"Subject: x\r\n\r\nno end",
    "8-bit": "Subject: été\r\n\r\nà\r\n".encode(),
    "dots": b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n",
    "as long as lines may be": b"Subject: x\r\n\r\n" + b"x" * 997 + b"\r\n",
    "boundaries of ours": (
        b"Subject: x\r\n\r\n--=_" + b"0" * 40 + b"\r\n--=_" + b"0" * 40 + b"--\r\n"
    ),
    "a multipart that is never closed": (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nBonjour\r\n"
    ),
    "an attachment of its own": (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n"
        b"\r\nSubject: y\r\n\r\nz\r\n--x--\r\n"
    ),
    "empty lines at the end": b"Subject: x\r\n\r\na\r\n\r\n\r\n",
}


@pytest.mark.parametrize("message", KEPT.values(), ids=KEPT)
def test_a_message_is_attached_as_it_came(message: bytes) -> None:
    """A mail program opens it, and its signatures still hold."""
    assert attached_to(wire(attached=message)) == ("message/rfc822", message)
    assert text_of(read(wire(attached=message))) == TEXT


def test_a_message_within_a_message_is_read() -> None:
    """By the standard library's parser, as by a mail program."""
    [part] = read(wire(attached=MESSAGE)).iter_attachments()
    inner = part.get_content()

    assert inner["from"] == "Marie <marie@example.fr>"
    assert inner.get_content_type() == "multipart/mixed"


ENCODED = {
    "a line too long": b"Subject: x\r\n\r\n" + b"x" * 999 + b"\r\n",
    "a header line too long": b"Subject: " + b"x" * 2000 + b"\r\n\r\na\r\n",
    "a bare CR": b"Subject: x\r\n\r\na\rb\r\n",
    "a CR too many": b"Subject: x\r\n\r\na\r\r\n",
}


@pytest.mark.parametrize("message", ENCODED.values(), ids=ENCODED)
def test_what_would_not_survive_is_encoded(message: bytes) -> None:
    """RFC 2046, section 5.2.1: message/rfc822 itself may not be."""
    assert attached_to(wire(attached=message)) == ("application/octet-stream", message)


def test_an_attached_message_has_no_nul() -> None:
    """It would be taken for a slot of ours."""
    assert attached_to(wire(attached=b"Subject: x\r\n\r\na\0R\0b")) == (
        "message/rfc822",
        b"Subject: x\r\n\r\naRb",
    )


def test_whoever_knows_one_notice_cannot_end_the_next() -> None:
    """A boundary is made of the words and of what is attached."""
    first = read(wire(attached=MESSAGE)).get_boundary()
    copied = MESSAGE + f"--{first}--\r\n\r\nNON\r\n".encode()

    assert attached_to(wire(attached=copied)) == ("message/rfc822", copied)
    assert len(read(wire(attached=copied)).get_payload()) == 2


HTML = '<p lang="fr">Un message à votre nom est arrivé.</p>\n<p>.</p>\n'


def test_text_goes_before_html() -> None:
    """A program shows the last form that it can; both are as written."""
    notice = read(wire(replace(LETTER, html=HTML)))

    assert notice.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in notice.iter_parts()] == [
        "text/plain",
        "text/html",
    ]
    html = notice.get_body(("html",))
    assert html is not None
    assert text_of(notice) == TEXT
    assert str(html.get_content()).replace("\r\n", "\n") == HTML


def test_html_and_a_message() -> None:
    """What is attached stands beside both forms."""
    octets = wire(replace(LETTER, html=HTML), attached=MESSAGE)
    notice = read(octets)

    assert [part.get_content_type() for part in notice.iter_parts()] == [
        "multipart/alternative",
        "message/rfc822",
    ]
    assert text_of(notice) == TEXT
    assert attached_to(octets)[1].startswith(MESSAGE.rstrip(b"\r\n"))


HEADERS = {
    "a header": (
        b"From: a@b.fr\r\nSubject: x\r\n\r\nthe text",
        "text/rfc822-headers",
        b"From: a@b.fr\r\nSubject: x\r\n",
    ),
    "no end": (b"From: a@b.fr\r\n", "text/rfc822-headers", b"From: a@b.fr\r\n"),
    "a long line": (
        b"X: " + b"y" * 1000 + b"\r\n\r\nthe text",
        "application/octet-stream",
        b"X: " + b"y" * 1000 + b"\r\n",
    ),
    "NULs": (b"From: a\0@b.fr\r\n\r\n", "text/rfc822-headers", b"From: a@b.fr\r\n"),
    "endless": (b"X: y\r\n" * 20_000, "text/rfc822-headers", (b"X: y\r\n" * 20_000)[:65_536]),
}


@pytest.mark.parametrize(("raw", "kind", "header"), HEADERS.values(), ids=HEADERS)
def test_the_header_of_a_large_message(raw: bytes, kind: str, header: bytes) -> None:
    """It goes along where the whole would be too much, and nothing of the text with it."""
    part = attached_header(raw)
    shown = read(
        read_template(write_notice(LETTER, ENVELOPE, now=NOW, attached=part)).copy(
            Personal(REFERENCE)
        )
    )
    [attached] = shown.iter_attachments()

    assert attached.get_content_type() == kind
    assert attached.get_filename() == "header.txt"
    assert b"the text" not in part.body
    decoded = b64decode(part.body) if kind.startswith("application") else part.body
    assert decoded.replace(b"\0", b"") == header
