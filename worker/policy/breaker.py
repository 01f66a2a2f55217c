"""The breaker of an account: hosts block one whose failures pass a rate, so we stop before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from worker.policy.limit import Limit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# easyname blocks at 15 an hour, the lowest number that a host has told.
DEFAULT_THRESHOLD = Limit(12, timedelta(hours=1))
_KNOWN_BLOCK = "some hosts block an account at 15 an hour"


@dataclass(frozen=True, slots=True)
class Opening:
    """Until when an account is left alone, and why."""

    until: datetime
    why: str


def opening(failures: Sequence[datetime], threshold: Limit) -> Opening | None:
    """Decide from the *failures* of the last period, the newest first; None: go on.

    It closes by itself when fewer than the threshold are left within the period.
    """
    if len(failures) < threshold.amount:
        return None
    return Opening(
        until=failures[threshold.amount - 1] + threshold.period,
        why=f"{len(failures)} failures within {_period(threshold)}; {_KNOWN_BLOCK}",
    )


def _period(threshold: Limit) -> str:
    period = str(threshold).partition("/")[2].partition(",")[0]
    return {"hour": "an hour", "day": "a day", "minute": "a minute"}.get(period, period)
