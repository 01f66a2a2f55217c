"""Folded text: what words of any language are looked for in."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

FOLDED_LIMIT = 2000
_ADDRESS = re.compile(r"<?[^\s<>()\[\],;:@\"']{1,64}@[\w.-]{1,254}>?")


def folded(text: str, *, limit: int = FOLDED_LIMIT) -> str:
    """Return *text* in lower case, without accents, on one line, each address being "@"."""
    text = _ADDRESS.sub("@", text[:limit]).replace("\u2019", "'")
    # In this order: a mark that stands alone leaves a space, and some signs capitals.
    return " ".join(without_accents(text).lower().split())


def without_accents(text: str) -> str:
    """Drop the marks that go with letters; also those of kana and of Cyrillic."""
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Patterns of which one is to be found in folded text.

    There are hundreds, and nearly none of them is in a given text. Looking for
    letters that each match must hold is ten times as fast as trying them all.
    """

    words: tuple[tuple[str, str], ...]  # The letters, "" if there are none, and the pattern.

    def found_in(self, text: str) -> bool:
        """Whether *text* has any of them."""
        for letters, pattern in self.words:  # A generator would take as long again.
            if letters in text and _compiled(pattern).search(text):
                return True
        return False

    def begins(self, text: str) -> bool:
        """Whether *text* begins with any of them."""
        return any(
            letters in text and _compiled(pattern).match(text) is not None
            for letters, pattern in self.words
        )


@cache
def any_of(words: tuple[str, ...]) -> AnyOf:
    """Prepare patterns to be looked for."""
    plain = tuple(map(without_accents, words))
    return AnyOf(tuple((needed_letters(word), word) for word in plain))


_GROUP = re.compile(r"(?<!\\)\((?:[^()\\]|\\.)*\)(?:[?*+]|\{[\d,]+\})?\??")
_CLASS = re.compile(r"(?<!\\)\[(?:[^\]\\]|\\.)+\](?:[?*+]|\{[\d,]+\})?\??")
_ANY = re.compile(r"(?:\\.|\.)(?:[?*+]|\{[\d,]+\})?\??|.(?:[?*]|\{[\d,]+\})\??")


def needed_letters(pattern: str) -> str:
    """Return the longest string that each match of *pattern* holds, as far as it is easy to see."""
    while (shorter := _GROUP.sub("\0", pattern)) != pattern:
        pattern = shorter
    plain = _ANY.sub("\0", _CLASS.sub("\0", pattern))
    if "|" in plain:
        return ""
    return max(re.split(r"[\0^$+]", plain), key=len)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
