"""The plan plays the limits forward, and no played window breaks one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.limit import read_limit
from worker.policy.plan import Place, Window, make_plan

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # Where bins of a day and an hour begin.
HOUR = timedelta(hours=1)
MAIN = {"main": NOON}


def window(
    limit: str,
    *,
    account: str | None = None,
    provider: str | None = None,
    bins: dict[datetime, int] | None = None,
    claimed: int = 0,
) -> Window:
    """Make a window of a limit as people write it."""
    return Window(account, provider, read_limit(limit), bins or {}, claimed)


class Case(NamedTuple):
    """What waits, what limits it, and when the last of it leaves."""

    waiting: dict[str, int]
    windows: list[Window]
    leaves: dict[str, timedelta | None]  # The last of each provider, from now.
    accounts: dict[str, datetime] = MAIN


CASES = {
    "no limit": Case({"free": 5000}, [], {"free": timedelta(0)}),
    "a limit that has room": Case(
        {"orange": 100}, [window("100/day", provider="orange")], {"orange": timedelta(0)}
    ),
    "a limit is another provider's": Case(
        {"free": 500}, [window("100/day", provider="orange")], {"free": timedelta(0)}
    ),
    "three windows, each a bin longer than its period": Case(
        {"orange": 250}, [window("100/day", provider="orange")], {"orange": 2 * 24.24 * HOUR}
    ),
    "a spent bin comes free before the period is over": Case(
        {"orange": 1},
        [window("100/day", provider="orange", bins={NOON - 12 * HOUR: 100})],
        {"orange": 12.24 * HOUR},
    ),
    "only as much comes free as was spent": Case(
        {"orange": 50},
        [window("100/day", provider="orange", bins={NOON - 12 * HOUR: 40, NOON - 6 * HOUR: 60})],
        {"orange": 18.24 * HOUR},
    ),
    "a lowered limit waits for more than one bin": Case(
        {"orange": 1},
        [window("10/day", provider="orange", bins={NOON - 12 * HOUR: 50, NOON - 6 * HOUR: 10})],
        {"orange": 18.24 * HOUR},
    ),
    "a claim holds its token": Case(
        {"orange": 1}, [window("1/hour", provider="orange", claimed=1)], {"orange": 1.01 * HOUR}
    ),
    "providers take turns within an account": Case(
        {"orange": 100, "free": 300},
        [window("100/hour", account="main")],
        {"orange": 1.01 * HOUR, "free": 3.03 * HOUR},
    ),
    "what one cannot use, another does": Case(
        {"orange": 100, "free": 180},
        [window("100/hour", account="main"), window("10/hour", provider="orange")],
        {"orange": 9 * 1.01 * HOUR, "free": 1.01 * HOUR},
    ),
    "the stricter of two limits": Case(
        {"orange": 20},
        [window("10/hour", provider="orange"), window("15/day", provider="orange")],
        {"orange": 24.24 * HOUR},
    ),
    "accounts add up": Case(
        {"free": 400},
        [window("100/hour", account="main"), window("100/hour", account="second")],
        {"free": 1.01 * HOUR},
        {"main": NOON, "second": NOON},
    ),
    "a limit for both binds only that account": Case(
        {"free": 400},
        [window("1/day", account="main", provider="free")],
        {"free": timedelta(0)},
        {"main": NOON, "second": NOON},
    ),
    "a paused account opens again": Case({"free": 4}, [], {"free": HOUR}, {"main": NOON + HOUR}),
    "nothing may ever leave": Case(
        {"orange": 1, "free": 1},
        [window("0/day", provider="orange")],
        {"orange": None, "free": timedelta(0)},
    ),
    "not within a year": Case(
        {"orange": 99_999}, [window("1/31d", provider="orange")], {"orange": None}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_last_departure(case: Case) -> None:
    """When the last of each provider leaves follows from limits and spending."""
    plan = make_plan(NOON, case.waiting, windows=case.windows, accounts=case.accounts)

    found = {
        provider: plan.leaves_at(provider, Place(count, NOON))
        for provider, count in case.waiting.items()
    }
    assert found == {
        provider: None if wait is None else NOON + wait for provider, wait in case.leaves.items()
    }


def test_places() -> None:
    """A plan tells any place in the queue, not only the last."""
    plan = make_plan(
        NOON, {"orange": 250}, windows=[window("100/day", provider="orange")], accounts=MAIN
    )

    assert plan.leaves_at("orange", Place(100, NOON)) == NOON
    assert plan.leaves_at("orange", Place(101, NOON)) == NOON + 24.24 * HOUR
    assert plan.leaves_at("orange", Place(251, NOON)) is None
    assert plan.leaves_at("free", Place(0, NOON)) == NOON


def test_not_before_due() -> None:
    """A deferred delivery does not leave before its next attempt is due."""
    plan = make_plan(NOON, {"free": 1}, windows=[], accounts=MAIN)

    assert plan.leaves_at("free", Place(1, NOON + HOUR)) == NOON + HOUR


def test_finish() -> None:
    """The slowest provider ends it, and one without an end leaves it open."""
    plan = make_plan(
        NOON,
        {"orange": 2, "free": 5, "outlook": 1},
        windows=[window("1/hour", provider="orange"), window("0/day", provider="outlook")],
        accounts=MAIN,
    )
    places = {"orange": Place(2, NOON), "free": Place(5, NOON)}

    assert plan.finish_at(places) == NOON + 1.01 * HOUR
    assert plan.finish_at({**places, "outlook": Place(1, NOON)}) is None
    assert plan.finish_at({}) is None


@given(
    waiting=st.dictionaries(st.sampled_from(["orange", "free"]), st.integers(1, 60), min_size=1),
    amounts=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    spent=st.dictionaries(st.integers(0, 100), st.integers(1, 5), max_size=5),
    late=st.integers(0, 3599),
)
def test_no_window_is_exceeded(
    waiting: dict[str, int], amounts: tuple[int, int], spent: dict[int, int], late: int
) -> None:
    """No half-open hour ever holds more departures than the limits let through."""
    now = NOON + timedelta(seconds=late)
    history = {NOON - number * HOUR / 100: count for number, count in spent.items()}
    windows = [
        window(f"{amounts[0]}/hour", account="main", bins=history),
        window(f"{amounts[1]}/hour", provider="orange"),
    ]

    plan = make_plan(now, waiting, windows=windows, accounts={"main": now})

    left: dict[str, list[datetime]] = {}
    for provider, departures in plan.departures.items():
        totals = [0, *(departure.total for departure in departures)]
        left[provider] = [
            departure.at
            for before, departure in zip(totals, departures, strict=False)
            for _ in range(departure.total - before)
        ]
        assert len(left[provider]) == waiting[provider]
    everything = sorted(time for times in left.values() for time in times)
    for times, amount in ((everything, amounts[0]), (left.get("orange", []), amounts[1])):
        assert all(sum(t <= u < t + HOUR for u in times) <= amount for t in times)


def test_large_backlog() -> None:
    """A plan of months costs a moment."""
    started = time.process_time()

    make_plan(
        NOON,
        {"orange": 100_000, "free": 100_000},
        windows=[window("100/day", provider="orange"), window("1000/hour", account="main")],
        accounts=MAIN,
    )

    assert time.process_time() - started < 1
