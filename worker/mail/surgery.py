"""Header surgery: what of the author's header a copy keeps.

An allow-list: traces, signatures that no longer hold, requests for receipts,
other lists' fields and whatever a program may add tomorrow stay behind. Kept
lines keep their bytes unless they would break a rule of the wire (RFC 5322,
section 2.1.1: 998 octets; no 8-bit without SMTPUTF8).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from worker.mail.address import addresses_in, is_address_list
from worker.mail.header_writer import LINE_LIMIT_OCTETS, encoded_text, field_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.mail.header import Field, Message

MIME_FIELDS = (
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "content-description",
    "content-language",
    "content-id",
)
THREAD_FIELDS = ("in-reply-to", "references")
# Each at most once in a copy, the topmost if there were more (RFC 5322, section
# 3.6); Gmail refuses messages with duplicates.
KEPT_FIELDS = (
    "date",
    "subject",
    "to",
    "cc",
    *THREAD_FIELDS,
    "mime-version",
    *MIME_FIELDS,
    "importance",
    "x-priority",
    "priority",
    "thread-topic",
    "thread-index",
    "keywords",
)
_TEXTS = ("subject", "thread-topic", "keywords", "content-description")
_ADDRESSES = ("to", "cc")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,900}>")
_MESSAGE_IDS_KEPT = 20
_PRINTABLE = bytes([ord("\t"), *range(ord(" "), 127)])
_UNPRINTABLE = bytes(set(range(256)) - set(_PRINTABLE))


def kept_fields(message: Message, names: Iterable[str] = KEPT_FIELDS) -> dict[str, bytes]:
    """Return the lines that the copies of *message* keep of its fields called *names*."""
    wanted, kept = frozenset(names), {}
    for field in message.fields:
        if field.name in wanted and field.name not in kept:
            line = _fit_for_the_wire(field)
            if line:
                kept[field.name] = line
    return kept


def thread_ids(message: Message, name: str, *, domain: str = "") -> list[bytes]:
    """Return the Message-IDs in the field *name*, those of *domain* alone if one is given.

    The last ones keep a thread together (RFC 5322, section 3.6.4).
    """
    field = message.first(name)
    found = _MESSAGE_ID.findall(field.body) if field else []
    end = f"@{domain}>".encode("ascii").lower()
    return [one for one in found if not domain or one.lower().endswith(end)][-_MESSAGE_IDS_KEPT:]


def _fit_for_the_wire(field: Field) -> bytes:
    """Return *field* as it stands, or rewritten where it may not go out so; b"" if hopeless."""
    written = field.line.partition(b":")[0].strip().decode("ascii")
    if not field.body.strip():
        # A text may be empty; a structured field may not.
        return field_line(written, b"") if field.name in _TEXTS else b""
    lines = [line for line in _LINE_END.split(field.line.rstrip(b"\r\n")) if line.strip()]
    # An encoded word may hold a line end; ours never do.
    hides_words = field.name in _TEXTS and b"=?" in field.line
    # A bare CR within a field is no fold: what follows it would become a field.
    is_folded = all(line[:1] in (b" ", b"\t") for line in lines[1:])
    is_odd = field.name in _ADDRESSES and not is_address_list(field.body)
    if hides_words or is_odd or not is_folded or not all(map(_may_go_out, lines)):
        return _rewritten(field, written)
    # "Date : ..." is obsolete (RFC 5322, section 4.5), and is not sent on.
    lines[0] = written.encode("ascii") + b":" + lines[0].partition(b":")[2]
    return b"\r\n".join(lines) + b"\r\n"


def _may_go_out(line: bytes) -> bool:
    return len(line) <= LINE_LIMIT_OCTETS and not line.translate(None, _PRINTABLE)


def _rewritten(field: Field, written: str) -> bytes:
    if field.name in _TEXTS:
        return field_line(written, encoded_text(written, field.text))
    if field.name in _ADDRESSES:
        addresses = [item.encode("ascii") for item in addresses_in(field.body) if item.isascii()]
        return folded_list(written, addresses, b",")
    if field.name in THREAD_FIELDS:
        return folded_list(written, _MESSAGE_ID.findall(field.body)[-_MESSAGE_IDS_KEPT:])
    return _refolded(written, field.body)


def folded_list(name: str, items: list[bytes], separator: bytes = b"") -> bytes:
    """Return the field *name* with one of *items* on each line, b"" if there are none."""
    return field_line(name, (separator + b"\r\n ").join(items)) if items else b""


def _refolded(name: str, body: bytes) -> bytes:
    """Fold at every blank; b"" if that does not help. What is not ASCII is lost."""
    words = body.translate(None, _UNPRINTABLE).split()
    if not words or max(map(len, words)) > LINE_LIMIT_OCTETS - len(name) - 2:
        return b""
    return folded_list(name, words)
