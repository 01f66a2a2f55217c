"""How much of one client the pages put up with.

What a client owes is one number, the moment at which it will be paid back: a
request that counts moves it on by an interval, and time does the rest. Moments
are seconds of any clock that never steps back.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VisitLimit:
    """So many requests that count at once, then one per interval."""

    burst: int
    interval_seconds: float

    def wait_seconds(self, paid_at: float, now: float) -> float:
        """Return how long it takes until one more is taken; 0: it is taken now."""
        return max(0.0, paid_at - now - (self.burst - 1) * self.interval_seconds)

    def charged(self, paid_at: float, now: float) -> float:
        """Return when a client has paid after one more request that counts."""
        return max(paid_at, now) + self.interval_seconds


# A household or a school behind one address stays far below it.
VISITS = VisitLimit(burst=60, interval_seconds=1.0)

# Mail providers click for thousands of people from few addresses. What leads to
# somebody costs them nothing; no provider has so many links that lead nowhere.
ONE_CLICKS = VisitLimit(burst=1000, interval_seconds=1.0)
