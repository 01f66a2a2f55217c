"""Strangers are remembered for a while, and no minute asks too often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from worker.policy.strangers import ASKED_A_MINUTE, Strangers

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def test_for_an_hour() -> None:
    """However they write their address; nobody else is one."""
    strangers = Strangers()
    strangers.add("X@y.fr", NOW)

    assert strangers.has("x@Y.fr", NOW + HOUR - SECOND)
    assert not strangers.has("x@y.fr", NOW + HOUR)
    assert not strangers.has("z@y.fr", NOW)


def test_so_many_and_no_more() -> None:
    """Who was met again lately is kept, the one before them is not."""
    strangers = Strangers()
    strangers.add("first@y.fr", NOW)
    strangers.add("second@y.fr", NOW)
    strangers.add("first@y.fr", NOW)
    for number in range(9_999):
        strangers.add(f"{number}@y.fr", NOW)

    assert strangers.has("first@y.fr", NOW)
    assert not strangers.has("second@y.fr", NOW)


def test_so_often_in_a_minute() -> None:
    """What is not asked does not count."""
    strangers = Strangers()
    asked = [strangers.may_ask(NOW + n * SECOND) for n in range(ASKED_A_MINUTE + 5)]

    assert asked == [True] * ASKED_A_MINUTE + [False] * 5
    assert not strangers.may_ask(NOW + MINUTE - SECOND)
    assert strangers.may_ask(NOW + MINUTE)
    assert not strangers.may_ask(NOW + MINUTE)
