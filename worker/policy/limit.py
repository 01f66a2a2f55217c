"""Limits: how many messages may leave within any stretch of one period.

A limit is a value. What counts against it is in worker/policy/meter.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

_LONGEST = timedelta(days=31)  # What relais.limit_rule accepts.

_UNITS = {
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "minute": timedelta(minutes=1),
    "second": timedelta(seconds=1),
}
_TIME = r"(?P<{0}_count>[0-9]{{0,9}})\s*(?P<{0}_unit>[smhd]|second|minute|hour|day)"
_LIMIT = re.compile(
    r"\s*(?P<amount>[0-9]{1,9})\s*/\s*" + _TIME.format("period") + r"\s*(?P<options>(?:,.*)?)"
)
_BURST = re.compile(r"\s*burst\s*=\s*([1-9][0-9]{0,8})\s*")
_SPACING = re.compile(r"\s*spacing\s*=\s*(?:(?P<word>even|none)|" + _TIME.format("gap") + r")\s*")
_ALLOWED = (
    "write amount/period, as in 200/hour, 100/day, 40/20s or 500/15m; the period is"
    " 1 second to 31 days; ', burst=10' may follow, and ', spacing=30s' or ', spacing=none'"
)

NO_SPACING = timedelta(0)

# A little faster than even, so that what an interruption has cost is made up for
# within the period; relais.spacing_of has the same.
_EVEN = 0.95

# Of a limit without ", burst=": this share of it may leave at a stretch.
_BURST_PART = 20


class Use(Protocol):
    """A limit, whose it is, and what counts against it."""

    @property
    def account(self) -> str | None:
        """The account it is for; None: any."""

    @property
    def provider(self) -> str | None:
        """The provider it is for; None: any."""

    @property
    def limit(self) -> Limit:
        """What it allows."""

    @property
    def spent(self) -> int:
        """Marks within the last period."""

    @property
    def claimed(self) -> int:
        """Claims that hold a token."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most *amount* messages within any *period*.

    Between them large postings leave *spacing* (None: so that the amount is
    spread over the period), after *burst* of them at a stretch. Small postings
    are spaced by a burst that is given, and else not at all.
    """

    amount: int
    period: timedelta
    burst: int | None = None
    spacing: timedelta | None = None

    @property
    def interval(self) -> timedelta | None:
        """The time between two copies once the burst is used up; None: they are not spaced."""
        if self.spacing == NO_SPACING or not self.amount:
            return None
        even = self.period / self.amount * _EVEN
        return max(self.spacing or even, timedelta.resolution)

    @property
    def stretch(self) -> int:
        """How many copies of large postings may leave at a stretch."""
        return self.burst or max(1, self.amount // _BURST_PART)

    def __str__(self) -> str:
        burst = "" if self.burst is None else f", burst={self.burst}"
        spacing = "" if self.spacing is None else f", spacing={_gap(self.spacing)}"
        return f"{self.amount}/{_written(self.period)}{burst}{spacing}"


def _gap(spacing: timedelta) -> str:
    if spacing == NO_SPACING:
        return "none"
    written = _written(spacing)
    return written if written[0].isdigit() else f"1{written[0]}"


def _written(length: timedelta) -> str:
    unit = next((name for name, unit in _UNITS.items() if not length % unit), None)
    if unit is None:  # Only SQL can write a fraction of a second.
        return f"{length.total_seconds():g}s"
    count = length // _UNITS[unit]
    return unit if count == 1 else f"{count}{unit[0]}"


def read_limit(text: str) -> Limit:
    """Read ``200/hour``; a ValueError says what may be written."""
    written = _LIMIT.fullmatch(text)
    if written is None:
        raise _refusal(text)
    burst, spacing = _options(text, written["options"])
    period = _length(text, written["period_count"], written["period_unit"])
    if burst is not None and spacing == NO_SPACING:
        raise ValueError(f"{text!r} is no limit: a burst is what may leave before the spacing")
    return Limit(int(written["amount"]), period, burst, spacing)


def _options(text: str, options: str) -> tuple[int | None, timedelta | None]:
    burst: int | None = None
    spacing: timedelta | None = None
    seen: set[str] = set()
    for option in options.split(",")[1:]:
        name = option.partition("=")[0].strip()
        if name in seen:
            raise _refusal(text)
        seen.add(name)
        if is_burst := _BURST.fullmatch(option):
            burst = int(is_burst[1])
        elif is_spacing := _SPACING.fullmatch(option):
            spacing = _spacing(text, is_spacing)
        else:
            raise _refusal(text)
    return burst, spacing


def _spacing(text: str, written: re.Match[str]) -> timedelta | None:
    if written["word"]:
        return NO_SPACING if written["word"] == "none" else None
    return _length(text, written["gap_count"], written["gap_unit"])


def _length(text: str, written_count: str, written_unit: str) -> timedelta:
    count = int(written_count or 1)
    unit = next(u for name, u in _UNITS.items() if name.startswith(written_unit))
    # Compared before they are multiplied: timedelta overflows.
    if not 1 <= count <= _LONGEST // unit:
        raise _refusal(text)
    return count * unit


def _refusal(text: str) -> ValueError:
    return ValueError(f"{text!r} is no limit: {_ALLOWED}")
