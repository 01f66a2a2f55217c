"""Notices as bytes: our own short mails, in text that any program shows.

A notice about a message is in its thread (RFC 5322, section 3.6.4) and says that a
program wrote it, so that no other program answers (RFC 3834, section 5). A message
of somebody's can be attached as it came.
"""

from __future__ import annotations

import binascii
import re
from base64 import encodebytes
from dataclasses import dataclass
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from worker.mail.copy import REFERENCE_SLOT, freeze, without_nul
from worker.mail.dkim_signing import signed
from worker.mail.header import read_message
from worker.mail.header_writer import encoded_text, field_line, mailbox
from worker.mail.surgery import folded_list

if TYPE_CHECKING:
    from datetime import datetime

    from worker.mail.dkim_signing import Signer

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_ADDRESS = re.compile(r"[!-;=?-~]{1,320}")
_SUBJECT_LIMIT = 300  # A word cannot be folded.
_LINE_LIMIT_OCTETS = 998
_HEADER_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Letter:
    """The words of a notice."""

    subject: str
    text: str
    lang: str
    html: str = ""  # The same words, for programs that show them so; "": text alone.


@dataclass(frozen=True, slots=True)
class Envelope:
    """Whom a notice is from and for, and what it answers."""

    sender_name: str
    sender: str  # An address of ours; a reply to it is read.
    recipient: str
    domain: str
    reply_to: str = ""
    thread: tuple[str, ...] = ()  # What it refers to; the message that it is about is the last.
    is_response: bool = True  # False: its recipient has not written.


@dataclass(frozen=True, slots=True)
class Attachment:
    """A message as a part of a notice."""

    header: bytes
    body: bytes


def write_notice(
    letter: Letter,
    envelope: Envelope,
    *,
    now: datetime,
    attached: Attachment | None = None,
    signer: Signer | None = None,
) -> bytes:
    """Return the template of a notice, with *attached* as the message that it is about.

    ValueError if *envelope* has what is no address: whoever asks has checked them.
    """
    body, about_body = _text_part(letter.text, b"plain")
    if letter.html:
        html, about_html = _text_part(letter.html, b"html")
        body, about_body = _multipart(b"alternative", (about_body, body), (about_html, html))
    if attached is not None:
        message = [attached.header], attached.body
        body, about_body = _multipart(b"mixed", (about_body, body), message)
    header = b"".join((*_header(letter, envelope, now), *about_body))
    return freeze(signed(header, signer, now), body)


def attachment(raw: bytes) -> Attachment:
    """Return *raw* as it is attached; in base64 only if it would not survive the way.

    RFC 2046, section 5.2.1: message/rfc822 itself may not be encoded.
    """
    return _fit(raw, b"message/rfc822", "message.eml")


def attached_header(raw: bytes) -> Attachment:
    """Return the header of *raw* as it is attached (RFC 3462, section 2)."""
    header = b"".join(field.line for field in read_message(raw).fields)[:_HEADER_LIMIT_BYTES]
    return _fit(header, b"text/rfc822-headers", "header.txt")


def _fit(raw: bytes, kind: bytes, name: str) -> Attachment:
    octets = without_nul(raw)
    longest = max((len(line) for line in octets.split(b"\n")), default=0)
    if longest <= _LINE_LIMIT_OCTETS and b"\r" not in octets.replace(b"\r\n", b""):
        return Attachment(_attached_as(kind, b"8bit", name), octets)
    kind = f'application/octet-stream; name="{name}"'.encode("ascii")
    return Attachment(_attached_as(kind, b"base64", name), encodebytes(octets))


def _attached_as(kind: bytes, encoding: bytes, name: str) -> bytes:
    return b"".join(
        (
            field_line("Content-Type", kind),
            field_line("Content-Disposition", f'attachment; filename="{name}"'.encode("ascii")),
            field_line("Content-Transfer-Encoding", encoding),
        )
    )


def _header(letter: Letter, envelope: Envelope, now: datetime) -> list[bytes]:
    fields = [
        field_line("From", mailbox("From", envelope.sender_name, envelope.sender)),
        field_line("To", _angled(envelope.recipient)),
        field_line("Subject", encoded_text("Subject", letter.subject[:_SUBJECT_LIMIT])),
        field_line("Date", format_datetime(now).encode("ascii")),
        # The token is the delivery's own, so a second submission is byte-identical.
        field_line("Message-ID", b"<" + REFERENCE_SLOT + f"@{envelope.domain}>".encode("ascii")),
    ]
    if envelope.reply_to:
        fields.append(field_line("Reply-To", _angled(envelope.reply_to)))
    return [
        *fields,
        *_thread_fields(envelope.thread),
        # RFC 3834, section 5.1.
        field_line(
            "Auto-Submitted", b"auto-replied" if envelope.is_response else b"auto-generated"
        ),
        field_line("X-Auto-Response-Suppress", b"All"),
        field_line("Content-Language", letter.lang.encode("ascii")),
        field_line("X-Relais-Ref", REFERENCE_SLOT),
        field_line("MIME-Version", b"1.0"),
    ]


def _thread_fields(thread: tuple[str, ...]) -> list[bytes]:
    if not thread or not _MESSAGE_ID.fullmatch(thread[-1]):
        return []
    references = [one.encode("ascii") for one in thread if _MESSAGE_ID.fullmatch(one)]
    return [field_line("In-Reply-To", references[-1]), folded_list("References", references)]


def _angled(address: str) -> bytes:
    if not _ADDRESS.fullmatch(address):
        raise ValueError("a notice is for something that is no address")
    return f"<{address}>".encode("ascii")


def _text_part(text: str, kind: bytes) -> tuple[bytes, list[bytes]]:
    octets = without_nul(text.rstrip("\n").encode("utf-8", "replace")) + b"\n"
    return binascii.b2a_qp(octets, quotetabs=False, istext=True), [
        field_line("Content-Type", b"text/%s; charset=utf-8" % kind),
        field_line("Content-Transfer-Encoding", b"quoted-printable"),
    ]


def _multipart(
    kind: bytes, first: tuple[list[bytes], bytes], second: tuple[list[bytes], bytes]
) -> tuple[bytes, list[bytes]]:
    """Put two parts, each with the fields about it, under each other (RFC 2046, section 5.1)."""
    # A hash of both cannot stand in either.
    hashed = sha256(first[1] + second[1]).hexdigest()[:40]
    boundary = b"=_" + hashed.encode("ascii")
    parts = b"".join(
        (
            b"--%s\r\n" % boundary,
            *first[0],
            b"\r\n",
            first[1],
            b"\r\n--%s\r\n" % boundary,
            *second[0],
            b"\r\n",
            second[1],
            b"\r\n--%s--\r\n" % boundary,
        )
    )
    return parts, [
        field_line("Content-Type", b'multipart/%s; boundary="%s"' % (kind, boundary)),
        field_line("Content-Transfer-Encoding", b"8bit"),
    ]
