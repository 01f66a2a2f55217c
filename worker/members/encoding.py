"""In which encoding a text file is written.

UTF-8 proves itself: other text that happens to be valid UTF-8 is practically
never found. What is not is guessed among the encodings that spreadsheets and
member databases write here, from its words with accents: among plain words
they would not weigh enough.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.members.table import MemberFileError

if TYPE_CHECKING:
    from pathlib import Path

_SAMPLE_BYTES = 64 * 1024
_HEAD_BYTES = 4096
_NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "Windows-1252",
    "mac-roman": "MacRoman",
    "cp850": "CP850 (DOS)",
}
_LIKELY = ["cp1252", "mac_roman", "cp850"]
_WORD = re.compile(rb"[A-Za-z\x80-\xff'-]*[\x80-\xff][A-Za-z\x80-\xff]*")
_SHOWN_WORDS = 3


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec of Python's, and words with accents as it reads them."""

    codec: str
    sample: str

    @property
    def name(self) -> str:
        """What people call it."""
        return _NAMES.get(self.codec, self.codec)


def find_encoding(path: Path, given: str | None) -> Encoding:
    """Return the encoding of the file at *path*: the *given* one, or what it looks like."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if given is not None:
        codec = _known(given)
        # A mark is no part of the first column's name.
        if codec == "utf-8" and head.startswith(codecs.BOM_UTF8):
            codec = "utf-8-sig"
        return Encoding(codec, _sample(_wide_lines(path).sample, codec))
    if head.startswith(codecs.BOM_UTF8):
        return Encoding("utf-8-sig", _sample(_wide_lines(path).sample, "utf-8"))
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Encoding("utf-16", "")
    if wide := _wide(head):
        return Encoding(wide, "")
    lines = _wide_lines(path)
    if not lines.others:
        return Encoding("utf-8", _sample(lines.sample, "utf-8"))
    if lines.utf8 * 10 > lines.others:
        raise MemberFileError(
            f"{path.name} mixes encodings: line {lines.first_other} is not UTF-8, but {lines.utf8}"
            ' others are; mend it, or write encoding = "utf-8" in [file] and see what is unreadable'
        )
    # Every verb would wait for this import, and hardly a file needs it.
    from charset_normalizer import from_bytes  # noqa: PLC0415

    best = from_bytes(b" ".join(_words(lines.sample)), cp_isolation=_LIKELY).best()
    codec = codecs.lookup(best.encoding).name if best is not None else "cp1252"
    return Encoding(codec, _sample(lines.sample, codec))


def _known(given: str) -> str:
    try:
        return codecs.lookup(given).name
    except LookupError as error:
        raise MemberFileError(
            f'[file] encoding: {given} is unknown; write "utf-8", "windows-1252" or "macroman"'
        ) from error


def _wide(head: bytes) -> str | None:
    """Tell UTF-16 without a mark by the zeros beside its ASCII."""
    half = len(head) // 2 or 1
    if head[1::2].count(0) > half * 0.4:
        return "utf-16-le"
    return "utf-16-be" if head[::2].count(0) > half * 0.4 else None


@dataclass(slots=True)
class _Lines:
    """What the lines with other than ASCII are."""

    utf8: int = 0
    others: int = 0
    first_other: int = 0
    sample: bytes = b""


def _wide_lines(path: Path) -> _Lines:
    found, utf8, others = _Lines(), bytearray(), bytearray()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.isascii():
                continue
            try:
                line.decode()
            except UnicodeDecodeError:
                found.others += 1
                found.first_other = found.first_other or number
                sample = others
            else:
                found.utf8 += 1
                sample = utf8
            if len(sample) < _SAMPLE_BYTES:
                sample += line[:_SAMPLE_BYTES]
    found.sample = bytes(others or utf8)
    return found


def _words(wide_lines: bytes) -> list[bytes]:
    return list(dict.fromkeys(_WORD.findall(wide_lines)))


def _sample(wide_lines: bytes, codec: str) -> str:
    """Return words by which a person sees whether *codec* is right; not the header's."""
    rows = wide_lines.partition(b"\n")[2] or wide_lines
    words = [word.decode(codec, errors="replace") for word in _words(rows)]
    return ", ".join([word for word in words if word.isalpha()][:_SHOWN_WORDS])
