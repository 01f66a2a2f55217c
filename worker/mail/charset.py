"""Charsets: what a text is written in, and whether more can be written in it."""

from __future__ import annotations

import codecs
import re

from worker.mail.header import is_readable_charset

# An octet below 128 is not always that character of ASCII.
_SHIFTING = re.compile(r"utf-?(?:16|32)|iso-2022|hz")
_WIDE = re.compile(r"utf-?(?:16|32)")
# What programs write under these names (WHATWG encoding standard).
_WIDER = {
    "iso-8859-1": "windows-1252",
    "iso8859-1": "windows-1252",
    "latin1": "windows-1252",
    "iso-8859-9": "windows-1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "shift_jis": "cp932",
}


def true_charset(declared: str, octets: bytes) -> str | None:
    """Return the charset of *octets*, which were *declared* to be in one, or None.

    Many programs declare nothing, or ASCII, and write UTF-8. No other charset is
    valid UTF-8 by accident.
    """
    if not is_undeclared(declared) and declared != "utf-8":
        return declared if _is_known(declared) else None
    if octets.isascii():
        return "us-ascii" if declared != "utf-8" else "utf-8"
    if declared == "utf-8" or text_in(octets, "utf-8") is not None:
        return "utf-8"
    return None


def is_undeclared(declared: str) -> bool:
    """Whether a part says nothing of its charset but that it has ASCII in it."""
    return declared in ("", "us-ascii", "ascii")


def extends_ascii(charset: str) -> bool:
    """Whether ASCII may be put between the characters of a text in *charset*."""
    return not _SHIFTING.match(charset)


def is_wide(charset: str) -> bool:
    """Whether each character takes two octets or more, ASCII included."""
    return _WIDE.match(charset) is not None


def can_hold(charset: str, text: str) -> bool:
    """Whether *text* can be written in *charset*."""
    try:
        text.encode(charset)
    except (LookupError, UnicodeError):
        return False
    return True


def text_in(octets: bytes, charset: str) -> str | None:
    """Return the text, or None if *octets* are not of *charset*."""
    for name in (_WIDER.get(charset, charset), charset):
        try:
            return octets.decode(name)
        except (LookupError, UnicodeError):
            continue
    return None


def _is_known(charset: str) -> bool:
    if not is_readable_charset(charset):
        return False
    try:
        codecs.lookup(charset)
    except LookupError:
        return False
    return True
