"""A meter says what the law, the reserve and the spacing leave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.limit import Limit, read_limit
from worker.policy.meter import Meter, is_full, still_owed

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Case:
    """A limit with what counts against it, and what that leaves."""

    limit: str
    left: int
    to_small: int
    reserve: int
    spent: int = 0
    within: int | None = None  # None: as many as are spent.
    claimed: int = 0
    small: int = 0
    owed: float = 0.0
    factor: float = 1.0

    def meter(self) -> Meter:
        """Make the meter."""
        return Meter(
            None,
            "orange",
            read_limit(self.limit),
            spent=self.spent,
            spent_within=self.spent if self.within is None else self.within,
            claimed=self.claimed,
            small=self.small,
            owed=self.owed,
            factor=self.factor,
        )


CASES = {
    # 100: 5 at a stretch, 5 kept free, 20 in reserve.
    "nothing has left": Case("100/day", left=5, to_small=100, reserve=20),
    "claims use the stretch": Case("100/day", left=2, to_small=97, reserve=20, claimed=3),
    "what is owed uses it": Case("100/day", left=1, to_small=97, reserve=20, spent=3, owed=3.5),
    "owed to the hair": Case(
        "100/day", left=1, to_small=96, reserve=20, spent=4, owed=4.0000000001
    ),
    "small ones owe as well": Case(
        "100/day", left=-25, to_small=70, reserve=-10, spent=30, small=30, owed=30
    ),
    "large ones leave a twentieth": Case("100/day", left=1, to_small=6, reserve=20, spent=94),
    "and no more": Case("100/day", left=0, to_small=5, reserve=20, spent=95),
    "what is about to leave the period is not kept for": Case(
        "100/day", left=3, to_small=3, reserve=20, spent=97, within=90
    ),
    "but the law counts it": Case("100/day", left=0, to_small=0, reserve=20, spent=100, within=90),
    "a lowered limit": Case("10/day", left=-40, to_small=-40, reserve=2, spent=50),
    "nobody spaces": Case(
        "100/day, spacing=none", left=92, to_small=97, reserve=19, spent=3, small=1, owed=3
    ),
    # 30 at a stretch for small ones, a fifth less for large ones.
    "a burst that is given": Case("100/day, burst=30", left=24, to_small=30, reserve=20),
    "binds small ones as well": Case(
        "100/day, burst=30", left=-5, to_small=1, reserve=20, spent=29, owed=29
    ),
    "a burst of one": Case("100/day, burst=1", left=1, to_small=1, reserve=20),
    "a burst above the law": Case("10/day, burst=30", left=10, to_small=10, reserve=2),
    # 50: 5 at a stretch, 2 kept free, 10 in reserve.
    "slow": Case("100/day", left=5, to_small=50, reserve=10, factor=0.5),
    "slow and spent": Case("100/day", left=-22, to_small=-20, reserve=10, spent=70, factor=0.5),
    "nothing is allowed": Case("0/day", left=0, to_small=0, reserve=1),
    "nothing, slowly": Case("0/day", left=0, to_small=0, reserve=1, factor=0.1),
    "one": Case("1/day", left=1, to_small=1, reserve=1),
    "one, slowly": Case("1/day", left=1, to_small=1, reserve=1, factor=0.1),
    "one that has left": Case("1/day", left=0, to_small=0, reserve=1, spent=1, owed=1),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_left(case: Case) -> None:
    """What is left to large and to small postings, and of the reserve."""
    meter = case.meter()

    assert meter.left == case.left
    assert meter.left_to_small == case.to_small
    assert meter.reserve_left == case.reserve
    assert meter.left_by_law == meter.amount - case.spent - case.claimed
    assert is_full(meter) == (case.to_small <= 0)


@pytest.mark.parametrize(
    ("amount", "kept"), [(0, 0), (1, 0), (19, 0), (20, 1), (39, 1), (100, 5), (2000, 100)]
)
def test_kept(amount: int, kept: int) -> None:
    """A twentieth is kept free, of small limits nothing."""
    assert Meter(None, None, Limit(amount, HOUR)).kept == kept


@pytest.mark.parametrize(
    ("factor", "amount", "minutes"), [(1.0, 100, 13.68), (0.5, 50, 27.36), (0.1, 10, 136.8)]
)
def test_slow(factor: float, amount: int, minutes: float) -> None:
    """While its provider is slow, a limit allows less, and less often; its stretch remains."""
    meter = Meter(None, "orange", read_limit("100/day"), factor=factor)

    assert meter.amount == amount
    assert meter.interval == timedelta(minutes=minutes)
    assert meter.stretch == 5


@pytest.mark.parametrize(
    ("limit", "owed", "claimed", "large", "small"),
    [
        ("100/day", 4.0, 0, None, None),
        ("100/day", 5.0, 0, 1.0, None),
        ("100/day", 4.25, 0, 0.25, None),
        ("100/day", 2.5, 4, 2.5, None),
        ("100/day, spacing=none", 50.0, 9, None, None),
        ("100/day, burst=10", 7.0, 0, None, None),  # 8 of 10 are for large ones.
        ("100/day, burst=10", 9.0, 0, 2.0, None),
        ("100/day, burst=10", 11.0, 1, 5.0, 3.0),
        ("0/day", 11.0, 1, None, None),
    ],
)
def test_spaced_for(
    limit: str, owed: float, claimed: int, large: float | None, small: float | None
) -> None:
    """The next may leave when so many copies have been paid back."""
    meter = Meter(None, None, read_limit(limit), owed=owed, claimed=claimed)

    def waits(copies: float | None) -> timedelta | None:
        return None if copies is None else copies * timedelta(minutes=13.68)

    assert meter.spaced_for == waits(large)
    assert meter.spaced_for_small == waits(small)


@given(
    amount=st.integers(1, 100_000),
    owed=st.floats(0, 1000),
    burst=st.none() | st.integers(1, 50),
    factor=st.sampled_from([0.1, 0.3, 1.0]),
)
def test_spaced_for_is_long_enough(
    amount: int, owed: float, burst: int | None, factor: float
) -> None:
    """Who has waited as long as he was told need not wait again for a microsecond."""
    limit = Limit(amount, timedelta(seconds=1), burst)
    for name in ("spaced_for", "spaced_for_small"):
        meter = Meter(None, None, limit, owed=owed, factor=factor)
        waits: timedelta | None = getattr(meter, name)
        if waits is not None:
            meter.owed = still_owed(owed, waits, meter.interval)
            assert getattr(meter, name) is None


@pytest.mark.parametrize(
    ("owed", "unpaid_for", "interval", "left"),
    [
        (5.0, HOUR, HOUR, 4.0),
        (5.0, 0.5 * HOUR, HOUR, 4.5),
        (5.0, 9 * HOUR, HOUR, 0.0),
        (5.0, -9 * HOUR, HOUR, 5.0),
        (5.0, timedelta(0), None, 0.0),
    ],
)
def test_still_owed(
    owed: float, unpaid_for: timedelta, interval: timedelta | None, left: float
) -> None:
    """Time pays back, down to nothing; a clock that steps back changes nothing."""
    assert still_owed(owed, unpaid_for, interval) == left


def test_whose_it_is() -> None:
    """A limit of an account, of a provider, or of one at the other."""
    limit = Limit(1, HOUR)

    assert Meter("main", None, limit).limits("main", "orange")
    assert not Meter("main", None, limit).limits("second", "orange")
    assert Meter(None, "orange", limit).limits("second", "orange")
    assert not Meter(None, "orange", limit).limits("second", "free")
    assert not Meter("main", "orange", limit).limits("main", "free")


def meters() -> st.SearchStrategy[Meter]:
    """Meters that have seen something."""

    def make(text: str, spent: int, out: int, claimed: int, owed: float, factor: float) -> Meter:
        within = max(0, spent - out)
        return Meter(
            None,
            None,
            read_limit(text),
            spent=spent,
            spent_within=within,
            claimed=claimed,
            owed=owed,
            factor=factor,
        )

    options = st.sampled_from(["", ", burst=7", ", spacing=none", ", spacing=3s", ", burst=100"])
    return st.builds(
        make,
        st.builds("{}/hour{}".format, st.integers(0, 120), options),
        st.integers(0, 120),
        st.integers(0, 20),
        st.integers(0, 9),
        st.floats(0, 50),
        st.sampled_from([0.1, 0.5, 1.0]),
    )


@given(meters())
def test_large_are_left_no_more_than_small(meter: Meter) -> None:
    """The law is above all, and what is left to large ones a small one may have."""
    assert meter.left <= meter.left_to_small <= meter.left_by_law


@given(meters(), st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=20))
def test_law(meter: Meter, wishes: list[tuple[int, bool]]) -> None:
    """Who takes no more than is left never breaks the law."""
    before = meter.left_by_law
    for wish, small in wishes:
        count = min(wish, meter.left_to_small if small else meter.left)
        if count > 0:
            meter.take(count, small=small)
    assert meter.left_by_law >= min(0, before)
