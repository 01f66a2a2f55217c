"""What a spectator of the demo sees of the database at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.limit import Limit
from worker.store import postings

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from worker.store.database import Connection
    from worker.store.postings import PostingSummary

_POSTINGS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit, and how much of it has been used within the last period."""

    limit: Limit
    used: int

    @property
    def is_used_up(self) -> bool:
        """Whether large postings have had what they may: a twentieth is kept for small ones."""
        return self.used >= self.limit.amount - self.limit.amount // 20


@dataclass(frozen=True, slots=True)
class ProviderSeen:
    """A provider: what it lets through, what waits for it, what it has taken."""

    display: str
    allowance: Allowance | None
    waiting: int
    handed_over: int
    bounced: int

    @property
    def is_full(self) -> bool:
        """Whether copies wait because the limit has been used up."""
        return self.allowance is not None and self.allowance.is_used_up and self.waiting > 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment of the fast clock; postings have the newest first."""

    now: datetime
    host: Allowance | None  # What it lets one login submit.
    providers: tuple[ProviderSeen, ...]
    postings: tuple[PostingSummary, ...]


# A demo is small: counting everything each time is good enough here.
PROVIDERS = """
    SELECT p.display, l.amount, l.period, coalesce(l.spent, 0) AS used,
           count(*) FILTER (WHERE d.state IN ('queued', 'claimed', 'deferred'))::integer AS waiting,
           count(*) FILTER (WHERE d.state = 'handed_over')::integer AS handed_over,
           count(*) FILTER (WHERE d.state = 'bounced')::integer AS bounced
      FROM relais.provider p
      JOIN relais.delivery d USING (provider)
      LEFT JOIN relais.v_limits l ON l.provider = p.provider AND l.account IS NULL
     GROUP BY p.provider, l.limit_id, l.amount, l.period, l.spent
     ORDER BY l.amount IS NULL, count(*) DESC
"""

ACCOUNT = "SELECT amount, period, spent FROM relais.v_limits WHERE account IS NOT NULL"


async def take(db: Connection) -> Snapshot:
    """Look at everything once."""
    now: datetime = await db.fetchval("SELECT relais.now()")
    host = await db.fetchrow(ACCOUNT)
    return Snapshot(
        now,
        _allowance(host["amount"], host["period"], host["spent"]) if host else None,
        tuple(
            ProviderSeen(
                row["display"].partition(" / ")[0],
                _allowance(row["amount"], row["period"], row["used"]),
                row["waiting"],
                row["handed_over"],
                row["bounced"],
            )
            for row in await db.fetch(PROVIDERS)
        ),
        tuple(await postings.summaries(db, at_most=_POSTINGS_SHOWN)),
    )


def _allowance(amount: int | None, period: timedelta | None, used: int) -> Allowance | None:
    return Allowance(Limit(amount, period), used) if amount is not None and period else None
