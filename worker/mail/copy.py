"""Copies: a posting is prepared once, each copy is a join.

A template is the whole copy as it goes over the wire (CRLF line ends, dots
stuffed, RFC 5321 section 4.5.2) with a slot wherever copies differ. NUL may not
stand in a message (RFC 5322, section 3.5), so it delimits the slots:

    R       the reference token
    U       the unsubscription token
    T       the recipient's address as the body of To; T3: with merge field 3 as the name
    M3t     merge field 3 in a text/plain part, M3h in a text/html part
    B, S    the body hash and the signature of DKIM (RFC 6376)
    ?fr     from here on for readers of French; ? alone: for everybody again

The template is kept with the posting, so a second rendering is byte-identical.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from worker.mail.address import readable
from worker.mail.header_writer import mailbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REFERENCE_SLOT = b"\0R\0"
UNSUBSCRIBE_SLOT = b"\0U\0"
MERGE_FIELD_LIMIT = 200  # characters

_MERGE_SLOT = re.compile(rb"([MT])(\d{0,3})([th]?)")
_QP_LITERAL = frozenset(b" !\"#$%&'()*+,-/:;<>?@[]_") | frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
# At most 72 octets of a line (RFC 2045, section 6.7, allows 76), no escape cut in two.
_QP_LINE = re.compile(rb"(?:=..|.){1,24}")


@dataclass(frozen=True, slots=True)
class Personal:
    """What one copy has for its own."""

    reference: bytes
    unsubscribe: bytes = b""
    address: str = ""
    fields: Sequence[str] = ()  # Merge fields, as the view has them.


@dataclass(frozen=True, slots=True)
class Template:
    """Segments of bytes, and which of them are slots."""

    segments: tuple[bytes, ...]
    slots: tuple[tuple[int, bytes], ...]  # Where, and what belongs there.

    def render(self, values: Mapping[bytes, bytes]) -> bytes:
        """Return the segments with *values* in their slots."""
        segments = list(self.segments)
        for index, slot in self.slots:
            segments[index] = values[slot]
        return b"".join(segments)

    def values(self, personal: Personal) -> dict[bytes, bytes]:
        """Return what *personal* puts into the slots, encoded for where they stand."""
        values = {b"R": personal.reference, b"U": personal.unsubscribe}
        for _, slot in self.slots:
            merged = _MERGE_SLOT.fullmatch(slot)
            if merged:
                value = _numbered(personal.fields, merged[2])
                values[slot] = (
                    mailbox("To", value, personal.address)
                    if merged[1] == b"T"
                    else _merged(value, merged[3])
                )
        return values

    def copy(self, personal: Personal) -> bytes:
        """Return the bytes of one copy, ready for the wire but for the final dot."""
        return self.render(self.values(personal))


def merge_slot(number: int) -> str:
    """Return what stands for merge field *number* in the words of a footer."""
    return f"\0M{number}\0"


def to_slot(name: int | None) -> bytes:
    """Return what stands for the body of To; merge field *name* is the recipient's name."""
    return b"\0T\0" if name is None else b"\0T%d\0" % name


def for_reader(frozen: bytes, lang: str) -> bytes:
    """Return what freeze() has written, with the blocks of *lang* and no other's."""
    return b"".join(
        piece if slot is None else piece + b"\0" + slot + b"\0"
        for piece, slot in _pieces_for(frozen, lang.encode())
    )


def read_template(frozen: bytes) -> Template:
    """Return the template in *frozen*, which has no blocks (any more)."""
    segments = tuple(frozen.split(b"\0"))
    return Template(segments, tuple((i, segments[i]) for i in range(1, len(segments), 2)))


def freeze(header: bytes, body: bytes) -> bytes:
    """Return the template of a message whose only NULs are those of slots."""
    # Not by a pattern: of 50 MB of short lines it would take two gigabytes.
    lines = (header + b"\r\n" + body).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not lines.endswith(b"\n"):
        lines += b"\n"
    stuffed = lines.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def without_nul(raw: bytes) -> bytes:
    """Drop the NULs of foreign mail, before any slot is set."""
    return raw.replace(b"\0", b"")


def _pieces_for(frozen: bytes, lang: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield literals, each with the slot after it, in the order of the copy."""
    pieces = frozen.split(b"\0")
    block = b""
    for literal, slot in zip_longest(pieces[::2], pieces[1::2]):
        is_read = block in (b"", lang)
        opens = slot is not None and slot.startswith(b"?")
        if is_read:
            yield literal, None if opens else slot
        if opens:
            block = slot[1:]


def _numbered(fields: Sequence[str], number: bytes) -> str:
    return fields[int(number)] if number and int(number) < len(fields) else ""


def _merged(value: str, context: bytes) -> bytes:
    """Return a merge field in quoted-printable, escaped for text or for html.

    It stands between soft line breaks, and no line of it begins with a dot,
    because dots are stuffed once for all copies.
    """
    shown = readable(value, MERGE_FIELD_LIMIT)
    if context == b"h":
        octets = html.escape(shown).encode("ascii", "xmlcharrefreplace")
    else:
        octets = shown.encode("utf-8", "replace")
    encoded = b"".join(
        bytes((octet,)) if octet in _QP_LITERAL else b"=%02X" % octet for octet in octets
    )
    lines = _QP_LINE.findall(encoded)
    # No boundary of the message around it can begin a line of it either.
    return b"=\r\n".join(b"=2D" + line[1:] if line[:1] == b"-" else line for line in lines)
