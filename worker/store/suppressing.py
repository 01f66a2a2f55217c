"""Suppressions by operators: whom they take out, let in again, and look up.

What somebody left before they were erased is a hash of their address or key
(worker/store/erasure.py): it is found when they come back, by what they are known by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.store.database import Connection

BY_THEMSELVES = ("unsubscribed", "complained")


@dataclass(frozen=True, slots=True)
class Suppression:
    """Who gets nothing of what; no *list*: of all."""

    suppression_id: int
    list: str | None  # Its address, without the domain.
    address: str | None  # None: erased, or never known.
    person: str | None  # Their key in the views.
    reason: str
    source: str
    since: datetime
    note: str | None = None  # Why an operator took them out, as it was kept.

    @property
    def is_their_own(self) -> bool:
        """Whether they have left by themselves."""
        return self.reason in BY_THEMSELVES


LISTED = """
    SELECT s.suppression_id, l.address AS list,
           CASE WHEN s.address NOT LIKE 'erased:%' THEN s.address
                WHEN s.address IS NULL AND p.key LIKE 'address:%' THEN substr(p.key, 9)
           END AS address,
           CASE WHEN p.key LIKE 'person:%' THEN substr(p.key, 8) END AS person,
           s.reason::text, s.source, s.since,
           (SELECT a.reason FROM relais.audit a
             WHERE s.source = 'operator'
               AND a.what = format('suppress %s on %s', s.address, coalesce(l.address, 'all lists'))
             ORDER BY a.audit_id DESC LIMIT 1) AS note
      FROM relais.suppression s
      LEFT JOIN relais.list l USING (list_id)
      LEFT JOIN relais.person p USING (person_id)
     WHERE ($1::integer[] IS NULL OR s.list_id IS NULL OR s.list_id = ANY ($1))
       AND ($2::text IS NULL OR s.reason::text = $2)
       AND ($3 = '' OR strpos(coalesce(s.address, p.key), lower($3)) > 0)
     ORDER BY s.since DESC, s.suppression_id DESC LIMIT $4
"""


async def listed(
    db: Connection,
    *,
    lists: Sequence[int] | None,
    reason: str | None,
    like: str,
    at_most: int,
) -> list[Suppression]:
    """Return suppressions, the newest first; of *lists*, those of all lists among them."""
    return [Suppression(**row) for row in await db.fetch(LISTED, lists, reason, like, at_most)]


NUMBERS = "SELECT list_id FROM relais.list WHERE address = $1"


async def numbers_of(db: Connection, local_part: str) -> list[int]:
    """Return by which numbers suppressions name a list, though it may be gone."""
    return [row["list_id"] for row in await db.fetch(NUMBERS, local_part)]


OF = """
    WITH hashed AS MATERIALIZED (
        SELECT relais.salted(theirs, salt) AS hash
          FROM relais.salt, unnest(array[$1, 'address:' || $1]
                                   || ARRAY(SELECT 'person:' || unnest($2::text[]))) theirs
    )
    SELECT s.suppression_id, l.address AS list,
           CASE WHEN s.address NOT LIKE 'erased:%' THEN s.address END AS address,
           CASE WHEN p.key LIKE 'person:%' THEN substr(p.key, 8) END AS person,
           s.reason::text, s.source, s.since
      FROM relais.suppression s
      LEFT JOIN relais.list l USING (list_id)
      LEFT JOIN relais.person p USING (person_id)
     WHERE s.address = $1
        OR p.key = 'address:' || $1 OR p.key IN (SELECT 'person:' || unnest($2::text[]))
        OR s.address IN (SELECT 'erased:' || hash FROM hashed)
        OR p.key LIKE 'erased:%' AND split_part(p.key, ':', 2) IN (SELECT hash FROM hashed)
     ORDER BY s.since, s.suppression_id
"""


async def of(db: Connection, address: str, people: Sequence[str]) -> list[Suppression]:
    """Return what keeps anything from *address*, or from these *people* of the views."""
    return [Suppression(**row) for row in await db.fetch(OF, address, people)]


# People are met here, as they are by a posting.
ADD = """
    WITH met AS (
        INSERT INTO relais.person (key) SELECT 'person:' || unnest($3::text[])
            ON CONFLICT (key) DO UPDATE SET key = excluded.key
     RETURNING person_id
    )
    INSERT INTO relais.suppression (list_id, person_id, address, reason, source, since)
    SELECT $1, who.person_id, $2, 'operator', 'operator', relais.now()
      FROM (SELECT person_id FROM met UNION ALL SELECT NULL WHERE $3::text[] = '{}') who
        ON CONFLICT DO NOTHING
"""

CANCEL = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), reply = 'suppressed by an operator',
           worker_id = NULL
      FROM relais.posting o
     WHERE o.posting_id = d.posting_id AND o.state IN ('open', 'held')
       AND ($1::integer IS NULL OR o.list_id = $1)
       AND d.state IN ('queued', 'deferred', 'claimed')
       AND (lower(d.address) = $2
            OR d.person_id IN (SELECT p.person_id FROM relais.person p
                                WHERE p.key IN (SELECT 'person:' || unnest($3::text[]))))
 RETURNING d.delivery_id
"""


def suppress_what(address: str, local_part: str | None) -> str:
    """Return how the audit calls it; LISTED finds the reason by it."""
    return f"suppress {address} on {local_part or 'all lists'}"


async def add(db: Connection, list_id: int | None, address: str, people: Sequence[str]) -> int:
    """Take *address* out, and the *people* of the views who have it.

    Returns how many copies were cancelled. Call it in a transaction.
    """
    await db.execute(ADD, list_id, address, people)
    return len(await db.fetch(CANCEL, list_id, address, people))


REMOVE = "DELETE FROM relais.suppression WHERE suppression_id = ANY ($1)"


async def remove(db: Connection, suppressions: Sequence[Suppression]) -> None:
    """Forget these suppressions."""
    await db.execute(REMOVE, [one.suppression_id for one in suppressions])


ADDRESSES = """
    SELECT DISTINCT address FROM relais.suppression
     WHERE address NOT LIKE 'erased:%' ORDER BY 1 LIMIT 10000
"""


async def addresses(db: Connection) -> list[str]:
    """Return the addresses that are suppressed anywhere."""
    return [row["address"] for row in await db.fetch(ADDRESSES)]
