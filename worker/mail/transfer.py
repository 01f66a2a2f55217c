"""Transfer encodings (RFC 2045, section 6), as we write them."""

from __future__ import annotations

import binascii
import re
from base64 import encodebytes

IDENTITY = ("", "7bit", "8bit", "binary")
READABLE = (*IDENTITY, "quoted-printable", "base64")

SOFT_BREAK = b"=\r\n"
LINE_OCTETS = 76
QUOTED_PRINTABLE_FIELD = b"Content-Transfer-Encoding: quoted-printable\r\n"

_CHARACTERS = 24  # That many fit into a line even if each is an escape.
_CHARACTER = re.compile(rb"=..|.")
_OVERLONG = re.compile(rb"(?m)^=2D-[^\n]{73,}+")


def quoted_printable(text: bytes) -> bytes:
    """Return *text* in lines of at most 76 octets; each of its line ends becomes CRLF."""
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _in_lines(binascii.b2a_qp(lines, quotetabs=False, istext=True))


def quoted_printable_octets(octets: bytes) -> bytes:
    """Return *octets* with their line ends encoded like everything else."""
    return _in_lines(binascii.b2a_qp(octets, quotetabs=False, istext=False))


def base64_lines(octets: bytes) -> bytes:
    """Return *octets* as base64 in lines of 76 octets."""
    return encodebytes(octets).replace(b"\n", b"\r\n")


def with_room(encoded: bytes) -> bytes:
    """Return quoted-printable that a soft line break may follow (RFC 2045, section 6.7)."""
    if len(encoded) - encoded.rfind(b"\n") - 1 < LINE_OCTETS:
        return encoded
    cut = -3 if encoded[-3:-2] == b"=" else -1
    return encoded[:cut] + SOFT_BREAK + encoded[cut:]


def _in_lines(encoded: bytes) -> bytes:
    """Return *encoded* with CRLF, and so that no line is a delimiter of the multipart around it."""
    lines = (b"\n" + encoded).replace(b"\n--", b"\n=2D-")
    # No boundary is empty, so "-- " is none, and programs look for it.
    lines = lines.replace(b"\n=2D-=20\n", b"\n--=20\n")
    return _OVERLONG.sub(_in_pieces, lines[1:]).replace(b"\n", b"\r\n")


def _in_pieces(line: re.Match[bytes]) -> bytes:
    """Return a line that has become too long as several, of which none begins with a hyphen."""
    characters = _CHARACTER.findall(line[0].replace(b"-", b"=2D"))
    starts = range(0, len(characters), _CHARACTERS)
    return b"=\n".join(b"".join(characters[at : at + _CHARACTERS]) for at in starts)
