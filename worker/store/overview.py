"""What people ask to see: reads across several tables, none of which changes anything.

The caller's transaction is REPEATABLE READ, so that all answers are of one moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.store.lists import as_json

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from worker.policy.expansion import ListAddress
    from worker.store.database import Connection


MOMENT = "SELECT relais.now()"


async def moment(db: Connection) -> datetime:
    """Return what time the database says it is."""
    now: datetime = await db.fetchval(MOMENT)
    return now


SECONDS = "SELECT extract(epoch FROM $1::interval)::float8 / rate FROM relais.clock"


async def seconds_of(db: Connection, length: timedelta) -> float:
    """Return how long a process sleeps for *length* of the database's clock."""
    seconds: float = await db.fetchval(SECONDS, length)
    return seconds


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
    held: int  # Of the recipients: mail to their address comes back.
    postings: int
    last_posting_at: datetime | None


LIST_FACTS = """
    WITH listed AS MATERIALIZED (
        SELECT lower(btrim(r.email)) AS address
          FROM lists.recipients($1::text::regclass, $2::jsonb) r
    )
    SELECT (SELECT count(*) FROM listed) AS recipients,
           (SELECT count(*) FROM listed JOIN relais.address_health h USING (address)
             WHERE h.state = 'held') AS held,
           (SELECT count(DISTINCT coalesce(s.person_id::text, s.address))
              FROM relais.suppression s
             WHERE s.list_id = $3
                OR s.list_id IS NULL AND s.person_id IN (
                      SELECT d.person_id FROM relais.delivery d JOIN relais.posting o
                       USING (posting_id) WHERE o.list_id = $3)) AS suppressed,
           count(*) AS postings, max(accepted_at) AS last_posting_at
      FROM relais.posting WHERE list_id = $3
"""


async def list_facts(db: Connection, address: ListAddress) -> ListFacts:
    """Return the facts of one list."""
    number = await list_number(db, address)
    row = await db.fetchrow(LIST_FACTS, address.definition.view, as_json(address.parts), number)
    return ListFacts(**row)  # type: ignore[arg-type]  # an aggregate always has its one row
