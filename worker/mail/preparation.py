"""Preparing a posting: the author's message becomes the template of its copies."""

from __future__ import annotations

import re
from email.utils import format_datetime
from hashlib import sha256
from itertools import accumulate
from typing import TYPE_CHECKING

from worker.mail.address import addresses_in
from worker.mail.copy import freeze, to_slot
from worker.mail.dkim_signing import signed
from worker.mail.footer import Footer, add_footer
from worker.mail.header import read_message
from worker.mail.header_writer import encoded_text, field_line, mailbox
from worker.mail.list_headers import Author, Form, ListIdentity, ReplyTo, list_fields
from worker.mail.quoted import without_our_footers
from worker.mail.subject import tagged
from worker.mail.surgery import KEPT_FIELDS, THREAD_FIELDS, folded_list, kept_fields, thread_ids
from worker.mail.transport import fit_for_the_wire
from worker.mail.written_at import written_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.mail.dkim_signing import Signer
    from worker.mail.header import Message

# RFC 5322, section 3.6.4, and what real programs write beyond it.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")

_THREAD_LIMIT_OCTETS = 2000

_IDENTIFYING = ("message-id", "from", "date", "subject", "in-reply-to", "content-type")
# What tells who wrote a message, though no name is in it.
_REVEALING = (
    *("to", "cc", "thread-topic", "thread-index", "keywords"),
    *("content-language", "content-id", "content-description"),
)


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
    return own_message_id(fingerprint(message), domain=domain)


def thread_of(message: Message) -> tuple[str, ...]:
    """Return what an answer to *message* refers to, the message itself last; () if it is nameless.

    RFC 5322, section 3.6.4: what it refers to, and its own Message-ID. Of a long
    thread the last ones.
    """
    written = message.value("message-id")
    if not _MESSAGE_ID.fullmatch(written):
        return ()
    above = thread_ids(message, "references")
    parents = thread_ids(message, "in-reply-to")
    if not above and len(parents) == 1:
        above = parents
    thread = dict.fromkeys([written, *(one.decode("ascii") for one in reversed(above))])
    sizes = accumulate(map(len, thread))
    kept = [one for one, size in zip(thread, sizes, strict=True) if size <= _THREAD_LIMIT_OCTETS]
    return tuple(reversed(kept))


def own_message_id(mark: bytes, *, domain: str) -> str:
    """Return the Message-ID of copies of the message with the fingerprint *mark*."""
    return f"<{mark.hex()[:32]}@{domain}>"


def prepare(
    raw: bytes,
    *,
    identity: ListIdentity,
    author: Author,
    footers: Mapping[str, Footer],
    now: datetime,
    signer: Signer | None = None,
) -> bytes:
    """Return the template of every copy of *raw*.

    *footers* are by the reader's language, *now* is for a message without a Date
    and when *signer* says to have signed.
    """
    # As it was examined, or the Message-ID of the copies would not be the one that is kept.
    original = read_message(raw)
    fit = without_our_footers(fit_for_the_wire(raw))
    edited = read_message(add_footer(fit, footers))
    fields = {
        **_usual_fields(original, identity, now),
        **kept_fields(edited, KEPT_FIELDS),
        **_own_fields(edited, identity, author, now),
    }
    if identity.form is Form.ANONYMOUS:
        fields |= _anonymous_fields(original, identity)
    lines = (*list_fields(identity, author), *filter(None, fields.values()))
    return freeze(signed(b"".join(lines), signer, now), edited.body)


def _usual_fields(message: Message, identity: ListIdentity, now: datetime) -> dict[str, bytes]:
    """Return what stands in for fields that an author left out."""
    return {
        "date": field_line("Date", format_datetime(now).encode("ascii")),
        "message-id": field_line(
            "Message-ID", message_id(message, domain=identity.domain).encode("ascii")
        ),
        "to": _to_list(identity),
        "subject": field_line("Subject", b""),
        "mime-version": field_line("MIME-Version", b"1.0"),
    }


def _to_list(identity: ListIdentity) -> bytes:
    return field_line("To", f"<{identity.address}>".encode("ascii"))


def _own_fields(
    message: Message, identity: ListIdentity, author: Author, now: datetime
) -> dict[str, bytes]:
    """Return what the list writes whatever the author wrote; b"" takes a field away."""
    fields: dict[str, bytes] = {}
    if written_at(message) is None:
        fields["date"] = field_line("Date", format_datetime(now).encode("ascii"))
    if identity.subject_tag:
        subject = message.first("subject")
        shown = tagged(subject.text if subject else "", identity.subject_tag)
        fields["subject"] = field_line("Subject", encoded_text("Subject", shown))
    match identity.form:
        case Form.DISCUSSION:
            if identity.reply_to is ReplyTo.LIST:
                fields |= _author_in_copy(message, author)
        case Form.ANNOUNCEMENT:
            fields |= {"to": _to_recipient(identity), "cc": b""}
    return fields


def _author_in_copy(message: Message, author: Author) -> dict[str, bytes]:
    """Put the author into Cc, where Reply-To would leave them out of a reply to all."""
    named = {
        address.lower()
        for field in message.fields
        if field.name in ("to", "cc")
        for address in addresses_in(field.body)
    }
    if author.address.lower() in named:
        return {}
    kept = kept_fields(message, ["cc"]).get("cc", b"Cc: ").rstrip(b"\r\n")
    separator = b",\r\n " if kept != b"Cc: " else b""
    return {"cc": kept + separator + mailbox("Cc", author.name, author.address) + b"\r\n"}


def _to_recipient(identity: ListIdentity) -> bytes:
    return field_line("To", to_slot(identity.name_field))


def _anonymous_fields(message: Message, identity: ListIdentity) -> dict[str, bytes]:
    # A Message-ID names the author's host, and a reference their earlier message.
    fields = dict.fromkeys(_REVEALING, b"")
    fields["to"] = _to_list(identity)
    fields["message-id"] = field_line(
        "Message-ID",
        own_message_id(fingerprint(message), domain=identity.domain).encode("ascii"),
    )
    moment = written_at(message)
    if moment is not None:  # Its zone tells where the author is.
        fields["date"] = field_line("Date", format_datetime(moment).encode("ascii"))
    for name in THREAD_FIELDS:
        ours = thread_ids(message, name, domain=identity.domain)
        fields[name] = folded_list(name.title(), ours)
    return fields
