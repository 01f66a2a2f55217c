"""Values from a child: what was asked for comes through, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest

from worker.reading.values import decode, encode


class Colour(Enum):
    """A closed set."""

    RED = "red"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value within another."""

    name: str
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """One of each."""

    leaves: tuple[Leaf, ...]
    bark: bytes
    planted: datetime | None
    height: int
    grows: bool
    words: dict[str, str]
    core: bytes = b""


TREE = Tree(
    (Leaf("a\ud800\0é", Colour.RED), Leaf("")),
    b"\0\xff",
    datetime(2025, 1, 6, 10, 0, tzinfo=UTC),
    -(10**30),
    grows=True,
    words={"é": "\n"},
    core=b"x" * 100_000,
)


def test_a_value_comes_back() -> None:
    """With all that is in it."""
    assert decode(encode(TREE), Tree) == TREE


def test_bytes_are_not_encoded() -> None:
    """A template may have 50 MB."""
    _, bark, core = encode(TREE)

    assert (bark, core) == (TREE.bark, TREE.core)


NONSENSE: dict[str, tuple[Any, type[Any]]] = {
    "another type": ("1", int),
    "true is no number": (True, int),
    "nothing": (None, str),
    "a word for a tuple": ("ab", tuple[str, ...]),
    "too few fields": (["a"], Leaf),
    "too many fields": (["a", None, None], Leaf),
    "a name that is no member": (["a", "BLUE"], Leaf),
    "a name of something else": (["a", "__class__"], Leaf),
    "an object for a value": ({"name": "a"}, Leaf),
    "bytes that are not there": (2, bytes),
    "bytes from the end": (-1, bytes),
    "words for bytes": ("x", bytes),
    "no date": ("yesterday", datetime),
    "a list for a dictionary": ([], dict[str, str]),
    "a number in a dictionary": ({"a": 1}, dict[str, str]),
    "an endless number": (10**4000, str),
}


@pytest.mark.parametrize(("said", "expected"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused(said: object, expected: type[Any]) -> None:
    """One exception, whatever it is."""
    with pytest.raises(ValueError, match="is in this"):
        decode([json.dumps(said).encode(), b"one", b"two"], expected)


@pytest.mark.parametrize("said", [b"", b"\xff", b"[" * 100_000, b"{", b"9" * 5000, b"NaN"])
def test_what_is_no_json(said: bytes) -> None:
    """Not even this."""
    with pytest.raises(ValueError, match="is in this"):
        decode([said], int)


def test_only_values_are_sent() -> None:
    """A mistake of ours ends here, and not in the worker."""
    with pytest.raises(TypeError):
        encode(object())
