"""The plan plays the dispatchers forward, and nothing that it plays breaks a limit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.policy import plan as played
from worker.policy.limit import read_limit
from worker.policy.plan import Traffic, Waiting, Window, make_plan
from worker.policy.provider_state import ProviderState, StateKind
from worker.policy.turns import Queue, QueueKey, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.policy.meter import Meter
    from worker.policy.turns import Turns

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # Where bins of a day and an hour begin.
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
AT_ONCE = timedelta(0)
MAIN = {"main": NOON}
BOTH = {"main": NOON, "second": NOON}

# A mark counts until its bin, a two-thousandth of the period, has left the window
# whole; large postings need not wait for the bins at its edge.
BIN_OF_DAY = DAY / 2000  # 43.2 s
BIN_OF_HOUR = HOUR / 2000  # 1.8 s


def window(
    limit: str,
    *,
    account: str | None = None,
    provider: str | None = None,
    bins: dict[datetime, int] | None = None,
    claimed: int = 0,
    small: int = 0,
    owed: float = 0.0,
) -> Window:
    """Make a window of a limit as people write it."""
    return Window(account, provider, read_limit(limit), bins or {}, claimed, small, owed, NOON)


def large(
    number: int,
    provider: str = "orange",
    *,
    waiting: int,
    weight: int = 2,
    deferred: int = 0,
    deferred_until: datetime | None = None,
    opens_at: datetime | None = None,
    finish_by: datetime | None = None,
) -> Waiting:
    """Make what waits of a posting to thousands."""
    queue = Queue.of_posting(
        number, provider, waiting=waiting, recipients=5000, weight=weight, passed=0.0
    )
    return Waiting(queue, deferred, deferred_until, opens_at, finish_by)


def small(number: int, provider: str = "orange", *, waiting: int) -> Waiting:
    """Make what waits of a posting to so few that it may use the reserve."""
    return Waiting(
        Queue.of_posting(number, provider, waiting=waiting, recipients=30, weight=2, passed=0.0)
    )


def notices(provider: str = "orange", *, waiting: int) -> Waiting:
    """Make what waits of notices."""
    return Waiting(Queue.of_notices(provider, waiting=waiting))


def pause(
    provider: str = "orange",
    *,
    until: datetime,
    account: str | None = None,
    posting: int | None = None,
) -> ProviderState:
    """Make a pause of a provider, of an account there, or of a posting there."""
    kind = StateKind.PAUSE
    return ProviderState(
        provider, account, posting, kind, None, NOON - HOUR, until, "why", None, "x"
    )


def slow(provider: str = "orange", *, factor: float, until: datetime) -> ProviderState:
    """Make a provider slow."""
    kind = StateKind.SLOW
    return ProviderState(provider, None, None, kind, factor, NOON - HOUR, until, "why", None, "x")


@dataclass(frozen=True)
class Case:
    """What waits and what limits it; when the last of each posting leaves, from noon."""

    waiting: list[Waiting]
    windows: list[Window]
    leaves: dict[tuple[int | None, str], timedelta | None]
    accounts: dict[str, datetime] = field(default_factory=lambda: MAIN)
    states: list[ProviderState] = field(default_factory=list)
    cut: set[tuple[int | None, str]] = field(default_factory=set)


# 100/day: five at a stretch, then one each 14.4 min * 0.95 = 13.68 min; 95 of a
# day are for large postings. 100/hour: the same with 34.2 s.
EVERY = 13.68 * MINUTE
ORANGE = (1, "orange")
FREE = (1, "free")

CASES = {
    "nothing waits": Case([], [], {}),
    "no limit": Case([large(1, waiting=5000)], [], {ORANGE: AT_ONCE}),
    "what may leave at a stretch": Case(
        [large(1, waiting=5)], [window("100/day", provider="orange")], {ORANGE: AT_ONCE}
    ),
    # The 95th is the 90th after the stretch of five.
    "a day's allowance is spaced": Case(
        [large(1, waiting=95)], [window("100/day", provider="orange")], {ORANGE: 90 * EVERY}
    ),
    # For the 96th the first five must be about to leave the day: at noon they were
    # put into the bin that begins then, so one bin before noon tomorrow.
    "the window is the law": Case(
        [large(1, waiting=96)], [window("100/day", provider="orange")], {ORANGE: DAY - BIN_OF_DAY}
    ),
    # 95 at once. When they are about to leave the day, the law has room for 5 more,
    # and when they have left, for 90. The 191st waits until those 5 are about to.
    "windows follow one another": Case(
        [large(1, waiting=191)],
        [window("100/day, spacing=none", provider="orange")],
        {ORANGE: 2 * (DAY - BIN_OF_DAY)},
    ),
    "no spacing": Case(
        [large(1, waiting=95)],
        [window("100/day, spacing=none", provider="orange")],
        {ORANGE: AT_ONCE},
    ),
    "a spacing that is given": Case(
        [large(1, waiting=15)],
        [window("200/hour, spacing=30s", provider="orange")],
        {ORANGE: 5 * 30 * SECOND},  # 10 at a stretch.
    ),
    # Large ones may have 8 of a burst of 10.
    "a burst that is given": Case(
        [large(1, waiting=9)],
        [window("100/day, burst=10", provider="orange")],
        {ORANGE: EVERY},
    ),
    "and for small ones": Case(
        [small(1, waiting=11)],
        [window("100/day, burst=10", provider="orange")],
        {ORANGE: EVERY},
    ),
    "what is owed is paid back first": Case(
        [large(1, waiting=1)],
        [window("100/day", provider="orange", owed=6.5)],
        {ORANGE: 2.5 * EVERY},
    ),
    "a limit is another provider's": Case(
        [large(1, "free", waiting=500)], [window("100/day", provider="orange")], {FREE: AT_ONCE}
    ),
    # Small ones are not spaced; the law counts a bin until it has left whole.
    "small ones leave at once": Case(
        [small(1, waiting=30)], [window("100/day", provider="orange")], {ORANGE: AT_ONCE}
    ),
    "a spent bin comes free when it has left the period": Case(
        [small(1, waiting=1)],
        [window("100/day", provider="orange", bins={NOON - 12 * HOUR: 100})],
        {ORANGE: 12 * HOUR + BIN_OF_DAY},
    ),
    "only as much comes free as was spent": Case(
        [small(1, waiting=30)],
        [window("100/day", provider="orange", bins={NOON - 12 * HOUR: 20, NOON - 6 * HOUR: 80})],
        {ORANGE: 18 * HOUR + BIN_OF_DAY},
    ),
    "a lowered limit waits for more than one bin": Case(
        [large(1, waiting=1)],
        [window("10/day", provider="orange", bins={NOON - 12 * HOUR: 50, NOON - 6 * HOUR: 10})],
        {ORANGE: 18 * HOUR + BIN_OF_DAY},
    ),
    "a claim holds its token": Case(
        [small(1, waiting=1)],
        [window("1/hour", provider="orange", claimed=1)],
        {ORANGE: HOUR + BIN_OF_HOUR},
    ),
    # Of 20, 19 have left or are claimed: the last is for a small one, and then the
    # law has no room before all that left at noon has left the hour.
    "one is kept free": Case(
        [large(1, waiting=1), small(2, waiting=1)],
        [window("20/hour", provider="orange", bins={NOON: 15}, claimed=4)],
        {ORANGE: HOUR + BIN_OF_HOUR, (2, "orange"): AT_ONCE},
    ),
    # In turns 1, 2, 1, 2, 1 leave at once, then one each: the 20th is the 15th after.
    "two in turns end together": Case(
        [large(1, waiting=10), large(2, waiting=10)],
        [window("100/day", provider="orange")],
        {ORANGE: 14 * EVERY, (2, "orange"): 15 * EVERY},
    ),
    # 1, 2, 1, 1, 1 leave at once and then one by one: the high one's 8th is the 5th of
    # these, the 16th of both is the 11th.
    "by weight": Case(
        [large(1, waiting=8, weight=4), large(2, waiting=8, weight=1)],
        [window("100/day", provider="orange")],
        {ORANGE: 5 * EVERY, (2, "orange"): 11 * EVERY},
    ),
    # Three small ones at once, and a large one waits until they are paid back, too.
    "a small one overtakes": Case(
        [large(1, waiting=5), small(2, waiting=3)],
        [window("100/day", provider="orange")],
        {ORANGE: 3 * EVERY, (2, "orange"): AT_ONCE},
    ),
    # Two of three are left, one in reserve: a notice's. Then they take turns, and the
    # second notice waits until the bin has left.
    "notices overtake small ones": Case(
        [small(1, waiting=1), notices(waiting=2)],
        [window("3/hour", provider="orange", bins={NOON - 30 * MINUTE: 1})],
        {ORANGE: AT_ONCE, (None, "orange"): 30 * MINUTE + BIN_OF_HOUR},
    ),
    # 95 of the account's hour: one stretch of five, then 10 more, alternating.
    "providers take turns within an account": Case(
        [large(1, "free", waiting=10), large(1, waiting=5)],
        [window("100/hour", account="main")],
        {ORANGE: 5 * 34.2 * SECOND, FREE: 10 * 34.2 * SECOND},
    ),
    # Orange gets one each 5.7 min, of which the account sees little.
    "what one cannot use, another does": Case(
        [large(1, waiting=4), large(1, "free", waiting=20)],
        [window("100/hour", account="main"), window("10/hour", provider="orange")],
        # free: 4 and orange 1 at once, then one each 34.2 s; orange's second when
        # ten more have left, so free's last is the 16th + 1.
        {ORANGE: 3 * 5.7 * MINUTE, FREE: 17 * 34.2 * SECOND},
    ),
    "the stricter of two limits": Case(
        [large(1, waiting=6)],
        [window("10/hour", provider="orange"), window("100/day", provider="orange")],
        # 5 of the day at a stretch, but 1 of the hour; one each 13.68 min is slower
        # than one each 5.7 min only after four intervals of the hour.
        {ORANGE: 5 * 5.7 * MINUTE},
    ),
    "accounts add up": Case(
        [large(1, "free", waiting=20)],
        [window("100/hour", account="main"), window("100/hour", account="second")],
        {FREE: 5 * 34.2 * SECOND},  # 10 at once, then two each time.
        BOTH,
    ),
    "a limit for both binds only that account": Case(
        [large(1, "free", waiting=400)],
        [window("1/day", account="main", provider="free")],
        {FREE: AT_ONCE},
        BOTH,
    ),
    "a provider's limit binds all accounts": Case(
        [large(1, waiting=7)],
        [window("100/hour", provider="orange")],
        {ORANGE: 2 * 34.2 * SECOND},
        BOTH,
    ),
    "a paused account opens again": Case(
        [large(1, waiting=4)], [], {ORANGE: HOUR}, {"main": NOON + HOUR}
    ),
    # Main: 5 at once, then one each 34.2 s; after 100 s, with the 8th just left, 5 more.
    "an account joins the other": Case(
        [large(1, waiting=12)],
        [window("100/hour", account="main"), window("100/hour", account="second")],
        {ORANGE: 100 * SECOND},
        {"main": NOON, "second": NOON + 100 * SECOND},
    ),
    "no account submits": Case([large(1, waiting=4)], [], {ORANGE: None}, {}),
    "a posting opens later": Case(
        [large(1, waiting=4, opens_at=NOON + HOUR), large(2, waiting=1)],
        [],
        {ORANGE: HOUR, (2, "orange"): AT_ONCE},
    ),
    "what is deferred is due later": Case(
        [large(1, waiting=2, deferred=3, deferred_until=NOON + HOUR)], [], {ORANGE: HOUR}
    ),
    "and has its place in the limits": Case(
        [large(1, waiting=5, deferred=8, deferred_until=NOON + 2 * HOUR)],
        [window("100/day", provider="orange")],
        # 8.77 intervals have paid back all: 5 at once, then three more.
        {ORANGE: 2 * HOUR + 3 * EVERY},
    ),
    "deferred until nobody knows when": Case(
        [large(1, waiting=0, deferred=3)], [], {ORANGE: AT_ONCE}
    ),
    "all is claimed already": Case([large(1, waiting=0)], [], {ORANGE: AT_ONCE}),
    # Six leave, the seventh would at 2 * EVERY.
    "what is left is cut": Case(
        [large(1, waiting=7, finish_by=NOON + 20 * MINUTE)],
        [window("100/day", provider="orange")],
        {ORANGE: 20 * MINUTE},
        cut={ORANGE},
    ),
    "what ends in time is not": Case(
        [large(1, waiting=6, finish_by=NOON + 20 * MINUTE)],
        [window("100/day", provider="orange")],
        {ORANGE: EVERY},
    ),
    "what was to end long ago": Case(
        [large(1, waiting=6, finish_by=NOON - DAY)], [], {ORANGE: AT_ONCE}, cut={ORANGE}
    ),
    "the cut of one is the gain of another": Case(
        [large(1, waiting=9, finish_by=NOON + MINUTE), large(2, waiting=4)],
        [window("100/day", provider="orange")],
        # At once 1, 2, 1, 2, 1; then two more of the second.
        {ORANGE: MINUTE, (2, "orange"): 2 * EVERY},
        cut={ORANGE},
    ),
    "cut where nothing may leave": Case(
        [large(1, waiting=7, finish_by=NOON + 9 * DAY)],
        [window("0/day", provider="orange")],
        {ORANGE: 9 * DAY},
        cut={ORANGE},
    ),
    "cut where no account submits": Case(
        [large(1, waiting=7, finish_by=NOON + DAY)], [], {ORANGE: DAY}, {}, cut={ORANGE}
    ),
    "a provider's pause": Case(
        [large(1, waiting=2), large(1, "free", waiting=2)],
        [],
        {ORANGE: 3 * HOUR, FREE: AT_ONCE},
        states=[pause(until=NOON + HOUR), pause(until=NOON + 3 * HOUR)],
    ),
    "a pause of another account": Case(
        [large(1, waiting=2)],
        [],
        {ORANGE: AT_ONCE},
        BOTH,
        states=[pause(until=NOON + HOUR, account="main")],
    ),
    "one posting is stopped": Case(
        [large(1, waiting=2), large(2, waiting=2), large(1, "free", waiting=2)],
        [],
        {ORANGE: HOUR, (2, "orange"): AT_ONCE, FREE: AT_ONCE},
        states=[pause(until=NOON + HOUR, posting=1)],
    ),
    "notices are not stopped with a posting": Case(
        [notices(waiting=2)],
        [],
        {(None, "orange"): AT_ONCE},
        states=[pause(until=NOON + HOUR, posting=1)],
    ),
    # 17.1 s become 34.2 s; the stretch of ten remains.
    "a slow provider": Case(
        [large(1, waiting=15)],
        [window("200/hour", provider="orange")],
        {ORANGE: 5 * 34.2 * SECOND},
        states=[slow(factor=0.5, until=NOON + DAY)],
    ),
    # 1/4 until 1 h; a half from 2 h, three quarters from 3 h, then all.
    "recovers by a quarter each hour": Case(
        # 100/hour: 136.8 s, 68.4 s, 45.6 s, 34.2 s. 5 at once. In the first two hours
        # 7200 / 136.8 = 52.63, in the third 52.63, together 105.26, in the fourth
        # 78.95: 184.21; the law of 25, 50, 75 - a twentieth is tighter at 24, 48, 72.
        [large(1, waiting=24)],
        [window("100/hour", provider="orange")],
        {ORANGE: 19 * 136.8 * SECOND},
        states=[slow(factor=0.25, until=NOON + HOUR)],
    ),
    # 13.68 min / 0.25 = 54.72 min until 1 h: 1.0965 of the copies are paid back then,
    # and in the hour until 2 h (still a quarter) 1.0965, so 2.193 of 3: what is
    # missing takes 0.807 * 27.36 min at a half.
    "pays back faster as it recovers": Case(
        [large(1, waiting=8)],
        [window("100/day", provider="orange")],
        {ORANGE: 2 * HOUR + (3 - 2 * 60 / 54.72) * 27.36 * MINUTE},
        states=[slow(factor=0.25, until=NOON + HOUR)],
    ),
    "another provider is slow": Case(
        [large(1, waiting=6)],
        [window("100/day", provider="orange")],
        {ORANGE: EVERY},
        states=[slow("free", factor=0.25, until=NOON + HOUR)],
    ),
    "nothing may ever leave": Case(
        [large(1, waiting=1), large(1, "free", waiting=1)],
        [window("0/day", provider="orange")],
        {ORANGE: None, FREE: AT_ONCE},
    ),
    "not within a year": Case(
        [large(1, waiting=99_999)], [window("1/31d", provider="orange")], {ORANGE: None}
    ),
    "an account that opens in years": Case(
        [large(1, waiting=9)], [], {ORANGE: None}, {"main": NOON + 999 * DAY}
    ),
}


def planned(case: Case) -> played.Plan:
    """Plan a case."""
    return make_plan(Traffic(NOON, case.waiting, case.windows, case.accounts, case.states))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_finish(case: Case) -> None:
    """When the last of each posting leaves follows from limits, turns and dates."""
    plan = planned(case)

    found = {tuple(key): at and at - NOON for key, at in plan.finish.items()}
    assert found.keys() == case.leaves.keys()
    for key, wait in case.leaves.items():
        if wait is None:
            assert found[key] is None
        else:
            # A microsecond for each time that spacing was rounded up.
            assert found[key] == pytest.approx(wait, abs=timedelta(milliseconds=1))
    assert plan.cut == {QueueKey(*key) for key in case.cut}


def test_finish_of_several() -> None:
    """The slowest provider ends it, and one without an end leaves it open."""
    plan = make_plan(
        Traffic(
            NOON,
            [large(1, waiting=2), large(1, "free", waiting=5), large(1, "outlook", waiting=1)],
            [
                window("1/hour, spacing=none", provider="orange"),
                window("0/day", provider="outlook"),
            ],
            MAIN,
        )
    )
    orange, free, outlook = (QueueKey(1, p) for p in ("orange", "free", "outlook"))

    # Of one an hour nothing is kept: the first must have left the window whole.
    assert plan.finish_at([orange, free]) == NOON + HOUR + BIN_OF_HOUR
    assert plan.finish_at([orange, free, outlook]) is None
    assert plan.finish_at([QueueKey(9, "orange")]) == NOON
    assert plan.finish_at([]) is None


def test_wakes_in_time_for_what_spacing_rounds() -> None:
    """A copy that is paid back within a microsecond does not stop the plan."""
    windows = [
        window("40/second", provider="orange", owed=7.77777),
        window("1000/7s", account="main", owed=51.5),
    ]
    # 40/second: one each 23.75 ms; 36 + what is owed - 2 may leave at once.
    plan = make_plan(Traffic(NOON, [large(1, waiting=36)], windows, MAIN))

    end = plan.finish[QueueKey(*ORANGE)]
    assert end is not None
    assert end - NOON == pytest.approx((36 + 7.77777 - 2) * 0.02375 * SECOND, abs=SECOND / 100)


# Very large backlogs are not played to their end but divided by their rates.

BACKLOGS = {
    # 950 an hour.
    "bound by the account": Case(
        [large(1, "free", waiting=100_000)],
        [window("1000/hour", account="main")],
        {FREE: 100_000 / 950 * HOUR},
    ),
    # 95 a day.
    "bound by the provider": Case(
        [large(1, waiting=20_000)],
        [window("100/day", provider="orange"), window("1000/hour", account="main")],
        {ORANGE: 20_000 / 95 * DAY},
    ),
    # Orange 95 a day, free what is left of 950 an hour until then.
    "bound by both": Case(
        [large(1, waiting=20_000), large(1, "free", waiting=200_000)],
        [window("100/day", provider="orange"), window("1000/hour", account="main")],
        {ORANGE: 20_000 / 95 * DAY, FREE: 200_000 / (950 - 95 / 24) * HOUR},
    ),
    # 4 : 1 of 950 an hour until the first ends; the other has had a quarter of it then.
    "by weight": Case(
        [large(1, waiting=40_000, weight=4), large(2, waiting=40_000, weight=1)],
        [window("1000/hour", account="main")],
        {ORANGE: 50_000 / 950 * HOUR, (2, "orange"): 80_000 / 950 * HOUR},
    ),
    "two accounts, one of them from later on": Case(
        # 950 an hour for 20 days are 456 000; then 1900.
        [large(1, "free", waiting=500_000)],
        [window("1000/hour", account="main"), window("1000/hour", account="second")],
        {FREE: 20 * DAY + 44_000 / 1900 * HOUR},
        {"main": NOON, "second": NOON + 20 * DAY},
    ),
    "a pause that ends later": Case(
        [large(1, waiting=10_000), large(1, "free", waiting=40_000)],
        [window("1000/hour", account="main")],
        # Free has all of 950 an hour and ends after 42 h; orange has it from day 10.
        {FREE: 40_000 / 950 * HOUR, ORANGE: 10 * DAY + 10_000 / 950 * HOUR},
        states=[pause(until=NOON + 10 * DAY)],
    ),
    "a part that is due later": Case(
        [large(1, waiting=20_000, deferred=20_000, deferred_until=NOON + 10 * DAY)],
        [window("1000/hour", account="main")],
        {ORANGE: 10 * DAY + 20_000 / 950 * HOUR},
    ),
    "slow for long": Case(
        # 475 an hour for ten days are 114 000, then 950 (712 for an hour).
        [large(1, waiting=133_000)],
        [window("1000/hour", provider="orange")],
        {ORANGE: 10 * DAY + 19_000 / 950 * HOUR},
        states=[slow(factor=0.5, until=NOON + 10 * DAY)],
    ),
    "cut in the end": Case(
        # 50 : 50 until day 5, when the first is cut; then the second has all.
        [
            large(1, waiting=100_000, finish_by=NOON + 5 * DAY),
            large(2, waiting=100_000),
        ],
        [window("1000/hour", account="main")],
        {ORANGE: 5 * DAY, (2, "orange"): 5 * DAY + (100_000 - 57_000) / 950 * HOUR},
        cut={ORANGE},
    ),
    "one account may submit little, the other only elsewhere": Case(
        [large(1, waiting=4000)],
        [
            window("1000/hour", account="main"),
            window("10/hour", account="main", provider="orange"),
            window("2/hour", account="second"),
        ],
        {ORANGE: 4000 / 12 * HOUR},
        BOTH,
    ),
}


@pytest.mark.parametrize("case", BACKLOGS.values(), ids=BACKLOGS)
def test_large_backlog(case: Case) -> None:
    """A plan of months is as good as its rates: within a twentieth."""
    plan = planned(case)

    assert plan.cut == {QueueKey(*key) for key in case.cut}
    for key, wait in case.leaves.items():
        end = plan.finish[QueueKey(*key)]
        assert wait is not None
        assert end is not None
        assert end - NOON == pytest.approx(wait, rel=0.05)


# What follows is true of whatever waits.

PROVIDERS = ["orange", "free"]


@st.composite
def traffics(draw: st.DrawFn) -> Traffic:
    """Draw a moment at which some postings wait, behind few limits."""
    now = NOON + draw(st.integers(0, 3599)) * SECOND
    soon = st.none() | st.integers(1, 9).map(lambda n: now + n * HOUR / 4)
    accounts = {"main": now}
    if draw(st.booleans()):
        accounts["second"] = now + draw(st.integers(0, 2)) * HOUR
    keys = draw(
        st.sets(
            st.builds(QueueKey, st.sampled_from([None, 1, 2, 3]), st.sampled_from(PROVIDERS)),
            min_size=1,
            max_size=4,
        )
    )
    waiting = []
    for key in sorted(keys, key=repr):
        count = draw(st.integers(0, 25))
        queue = (
            Queue.of_notices(key.provider, waiting=count)
            if key.posting_id is None
            else Queue(key, count, draw(st.booleans()), draw(st.sampled_from([1, 2, 4])))
        )
        if draw(st.booleans()):
            waiting.append(Waiting(queue))
        else:
            waiting.append(
                Waiting(queue, draw(st.integers(0, 5)), draw(soon), draw(soon), draw(soon))
            )
    scopes = st.sampled_from([("main", None), (None, "orange"), ("main", "free"), ("second", None)])
    options = st.sampled_from(["", ", spacing=none", ", burst=4", ", spacing=40s"])
    windows = []
    for account, provider in draw(st.lists(scopes, min_size=1, max_size=4)):
        limit = (
            f"{draw(st.integers(0, 40))}/{draw(st.sampled_from(['hour', '15m']))}{draw(options)}"
        )
        bins = {
            played._FIRST_BIN
            + ((now - played._FIRST_BIN) // read_limit(limit).period * 2000 - number)
            * (read_limit(limit).period / 2000): count
            for number, count in draw(
                st.dictionaries(st.integers(0, 2000), st.integers(1, 5), max_size=3)
            ).items()
        }
        claimed = draw(st.integers(0, 2))
        windows.append(
            window(limit, account=account, provider=provider, bins=bins, claimed=claimed)
        )
    states = draw(
        st.lists(
            st.sampled_from(
                [
                    slow(factor=0.3, until=now + HOUR),
                    pause(until=now + HOUR / 2),
                    pause("free", until=now + HOUR, posting=1),
                    pause("free", until=now + HOUR, account="main"),
                ]
            ),
            max_size=2,
        )
    )
    return Traffic(now, waiting, windows, accounts, states)


def departures(traffic: Traffic) -> list[tuple[datetime, str, QueueKey, int]]:
    """Plan *traffic* and return what leaves: when, from which account, of which queue.

    The plan has no departures; they are seen where it hands them out.
    """
    left: list[tuple[datetime, str, QueueKey, int]] = []

    class Watched(played._Play):
        def _serve(self, account: str, meters: list[played._Played]) -> None:
            def watch(queues: Sequence[Queue], meters: Sequence[Meter], *, at_most: int) -> Turns:
                turns = share(queues, meters, at_most=at_most)
                left.extend((self._now, account, t.key, t.copies) for t in turns.order)
                return turns

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(played, "share", watch)
                super()._serve(account, meters)

    Watched(traffic).run()
    return left


@settings(max_examples=50, deadline=None)  # Each is a plan or two.
@given(traffics())
def test_no_window_is_exceeded(traffic: Traffic) -> None:
    """No half-open period ever holds more departures than its limit lets through."""
    left = departures(traffic)
    for each in traffic.windows:
        # A bin's marks may have left at its very end.
        period = each.limit.period
        marks = [(start + period / 2000, count) for start, count in each.bins.items()]
        marks.append((traffic.now, each.claimed))
        before = len(marks)
        marks += [
            (at, count)
            for at, account, key, count in left
            if each.account in (None, account) and each.provider in (None, key.provider)
        ]
        for at, _ in marks[before:]:
            held = sum(count for mark, count in marks if at - period < mark <= at)
            assert held <= each.limit.amount


@settings(max_examples=50, deadline=None)  # Each is a plan or two.
@given(traffics())
def test_all_that_waits_is_planned(traffic: Traffic) -> None:
    """Every queue has an end or none; what leaves before it is all that waited, but for a cut."""
    plan = make_plan(traffic)

    gone: defaultdict[QueueKey, int] = defaultdict(int)
    last: dict[QueueKey, datetime] = {}
    for at, _, key, count in departures(traffic):
        gone[key] += count
        last[key] = at
    assert plan.finish.keys() == {w.queue.key for w in traffic.waiting}
    for each in traffic.waiting:
        key, count = each.queue.key, each.queue.waiting + each.deferred
        end = plan.finish[key]
        if key in plan.cut:
            assert end == max(traffic.now, each.finish_by or traffic.now)
            assert gone[key] < count
        elif end is None:
            assert gone[key] < count
        else:
            assert gone[key] == count
            assert end == last.get(key, traffic.now)
        if each.finish_by is not None and end is not None:
            assert end <= max(traffic.now, each.finish_by)


@settings(max_examples=50, deadline=None)  # Each is a plan or two.
@given(traffics())
def test_deterministic(traffic: Traffic) -> None:
    """The same moment has one plan, in whatever order it is read."""
    turned = replace(traffic, waiting=traffic.waiting[::-1], windows=traffic.windows[::-1])

    assert make_plan(turned) == make_plan(traffic)


def no_earlier(one: datetime | None, other: datetime | None) -> bool:
    """Whether *one* is not before *other*; None is never.

    But for microseconds: each wait for the spacing is rounded up to a whole one,
    and the waits of another plan are others.
    """
    return one is None or (other is not None and one >= other - SECOND / 1000)


@settings(max_examples=50, deadline=None)  # Each is a plan or two.
@given(traffics(), st.integers(0, 3), st.integers(1, 20))
def test_more_of_a_posting_never_ends_it_earlier(traffic: Traffic, which: int, more: int) -> None:
    """Whoever has more to submit is not served better for it."""
    waiting = list(traffic.waiting)
    one = waiting[which % len(waiting)]
    queue = replace(one.queue, waiting=one.queue.waiting + more)
    waiting[which % len(waiting)] = replace(one, queue=queue)

    after = make_plan(replace(traffic, waiting=waiting))

    assert no_earlier(after.finish[queue.key], make_plan(traffic).finish[queue.key])


@settings(max_examples=50, deadline=None)  # Each is a plan or two.
@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=4),
    smalls=st.lists(st.booleans(), min_size=4, max_size=4),
    amount=st.integers(1, 60),
    more=st.integers(1, 20),
)
def test_more_behind_one_limit_ends_nothing_earlier(
    counts: list[int], smalls: list[bool], amount: int, more: int
) -> None:
    """Behind one limit all share, whoever comes in addition is at the cost of the others.

    Behind several it may be otherwise: what one more takes of a second limit may
    hold up a third posting, and so be the gain of a fourth.
    """
    waiting = [
        Waiting(Queue(QueueKey(n, "orange"), count, smalls[n])) for n, count in enumerate(counts)
    ]
    traffic = Traffic(NOON, waiting, [window(f"{amount}/hour", account="main")], MAIN)
    queue = replace(waiting[0].queue, waiting=counts[0] + more)

    before = make_plan(traffic)
    after = make_plan(replace(traffic, waiting=[replace(waiting[0], queue=queue), *waiting[1:]]))

    assert all(no_earlier(after.finish[key], end) for key, end in before.finish.items())


@settings(max_examples=50, deadline=None)  # Each is a plan or two.
@given(
    count=st.integers(1, 60),
    is_small=st.booleans(),
    amounts=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    tighter=st.integers(0, 60),
    option=st.sampled_from(["", ", spacing=none", ", burst=4", ", spacing=40s"]),
)
def test_tighter_limit_ends_nothing_earlier(
    count: int,
    is_small: bool,  # noqa: FBT001 - Drawn.
    amounts: list[int],
    tighter: int,
    option: str,
) -> None:
    """One posting never gains by a tighter limit, whatever else limits it.

    Of several one may: a smaller reserve lets fewer small ones leave before a large
    one, and what one provider's limit leaves of the account's, others have.
    """
    queue = Queue(QueueKey(1, "orange"), count, is_small)
    periods = ["hour", "15m", "7h"]
    limits = [f"{a}/{p}{option}" for a, p in zip(amounts, periods, strict=False)]
    windows = [window(limit, account="main") for limit in limits]
    first = window(f"{min(amounts[0], tighter)}/hour{option}", account="main")

    before = make_plan(Traffic(NOON, [Waiting(queue)], windows, MAIN))
    after = make_plan(Traffic(NOON, [Waiting(queue)], [first, *windows[1:]], MAIN))

    assert no_earlier(after.finish[queue.key], before.finish[queue.key])
