"""Turns: who may leave next, of all that waits.

A queue is what waits of one posting at one provider, or all notices to one
provider. Small queues go first, as far as the reserve of their limits reaches;
then the queue that has had the fewest turns, divided by its weight. A queue
whose limits leave nothing is passed over and slows nobody else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from worker.policy.meter import Meter

SMALL_AT_MOST = 30  # recipients

# The number of a posting that is only thought of; every other one is before it.
NEWCOMER = 2**63 - 1

_WEIGHTS = {"low": 1, "normal": 2, "high": 4}

# Turns are taken one by one up to so many copies; a plan of very many lets them
# leave by the thousandth part.
_STEPS = 1000

# Who could not leave for a while, or comes to a provider where nobody waits, is
# not owed all the turns that others have had meanwhile: at most so many.
_MOST_OWED = 10


def is_small(recipients: int) -> bool:
    """Whether a posting may use the reserve."""
    return recipients <= SMALL_AT_MOST


def weight_of(priority: str) -> int:
    """How many turns a posting gets beside others, by its list's *priority*."""
    return _WEIGHTS[priority]


class QueueKey(NamedTuple):
    """A posting at a provider; notices belong to none."""

    posting_id: int | None
    provider: str


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits of one posting, or of notices, at one provider."""

    key: QueueKey
    waiting: int
    is_small: bool
    weight: int = 2
    passed: float = 0.0  # Turns it has had, divided by its weight.

    @property
    def is_notices(self) -> bool:
        """Whether it belongs to no posting."""
        return self.key.posting_id is None

    @classmethod
    def of_notices(cls, provider: str, *, waiting: int) -> Queue:
        """Return the queue of notices at *provider*."""
        return cls(QueueKey(None, provider), waiting, is_small=True)

    @classmethod
    def of_posting(
        cls,
        posting_id: int,
        provider: str,
        *,
        waiting: int,
        recipients: int,
        weight: int,
        passed: float,
    ) -> Queue:
        """Return the queue of a posting with so many *recipients* in all."""
        key = QueueKey(posting_id, provider)
        return cls(key, waiting, is_small(recipients), weight, passed)


class Turn(NamedTuple):
    """The next *copies* of a queue leave."""

    key: QueueKey
    copies: int


@dataclass(frozen=True, slots=True)
class Turns:
    """Who leaves, in this order, and how many turns each queue has had then."""

    order: list[Turn]
    passed: dict[QueueKey, float]

    @property
    def taken(self) -> dict[QueueKey, int]:
        """How many leave of each queue."""
        counts: defaultdict[QueueKey, int] = defaultdict(int)
        for turn in self.order:
            counts[turn.key] += turn.copies
        return dict(counts)


def share(queues: Sequence[Queue], meters: Iterable[Meter], *, at_most: int) -> Turns:
    """Share out what *meters* leave, up to *at_most*, and count it in them.

    *meters* are those of one account.
    """
    table = _Table(queues, meters, at_most)
    table.serve((q for q in queues if q.is_notices), _Meters.reserved)
    table.serve((q for q in queues if q.is_small and not q.is_notices), _Meters.reserved)
    table.serve(queues, _Meters.unreserved)
    return Turns(table.order, table.passed)


class _Meters:
    """The meters of one queue."""

    def __init__(self, meters: list[Meter], *, is_small: bool) -> None:
        self.all = meters
        self._is_small = is_small

    def reserved(self) -> int:
        """How many may leave as a small posting's, before all others."""
        return _least(min(m.left_to_small, m.reserve_left) for m in self.all)

    def unreserved(self) -> int:
        """How many may leave in turn with all others."""
        if self._is_small:
            return _least(m.left_to_small for m in self.all)
        return _least(m.left for m in self.all)

    def take(self, count: int) -> None:
        for meter in self.all:
            meter.take(count, small=self._is_small)


_UNLIMITED = 1_000_000_000


def _least(counts: Iterable[int]) -> int:
    least = _UNLIMITED
    for count in counts:
        if count <= 0:  # The others need not be asked: a plan asks thousands of times.
            return 0
        least = min(least, count)
    return least


class _Table:
    """The queues while they are served."""

    def __init__(self, queues: Sequence[Queue], meters: Iterable[Meter], at_most: int) -> None:
        every = list(meters)
        meters_at = {
            provider: [m for m in every if m.provider in (None, provider)]
            for provider in {queue.key.provider for queue in queues}
        }
        self.order: list[Turn] = []
        self._room = at_most
        self._waiting = {queue.key: queue.waiting for queue in queues}
        self._meters = {
            q.key: _Meters(meters_at[q.key.provider], is_small=q.is_small) for q in queues
        }
        self._passed = _without_old_debts(queues)
        # What is not owed any more is remembered, or it would be owed again.
        self.passed = {
            q.key: self._passed[q.key]
            for q in queues
            if not q.is_notices and self._passed[q.key] != q.passed
        }

    def serve(self, queues: Iterable[Queue], left: Callable[[_Meters], int]) -> None:
        """Let *queues* leave in turn, as many as *left* says, until nothing is left."""
        heap = [
            (self._passed[q.key], q.key.posting_id or 0, q.key.provider, q)
            for q in queues
            if self._waiting[q.key]
        ]
        heapify(heap)
        while heap and self._room > 0:
            _, number, provider, queue = heappop(heap)
            meters, waiting = self._meters[queue.key], self._waiting[queue.key]
            may_leave = min(left(meters), waiting, self._room)
            if may_leave <= 0:
                continue
            # Alone, a queue need not take its turns one by one.
            self._leave(queue, max(1, may_leave // _STEPS) if heap else may_leave, meters)
            if self._waiting[queue.key]:
                heappush(heap, (self._passed[queue.key], number, provider, queue))

    def _leave(self, queue: Queue, count: int, meters: _Meters) -> None:
        key = queue.key
        self.order.append(Turn(key, count))
        self._room -= count
        self._waiting[key] -= count
        meters.take(count)
        self._passed[key] += count / queue.weight
        if key.posting_id is not None:
            self.passed[key] = self._passed[key]


def _without_old_debts(queues: Sequence[Queue]) -> dict[QueueKey, float]:
    """Return the turns that queues have had, none too far behind another.

    A queue is put forward alone beside those of its provider, but with all of
    these beside other providers: where little may leave, who is next must not change.
    """
    most: defaultdict[str, float] = defaultdict(float)
    for queue in queues:
        most[queue.key.provider] = max(most[queue.key.provider], queue.passed)
    passed = {q.key: max(q.passed, most[q.key.provider] - _MOST_OWED) for q in queues}
    ahead = _ahead(passed)
    return {key: turns + ahead[key.provider] for key, turns in passed.items()}


def _ahead(passed: Mapping[QueueKey, float]) -> dict[str, float]:
    """Return by how much the queues of each provider are put forward together."""
    least: dict[str, float] = {}
    for key, turns in passed.items():
        least[key.provider] = min(turns, least.get(key.provider, turns))
    floor = max(passed.values(), default=0.0) - _MOST_OWED
    return {provider: max(0.0, floor - turns) for provider, turns in least.items()}
