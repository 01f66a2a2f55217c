"""How much may be claimed, of all rules together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from worker.policy.limit import Limit
from worker.policy.room import Room, next_window, room_for

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Use:
    """A rule and what counts against it."""

    account: str | None
    provider: str | None
    limit: Limit
    spent: int = 0
    claimed: int = 0


def test_without_rules_everything_asked_for() -> None:
    """The caller's own bound is the only one."""
    assert room_for(["a", "b"], [], at_most=7) == Room(7, {"a": 7, "b": 7})


def test_the_narrowest_rule_of_a_scope_decides() -> None:
    """Several limits per scope hold at once."""
    uses = [
        Use(None, "a", Limit(10, HOUR), spent=4),
        Use(None, "a", Limit(50, 24 * HOUR), spent=40, claimed=7),
        Use("main", "a", Limit(5, HOUR)),
        Use("main", None, Limit(200, HOUR), spent=190, claimed=2),
    ]

    assert room_for(["a", "b"], uses, at_most=100) == Room(8, {"a": 3, "b": 100})


def test_a_spent_provider_is_not_asked() -> None:
    """Nor does it stand in the way of others."""
    uses = [Use(None, "a", Limit(3, HOUR), spent=3), Use(None, "gone", Limit(1, HOUR))]

    assert room_for(["a", "b"], uses, at_most=9) == Room(9, {"b": 9})


def test_the_window_follows_the_host() -> None:
    """A fast host gets more at hand, a slow one less, within bounds."""
    assert next_window(10, smallest=4, drained_in=0.01) == 20
    assert next_window(1000, smallest=4, drained_in=0.01) == 1000
    assert next_window(10, smallest=4, drained_in=1) == 10
    assert next_window(10, smallest=4, drained_in=60) == 5
    assert next_window(5, smallest=4, drained_in=60) == 4
