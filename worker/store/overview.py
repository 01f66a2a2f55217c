"""What people ask to see: reads across several tables, none of which changes anything.

The caller's transaction is REPEATABLE READ, so that all answers are of one moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.limit import Limit
from worker.policy.plan import Window
from worker.store.lists import as_json

if TYPE_CHECKING:
    from datetime import datetime

    from worker.policy.expansion import ListAddress
    from worker.store.database import Connection


MOMENT = "SELECT relais.now()"


async def moment(db: Connection) -> datetime:
    """Return what time the database says it is."""
    now: datetime = await db.fetchval(MOMENT)
    return now


# The windows and their bins exactly as relais.v_limits counts them.
WINDOWS = """
    SELECT v.account, v.provider, v.amount, v.period, v.claimed,
           coalesce(held.bins, '{}') AS bins, coalesce(held.marks, '{}') AS marks
      FROM relais.v_limits v
     CROSS JOIN LATERAL (
           SELECT array_agg(s.bin) AS bins, array_agg(s.marks) AS marks
             FROM relais.limit_spent s
            WHERE s.limit_id = v.limit_id
              AND s.bin > (SELECT relais.now()) - v.period - v.period / 100) held
     ORDER BY v.account NULLS FIRST, v.provider NULLS FIRST, v.period
"""


async def windows(db: Connection) -> list[Window]:
    """Return every limit with what counts against it, by bin."""
    return [
        Window(
            account=row["account"],
            provider=row["provider"],
            limit=Limit(row["amount"], row["period"]),
            bins=dict(zip(row["bins"], row["marks"], strict=True)),
            claimed=row["claimed"],
        )
        for row in await db.fetch(WINDOWS)
    ]


PAUSES = "SELECT account, paused_until FROM relais.account_state WHERE paused_until > relais.now()"


async def pauses(db: Connection) -> dict[str, datetime]:
    """Return the accounts that are left alone, and until when."""
    return {row["account"]: row["paused_until"] for row in await db.fetch(PAUSES)}


@dataclass(frozen=True, slots=True)
class QueuePart:
    """What is not final of one posting at one provider, or of all notices (None).

    *nth* is the place of its last queued or deferred delivery in the provider's
    queue, and *due_at* when the last of them is due; 0 and None if all are claimed.
    """

    posting: int | None
    address: str
    subject: str
    accepted_at: datetime
    provider: str
    waiting: int
    in_doubt: int
    nth: int
    due_at: datetime | None


QUEUE_PARTS = """
    WITH live AS (
        SELECT d.posting_id, d.notice_id, d.provider, d.due_at,
               d.state IN ('queued', 'deferred') AS queued,
               d.state IN ('dotting', 'in_doubt') AS doubtful,
               count(*) FILTER (WHERE d.state IN ('queued', 'deferred'))
                   OVER (PARTITION BY d.provider ORDER BY d.due_at, d.delivery_id) AS nth
          FROM relais.delivery d
         WHERE d.state IN ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred')
    )
    SELECT o.posting_id AS posting, coalesce(l.address, '') AS address,
           coalesce(o.subject, 'notices') AS subject,
           min(coalesce(o.accepted_at, n.made_at)) AS accepted_at, live.provider,
           count(*) FILTER (WHERE NOT live.doubtful) AS waiting,
           count(*) FILTER (WHERE live.doubtful) AS in_doubt,
           coalesce(max(live.nth) FILTER (WHERE live.queued), 0) AS nth,
           max(live.due_at) FILTER (WHERE live.queued) AS due_at
      FROM live
      LEFT JOIN relais.posting o ON o.posting_id = live.posting_id
      LEFT JOIN relais.list l ON l.list_id = o.list_id
      LEFT JOIN relais.notice n ON n.notice_id = live.notice_id
     GROUP BY o.posting_id, l.address, live.provider
     ORDER BY o.posting_id NULLS FIRST, live.provider
"""


async def queue_parts(db: Connection) -> list[QueuePart]:
    """Return all that is not final, by posting and provider."""
    return [QueuePart(**row) for row in await db.fetch(QUEUE_PARTS)]


LIST_NUMBER = "SELECT list_id FROM relais.list WHERE definition = $1 AND parts = $2::jsonb"


async def list_number(db: Connection, address: ListAddress) -> int | None:
    """Return what postings call this list; None before the first message to it."""
    number: int | None = await db.fetchval(
        LIST_NUMBER, address.definition.name, as_json(address.parts)
    )
    return number


@dataclass(frozen=True, slots=True)
class ListFacts:
    """What there is to say of one list: its rows now, and what has happened."""

    recipients: int
    suppressed: int
    postings: int
    last_posting_at: datetime | None


LIST_FACTS = """
    SELECT (SELECT count(*) FROM lists.recipients($1::text::regclass, $2::jsonb)) AS recipients,
           (SELECT count(*) FROM relais.suppression WHERE list_id = $3) AS suppressed,
           count(*) AS postings, max(accepted_at) AS last_posting_at
      FROM relais.posting WHERE list_id = $3
"""


async def list_facts(db: Connection, address: ListAddress) -> ListFacts:
    """Return the facts of one list."""
    number = await list_number(db, address)
    row = await db.fetchrow(LIST_FACTS, address.definition.view, as_json(address.parts), number)
    return ListFacts(**row)  # type: ignore[arg-type]  # an aggregate always has its one row
