"""Header surgery: what of the author's header a copy keeps.

An allow-list: traces, signatures that no longer hold, requests for receipts,
other lists' fields and whatever a program may add tomorrow stay behind. Kept
lines keep their bytes unless they would break a rule of the wire (RFC 5322,
section 2.1.1: 998 octets; no 8-bit without SMTPUTF8).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from worker.mail.address import addresses_in
from worker.mail.list_headers import encoded_text, field_line

if TYPE_CHECKING:
    from worker.mail.header import Field, Message

# Each at most once in a copy, the topmost if there were more (RFC 5322, section
# 3.6); Gmail refuses messages with duplicates.
_KEPT = (
    "date",
    "subject",
    "to",
    "cc",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "content-description",
    "content-language",
    "content-id",
    "importance",
    "x-priority",
    "priority",
    "thread-topic",
    "thread-index",
    "keywords",
)
_TEXTS = ("subject", "thread-topic", "keywords", "content-description")
_ADDRESSES = ("to", "cc")
_LINE_LIMIT_OCTETS = 998
_FOLD_AT_OCTETS = 76
_LINE_END = re.compile(rb"\r\n|\r|\n")
_MESSAGE_ID = re.compile(rb"<[^\s<>]+>")


def kept_fields(message: Message) -> list[bytes]:
    """Return the fields of *message* that its copies keep, in their order."""
    seen: set[str] = set()
    kept = []
    for field in message.fields:
        if field.name in _KEPT and field.name not in seen:
            seen.add(field.name)
            line = _fit_for_the_wire(field)
            if line:
                kept.append(line)
    return kept


def _fit_for_the_wire(field: Field) -> bytes:
    """Return *field* as it stands, or rewritten where it may not go out so; b"" if hopeless."""
    lines = [line for line in _LINE_END.split(field.line.rstrip(b"\r\n")) if line.strip()]
    if lines:
        # "Date : ..." is obsolete (RFC 5322, section 4.5), and is not sent on.
        name, _, rest = lines[0].partition(b":")
        lines[0] = name.rstrip() + b":" + rest
    longest = max(map(len, lines), default=0)
    if field.name in _TEXTS and b"=?" in field.line:
        # An encoded word may hold a line end; ours never do.
        return field_line(
            _name_as_written(field), encoded_text(_name_as_written(field), field.text)
        )
    if longest <= _LINE_LIMIT_OCTETS and field.line.isascii():
        return b"\r\n".join(lines) + b"\r\n"
    written = _name_as_written(field)
    if field.name in _TEXTS:
        return field_line(written, encoded_text(written, field.text))
    if field.name in _ADDRESSES:
        return _refolded(written, addresses_in(field.body), b",")
    if field.name == "references":
        # The last ones keep the thread together (RFC 5322, section 3.6.4).
        last = _MESSAGE_ID.findall(field.body)[-20:]
        return _refolded(written, [message_id.decode("latin-1") for message_id in last])
    return b""


def _refolded(name: str, items: list[str], separator: bytes = b"") -> bytes:
    written = [item.encode("ascii") for item in items if item.isascii()]
    return field_line(name, (separator + b"\r\n ").join(written)) if written else b""


def _name_as_written(field: Field) -> str:
    return field.line.partition(b":")[0].strip().decode("ascii")
