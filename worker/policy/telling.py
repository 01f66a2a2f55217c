"""What an author is told about a message that goes out, and when.

    what                 when
    nothing              few people, who all get it soon
    receipt, with plan   at once; not if the report is due within a quarter of an hour
    delay notice         once, when the plan slips by more than twelve hours
    closing report       when all its postings have ended and the first returns are in

A message to several lists is told of once. What an author stops they always hear
of; who is silent has sent to few, and is told when somebody was not reached.
(Reference: user experience, 2.2.)
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.mail.reason import Reason
    from worker.policy.expansion import Definition
    from worker.policy.limit import Limit

GRACE_ABOVE = 200  # recipients
ANSWERS_A_DAY = 6  # To one author.
# Most hosts say within minutes what they do not take.
SETTLED_AFTER = timedelta(minutes=5)
_STOPPED_AFTER = timedelta(minutes=1)  # Whoever has stopped it would know what that has done.
ONE_MAIL_WITHIN = timedelta(minutes=15)
SLIPPED_BY = timedelta(hours=12)
WATCHED_FOR = timedelta(days=1)  # What comes back to few people, after its end.
_WATCHED_EVERY = timedelta(hours=1)
_PLANNED_EVERY = timedelta(minutes=15)


class Step(Enum):
    """What is to be done for the author of a message now."""

    WAIT = "wait"
    RECEIPT = "receipt"
    DELAY = "delay"
    REPORT = "report"
    CLOSE = "close"  # Without a word.


@dataclass(frozen=True, slots=True)
class Habit:
    """How the lists of a message, and its author, want to be told."""

    notify_above: int = 25  # The lowest of its lists.
    notify_delay: timedelta = timedelta(hours=1)
    receipt: str = "auto"  # or always, never
    fewer: bool = False  # The author has asked for fewer letters.

    @property
    def is_quiet(self) -> bool:
        """Whether only what went wrong is to be told."""
        return self.fewer or self.receipt == "never"


@dataclass(frozen=True, slots=True)
class Course:
    """How a message has fared so far, of all its postings together."""

    now: datetime
    accepted_at: datetime
    recipients: int
    finish_at: datetime | None  # By the plan; None: not in sight.
    ended_at: datetime | None = None  # When the last of its postings ended.
    missed: int = 0  # Who was not reached.
    is_waiting: bool = False  # For a person: what is planned of it says nothing.
    is_stopped: bool = False  # A person ended it.
    has_grace: bool = False  # It can still be stopped before the first copy.
    written_at: datetime | None = None
    promised_at: datetime | None = None
    report_promised: bool = False
    delayed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """What to do now, and when to look again after it."""

    step: Step
    look_at: datetime


def next_step(course: Course, habit: Habit) -> Next:
    """Say what the author of a message is to be told now."""
    if course.ended_at is not None:
        return _after_the_end(course, course.ended_at, habit)
    if course.written_at is None:
        return _before_the_receipt(course, habit)
    if _has_slipped(course):
        return Next(Step.DELAY, course.now + _PLANNED_EVERY)
    return Next(Step.WAIT, course.now + _PLANNED_EVERY)


def grace_of(definition: Definition, recipients: int) -> timedelta | None:
    """Return how long the first copy to so many *recipients* waits for its author to stop it."""
    return definition.grace if recipients > GRACE_ABOVE and definition.grace else None


def is_report_due(course: Course) -> bool:
    """Whether a receipt that is written now should promise a report.

    One that would follow within the quarter of an hour comes only with bad news.
    """
    return not _ends_by(course, course.now + ONE_MAIL_WITHIN)


def _before_the_receipt(course: Course, habit: Habit) -> Next:
    if habit.is_quiet or course.is_waiting:
        return Next(Step.WAIT, course.now + _PLANNED_EVERY)
    slow_at = course.accepted_at + habit.notify_delay
    is_slow = course.finish_at is None or max(course.finish_at, course.now) > slow_at
    if habit.receipt == "auto" and course.recipients <= habit.notify_above and not is_slow:
        return Next(Step.WAIT, slow_at)
    one_mail_until = course.accepted_at + ONE_MAIL_WITHIN
    if not course.has_grace and course.now < one_mail_until and _ends_by(course, one_mail_until):
        return Next(Step.WAIT, one_mail_until)
    return Next(Step.RECEIPT, course.now + _PLANNED_EVERY)


def _ends_by(course: Course, moment: datetime) -> bool:
    return course.finish_at is not None and course.finish_at + SETTLED_AFTER <= moment


def _has_slipped(course: Course) -> bool:
    if course.promised_at is None or course.delayed_at is not None or course.is_waiting:
        return False
    return course.finish_at is None or course.finish_at > course.promised_at + SLIPPED_BY


def _after_the_end(course: Course, ended_at: datetime, habit: Habit) -> Next:
    if not course.recipients:  # All of them have it as the copy of another list.
        return Next(Step.CLOSE, course.now)
    settled_at = ended_at + (_STOPPED_AFTER if course.is_stopped else SETTLED_AFTER)
    if course.now < settled_at:
        return Next(Step.WAIT, settled_at)
    if course.missed or course.is_stopped or _is_owed_a_report(course, ended_at, habit):
        return Next(Step.REPORT, course.now)
    watched_until = ended_at + WATCHED_FOR
    if course.now < watched_until:
        return Next(Step.WAIT, min(course.now + _WATCHED_EVERY, watched_until))
    return Next(Step.CLOSE, course.now)


def _is_owed_a_report(course: Course, ended_at: datetime, habit: Habit) -> bool:
    if course.written_at is not None:
        return course.report_promised
    if habit.is_quiet:
        return False
    is_slow = ended_at > course.accepted_at + habit.notify_delay
    return habit.receipt == "always" or course.recipients > habit.notify_above or is_slow


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of everybody whom a message is for; each is in one number."""

    handed_over: int = 0
    refused: int = 0  # By their server, at once or by a report.
    expired: int = 0  # Given up after days.
    in_doubt: int = 0
    unsubscribed: int = 0  # While their copy waited, as are the next two.
    left: int = 0  # They are on the list no more.
    held: int = 0  # Their address has begun to fail.
    stopped: int = 0
    waiting: int = 0

    @property
    def recipients(self) -> int:
        """How many that are in all."""
        return sum(int(getattr(self, f.name)) for f in fields(self))

    @property
    def missed(self) -> int:
        """Who was not reached, though nobody wanted it so."""
        return self.refused + self.expired + self.in_doubt + self.held


@dataclass(frozen=True, slots=True)
class Share:
    """What of a message is for one provider, and when the last copy of it leaves."""

    provider: str
    display: str  # "" for the small ones together.
    recipients: int
    handed_over: int
    waiting: int
    finish_at: datetime | None  # None: not in sight, or nothing waits.
    limit: Limit | None = None  # The provider's own, if that is what makes it wait.


@dataclass(frozen=True, slots=True)
class Unreached:
    """Somebody who did not get a message, and why."""

    address: str
    name: str  # "" where the list's words do not name them.
    reason: Reason


class DelayReason(Enum):
    """Why a plan has slipped."""

    SLOWED = "slowed"  # A provider asked us to slow down.
    PAUSED = "paused"  # A provider is paused, or an account.
    BUSY = "busy"  # Other mail goes before it, or a limit was lowered.
