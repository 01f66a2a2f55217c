"""Rates are shared like water: all rise together until what holds them is full."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.limit import read_limit
from worker.policy.meter import Meter
from worker.policy.rates import shared_rates
from worker.policy.turns import QueueKey

INFINITE = float("inf")
BOTH = ("main", "second")


def meter(
    limit: str, *, account: str | None = None, provider: str | None = None, factor: float = 1.0
) -> Meter:
    """Make the meter of a limit as people write it."""
    return Meter(account, provider, read_limit(limit), factor=factor)


@dataclass(frozen=True)
class Case:
    """Whose weights share what limits; how many an hour each gets."""

    weights: dict[tuple[int, str], int]
    meters: list[Meter]
    an_hour: dict[tuple[int, str], float]
    accounts: tuple[str, ...] = ("main",)


ONE = {(1, "orange"): 2}

# Of 100 an hour large postings get 95, of 20 they get 19, of 10 they get 10.
CASES = {
    "nothing waits": Case({}, [meter("100/hour", account="main")], {}),
    "nothing limits": Case(ONE, [], {(1, "orange"): INFINITE}),
    "a twentieth is kept free": Case(
        ONE, [meter("100/hour", provider="orange")], {(1, "orange"): 95}
    ),
    "the tighter of two periods": Case(
        ONE,
        [meter("100/hour", provider="orange"), meter("240/day", provider="orange")],
        {(1, "orange"): 228 / 24},
    ),
    "spaced more than evenly": Case(
        ONE, [meter("100/hour, spacing=1m", provider="orange")], {(1, "orange"): 60}
    ),
    "slow": Case(ONE, [meter("200/hour", provider="orange", factor=0.5)], {(1, "orange"): 95}),
    "by weight": Case(
        {(1, "orange"): 4, (2, "orange"): 2, (3, "free"): 1},
        [meter("20/hour", account="main")],
        {(1, "orange"): 19 * 4 / 7, (2, "orange"): 19 * 2 / 7, (3, "free"): 19 / 7},
    ),
    "what one cannot use, the others do": Case(
        {(1, "orange"): 2, (1, "free"): 2, (2, "free"): 2},
        [meter("100/hour", account="main"), meter("10/hour", provider="orange")],
        {(1, "orange"): 10, (1, "free"): 42.5, (2, "free"): 42.5},
    ),
    "nothing may leave to one": Case(
        {(1, "orange"): 2, (1, "free"): 2},
        [meter("100/hour", account="main"), meter("0/hour", provider="orange")],
        {(1, "orange"): 0, (1, "free"): 95},
    ),
    "accounts add up": Case(
        ONE,
        [meter("100/hour", account="main"), meter("20/hour", account="second")],
        {(1, "orange"): 114},
        BOTH,
    ),
    "an account that does not submit adds nothing": Case(
        ONE,
        [meter("100/hour", account="main"), meter("20/hour", account="second")],
        {(1, "orange"): 95},
    ),
    "no account submits": Case(ONE, [meter("100/hour", account="main")], {(1, "orange"): 0}, ()),
    "a provider's limit holds for all accounts": Case(
        ONE, [meter("100/hour", provider="orange")], {(1, "orange"): 95}, BOTH
    ),
    # Main could submit 100 but not to orange; second could, but not so many.
    "each account by what is tightest for it": Case(
        ONE,
        [
            meter("100/hour", account="main"),
            meter("10/hour", account="main", provider="orange"),
            meter("1/hour", account="second"),
        ],
        {(1, "orange"): 11},
        BOTH,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_shared_rates(case: Case) -> None:
    """What each queue gets in the long run follows from limits and weights."""
    weights = {QueueKey(*key): weight for key, weight in case.weights.items()}

    rates = shared_rates(weights, case.meters, accounts=case.accounts)

    found = {tuple(key): rate * 3600 for key, rate in rates.items()}
    assert found == pytest.approx(case.an_hour)


WEIGHTS = st.dictionaries(
    st.builds(QueueKey, st.none() | st.integers(1, 4), st.sampled_from(["orange", "free"])),
    st.sampled_from([1, 2, 4]),
    min_size=1,
    max_size=6,
)
METERS = st.lists(
    st.builds(
        lambda whose, amount, factor: meter(
            f"{amount}/hour, spacing=none", account=whose[0], provider=whose[1], factor=factor
        ),
        st.sampled_from([("main", None), (None, "orange"), (None, "free"), ("main", "free")]),
        st.integers(0, 200),
        st.sampled_from([1.0, 0.3]),
    ),
    max_size=6,
)


@given(WEIGHTS, METERS)
def test_no_limit_is_exceeded_and_none_left_unused(
    weights: dict[QueueKey, int], meters: list[Meter]
) -> None:
    """No limit lets through more than it may, and every queue is held by a full one."""
    rates = shared_rates(weights, meters, accounts=["main"])

    assert rates.keys() == weights.keys()
    is_full = dict.fromkeys(weights, False)
    for each in meters:
        limited = [key for key in weights if each.provider in (None, key.provider)]
        used = sum(rates[key] for key in limited) * 3600
        allowed = each.amount - each.kept
        assert used <= allowed * (1 + 1e-9)
        if used >= allowed * (1 - 1e-9):
            is_full.update(dict.fromkeys(limited, True))
    assert all(is_full[key] or rates[key] == INFINITE for key in weights)


@given(WEIGHTS, METERS)
def test_nobody_is_held_below_his_share_by_others(
    weights: dict[QueueKey, int], meters: list[Meter]
) -> None:
    """Of two that the same limits hold, each gets by its weight."""
    rates = shared_rates(weights, meters, accounts=["main"])

    for one, of_one in rates.items():
        for other, of_other in rates.items():
            if one.provider == other.provider and of_one < INFINITE:
                assert of_one * weights[other] == pytest.approx(of_other * weights[one])
