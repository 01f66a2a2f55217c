"""When to try again, and how much to take in hand: pure functions of what has happened."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from worker.mail.reply import Reply, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

# Chance is an argument: a function that returns a number in [0, 1).
if TYPE_CHECKING:
    Chance = Callable[[], float]

EXPIRES_AFTER = timedelta(days=5)  # RFC 5321, section 4.5.4.1: at least 4 to 5 days.

# Greylisting asks for ten minutes or more; afterwards patience costs nothing.
_FIRST_DELAY = timedelta(minutes=15)
_LONGEST_DELAY = timedelta(hours=6)

_JITTER = 0.25

# A refused login may lock the account when it is repeated; a network is back soon.
_LOGIN_PAUSES = (timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6))
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=15)


def retry_delay(attempts: int, chance: Chance) -> timedelta:
    """How long a deferred delivery waits after its *attempts*-th attempt (1 or more)."""
    delay = min(_FIRST_DELAY * 2 ** min(attempts - 1, 10), _LONGEST_DELAY)
    return _jittered(delay, chance)


def is_expired(tried_for: timedelta) -> bool:
    """Whether a deferred delivery is given up."""
    return tried_for >= EXPIRES_AFTER


def account_pause(trouble: Reply | None, failures: int, chance: Chance) -> timedelta:
    """How long an account is left alone after its *failures*-th failure in a row.

    *trouble* is what the host answered, or None if it fell silent.
    """
    refused_login = trouble is not None and trouble.stage is Stage.AUTH and trouble.is_permanent
    if refused_login:
        return _LOGIN_PAUSES[min(failures, len(_LOGIN_PAUSES)) - 1]
    pause = min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)
    return _jittered(pause, chance)


def next_window(window: int, *, smallest: int, drained_in: float) -> int:
    """How many claims to keep at hand, after the last ones took *drained_in* seconds.

    A slow host should hold few: what lies here is overtaken by nothing. A fast
    one should never wait for a claim.
    """
    if drained_in < 0.25:  # noqa: PLR2004 - a few times the cost of a claim
        return min(window * 2, 1000)
    if drained_in > 2:  # noqa: PLR2004 - what a small posting may wait behind
        return max(window // 2, smallest)
    return window


def _jittered(delay: timedelta, chance: Chance) -> timedelta:
    return delay * (1 + _JITTER * (2 * chance() - 1))
