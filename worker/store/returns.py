"""Copies that came back: what they were, and their way into the queue again.

    state        a report says                       becomes
    handed_over  refused for rate or policy          deferred, returned + 1; three times at most
    in_doubt     the same, and it did leave          the same
    dotting      the same                            the same
    bounced      the same; nothing proven before     the same

A copy of a posting that was stopped, of a person who has left, to an address that is
held, or whose bytes were purged, does not go back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.feedback import RETURNS_AT_MOST

if TYPE_CHECKING:
    from datetime import datetime

    from worker.policy.feedback import Action
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class Returned:
    """A delivery that has left, and of which a report may still tell something."""

    delivery_id: int
    provider: str
    account: str | None
    posting_id: int | None
    person_id: int | None
    address: str
    returned: int
    is_told: bool  # A rule has read something about it before.
    has_bounced: bool  # An earlier report has settled it.


LEFT = """
    SELECT delivery_id, provider, account, posting_id, person_id, address, returned,
           verdict IS NOT NULL AS is_told, state = 'bounced' AS has_bounced
      FROM relais.delivery
     WHERE delivery_id = $1 AND state IN ('handed_over', 'in_doubt', 'dotting', 'bounced')
"""


async def read_left(db: Connection, delivery_id: int) -> Returned | None:
    """Return a delivery that a report may be about; None if it waits, or never left."""
    row = await db.fetchrow(LEFT, delivery_id)
    return Returned(**row) if row else None


DELAYED = """
    UPDATE relais.delivery SET status = $2
     WHERE delivery_id = $1 AND state IN ('handed_over', 'in_doubt', 'dotting')
"""


async def note_delay(db: Connection, delivery_id: int, status: str) -> None:
    """Keep that a relay still tries: that it does not come back proves no arrival."""
    await db.execute(DELAYED, delivery_id, status)


# What was held up together does not come back in one second: a quarter of an
# hour is spread over the numbers.
REQUEUE = """
    UPDATE relais.delivery d
       SET state = 'deferred', returned = d.returned + 1, settled_at = NULL, worker_id = NULL,
           failed_at = relais.now(),
           due_at = $2::timestamptz + d.delivery_id % 900 * interval '1 second',
           verdict = $3, status = $4, reply = $5
     WHERE d.delivery_id = $1
       AND (d.state IN ('handed_over', 'in_doubt', 'dotting')
            OR d.state = 'bounced' AND d.verdict IS NULL)
       AND d.returned < $6
       AND NOT EXISTS (SELECT FROM relais.notice n
                        WHERE n.notice_id = d.notice_id AND n.template IS NULL)
       AND NOT EXISTS (SELECT FROM relais.posting o
                        WHERE o.posting_id = d.posting_id
                          AND (o.state = 'stopped' OR o.template IS NULL
                               OR EXISTS (SELECT FROM relais.suppression s
                                           WHERE s.person_id = d.person_id
                                             AND (s.list_id IS NULL OR s.list_id = o.list_id))
                               OR EXISTS (SELECT FROM relais.address_health h
                                           WHERE h.address = lower(d.address)
                                             AND h.state = 'held')))
 RETURNING d.delivery_id, d.posting_id
"""


async def requeue(
    db: Connection,
    delivery_id: int,
    *,
    due_at: datetime,
    verdict: Action,
    status: str,
    reply: str,
) -> bool:
    """Let a copy leave again at *due_at* or soon after; False if it is not to."""
    row = await db.fetchrow(
        REQUEUE, delivery_id, due_at, verdict.value, status, reply[:500], RETURNS_AT_MOST
    )
    if row is None:
        return False
    if row["posting_id"] is not None:
        await reopen(db, row["posting_id"])
    return True


# Also for the janitor: FINISH may have looked before a copy came back, and
# written after it.
REOPEN = """
    WITH back AS (
        SELECT DISTINCT d.posting_id, d.provider
          FROM relais.delivery d JOIN relais.posting o USING (posting_id)
         WHERE d.state = 'deferred' AND d.returned > 0 AND o.state IN ('open', 'finished')
           AND ($1::bigint IS NULL OR d.posting_id = $1)
    ), opened AS (
        UPDATE relais.posting o SET state = 'open', finished_at = NULL
         WHERE o.state = 'finished' AND o.posting_id IN (SELECT posting_id FROM back)
    )
    INSERT INTO relais.turn (provider, posting_id, passed)
    SELECT b.provider, b.posting_id,
           coalesce((SELECT min(t.passed) FROM relais.turn t WHERE t.provider = b.provider), 0)
      FROM back b
     ORDER BY 1, 2
        ON CONFLICT DO NOTHING
"""


async def reopen(db: Connection, posting_id: int | None = None) -> None:
    """Open a finished posting of which a copy has come back, or all, and give it its turns."""
    await db.execute(REOPEN, posting_id)


NOTE = "UPDATE relais.delivery SET verdict = $2 WHERE delivery_id = $1"


async def note(db: Connection, delivery_id: int, verdict: Action) -> None:
    """Keep what a rule read in the last report about a delivery."""
    await db.execute(NOTE, delivery_id, verdict.value)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a delivery is for, and by which list."""

    list_id: int
    definition: str
    person_id: int
    provider: str


RECIPIENT_OF = """
    SELECT o.list_id, l.definition, d.person_id, d.provider
      FROM relais.delivery d
      JOIN relais.posting o USING (posting_id)
      JOIN relais.list l USING (list_id)
     WHERE d.delivery_id = $1
"""


async def recipient_of(db: Connection, delivery_id: int) -> Recipient | None:
    """Return whom a copy of a posting is for; None of a notice, and of what is purged."""
    row = await db.fetchrow(RECIPIENT_OF, delivery_id)
    return Recipient(**row) if row else None


ADDRESS_OF = "SELECT address FROM relais.delivery WHERE delivery_id = $1"


async def address_of(db: Connection, delivery_id: int) -> str | None:
    """Return whom a delivery, of a notice too, is for; None of what is purged."""
    address: str | None = await db.fetchval(ADDRESS_OF, delivery_id)
    return address
