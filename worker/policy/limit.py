"""Limits: how many messages may leave within any stretch of one period.

A limit is a value. What was spent and claimed is counted by the caller, under
a lock (DESIGN.md, promise 4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

_LONGEST = timedelta(days=31)  # What relais.limit_rule accepts.

_UNITS = {
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "minute": timedelta(minutes=1),
    "second": timedelta(seconds=1),
}
_LIMIT = re.compile(
    r"\s*(?P<amount>[0-9]{1,9})\s*/\s*(?P<count>[0-9]{0,9})\s*"
    r"(?P<unit>[smhd]|second|minute|hour|day)"
    r"(\s*,\s*burst\s*=\s*(?P<burst>[1-9][0-9]{0,8}))?\s*"
)
_ALLOWED = (
    "write amount/period, as in 200/hour, 100/day, 40/20s or 500/15m; "
    "the period is 1 second to 31 days; ', burst=10' may follow"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most *amount* messages within any *period*; *burst* of them at a stretch."""

    amount: int
    period: timedelta
    burst: int | None = None

    def __str__(self) -> str:
        unit = next(name for name, length in _UNITS.items() if not self.period % length)
        count = self.period // _UNITS[unit]
        period = unit if count == 1 else f"{count}{unit[0]}"
        burst = "" if self.burst is None else f", burst={self.burst}"
        return f"{self.amount}/{period}{burst}"


def read_limit(text: str) -> Limit:
    """Read ``200/hour``; a ValueError says what may be written."""
    written = _LIMIT.fullmatch(text)
    if written is None:
        raise ValueError(f"{text!r} is no limit: {_ALLOWED}")
    count = int(written["count"] or 1)
    unit = next(u for name, u in _UNITS.items() if name.startswith(written["unit"]))
    # Compared before they are multiplied: timedelta overflows.
    if not 1 <= count <= _LONGEST // unit:
        raise ValueError(f"{text!r} is no limit: {_ALLOWED}")
    burst = written["burst"]
    return Limit(int(written["amount"]), count * unit, int(burst) if burst else None)


def allowance(limit: Limit, *, spent: int, claimed: int) -> int:
    """How many more may be claimed, when *spent* left within the last period."""
    return max(0, limit.amount - spent - claimed)
