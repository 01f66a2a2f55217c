"""A message as bytes: its header fields as they stand, and its body.

Foreign mail is never parsed into a tree and written again: surgery works on
whole field lines. Reading never raises, and its time is proportional to the
bytes; what is no field begins the body, so that nothing disappears here.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Far above any real message; what follows is taken for body (Postfix's
# header_size_limit is 102400).
HEADER_LIMIT_BYTES = 256 * 1024
# Nobody reads more of one field; a single line may be as long as the message.
_TEXT_LIMIT_BYTES = 32 * 1024

_FIELD_NAME = re.compile(rb"([!-9;-~]{1,998})[ \t]*+:")
_EMPTY_LINE = re.compile(rb"\r?\n")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

# RFC 2047, section 2, tolerant of words that are too long. Between two words
# white space is not shown (section 6.2).
_ENCODED_WORD = re.compile(
    r"=\?([^?\s=*]{1,40})(?:\*[^?\s]{0,40})?\?([BbQq])\?([^?\r\n]*+)\?=(?:\s++(?==\?))?"
)
# Looking up any name imports modules and keeps it for ever; some codecs that
# Python has take quadratic time (punycode), warn (unicode_escape) or make lone
# surrogates (utf-7).
_CHARSET = re.compile(
    r"(?:us-)?ascii|utf-?(?:8|16|32)(?:-?[bl]e)?|unicode-1-1-utf-8"
    r"|iso[-_]?8859[-_]?\d{1,2}(?:-[ei])?|latin[-_]?\d{1,2}|l\d"
    r"|(?:windows|cp|ibm|x-cp)[-_]?\d{3,5}|koi8[-_][rut]|mac(?:intosh|[-_]?roman)"
    r"|big5(?:[-_]?hkscs)?|gb2312|gbk|gb18030|hz(?:-gb-2312)?"
    r"|euc[-_](?:jp|kr)|shift[-_]jis|s-?jis|iso-2022-(?:jp(?:-[123])?|kr)"
    r"|ks_c_5601-1987|tis-620"
)

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))


@dataclass(frozen=True, slots=True)
class Field:
    """One header field: its *name* in lower case, its *line* as received."""

    name: str
    line: bytes  # With its line ends, the last one included.

    @property
    def body(self) -> bytes:
        """What follows the colon, unfolded (RFC 5322, section 2.2.3)."""
        _, _, value = self.line.partition(b":")
        return _FOLD.sub(b"", value).strip(b" \t\r\n")

    @property
    def text(self) -> str:
        """The body as text: RFC 2047 decoded, on one line, never raising."""
        return decoded(self.body)


@dataclass(frozen=True, slots=True)
class Message:
    """Header fields in their order, and the body after the empty line."""

    fields: tuple[Field, ...]
    body: bytes

    def named(self, name: str) -> Iterator[Field]:
        """All fields called *name* (lower case), topmost first."""
        return (field for field in self.fields if field.name == name)

    def first(self, name: str) -> Field | None:
        """Return the topmost field called *name* (lower case)."""
        return next(self.named(name), None)

    def value(self, name: str) -> str:
        """Return the undecoded body of the topmost field called *name*, or ""."""
        field = self.first(name)
        return field.body.decode("latin-1") if field else ""


def read_message(raw: bytes) -> Message:
    """Split *raw* into fields and body. Any bytes are accepted."""
    fields, body_at = scan_fields(raw, 0, len(raw))
    return Message(fields, raw[body_at:])


def scan_fields(raw: bytes, start: int, end: int) -> tuple[tuple[Field, ...], int]:
    """Return the fields of the header at *start*, and where its body begins."""
    fields: list[Field] = []
    at = start
    while at < end and at - start <= HEADER_LIMIT_BYTES:
        # The empty line comes first: it is no field, even if the body begins with a blank.
        empty = _EMPTY_LINE.match(raw, at, end)
        if empty:
            return tuple(fields), empty.end()
        next_at = end_of_field(raw, at, end)
        line = raw[at:next_at]
        match = _FIELD_NAME.match(line)
        if match:
            fields.append(Field(match[1].decode("ascii").lower(), line))
        elif not line.startswith((b"From ", b">From ")):  # Left by an mbox.
            # No field: some mailers forget the empty line.
            return tuple(fields), at
        at = next_at
    return tuple(fields), at


def end_of_field(raw: bytes, at: int, end: int) -> int:
    """Return where the field that starts at *at* ends, its folds included."""
    while True:
        newline = raw.find(b"\n", at, end)
        if newline < 0:
            return end
        at = newline + 1
        if raw[at : at + 1] not in (b" ", b"\t"):
            return at


def decoded(value: bytes) -> str:
    """Decode RFC 2047 words in *value*; controls and line ends become spaces."""
    text = as_text(value[:_TEXT_LIMIT_BYTES])
    return _CONTROLS.sub(" ", _decode_words(text)).strip()


def is_readable_charset(charset: str) -> bool:
    """Whether *charset* may be looked up: its codec, if any, is safe on any bytes."""
    return _CHARSET.fullmatch(charset.lower()) is not None


def as_text(value: bytes, charset: str = "") -> str:
    """Decode *value*: as *charset*, else as UTF-8, else byte by byte."""
    if is_readable_charset(charset):
        try:
            return value.decode(charset)
        except (LookupError, UnicodeError):
            pass
    try:
        return value.decode("utf-8")
    except UnicodeError:
        return value.decode("latin-1")


def from_base64(value: bytes) -> bytes:
    """Decode base64 as far as it goes (RFC 2045, section 6.8)."""
    data = value.partition(b"=")[0].translate(None, _NOT_BASE64)
    if len(data) % 4 == 1:  # A lone character holds no byte.
        data = data[:-1]
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


def _decode_words(text: str) -> str:
    """Decode encoded words; what is none stays as it is."""
    pieces: list[str] = []
    run: list[bytes] = []
    charset = ""
    at = 0
    for word in _ENCODED_WORD.finditer(text):
        if word.start() > at or word[1].lower() != charset:
            # Else a character may be cut between the two words, although
            # RFC 2047, section 5, forbids it.
            pieces += [as_text(b"".join(run), charset), text[at : word.start()]]
            run = []
        charset = word[1].lower()
        run.append(_word_bytes(word[2], word[3]))
        at = word.end()
    return "".join([*pieces, as_text(b"".join(run), charset), text[at:]])


def _word_bytes(encoding: str, data: str) -> bytes:
    octets = data.encode("utf-8", "replace")
    if encoding in "Bb":
        return from_base64(octets)
    return binascii.a2b_qp(octets, header=True)
