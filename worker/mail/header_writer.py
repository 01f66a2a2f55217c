"""Writing header fields: whatever comes in, one field goes out.

Names, titles and subjects come from other people's systems. Every text is
cleaned of controls and encoded (RFC 2047) before it is put into a line; lines
are ASCII, end in CRLF, and are folded long before 998 octets (RFC 5322, section
2.1.1).
"""

from __future__ import annotations

import re
from base64 import b64encode
from itertools import accumulate
from typing import TYPE_CHECKING

from worker.mail.address import clean_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINE_LIMIT_OCTETS = 998
_LINE_OCTETS = 76
_WORD_OCTETS = 75 - len("=?utf-8?q??=")  # RFC 2047, section 2
_B_OCTETS = _WORD_OCTETS // 4 * 3
_TEXT_LIMIT = 2000  # characters

# What no one can see, with the marks that turn the reading direction of all that follows.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_ATOM_SAFE = frozenset(" !#$%&'*+-/=?^_`{|}~") | frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)
# RFC 2047, section 5 (3): what may stand in an encoded word of a phrase.
_Q_LITERAL = frozenset(b"!*+-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def field_line(name: str, value: bytes) -> bytes:
    """Return one header field with its line end; *value* is ASCII and clean."""
    return name.encode("ascii") + b": " + value + b"\r\n"


def encoded_text(name: str, text: str) -> bytes:
    """Return *text* as the body of the unstructured field *name* (RFC 2047, section 5)."""
    clean = " ".join(_UNSEEN.sub(" ", text[:_TEXT_LIMIT]).split())
    if _is_plain(clean):
        return _folded_words(clean, used=len(name) + 2)
    return _encoded_words(clean, used=len(name) + 2)


def mailbox(name: str, display_name: str, address: str) -> bytes:
    """Return ``"Display Name" <address>`` for the field *name* (RFC 5322, section 3.4).

    An at-sign in a display name makes some programs show it as the address.
    """
    shown = clean_name(display_name).replace("@", " at ")
    angled = f"<{address}>".encode("ascii")
    if not shown:
        return angled
    phrase = _phrase(shown, used=len(name) + 2)
    last_line = len(phrase) - phrase.rfind(b"\n") + len(name) + 2
    separator = b"\r\n " if last_line + len(angled) > _LINE_OCTETS else b" "
    return phrase + separator + angled


def _phrase(shown: str, *, used: int) -> bytes:
    if not _is_plain(shown):
        return _encoded_words(shown, used=used)
    if not set(shown) <= _ATOM_SAFE:
        shown = '"{}"'.format(shown.replace("\\", "\\\\").replace('"', '\\"'))
    return shown.encode("ascii")


def _is_plain(text: str) -> bool:
    # What is longer than a line could not be folded.
    longest = max(map(len, text.split(" ")))
    return text.isascii() and "=?" not in text and longest < _LINE_OCTETS * 2


def _folded_words(text: str, *, used: int) -> bytes:
    """Fold ASCII *text* at its blanks; *used* octets of the first line are taken."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and used + len(lines[-1]) + len(word) >= _LINE_OCTETS:
            lines.append(word)
            used = 1
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\r\n ".join(lines).encode("ascii")


def _encoded_words(text: str, *, used: int) -> bytes:
    """Return *text* in encoded words, no character cut in two (RFC 2047, section 5)."""
    octets = text.encode("utf-8")
    quoted = [_q_encoded(character) for character in text]
    first = _WORD_OCTETS - used
    if sum(map(len, quoted)) <= len(octets) * 3 // 2:
        words = [
            b"=?utf-8?q?" + b"".join(word) + b"?="
            for word in _words(quoted, first=first, longest=_WORD_OCTETS)
        ]
    else:
        characters = [character.encode("utf-8") for character in text]
        words = [
            b"=?utf-8?b?" + b64encode(b"".join(word)) + b"?="
            for word in _words(characters, first=first // 4 * 3, longest=_B_OCTETS)
        ]
    return b"\r\n ".join(words)


def _q_encoded(character: str) -> bytes:
    if character == " ":
        return b"_"
    return b"".join(
        bytes((octet,)) if octet in _Q_LITERAL else b"=%02X" % octet
        for octet in character.encode("utf-8")
    )


def _words(units: Sequence[bytes], *, first: int, longest: int) -> Iterator[Sequence[bytes]]:
    """Cut *units* into runs of at most *longest* octets, the first of at most *first*."""
    begin, room = 0, max(first, len(units[0]))
    sizes = [0, *accumulate(map(len, units))]
    for at in range(1, len(units) + 1):
        if sizes[at] - sizes[begin] > room:
            yield units[begin : at - 1]
            begin, room = at - 1, longest
    yield units[begin:]
