"""What a migration does to the lists, and which loss looks wrong."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from worker.policy.effect import Effect, Group, Resized, Shrunk, Size, effect, updated


def size(**people: int) -> Size:
    """Return the size of a definition."""
    return Size("{x}", people)


class Loss(NamedTuple):
    """The people of some addresses before and after, and what looks wrong."""

    before: Size
    after: Size
    wrong: tuple[int, int] | None


LOSSES = {
    "all gone": Loss(size(a=10), size(), (10, 0)),
    "more than half": Loss(size(a=820), size(a=43), (820, 43)),
    "half": Loss(size(a=10), size(a=5), None),
    "one more than half": Loss(size(a=10), size(a=4), (10, 4)),
    "too few to ask": Loss(size(a=9), size(), None),
    "grown": Loss(size(a=10), size(a=100), None),
    "spread over addresses": Loss(size(a=5, b=5, c=5), size(a=5), (15, 5)),
    "the largest only": Loss(size(a=30, b=12, c=12, d=12), size(a=1, b=12, c=12, d=12), (30, 12)),
    "under other names": Loss(size(a=30, b=20), size(c=30, d=20), None),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_what_looks_wrong(loss: Loss) -> None:
    """More than half of ten or more people, in all or in the largest list."""
    [*shrunk] = effect({"l": loss.before}, {"l": loss.after}).shrunk

    assert [(s.before, s.after) for s in shrunk] == ([loss.wrong] if loss.wrong else [])


def test_the_figures_say_what_they_are_of() -> None:
    """Of all addresses if they shrink together, else of the largest."""
    both = effect({"l": size(a=30, b=30)}, {"l": size(a=3, b=3)})
    largest = effect({"l": size(a=30, b=12, c=12)}, {"l": size(a=5, b=14, c=14)})

    assert both.shrunk == (Shrunk("l", 60, 6, only_largest=False),)
    assert largest.shrunk == (Shrunk("l", 30, 14, only_largest=True),)


def test_what_came_went_and_changed() -> None:
    """By definition, in the order of their names."""
    before = {"b": size(x=1, y=2), "dropped": size(z=99), "a": size(v=1)}
    after = {"b": size(y=3, w=4, u=5), "a": size(v=1), "new": size(n=7)}

    change = effect(before, after)

    assert change.added == (Group("b", "{x}", {"w": 4, "u": 5}), Group("new", "{x}", {"n": 7}))
    assert change.added[0].example == ("u", 5)
    assert change.removed == (Group("b", "{x}", {"x": 1}), Group("dropped", "{x}", {"z": 99}))
    assert change.resized == (Resized("b", "y", 2, 3),)
    assert change.shrunk == ()


def test_what_is_not_known_is_not_compared() -> None:
    """A query that fails is told otherwise; the size from before is kept."""
    known, unknown = {"l": size(a=20)}, {"l": None}

    nothing = Effect((), (), (), ())
    assert effect(known, unknown) == effect(unknown, known) == nothing
    assert updated(known, unknown) == known
    assert updated(known, {"m": size(b=1)}) == {"m": size(b=1)}
