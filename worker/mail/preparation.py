"""Preparing a posting: the author's message becomes the template of its copies."""

from __future__ import annotations

import re
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from worker.mail.address import display_name
from worker.mail.copy import freeze, without_nul
from worker.mail.footer import Footer, add_footer
from worker.mail.header import read_message
from worker.mail.list_headers import ListIdentity, field_line, list_fields
from worker.mail.surgery import kept_fields

if TYPE_CHECKING:
    from datetime import datetime

    from worker.mail.header import Message

# RFC 5322, section 3.6.4, and what real programs write beyond it.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")

_IDENTIFYING = ("message-id", "from", "date", "subject", "in-reply-to", "content-type")


def fingerprint(message: Message) -> bytes:
    """Tell one message from another by what its author wrote.

    Not by Message-ID alone, which anyone can use again; not by the raw bytes,
    which change with every trace field of a second taking.
    """
    digest = sha256()
    for name in _IDENTIFYING:
        field = message.first(name)
        value = field.body if field else b""
        digest.update(b"%s:%d:%s\n" % (name.encode(), len(value), value))
    digest.update(message.body)
    return digest.digest()


def message_id(message: Message, *, domain: str) -> str:
    """Return the author's Message-ID, or one made of the fingerprint."""
    written = message.value("message-id")
    if _MESSAGE_ID.fullmatch(written):
        return written
    return f"<{fingerprint(message).hex()[:32]}@{domain}>"


def prepare(
    raw: bytes, *, identity: ListIdentity, author: str, footer: Footer, now: datetime
) -> bytes:
    """Return the template of every copy of *raw*; *now* is for a message without a Date."""
    original = read_message(without_nul(raw))
    edited = read_message(add_footer(without_nul(raw), footer))
    kept = kept_fields(edited)
    present = {line.partition(b":")[0].strip().lower() for line in kept}
    missing = {
        b"date": field_line("Date", format_datetime(now).encode("ascii")),
        b"message-id": field_line(
            "Message-ID", message_id(original, domain=identity.domain).encode("ascii")
        ),
        b"to": field_line("To", f"<{identity.address}>".encode("ascii")),
        b"subject": field_line("Subject", b""),
        b"mime-version": field_line("MIME-Version", b"1.0"),
    }
    header = b"".join(
        (
            *list_fields(identity, author=author, author_name=display_name(original)),
            *kept,
            *(line for name, line in missing.items() if name not in present),
        )
    )
    return freeze(header, edited.body)
