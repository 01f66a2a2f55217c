"""The situation: what waits and what limits it at one moment, and the plan that follows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from worker.policy.plan import Plan, Traffic, Waiting, Window, make_plan
from worker.policy.provider_state import paused_until
from worker.policy.telling import grace_of
from worker.policy.turns import NEWCOMER, Queue, QueueKey, weight_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from worker.policy.expansion import Definition
    from worker.policy.limit import Limit
    from worker.policy.provider_state import ProviderState
    from worker.policy.telling import Share

_LONG_ENOUGH_TO_EXPLAIN = timedelta(hours=1)
_SHORT_ENOUGH_TO_IGNORE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class QueuePart:
    """What is not final of one posting at one provider, or of all notices to one (None)."""

    posting: int | None
    provider: str
    address: str
    subject: str
    accepted_at: datetime
    recipients: int  # Of the posting in all.
    weight: int
    passed: float
    is_open: bool
    opens_at: datetime | None
    finish_by: datetime | None
    queued: int
    claimed: int
    deferred: int
    deferred_until: datetime | None
    dotting: int
    in_doubt: int

    @property
    def key(self) -> QueueKey:
        """Which queue it is, for the plan."""
        return QueueKey(self.posting, self.provider)

    @property
    def waiting(self) -> int:
        """How many have still to leave."""
        return self.queued + self.claimed + self.deferred

    def as_waiting(self) -> Waiting:
        """Return what of it the plan has to place; what is claimed leaves now."""
        queue = (
            Queue.of_notices(self.provider, waiting=self.queued)
            if self.posting is None
            else Queue.of_posting(
                self.posting,
                self.provider,
                waiting=self.queued,
                recipients=self.recipients,
                weight=self.weight,
                passed=self.passed,
            )
        )
        return Waiting(queue, self.deferred, self.deferred_until, self.opens_at, self.finish_by)


@dataclass(frozen=True, slots=True)
class Finish:
    """When each provider, and all of them, would be finished."""

    by_provider: Mapping[str, datetime | None]
    at: datetime | None  # None: not in sight, or nobody would get anything.
    is_cut: bool  # Some would not have left by the list's finish_within.


@dataclass(frozen=True, slots=True)
class Situation:
    """The queue, the limits and the providers at *now*."""

    now: datetime
    parts: list[QueuePart]
    windows: list[Window]
    accounts: Mapping[str, datetime]  # From when each submits: now, or the end of its pause.
    states: list[ProviderState]
    troubles: Mapping[str, str] = field(default_factory=dict)  # Why accounts are left alone.

    def plan(self, more: Iterable[Waiting] = ()) -> Plan:
        """Plan the queue, with *more* at its end. What is held is in no plan."""
        waiting = [part.as_waiting() for part in self.parts if part.is_open and part.waiting]
        return make_plan(
            Traffic(self.now, [*waiting, *more], self.windows, self.accounts, self.states)
        )

    def finish_of_newcomer(self, by_provider: Mapping[str, int], definition: Definition) -> Finish:
        """Say when a posting to so many at each provider would be finished if it began now."""
        recipients = sum(by_provider.values())
        plan = self.plan(
            self._newcomer(provider, count, definition, recipients)
            for provider, count in by_provider.items()
        )
        keys = {provider: QueueKey(NEWCOMER, provider) for provider in by_provider}
        finish = {provider: plan.finish_at([key]) for provider, key in keys.items()}
        return Finish(finish, plan.finish_at(keys.values()), bool(plan.cut & set(keys.values())))

    def _newcomer(
        self, provider: str, count: int, definition: Definition, recipients: int
    ) -> Waiting:
        """Return what a posting to *recipients* would add at *provider* now."""
        passed = [p.passed for p in self.parts if p.provider == provider and p.posting]
        queue = Queue.of_posting(
            NEWCOMER, provider, waiting=count, recipients=recipients,
            weight=weight_of(definition.priority), passed=min(passed, default=0.0),
        )  # fmt: skip
        grace, within = grace_of(definition, recipients), definition.finish_within
        return Waiting(
            queue,
            opens_at=self.now + grace if grace else None,
            finish_by=self.now + within if within else None,
        )

    def finish_at(self, plan: Plan, parts: Iterable[QueuePart]) -> datetime | None:
        """When all that waits in *parts* is gone; None if that is not in sight."""
        waiting = [part for part in parts if part.waiting]
        if not all(part.is_open for part in waiting):
            return None
        return plan.finish_at(part.key for part in waiting)

    def finish_of(self, plan: Plan, postings: Collection[int]) -> datetime | None:
        """When all that waits of *postings* is gone: now if nothing does, None if not in sight."""
        waiting = [part for part in self.parts if part.posting in postings and part.waiting]
        return self.finish_at(plan, waiting) if waiting else self.now

    def planned(
        self, plan: Plan, shares: Iterable[Share], postings: Collection[int]
    ) -> Sequence[Share]:
        """Say of each share of *postings* when the rest leaves, and by what it is held up."""
        return [self._planned(plan, share, postings) for share in shares]

    def _planned(self, plan: Plan, share: Share, postings: Collection[int]) -> Share:
        parts = [
            part
            for part in self.parts
            if part.provider == share.provider and part.posting in postings
        ]
        finish_at = self.finish_at(plan, parts)
        is_long = finish_at is None or finish_at - self.now > _LONG_ENOUGH_TO_EXPLAIN
        limit = self._narrowest_of(share) if share.waiting and is_long else None
        return replace(share, finish_at=finish_at, limit=limit)

    def _narrowest_of(self, share: Share) -> Limit | None:
        """Return the limit of its provider that *share* waits longest for, if any is long."""
        slow = [
            window.limit
            for window in self.windows
            if window.provider == share.provider
            and share.waiting * _pace(window.limit) > _SHORT_ENOUGH_TO_IGNORE
        ]
        return max(slow, key=_pace, default=None)

    def account_paused_until(self, account: str) -> datetime | None:
        """Return until when *account* is left alone, if it is."""
        until = self.accounts[account]
        return until if until > self.now else None

    def provider_paused_until(self, provider: str) -> datetime | None:
        """Return when some account may submit to *provider* again, if none may now."""
        opens = [
            max(opens_at, paused_until(self.states, provider, account, self.now) or self.now)
            for account, opens_at in self.accounts.items()
        ]
        first = min(opens, default=self.now)
        return first if first > self.now else None


def _pace(limit: Limit) -> timedelta:
    """Return how long one copy takes of what *limit* allows."""
    return limit.period / max(1, limit.amount)
