"""What waits and what limits it, read at one moment, and the plan that follows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.plan import Place, Plan, make_plan
from worker.store import overview

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from worker.config import Config
    from worker.policy.plan import Window
    from worker.store.database import Connection
    from worker.store.overview import QueuePart


@dataclass(frozen=True, slots=True)
class Traffic:
    """The state of the queue at *now*."""

    now: datetime
    parts: list[QueuePart]
    windows: list[Window]
    accounts: Mapping[str, datetime]  # From when each submits: now, or the end of its pause.

    @property
    def waiting(self) -> dict[str, int]:
        """How many wait to be claimed, by provider."""
        return {provider: place.nth for provider, place in self.places(self.parts).items()}

    def plan(self, more: Mapping[str, int] | None = None) -> Plan:
        """Plan the queue, with *more* deliveries of each provider at its end."""
        waiting = self.waiting
        for provider, count in (more or {}).items():
            waiting[provider] = waiting.get(provider, 0) + count
        return make_plan(self.now, waiting, windows=self.windows, accounts=self.accounts)

    def places(self, parts: Iterable[QueuePart]) -> dict[str, Place]:
        """Return where the last of *parts* that wait stand, by provider."""
        found: defaultdict[str, Place] = defaultdict(lambda: Place(0, self.now))
        for part in parts:
            if part.waiting:
                last = found[part.provider]
                due_at = part.due_at or self.now
                found[part.provider] = Place(max(last.nth, part.nth), max(last.due_at, due_at))
        return dict(found)

    def paused_until(self, account: str) -> datetime | None:
        """Return until when *account* is left alone, if it is."""
        until = self.accounts[account]
        return until if until > self.now else None

    @property
    def all_paused_until(self) -> datetime | None:
        """Return when the first account submits again, if all are left alone."""
        first = min(self.accounts.values())
        return first if first > self.now else None


async def read_traffic(db: Connection, config: Config) -> Traffic:
    """Read all that a plan is made of."""
    now = await overview.moment(db)
    pauses = await overview.pauses(db)
    return Traffic(
        now=now,
        parts=await overview.queue_parts(db),
        windows=await overview.windows(db),
        accounts={account.name: pauses.get(account.name, now) for account in config.accounts},
    )
