"""A message put together again: its bytes as they stand, but for what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from worker.mail.parts import Part


def spliced(raw: bytes, pieces: Sequence[tuple[int, int, bytes]]) -> bytes:
    """Return *raw* with other bytes from one place to another, in their order."""
    kept: list[bytes] = []
    at = 0
    for start, end, written in pieces:
        kept += [raw[at:start], written]
        at = end
    return b"".join([*kept, raw[at:]])


def rewritten(
    parts: Sequence[Part],
    *,
    leaf: Callable[[Part], bytes],
    header: Callable[[Part], bytes],
    between: Callable[[bytes], bytes],
    is_sealed: Callable[[Part], bool] = lambda _: False,
) -> bytes:
    """Return the message of *parts*, all of them, piece by piece.

    *leaf* writes a whole part that has no parts, *header* the header of one that
    has, *between* what is no part's: delimiters, and what stands around them.
    The body of a sealed part keeps its bytes, with everything within.
    """
    raw = parts[0].raw
    pieces: list[bytes] = []
    at = 0
    for part in parts:
        if part.header_at < at:
            continue  # Within a sealed one.
        if part.header_at > at:
            pieces.append(between(raw[at : part.header_at]))
        if is_sealed(part):
            pieces += [header(part), raw[part.body_at : part.end]]
        elif part.is_multipart:
            pieces.append(header(part))
        else:
            pieces.append(leaf(part))
        at = part.body_at if part.is_multipart and not is_sealed(part) else part.end
    if at < len(raw):
        pieces.append(between(raw[at:]))
    return b"".join(pieces)


def header_with(part: Part, fields: Mapping[str, bytes | None]) -> bytes:
    """Return the header of *part* with other lines for the *fields* named; None drops one.

    Lines that stay keep their bytes; those that are new come last.
    """
    kept = [
        field.line.rstrip(b"\r\n") + b"\r\n" for field in part.fields if field.name not in fields
    ]
    return b"".join((*kept, *(line for line in fields.values() if line), b"\r\n"))
