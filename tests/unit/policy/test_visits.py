"""How much of one client the pages put up with."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from worker.policy.visits import VisitLimit

LIMIT = VisitLimit(burst=3, interval_seconds=10)
START = 1000.0


class Case(NamedTuple):
    """When requests come, and whether each is taken."""

    moments: tuple[float, ...]
    taken: tuple[bool, ...]


CASES = {
    "a burst": Case((0, 0, 0, 0), (True, True, True, False)),
    "one comes back per interval": Case((0, 0, 0, 9.9, 10, 10), (True,) * 3 + (False, True, False)),
    "at the interval": Case((0, 10, 20, 30, 40), (True,) * 5),
    "after a long while, a burst and no more": Case(
        (0, 0, 0, 5000, 5000, 5000, 5000), (True,) * 6 + (False,)
    ),
    "what is refused is not owed": Case(
        (0, 0, 0, 1, 2, 3, 10), (True,) * 3 + (False,) * 3 + (True,)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_visits(case: Case) -> None:
    """A burst, then one per interval."""
    paid_at, taken = 0.0, []
    for moment in case.moments:
        now = START + moment
        taken.append(not LIMIT.wait_seconds(paid_at, now))
        if taken[-1]:
            paid_at = LIMIT.charged(paid_at, now)

    assert tuple(taken) == case.taken


def test_how_long_to_wait() -> None:
    """Exactly until one more is taken."""
    paid_at = 0.0
    for _ in range(3):
        paid_at = LIMIT.charged(paid_at, START)
    wait = LIMIT.wait_seconds(paid_at, START + 4)

    assert wait == 6
    assert LIMIT.wait_seconds(paid_at, START + 4 + wait) == 0
