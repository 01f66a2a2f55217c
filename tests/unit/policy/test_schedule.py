"""When to try again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from worker.mail.reply import Reply, Stage
from worker.policy.schedule import account_pause, is_expired, next_window, retry_delay


def even() -> float:
    """Chance that adds nothing."""
    return 0.5


DELAYS = {1: 15, 2: 30, 3: 60, 4: 120, 5: 240, 6: 360, 7: 360, 99: 360}


@pytest.mark.parametrize(("attempts", "minutes"), DELAYS.items())
def test_a_deferred_delivery_waits_longer_each_time(attempts: int, minutes: int) -> None:
    """Greylisting ends within the first wait; the longest is six hours."""
    assert retry_delay(attempts, even) == timedelta(minutes=minutes)


def test_waits_are_spread() -> None:
    """A quarter either way, so that a thousand copies do not come back at once."""
    assert retry_delay(1, lambda: 0.0) == timedelta(minutes=11, seconds=15)
    assert retry_delay(1, lambda: 1.0) == timedelta(minutes=18, seconds=45)


def test_five_days_are_enough() -> None:
    """RFC 5321, section 4.5.4.1."""
    assert not is_expired(timedelta(days=4, hours=23))
    assert is_expired(timedelta(days=5))


def test_a_refused_login_is_not_repeated_soon() -> None:
    """30 minutes, 2 hours, then every 6: fewer than five tries a day."""
    refused = Reply(Stage.AUTH, 535, "no")

    pauses = [account_pause(refused, failures, even) for failures in (1, 2, 3, 4)]

    assert pauses == [timedelta(minutes=30), *(timedelta(hours=h) for h in (2, 6, 6))]


def test_a_silent_host_is_tried_again_soon() -> None:
    """A network comes back; the pause grows to a quarter of an hour."""
    pauses = [account_pause(None, failures, even) for failures in (1, 2, 3, 50)]

    assert pauses == [timedelta(seconds=s) for s in (5, 10, 20, 900)]


def test_a_temporary_refusal_of_a_login_is_no_refused_password() -> None:
    """454 says: not now."""
    assert account_pause(Reply(Stage.AUTH, 454, "later"), 1, even) == timedelta(seconds=5)


def test_the_window_follows_the_host() -> None:
    """A fast host gets more at hand, a slow one less, within bounds."""
    assert next_window(10, smallest=4, drained_in=0.01) == 20
    assert next_window(1000, smallest=4, drained_in=0.01) == 1000
    assert next_window(10, smallest=4, drained_in=1) == 10
    assert next_window(10, smallest=4, drained_in=60) == 5
    assert next_window(5, smallest=4, drained_in=60) == 4
