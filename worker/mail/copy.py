"""Copies: a posting is prepared once, each copy is a join.

A template is the whole copy as it goes over the wire (CRLF line ends, dots
stuffed, RFC 5321 section 4.5.2) with a slot wherever copies differ. NUL may not
stand in a message (RFC 5322, section 3.5), so it delimits the slots: ``NUL R
NUL`` is the reference token, ``NUL U NUL`` the unsubscription token. The
template is kept with the posting, so a second rendering is byte-identical.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

REFERENCE_SLOT = b"\0R\0"
UNSUBSCRIBE_SLOT = b"\0U\0"

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class Template:
    """Segments of bytes, and which of them are slots."""

    segments: tuple[bytes, ...]
    reference_at: tuple[int, ...]
    unsubscribe_at: tuple[int, ...]

    def render(self, *, reference: bytes, unsubscribe: bytes) -> bytes:
        """Return the bytes of one copy, ready for the wire but for the final dot."""
        segments = list(self.segments)
        for index in self.reference_at:
            segments[index] = reference
        for index in self.unsubscribe_at:
            segments[index] = unsubscribe
        return b"".join(segments)


def read_template(frozen: bytes) -> Template:
    """Return the template that freeze() has written."""
    segments = tuple(frozen.split(b"\0"))
    return Template(
        segments,
        tuple(i for i in range(1, len(segments), 2) if segments[i] == b"R"),
        tuple(i for i in range(1, len(segments), 2) if segments[i] == b"U"),
    )


def freeze(header: bytes, body: bytes) -> bytes:
    """Return the template of a message whose only NULs are those of slots."""
    lines = _LINE_END.sub(b"\r\n", header + b"\r\n" + body)
    if not lines.endswith(b"\r\n"):
        lines += b"\r\n"
    return _LEADING_DOT.sub(b"..", lines)


def without_nul(raw: bytes) -> bytes:
    """Drop the NULs of foreign mail, before any slot is set."""
    return raw.replace(b"\0", b"")
