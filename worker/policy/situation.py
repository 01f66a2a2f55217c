"""The situation: what waits and what limits it at one moment, and the plan that follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.policy.plan import Plan, Traffic, Waiting, Window, make_plan
from worker.policy.provider_state import paused_until
from worker.policy.turns import NEWCOMER, Queue, QueueKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from worker.policy.provider_state import ProviderState


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

    def newcomer(
        self,
        provider: str,
        count: int,
        *,
        recipients: int,
        weight: int,
        finish_within: timedelta | None,
    ) -> Waiting:
        """Return what a posting to *recipients* would add at *provider* now."""
        passed = [p.passed for p in self.parts if p.provider == provider and p.posting]
        queue = Queue.of_posting(
            NEWCOMER, provider, waiting=count, recipients=recipients, weight=weight,
            passed=min(passed, default=0.0),
        )  # fmt: skip
        return Waiting(queue, finish_by=self.now + finish_within if finish_within else None)

    def finish_at(self, plan: Plan, parts: Iterable[QueuePart]) -> datetime | None:
        """When all that waits in *parts* is gone; None if that is not in sight."""
        waiting = [part for part in parts if part.waiting]
        if not all(part.is_open for part in waiting):
            return None
        return plan.finish_at(part.key for part in waiting)

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
