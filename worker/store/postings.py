"""Postings: one message to one list address.

    state     means                               after a crash
    open      has deliveries that may leave       unchanged
    held      waits for a person; no deliveries   unchanged
    stopped   a person ended it                   unchanged
    finished  each of its deliveries is final     unchanged

The key (list, fingerprint) makes a second taking of the same message harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from worker.store.database import Connection
    from worker.store.expansion import Roll


@dataclass(frozen=True, slots=True)
class NewPosting:
    """What is frozen when a posting is accepted."""

    list_id: int
    arrival_id: int
    fingerprint: bytes
    author: str
    subject: str
    message_id: str
    template: bytes
    key_id: str
    held_because: str | None


ADD = """
    INSERT INTO relais.posting (list_id, arrival_id, fingerprint, state, held_because, author,
                                subject, message_id, accepted_at, template, key_id, listed,
                                recipients, suppressed, unusable, duplicates)
    VALUES ($1, $2, $3, CASE WHEN $4::text IS NULL THEN 'open' ELSE 'held' END, $4, $5, $6, $7,
            relais.now(), $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (list_id, fingerprint) DO NOTHING
 RETURNING posting_id
"""


async def add(db: Connection, new: NewPosting, roll: Roll) -> int | None:
    """Insert a posting and return its number; None if it was posted before."""
    posting_id: int | None = await db.fetchval(
        ADD,
        new.list_id,
        new.arrival_id,
        new.fingerprint,
        new.held_because,
        new.author,
        new.subject,
        new.message_id,
        new.template,
        new.key_id,
        roll.listed,
        roll.recipients,
        roll.suppressed,
        roll.unusable,
        roll.duplicates,
    )
    return posting_id


EXISTS = "SELECT EXISTS (SELECT FROM relais.posting WHERE list_id = $1 AND fingerprint = $2)"


async def exists(db: Connection, list_id: int, fingerprint: bytes) -> bool:
    """Return whether this message has been posted to this list before."""
    return bool(await db.fetchval(EXISTS, list_id, fingerprint))


@dataclass(frozen=True, slots=True)
class FrozenCopy:
    """What the copies of a posting are rendered from."""

    list_id: int
    template: bytes
    key_id: str


FROZEN_COPY = "SELECT list_id, template, key_id FROM relais.posting WHERE posting_id = $1"


async def frozen_copy(db: Connection, posting_id: int) -> FrozenCopy:
    """Return the frozen parts of a posting that has deliveries."""
    row = await db.fetchrow(FROZEN_COPY, posting_id)
    if row is None:
        raise LookupError(f"posting {posting_id} has deliveries but no row")
    return FrozenCopy(**row)


# Each open posting is probed once through the key; one probe ends at the first
# delivery that is not final, so a large posting costs no more than a small one.
FINISH = """
    UPDATE relais.posting o SET state = 'finished', finished_at = relais.now()
     WHERE o.state = 'open'
       AND NOT EXISTS (SELECT FROM relais.delivery d
                        WHERE d.posting_id = o.posting_id
                          AND d.state IN ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred'))
 RETURNING o.posting_id
"""


async def finish(db: Connection) -> list[int]:
    """Mark open postings whose deliveries are all final; return their numbers."""
    return [row["posting_id"] for row in await db.fetch(FINISH)]


@dataclass(frozen=True, slots=True)
class PostingSummary:
    """One posting as `relais postings` and `relais posting show` tell it."""

    posting: int
    address: str
    author: str
    subject: str
    state: str
    held_because: str | None
    accepted_at: datetime
    finished_at: datetime | None
    listed: int
    recipients: int
    suppressed: int
    unusable: int
    handed_over: int
    bounced: int
    refused: int
    deferred: int
    in_doubt: int
    cancelled: int
    expired: int
    waiting: int


SUMMARIES = """
    SELECT o.posting_id AS posting, l.address, o.author, o.subject, o.state, o.held_because,
           o.accepted_at, o.finished_at, o.listed, o.recipients, o.suppressed, o.unusable,
           c.handed_over, c.bounced, c.refused, c.deferred, c.in_doubt, c.cancelled, c.expired,
           c.waiting
      FROM relais.posting o
      JOIN relais.list l USING (list_id)
      CROSS JOIN LATERAL (
          SELECT count(*) FILTER (WHERE d.state = 'handed_over') AS handed_over,
                 count(*) FILTER (WHERE d.state = 'bounced') AS bounced,
                 count(*) FILTER (WHERE d.state = 'refused') AS refused,
                 count(*) FILTER (WHERE d.state = 'deferred') AS deferred,
                 count(*) FILTER (WHERE d.state IN ('dotting', 'in_doubt')) AS in_doubt,
                 count(*) FILTER (WHERE d.state = 'cancelled') AS cancelled,
                 count(*) FILTER (WHERE d.state = 'expired') AS expired,
                 count(*) FILTER (WHERE d.state IN ('queued', 'claimed', 'deferred')) AS waiting
            FROM relais.delivery d WHERE d.posting_id = o.posting_id) c
     WHERE $1::bigint IS NULL OR o.posting_id = $1
     ORDER BY o.posting_id DESC LIMIT $2
"""


async def summaries(
    db: Connection, *, at_most: int, posting_id: int | None = None
) -> list[PostingSummary]:
    """Return the newest postings with the states of their deliveries."""
    return [PostingSummary(**row) for row in await db.fetch(SUMMARIES, posting_id, at_most)]
