"""Which addresses are like one that does not exist: a slip of the hand, or of memory.

    edits      letters left out, put in, exchanged or swapped: "comite" for "comité."
    trigrams   the same three letters somewhere: "presidents.club" for "club.presidents"

Each is bounded, since what is asked about is a stranger's: names are as long as local
parts may be, and edits beyond three are not counted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EDITS_LIMIT = 3
LIKENESS_FLOOR = 0.4
_LENGTH_LIMIT = 64
_KNOWN_LIMIT = 50_000


def nearest(word: str, known: Iterable[str], *, at_most: int) -> list[str]:
    """Return what of *known* is most like *word*, the nearest first."""
    word = word[:_LENGTH_LIMIT].lower()
    letters, grams = Counter(word), trigrams(word)
    found: list[tuple[int, float, str]] = []
    for other in sorted(set(known))[:_KNOWN_LIMIT]:
        shown = other[:_LENGTH_LIMIT].lower()
        likeness = _shared(grams, trigrams(shown))
        edits = _edits(word, shown, letters)
        if edits is not None or likeness >= LIKENESS_FLOOR:
            found.append((EDITS_LIMIT + 1 if edits is None else edits, -likeness, other))
    return [other for *_, other in sorted(found)[:at_most]]


def trigrams(text: str) -> set[str]:
    """Return the groups of three letters in the words of *text*, as pg_trgm does."""
    parts = "".join(c if c.isalnum() else " " for c in text).split()
    return {f"  {part} "[at : at + 3] for part in parts for at in range(len(part) + 1)}


def _shared(grams: set[str], others: set[str]) -> float:
    return len(grams & others) / max(1, len(grams | others))


def _edits(word: str, other: str, letters: Counter[str]) -> int | None:
    """Return how many edits make *other* of *word*; None if they are too many.

    Of a short word half may be wrong and no more, or every short word is like it.
    """
    most = min(EDITS_LIMIT, len(word) // 2)
    # An edit changes two counts at most: this spares most of the work.
    if abs(len(word) - len(other)) > most:
        return None
    if sum((letters - Counter(other)).values()) > most:
        return None
    edits = distance(word, other, most)
    return edits if edits <= most else None


def distance(one: str, other: str, most: int) -> int:
    """Return the distance of Levenshtein, or *most* and one if it is more than that."""
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        line = [row]
        for column, beside in enumerate(other, start=1):
            changed = above[column - 1] + (letter != beside)
            line.append(min(changed, above[column] + 1, line[-1] + 1))
        if min(line) > most:
            return most + 1
        above = line
    return min(above[-1], most + 1)
