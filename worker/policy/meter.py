"""Meters: a limit, and what counts against it at one moment.

The window is the law: marks within the last period and claims not yet marked
never exceed the amount. Beside it

    the reserve   a fifth of each limit is for small postings: they go first until
                  they have used it. A twentieth is kept free for them; what else
                  of the fifth they leave is lent to large ones
    the bucket    spaces what is left to large postings, so that a day's allowance
                  does not leave in one burst
    the factor    makes a limit smaller while its provider is slowed down

So with nothing but large postings 95 % of a limit is used, and a small one finds
room at once. For the law all bins count that touch the period; for what is kept
free those do not that are about to leave it, so that 95 % is not 94.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.policy.limit import Limit

_KEPT_PART = 20
_RESERVE_PART = 5

# A copy that is all but paid back, as sums of fractions come out, is.
_ROUNDING = 1e-6


@dataclass(slots=True)
class Meter:
    """What a limit leaves to small and to large postings; take() counts it down."""

    account: str | None  # None: any.
    provider: str | None  # None: any.
    limit: Limit
    spent: int = 0  # Marks within the period, never too few.
    spent_within: int = 0  # The same, without what is about to leave the period.
    claimed: int = 0  # Claims that hold a token.
    small: int = 0  # Of both, those of small postings.
    owed: float = 0.0  # Copies that the bucket has let through and time has not paid back.
    factor: float = 1.0
    rule: int = 0  # Its number in the database.

    # What follows from the limit and the factor. A plan asks for it at each step.
    amount: int = field(init=False)  # What is allowed within a period now.
    kept: int = field(init=False)  # How much of it large postings leave free.
    stretch: int = field(init=False)  # How many copies of large postings may be owed.
    interval: timedelta | None = field(init=False)  # Pays one copy back; None: nothing is owed.

    def __post_init__(self) -> None:
        limit, factor = self.limit, self.factor
        slowed = factor != 1 and limit.amount > 0
        self.amount = max(1, int(limit.amount * factor)) if slowed else limit.amount
        self.kept = self.amount // _KEPT_PART
        self.stretch = (
            limit.stretch
            if limit.burst is None
            else max(1, limit.burst - limit.burst // _RESERVE_PART)
        )
        interval = limit.interval
        self.interval = None if interval is None else interval / factor

    @property
    def left_by_law(self) -> int:
        """How many may be claimed at all."""
        return self.amount - self.spent - self.claimed

    @property
    def _left_beside_kept(self) -> int:
        return self.amount - self.kept - self.spent_within - self.claimed

    @property
    def left(self) -> int:
        """How many of large postings may be claimed."""
        left = min(self.left_by_law, self._left_beside_kept)
        if self.interval is None:
            return left
        return min(left, _whole(self.stretch - self.owed - self.claimed))

    @property
    def left_to_small(self) -> int:
        """How many of small postings may be claimed."""
        if self.limit.burst is None or self.interval is None:
            return self.left_by_law
        return min(self.left_by_law, _whole(self.limit.burst - self.owed - self.claimed))

    @property
    def reserve_left(self) -> int:
        """How many of small postings still go before all others."""
        return max(1, self.amount // _RESERVE_PART) - self.small

    @property
    def is_spent(self) -> bool:
        """Whether only the end of the window of a mark makes room."""
        return self.left_by_law <= 0

    @property
    def is_spent_by_large(self) -> bool:
        """Whether only that makes room for large postings."""
        return self._left_beside_kept <= 0

    @property
    def spaced_for(self) -> timedelta | None:
        """How long until time has paid back enough for a large posting; None: it has."""
        return self._paid_back_in(self.owed + self.claimed - (self.stretch - 1))

    @property
    def spaced_for_small(self) -> timedelta | None:
        """How long until it has for a small posting; None: it has, or need not."""
        if self.limit.burst is None:
            return None
        return self._paid_back_in(self.owed + self.claimed - (self.limit.burst - 1))

    def _paid_back_in(self, copies: float) -> timedelta | None:
        if self.interval is None or copies <= _ROUNDING:
            return None
        # Rounded up: a microsecond too early, there is no room yet.
        return ceil(copies * (self.interval / timedelta.resolution)) * timedelta.resolution

    def take(self, count: int, *, small: bool) -> None:
        """Count *count* claims."""
        self.claimed += count
        if small:
            self.small += count

    def limits(self, account: str, provider: str) -> bool:
        """Whether what *account* submits to *provider* counts against it."""
        return self.account in (None, account) and self.provider in (None, provider)


def _whole(copies: float) -> int:
    return floor(copies + _ROUNDING)


def still_owed(owed: float, unpaid_for: timedelta, interval: timedelta | None) -> float:
    """Return what is owed *unpaid_for* later; a clock that steps back changes nothing."""
    if interval is None:
        return 0.0
    return max(0.0, owed - max(timedelta(), unpaid_for) / interval)


def is_full(meter: Meter) -> bool:
    """Whether neither a small nor a large posting may leave."""
    return meter.left_to_small <= 0 and meter.left <= 0
