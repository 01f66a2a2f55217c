"""The plan: when each delivery is expected to leave.

One function computes every time that people are told (DESIGN, section 7). It
plays the dispatchers forward: whenever a limit has room again, an account hands
over what has its turn (worker/policy/turns.py). Marks are held in the bins of
relais.limit_spent, so the windows move here as they will there.

What a submission itself takes is not counted: beside the limits it is nothing.
After some thousand steps the rest of a very long backlog is not played but
divided by the rates that its limits allow.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from worker.policy.meter import Meter, is_full, still_owed
from worker.policy.provider_state import StateKind, paused_until, rate_factor
from worker.policy.rates import shared_rates
from worker.policy.turns import Queue, QueueKey, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from worker.policy.limit import Limit
    from worker.policy.provider_state import ProviderState

# As relais.bin_of has it: a two-thousandth of the period, counted from one moment.
BINS = 2000
_FIRST_BIN = datetime(2000, 1, 1, tzinfo=UTC)

# A time beyond this is no plan: something must be changed, and a person told.
_IN_SIGHT = timedelta(days=366)
_STEPS = 2000
_EVERYTHING = 1_000_000_000
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_RECOVERY_STEP = timedelta(hours=1)  # As worker/policy/provider_state.py has it.
_RECOVERY_STEPS = 4


@dataclass(frozen=True, slots=True)
class Window:
    """A limit and what counts against it: marks by the start of their bin, and claims."""

    account: str | None
    provider: str | None
    limit: Limit
    bins: Mapping[datetime, int]
    claimed: int = 0
    small: int = 0  # Of both, those of small postings.
    owed: float = 0.0
    owed_as_of: datetime | None = None
    small_bins: Mapping[datetime, int] = field(default_factory=dict)  # Of small, the marks.

    @property
    def spent(self) -> int:
        """How many marks count against the limit."""
        return sum(self.bins.values())


@dataclass(frozen=True, slots=True)
class Waiting:
    """What has not left of a posting at a provider, or of the notices to one.

    *queue* has what may leave when its turn comes, *deferred* what joins it at
    *deferred_until*. Nothing leaves before *opens_at*; what is left at
    *finish_by* is cancelled.
    """

    queue: Queue
    deferred: int = 0
    deferred_until: datetime | None = None
    opens_at: datetime | None = None
    finish_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Everything that a plan follows from, at one moment."""

    now: datetime
    waiting: Sequence[Waiting]
    windows: Sequence[Window] = ()
    accounts: Mapping[str, datetime] = field(default_factory=dict)  # From when each submits.
    states: Sequence[ProviderState] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """When the last delivery of each queue leaves, or is cancelled; None: not in sight."""

    now: datetime
    finish: Mapping[QueueKey, datetime | None]
    cut: frozenset[QueueKey]  # What will not all have left by its finish-by date.

    def finish_at(self, keys: Iterable[QueueKey]) -> datetime | None:
        """When all of *keys* are gone; None if that is not in sight, or there are none.

        What is not in the plan waits for nothing.
        """
        times = [self.finish.get(key, self.now) for key in keys]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None


def make_plan(traffic: Traffic) -> Plan:
    """Plan the departure of all that is waiting."""
    play = _Play(traffic)
    play.run()
    return Plan(traffic.now, play.finish, frozenset(play.cut))


class _Play:
    """The dispatchers of all accounts, from now on."""

    def __init__(self, traffic: Traffic) -> None:
        self.finish: dict[QueueKey, datetime | None] = {}
        self.cut: set[QueueKey] = set()
        self._traffic = traffic
        self._now = traffic.now
        self._end = traffic.now + _IN_SIGHT
        self._meters = [_Played(window, traffic) for window in traffic.windows]
        self._desks = {
            account: [m for m in self._meters if m.account in (None, account)]
            for account in sorted(traffic.accounts)
        }
        self._lines = {w.queue.key: _Line(w) for w in traffic.waiting}
        self._limiting = {
            (account, provider): [m for m in meters if m.limits(account, provider)]
            for account, meters in self._desks.items()
            for provider in {key.provider for key in self._lines}
        }

    def run(self) -> None:
        """Play until all has left, or nothing more can, or enough has been seen."""
        moment: datetime | None = self._now
        for _ in range(_STEPS):
            if moment is None:
                break
            self._move_to(moment)
            for account in self._open_accounts():
                self._serve(account, self._desks[account])
            if not self._lines:
                return
            moment = self._next_moment()
        if moment is not None:
            self._flow()
        self.finish.update(dict.fromkeys(self._lines))

    def _move_to(self, now: datetime) -> None:
        self._now = now
        for key, line in list(self._lines.items()):
            if not line.left or line.is_late(now):
                self._end_line(key, is_cut=line.left > 0)
            else:
                line.move_to(now)
        for meter in self._meters:
            meter.move_to(now)

    def _open_accounts(self) -> list[str]:
        return [a for a in self._desks if self._traffic.accounts[a] <= self._now]

    def _serve(self, account: str, meters: list[_Played]) -> None:
        # As the dispatcher: what has no room takes no part, in the debts neither.
        full = {meter.provider for meter in meters if is_full(meter)}
        if None in full:
            return
        queues = [
            line.as_queue()
            for line in self._lines.values()
            if line.ready
            and line.key.provider not in full
            and self._opens_at(line, account) <= self._now
        ]
        turns = share(queues, meters, at_most=_EVERYTHING)
        for key, passed in turns.passed.items():
            self._lines[key].passed = passed
        for key, count in turns.taken.items():
            line = self._lines[key]
            line.ready -= count
            if not line.left:
                self._end_line(key, is_cut=False)
        for meter in meters:
            meter.mark(self._now)

    def _end_line(self, key: QueueKey, *, is_cut: bool) -> None:
        self.finish[key] = self._now
        del self._lines[key]
        if is_cut:
            self.cut.add(key)

    def _opens_at(self, line: _Line, account: str) -> datetime:
        states, now = self._traffic.states, self._now
        if not states:
            return line.opens_at
        pause = paused_until(states, line.key.provider, account, now)
        stops = [s.until for s in states if s.posting_id is not None and line.key == _stopped_by(s)]
        return max((line.opens_at, pause or _LONG_AGO, *stops))

    def _next_moment(self) -> datetime | None:
        """When something changes: a limit has room, a pause ends, a date passes."""
        soonest = min((t for t in self._moments() if t > self._now), default=self._end)
        return soonest if soonest < self._end else None

    def _moments(self) -> Iterator[datetime]:
        yield from self._changes()
        for account in self._desks:
            opens_at = self._traffic.accounts[account]
            for key, line in self._lines.items():
                if line.ready:
                    limiting = self._limiting[account, key.provider]
                    roomy = [m.roomy_at(is_small=line.is_small) for m in limiting]
                    yield max(opens_at, self._opens_at(line, account), *roomy)

    def _changes(self) -> Iterator[datetime]:
        """When something changes, whatever leaves."""
        yield from self._traffic.accounts.values()
        for state in self._traffic.states:
            yield from _changes_of(state)
        for line in self._lines.values():
            yield from line.changes

    def _flow(self) -> None:
        """Divide what is left by the rates that the limits allow, from one change to the next."""
        while self._lines and self._now < self._end:
            rates = self._rates()
            ends = {key: self._empty_at(self._lines[key].ready, rates[key]) for key in rates}
            changes = (t for t in self._changes() if t > self._now)
            moment = min((*ends.values(), *changes), default=self._end)
            if moment >= self._end:
                return
            seconds = (moment - self._now).total_seconds()
            for key, rate in rates.items():
                line = self._lines[key]
                # What comes to its end has nothing left, however it was rounded.
                line.ready = 0 if ends[key] <= moment else line.ready - rate * seconds
            self._now = moment
            for key in [key for key, line in self._lines.items() if not line.left]:
                self._end_line(key, is_cut=False)
            self._move_to(moment)

    def _rates(self) -> dict[QueueKey, float]:
        """How many leave a second of each queue that may leave now."""
        accounts = self._open_accounts()
        weights = {
            key: line.weight
            for key, line in self._lines.items()
            if line.ready and any(self._opens_at(line, a) <= self._now for a in accounts)
        }
        return shared_rates(weights, self._meters, accounts=accounts)

    def _empty_at(self, ready: float, rate: float) -> datetime:
        """When *ready* are gone at *rate* a second."""
        if rate <= 0 or ready / rate > _IN_SIGHT.total_seconds():
            return self._end
        return self._now + max(timedelta.resolution, timedelta(seconds=ready / rate))


def _changes_of(state: ProviderState) -> Iterator[datetime]:
    """When a pause ends, or a slow provider gets more again."""
    yield state.until
    if state.kind is StateKind.SLOW:
        yield from (state.until + n * _RECOVERY_STEP for n in range(1, _RECOVERY_STEPS))


def _stopped_by(state: ProviderState) -> QueueKey:
    return QueueKey(state.posting_id, state.provider)


class _Line:
    """A queue while it is played."""

    def __init__(self, waiting: Waiting) -> None:
        queue = waiting.queue
        self.key = queue.key
        self.is_small = queue.is_small
        self.weight = queue.weight
        self.passed = queue.passed
        self.ready: float = queue.waiting
        self.opens_at = waiting.opens_at or _LONG_AGO
        self.finish_by = waiting.finish_by
        self._deferred = waiting.deferred
        self._deferred_until = waiting.deferred_until

    @property
    def left(self) -> float:
        return self.ready + self._deferred

    @property
    def changes(self) -> Iterator[datetime]:
        yield self.opens_at
        if self._deferred and self._deferred_until is not None:
            yield self._deferred_until
        if self.finish_by is not None:
            yield self.finish_by

    def is_late(self, now: datetime) -> bool:
        return self.finish_by is not None and self.finish_by <= now

    def move_to(self, now: datetime) -> None:
        if self._deferred and (self._deferred_until is None or self._deferred_until <= now):
            self.ready += self._deferred
            self._deferred = 0

    def as_queue(self) -> Queue:
        return Queue(self.key, int(self.ready), self.is_small, self.weight, self.passed)


class _Held(deque[tuple[datetime, int, int]]):
    """Marks that count until some time: when that is, how many, and how many small ones."""

    def release(self, now: datetime) -> tuple[int, int]:
        count = small = 0
        while self and self[0][0] <= now:
            _, marks, of_small = self.popleft()
            count, small = count + marks, small + of_small
        return count, small

    def fewer_at(self, excess: int) -> datetime:
        """When at least *excess* of them count no more."""
        if excess <= 0:
            return _LONG_AGO
        for until, marks, _ in self:
            excess -= marks
            if excess <= 0:
                return until
        return datetime.max.replace(tzinfo=UTC)


class _Played(Meter):
    """A meter while time passes."""

    __slots__ = ("_bin", "_claimed_small", "_moved_at", "_over", "_states", "_within")

    def __init__(self, window: Window, traffic: Traffic) -> None:
        super().__init__(window.account, window.provider, window.limit)
        self._states = traffic.states
        self._moved_at = traffic.now
        self._claimed_small = 0
        self._bin = window.limit.period / BINS
        self._over, self._within = _Held(), _Held()
        for start, marks in sorted(window.bins.items()):
            self._hold(start, marks, window.small_bins.get(start, 0))
        self._set_factor(traffic.now)
        unpaid_for = traffic.now - (window.owed_as_of or traffic.now)
        self.owed = still_owed(window.owed, unpaid_for, self.interval)
        # Of the rest it is not told when they were marked; they are held to the end.
        rest = window.small - sum(window.small_bins.values())
        self._over.append((traffic.now + window.limit.period, 0, rest))
        self.small = window.small
        self.claimed = window.claimed
        self.mark(traffic.now)

    def move_to(self, now: datetime) -> None:
        """Let go of the marks that have left the window, and pay back."""
        released, small = self._over.release(now)
        self.spent -= released
        self.small -= small
        self.spent_within -= self._within.release(now)[0]
        if self.owed:
            self.owed = still_owed(self.owed, now - self._moved_at, self.interval)
        self._moved_at = now
        self._set_factor(now)

    def take(self, count: int, *, small: bool) -> None:
        """Count claims, and remember which are of small postings."""
        super().take(count, small=small)
        if small:
            self._claimed_small += count

    def mark(self, now: datetime) -> None:
        """Turn what is claimed into marks."""
        if self.claimed:
            start = now - (now - _FIRST_BIN) % self._bin
            self._hold(start, self.claimed, self._claimed_small)
            self.owed += self.claimed
            self.claimed = self._claimed_small = 0

    def roomy_at(self, *, is_small: bool) -> datetime:
        """When it has room for one more, if nothing else leaves."""
        by_law = self._over.fewer_at(self.spent - self.amount + 1)
        spaced_for = self.spaced_for_small if is_small else self.spaced_for
        paid_back = self._moved_at if spaced_for is None else self._moved_at + spaced_for
        if is_small:
            return max(by_law, paid_back)
        beside_kept = self._within.fewer_at(self.spent_within - self.amount + self.kept + 1)
        return max(by_law, beside_kept, paid_back)

    def _hold(self, start: datetime, marks: int, small: int) -> None:
        self._over.append((start + self.limit.period + self._bin, marks, small))
        self._within.append((start + self.limit.period - self._bin, marks, 0))
        self.spent += marks
        self.spent_within += marks

    def _set_factor(self, now: datetime) -> None:
        if self.provider is not None and self._states:
            factor = rate_factor(self._states, self.provider, now)
            if factor != self.factor:
                self.factor = factor
                self.__post_init__()
