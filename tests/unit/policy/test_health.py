"""What failures make of an address, rule by rule, and what holds whatever comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mail.reason import Reason
from worker.policy.feedback import ACTIONS, Action, read_verdict
from worker.policy.health import (
    Failure,
    Health,
    HealthState,
    Steps,
    health_of,
    is_burst,
    words_of,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
PARIS = ZoneInfo("Europe/Paris")


def hard(day: float, reason: Reason = Reason.UNKNOWN_USER, *, excused: bool = False) -> Failure:
    """Fail for good, *day* days after NOON; each day has another posting."""
    return Failure(NOON + day * DAY, True, reason, posting_id=int(day), is_excused=excused)  # noqa: FBT003


def soft(day: float, reason: Reason = Reason.FULL, *, excused: bool = False) -> Failure:
    """Fail for now."""
    return Failure(NOON + day * DAY, False, reason, posting_id=int(day), is_excused=excused)  # noqa: FBT003


class Case(NamedTuple):
    """Failures, what we have done, and what is left of the address."""

    failures: list[Failure]
    state: HealthState | None
    since: float = 0  # Days after NOON.
    due: float | None = None
    steps: Steps = Steps()


SUSPECT, HELD, TRIAL = HealthState
ASKED = Steps(asked_at=NOON + DAY)
TRIED = Steps(tried_at=NOON + 91 * DAY)
TWO_DAYS = [hard(0), hard(1)]

CASES = {
    "nothing": Case([], None),
    "no such user, once": Case([hard(0)], SUSPECT, 0, 1),
    "no such domain, once": Case([hard(0, Reason.UNKNOWN_DOMAIN)], SUSPECT, 0, 1),
    "no such user, asked": Case([hard(0)], SUSPECT, 0, None, ASKED),
    "no such user, after an earlier letter": Case([hard(2)], SUSPECT, 2, 3, ASKED),
    "disabled, once": Case([hard(0, Reason.DISABLED)], None),
    "moved, once": Case([hard(0, Reason.MOVED)], None),
    "no mail at all, once": Case([hard(0, Reason.NOT_ACCEPTING)], None),
    "no reason, once": Case([hard(0, Reason.UNKNOWN)], None),
    "two of one day": Case([hard(0), hard(0.4)], SUSPECT, 0, 1),
    "two days": Case(TWO_DAYS, HELD, 1, 91),
    "two days, unclear both": Case([hard(0, Reason.DISABLED), hard(9, Reason.MOVED)], HELD, 9, 99),
    "three days": Case([hard(0), hard(1), hard(2)], HELD, 1, 91),
    "in whatever order": Case([hard(2), hard(1), hard(0)], HELD, 1, 91),
    "four transient days": Case([soft(day) for day in (0, 9, 18, 30)], None),
    "five transient days in three weeks": Case(
        [soft(d) for d in (0, 5, 10, 15, 21)], HELD, 21, 111
    ),
    "five transient days, too soon": Case([soft(d) for d in (0, 5, 10, 15, 20)], None),
    "the sixth comes after three weeks": Case(
        [soft(d) for d in (0, 1, 2, 3, 4, 22)], HELD, 22, 112
    ),
    "five transient of four days": Case([soft(d) for d in (0, 5, 10, 21, 21.2)], None),
    "four transient, one permanent": Case(
        [soft(0), soft(5), soft(10), hard(15, Reason.DISABLED), soft(21)], HELD, 21, 111
    ),
    "one permanent, one transient": Case([hard(0), soft(1)], SUSPECT, 0, 1),
    "excused": Case([hard(0, excused=True)], None),
    "two days, one excused": Case([hard(0), hard(1, excused=True)], SUSPECT, 0, 1),
    "a burst again, within the week": Case([hard(0, excused=True), hard(6.9, excused=True)], None),
    "a burst again, a week later": Case(
        [hard(0, excused=True), hard(7, excused=True)], SUSPECT, 7, 8
    ),
    "a burst again of the same posting": Case(
        [hard(0, excused=True), replace(hard(8, excused=True), posting_id=0)], None
    ),
    "a burst a third time": Case([hard(d, excused=True) for d in (0, 7, 14)], HELD, 14, 104),
    "on trial": Case(TWO_DAYS, TRIAL, 91, None, TRIED),
    "failed on trial": Case([*TWO_DAYS, hard(95, Reason.DISABLED)], HELD, 95, 185, TRIED),
    "transient on trial": Case([*TWO_DAYS, soft(95)], TRIAL, 91, None, TRIED),
    "transient for weeks on trial": Case(
        [*TWO_DAYS, *(soft(d) for d in (95, 100, 105, 110, 116))], HELD, 116, 206, TRIED
    ),
    "excused on trial": Case([*TWO_DAYS, hard(95, excused=True)], TRIAL, 91, None, TRIED),
    "what held it before the trial was excused": Case([hard(0)], SUSPECT, 0, 1, TRIED),
    "healed on trial": Case([], None, steps=TRIED),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_health(case: Case) -> None:
    """Each rule, by name."""
    found = health_of(case.failures, case.steps, zone=UTC)

    if case.state is None:
        assert found is None
        return
    assert found is not None
    due = None if case.due is None else NOON + case.due * DAY
    assert (found.state, found.since, found.due_at) == (case.state, NOON + case.since * DAY, due)


def test_days_are_the_sites() -> None:
    """Half past eleven and half past midnight in Paris are two days, of which UTC has one."""
    late = datetime(2026, 1, 5, 22, 30, tzinfo=UTC)
    both = [replace(hard(0), failed_at=late), replace(hard(0), failed_at=late + HOUR)]

    paris, utc = health_of(both, zone=PARIS), health_of(both, zone=UTC)

    assert paris is not None
    assert utc is not None
    assert (paris.state, utc.state) == (HELD, SUSPECT)


def test_a_day_of_25_hours() -> None:
    """What comes back of a letter at once has come back on another day."""
    after_midnight = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)  # 0:30, Sunday.

    found = health_of([replace(hard(0), failed_at=after_midnight)], zone=PARIS)

    assert found is not None
    assert found.due_at == after_midnight + 25 * HOUR


class Counts(NamedTuple):
    """Failures of a posting at a provider, and how many copies left for there."""

    failures: int
    left: int
    is_burst: bool


BURSTS = {
    "ten of forty-nine": Counts(10, 49, is_burst=True),
    "ten of fifty": Counts(10, 50, is_burst=False),
    "nine of nine": Counts(9, 9, is_burst=False),
    "a thousand of a million": Counts(1000, 1_000_000, is_burst=False),
    "all": Counts(5000, 5000, is_burst=True),
}


@pytest.mark.parametrize("case", BURSTS.values(), ids=BURSTS)
def test_bursts(case: Counts) -> None:
    """At least ten, and more than a fifth."""
    assert is_burst(case.failures, case.left) == case.is_burst


SAME = {
    "the address": ("550 5.1.1 <jean@x.fr>: no such user", "550 5.1.1 <zoe.b@y.fr>: no such user"),
    "the local part": ("User jean unknown", "User zoe.b unknown"),
    "the domain": ("Host x.fr not found", "Host y.fr not found"),
    "an id": ("Rejected q2-20020a05 by policy", "Rejected b81a9f by policy"),
    "numbers": ("554 after 12 tries", "554 after 3 tries"),
    "a host": ("mx1.x.fr said: no", "mail.y.fr said: no"),
    "case and space": ("No  such USER", "no such user"),
}
OTHERS = {
    "other words": ("no such user", "mailbox full"),
    "no words, another status": ("", "4.2.2"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_the_same_words(one: str, other: str) -> None:
    """Whoever they are said of."""
    assert words_of(one, "5.0.0", address="Jean@x.fr") == words_of(
        other, "5.1.1", address="zoe.b@y.fr"
    )


def test_other_words() -> None:
    """They are another burst; without words the status speaks."""
    jean = "jean@x.fr"
    assert words_of("no such user", "", address=jean) != words_of("full", "", address=jean)
    assert words_of("550", "5.1.1", address=jean) != words_of("552", "5.2.2", address=jean)


@given(st.text(), st.text(max_size=8), st.text())
def test_any_words(text: str, status: str, address: str) -> None:
    """Nothing is raised, whatever a stranger writes."""
    assert len(words_of(text, status, address=address)) == 16


moments = st.integers(0, 200 * 24).map(lambda hours: NOON + hours * HOUR)
some_failures = st.lists(
    st.builds(
        Failure,
        failed_at=moments,
        is_permanent=st.booleans(),
        reason=st.sampled_from(Reason),
        posting_id=st.none() | st.integers(1, 5),
        is_excused=st.booleans(),
    ),
    max_size=12,
)
some_steps = st.builds(Steps, asked_at=st.none() | moments, tried_at=st.none() | moments)


def is_held(health: Health | None) -> bool:
    """Tell whether the address gets nothing."""
    return health is not None and health.state is HELD


@given(some_failures, some_steps, st.randoms())
def test_the_order_of_arrival_does_not_matter(
    failures: list[Failure], steps: Steps, chance: object
) -> None:
    """Reports overtake each other."""
    shuffled = list(failures)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random

    assert health_of(shuffled, steps, zone=PARIS) == health_of(failures, steps, zone=PARIS)


@given(some_failures, some_steps)
def test_one_burst_never_holds(failures: list[Failure], steps: Steps) -> None:
    """What is excused within a week changes nothing at all."""
    within = [
        replace(f, is_excused=True, failed_at=NOON + (f.failed_at - NOON) / 30) for f in failures
    ]
    blamed = [replace(f, is_excused=False) for f in failures[:3]]

    assert health_of(within, steps, zone=UTC) is None
    assert health_of(blamed + within, steps, zone=UTC) == health_of(blamed, steps, zone=UTC)


@given(some_failures, some_steps, moments)
def test_a_success_never_holds(failures: list[Failure], steps: Steps, success: datetime) -> None:
    """Fewer failures are never worse: what a success ends is left out."""
    later = [f for f in failures if f.failed_at > success]
    without_bursts = replace(steps, tried_at=None)

    if not is_held(health_of(failures, without_bursts, zone=UTC)):
        assert not is_held(health_of(later, without_bursts, zone=UTC))
    assert health_of([], steps, zone=UTC) is None


@given(some_failures, st.none() | moments)
def test_one_day_never_holds(failures: list[Failure], asked_at: datetime | None) -> None:
    """However much comes back on it."""
    noon = datetime(2026, 1, 5, 11, tzinfo=UTC)
    same = [replace(f, failed_at=noon + (f.failed_at - NOON) / 500) for f in failures]

    assert not is_held(health_of(same, Steps(asked_at), zone=PARIS))


@given(some_failures, some_steps)
def test_any_history_has_a_state(failures: list[Failure], steps: Steps) -> None:
    """A held address is always tried again, and the cause is one of its failures."""
    found = health_of(failures, steps, zone=UTC)

    if found is not None:
        assert found.cause in failures
        assert (found.due_at is not None) or found.state is not HELD


class TestReasons:
    """What the reader's reason does where no rule knows the words."""

    def test_every_reason_has_an_action(self) -> None:
        """And none that is about a person blames us, or the other way round."""
        assert set(ACTIONS) == set(Reason)
        hard = {reason for reason, action in ACTIONS.items() if action is Action.HARD}
        assert hard == {
            Reason.UNKNOWN_USER,
            Reason.UNKNOWN_DOMAIN,
            Reason.NOT_ACCEPTING,
            Reason.MOVED,
            Reason.DISABLED,
        }

    @pytest.mark.parametrize(
        ("text", "reason", "action"),
        [
            pytest.param("550 5.1.1 x", Reason.FULL, Action.SOFT, id="before the code"),
            pytest.param("550 5.1.1 x", Reason.UNKNOWN, Action.HARD, id="the code where none is"),
            pytest.param("450 4.1.1 x", Reason.UNKNOWN_USER, Action.SOFT, id="spared for now"),
            pytest.param("550 5.7.1 x", Reason.SENDING_IP, Action.IP_BLOCK, id="not the person"),
            pytest.param("550 5.1.1 x", Reason.RATE, Action.SLOW, id="too fast"),
        ],
    )
    def test_a_reason(self, text: str, reason: Reason, action: Action) -> None:
        """It goes before the code."""
        verdict = read_verdict(text, provider="other", rules=[], reason=reason)

        assert verdict.action is action
        assert (verdict.factor is not None) == (action is Action.SLOW)
