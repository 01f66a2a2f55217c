"""Did you mean? What is like an address that does not exist, and what is not."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.policy.likeness import distance, nearest, trigrams

KNOWN = (
    "comite_directeur.comite",
    "comite_directeur.arbitrage",
    "president.comite",
    "tous",
    "club.presidents",
    "jeunes",
    "ca",
)


class Slip(NamedTuple):
    """What somebody wrote, and what we propose."""

    written: str
    proposed: list[str]


SLIPS = {
    "one letter more": Slip("jeuness", ["jeunes"]),
    "two letters swapped": Slip("jeuens", ["jeunes"]),
    "two letters left out": Slip("jnes", ["jeunes"]),
    "half of it left out": Slip("jes", []),
    "in both parts": Slip(
        "comite_directeurs.comitee", ["comite_directeur.comite", "comite_directeur.arbitrage"]
    ),
    "the parts exchanged": Slip("presidents.club", ["club.presidents", "president.comite"]),
    "one part alone": Slip("presidents", ["club.presidents", "president.comite"]),
    "in capitals": Slip("TOUSS", ["tous"]),
    "short": Slip("tosu", ["tous"]),
    "of a short word, all is wrong": Slip("xyz", []),
    "two letters": Slip("ac", []),
    "like nothing": Slip("newsletter", []),
    "empty": Slip("", []),
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
def test_what_is_proposed(slip: Slip) -> None:
    """The nearest first."""
    assert nearest(slip.written, KNOWN, at_most=3) == slip.proposed


def test_no_more_than_asked_for() -> None:
    """And always the same ones."""
    known = [f"club{number}" for number in range(9, 0, -1)]

    assert nearest("club", known, at_most=3) == ["club1", "club2", "club3"]


def test_trigrams_are_those_of_postgresql() -> None:
    """So that an admin can try them: select show_trgm('club.xy')."""
    assert trigrams("club.xy") == {"  c", " cl", "clu", "lub", "ub ", "  x", " xy", "xy "}


def slow_distance(one: str, other: str) -> int:
    """Return the distance of Levenshtein, by its definition."""
    if not one or not other:
        return len(one) + len(other)
    if one[-1] == other[-1]:
        return slow_distance(one[:-1], other[:-1])
    return 1 + min(
        slow_distance(one[:-1], other),
        slow_distance(one, other[:-1]),
        slow_distance(one[:-1], other[:-1]),
    )


@settings(database=None, deadline=None, derandomize=True)
@given(st.text("ab.", max_size=6), st.text("ab.", max_size=6), st.integers(0, 4))
def test_the_distance(one: str, other: str, most: int) -> None:
    """As it is defined, up to what is asked about."""
    assert distance(one, other, most) == min(slow_distance(one, other), most + 1)


def test_a_hostile_word_and_a_large_directory() -> None:
    """Bounded work: what is longer than a local part is not looked at."""
    known = ["a" * 64 + str(number) for number in range(2000)]

    assert nearest("a" * 1_000_000, known, at_most=3) == sorted(known)[:3]
