"""What an author is told, and when: a table of moments in the life of a message."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from worker.policy.expansion import Definition
from worker.policy.telling import (
    Course,
    Figures,
    Habit,
    Next,
    Step,
    grace_of,
    is_report_due,
    next_step,
)

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WAIT, RECEIPT, DELAY, REPORT, CLOSE = Step


class Case(NamedTuple):
    """A message *at* so long after its acceptance, when it will be finished, and what follows."""

    step: Step
    look: timedelta | None = None  # After it was accepted; None: whenever.
    at: timedelta = timedelta()
    people: int = 820
    finish: timedelta | None = DAY
    ended: timedelta | None = None
    missed: int = 0
    habit: Habit = Habit()
    so_far: dict[str, object] = {}  # noqa: RUF012 - nobody changes it

    def course(self) -> Course:
        """Return the message at that moment."""
        moments = {
            name: NOON + value if isinstance(value, timedelta) else value
            for name, value in self.so_far.items()
        }
        return Course(
            now=NOON + self.at,
            accepted_at=NOON,
            recipients=self.people,
            finish_at=None if self.finish is None else NOON + self.finish,
            ended_at=None if self.ended is None else NOON + self.ended,
            missed=self.missed,
            **moments,  # type: ignore[arg-type]  # by name
        )


TOLD = {"written_at": timedelta(), "promised_at": DAY, "report_promised": True}
FEWER, NEVER, ALWAYS = Habit(fewer=True), Habit(receipt="never"), Habit(receipt="always")
SOON, LATER = 5 * MINUTE, 11 * MINUTE

UNDER_WAY = {
    "many people, a day": Case(RECEIPT),
    "many people, out of sight": Case(RECEIPT, finish=None),
    "few people, at once": Case(WAIT, HOUR, people=25, finish=MINUTE),
    "few people, an hour": Case(WAIT, HOUR, people=25, finish=HOUR),
    "few people, more than an hour": Case(RECEIPT, people=25, finish=HOUR + MINUTE),
    "few people, out of sight": Case(RECEIPT, people=2, finish=None),
    "few people, and the hour is over": Case(
        RECEIPT, at=HOUR + MINUTE, people=2, finish=HOUR + 2 * MINUTE
    ),
    "one more than a list allows in silence": Case(RECEIPT, people=26, finish=LATER),
    "a list that tells of each": Case(
        RECEIPT, people=3, finish=LATER, habit=Habit(notify_above=0)
    ),
    "a list with more patience": Case(
        WAIT, 3 * HOUR, people=3, finish=2 * HOUR, habit=Habit(notify_delay=3 * HOUR)
    ),
    "the report follows at once": Case(WAIT, 15 * MINUTE, finish=SOON),
    "the report is due within a quarter of an hour, to the second": Case(
        WAIT, 15 * MINUTE, finish=10 * MINUTE
    ),
    "the report is due a little later": Case(RECEIPT, finish=10 * MINUTE + timedelta(seconds=1)),
    "it was to follow, and did not": Case(RECEIPT, at=15 * MINUTE, finish=16 * MINUTE),
    "it can be stopped before the first copy": Case(
        RECEIPT, finish=SOON, so_far={"has_grace": True}
    ),
    "approved after two days": Case(
        RECEIPT, at=2 * DAY, people=3, finish=2 * DAY + MINUTE
    ),
    "a list that tells nothing": Case(WAIT, habit=NEVER),
    "a list that always tells": Case(RECEIPT, people=2, finish=LATER, habit=ALWAYS),
    "an author who wants fewer": Case(WAIT, habit=FEWER),
    "an author who wants fewer, of a list that always tells": Case(
        WAIT, habit=Habit(receipt="always", fewer=True)
    ),
    "it waits for a person": Case(WAIT, finish=None, so_far={"is_waiting": True}),
    "told, and as promised": Case(WAIT, HOUR + 15 * MINUTE, at=HOUR, so_far=TOLD),
    "told, and later by twelve hours": Case(WAIT, at=HOUR, finish=DAY + 12 * HOUR, so_far=TOLD),
    "told, and later than that": Case(
        DELAY, at=HOUR, finish=DAY + 12 * HOUR + MINUTE, so_far=TOLD
    ),
    "told, and out of sight now": Case(DELAY, at=HOUR, finish=None, so_far=TOLD),
    "told, and paused by its author": Case(
        WAIT, at=HOUR, finish=None, so_far={**TOLD, "is_waiting": True}
    ),
    "told of the delay before": Case(
        WAIT, at=DAY, finish=5 * DAY, so_far={**TOLD, "delayed_at": HOUR}
    ),
    "told without a promise": Case(
        WAIT, at=HOUR, finish=9 * DAY, so_far={**TOLD, "promised_at": None}
    ),
}  # fmt: skip

AT_THE_END = {
    "returns may still come": Case(WAIT, DAY + 5 * MINUTE, at=DAY, ended=DAY, so_far=TOLD),
    "told, all is well": Case(REPORT, at=DAY + 5 * MINUTE, ended=DAY, so_far=TOLD),
    "not told, many people": Case(REPORT, at=SOON + 5 * MINUTE, ended=SOON),
    "few people, all is well": Case(
        WAIT, SOON + 5 * MINUTE + HOUR, at=SOON + 5 * MINUTE, people=9, ended=SOON
    ),
    "few people, one was missed": Case(
        REPORT, at=SOON + 5 * MINUTE, people=9, ended=SOON, missed=1
    ),
    "few people, one was missed hours later": Case(
        REPORT, at=9 * HOUR, people=9, ended=SOON, missed=1
    ),
    "few people, a day later": Case(CLOSE, at=DAY + SOON, people=9, ended=SOON),
    "few people, watched to the end of the day": Case(
        WAIT, DAY + SOON, at=DAY - MINUTE, people=9, ended=SOON
    ),
    "few people, but it took long": Case(
        REPORT, at=3 * HOUR, people=9, ended=HOUR + MINUTE
    ),
    "few people, of a list that always tells": Case(
        REPORT, at=SOON + 5 * MINUTE, people=9, ended=SOON, habit=ALWAYS
    ),
    "told that only bad news follows, and there is none": Case(
        WAIT, at=10 * MINUTE, ended=SOON, so_far={**TOLD, "report_promised": False}
    ),
    "told that only bad news follows, and there is": Case(
        REPORT, at=10 * MINUTE, ended=SOON, missed=1, so_far={**TOLD, "report_promised": False}
    ),
    "stopped, a moment ago": Case(
        WAIT, SOON + MINUTE, at=SOON, ended=SOON, so_far={"is_stopped": True}
    ),
    "everybody has it as the copy of another list": Case(CLOSE, at=SOON, people=0, ended=SOON),
    "stopped": Case(
        REPORT, at=10 * MINUTE, people=9, ended=SOON, so_far={"is_stopped": True}
    ),
    "stopped by who wants fewer": Case(
        REPORT, at=10 * MINUTE, ended=SOON, habit=FEWER, so_far={"is_stopped": True}
    ),
    "who wants fewer": Case(WAIT, at=10 * MINUTE, ended=SOON, habit=FEWER),
    "who wants fewer, one was missed": Case(
        REPORT, at=10 * MINUTE, ended=SOON, missed=1, habit=FEWER
    ),
    "who wants fewer, but was promised it": Case(
        REPORT, at=DAY + HOUR, ended=DAY, habit=FEWER, so_far=TOLD
    ),
    "a list that tells nothing, a day later": Case(CLOSE, at=2 * DAY, ended=SOON, habit=NEVER),
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [*UNDER_WAY.values(), *AT_THE_END.values()], ids=[*UNDER_WAY, *AT_THE_END]
)
def test_next_step(case: Case) -> None:
    """What is told follows from the moment, and nothing is looked at in the past."""
    found = next_step(case.course(), case.habit)

    expected = found.look_at if case.look is None else NOON + case.look
    assert found == Next(case.step, expected)
    assert found.look_at >= NOON + case.at


@pytest.mark.parametrize("case", AT_THE_END.values(), ids=AT_THE_END)
def test_it_comes_to_an_end(case: Case) -> None:
    """Whoever looks as often as asked is done within two days, however it ended."""
    course = case.course()
    for _ in range(60):
        found = next_step(course, case.habit)
        if found.step is not Step.WAIT:
            break
        assert found.look_at > course.now
        course = replace(course, now=found.look_at)
    assert found.step in (Step.REPORT, Step.CLOSE)
    assert course.now <= NOON + 2 * DAY + SOON


REPORTS = {"a day": (DAY, True), "ten minutes": (10 * MINUTE, False), "out of sight": (None, True)}


@pytest.mark.parametrize(("finish", "promised"), REPORTS.values(), ids=REPORTS)
def test_which_receipts_promise_a_report(finish: timedelta | None, *, promised: bool) -> None:
    """Who would have two letters within a quarter of an hour gets the second for bad news only."""
    assert is_report_due(Case(RECEIPT, finish=finish).course()) is promised


def test_grace() -> None:
    """Only of large postings the first copy waits, and only where the list wants it."""
    wants = Definition(
        name="tous", view="lists.tous", address="tous", title="Tous", post="members",
        post_view=None, reply_to="author", max_size=1, max_recipients=1, lang="fr",
    )  # fmt: skip

    assert grace_of(wants, 201) == 5 * MINUTE
    assert grace_of(wants, 200) is None
    assert grace_of(replace(wants, grace=timedelta()), 201) is None


def test_figures_add_up() -> None:
    """Everybody is in one number; who left is not missed."""
    figures = Figures(
        handed_over=806, refused=5, expired=3, in_doubt=1, unsubscribed=2, left=1, held=1,
        stopped=4, waiting=7,
    )  # fmt: skip

    assert figures.recipients == 830
    assert figures.missed == 10
