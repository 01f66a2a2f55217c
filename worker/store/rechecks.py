"""Rechecks: whether those who still wait for an old posting are still on its list.

A posting is fresh for twelve hours. After that nothing of it is claimed unless
its list has been asked again within the last quarter of an hour, so that who
left on day 2 does not get the day-5 copy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from worker.store import turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.store.database import Connection

FRESH_FOR = timedelta(minutes=15)
# What may touch a million rows; the patience of a connection is a minute.
_LONG_SECONDS = 600.0

ANY_STALE = """
    SELECT EXISTS (SELECT FROM relais.posting o
                    WHERE o.state = 'open' AND o.fresh_until <= (SELECT relais.now())
                      AND (o.not_before IS NULL OR o.not_before <= (SELECT relais.now()))
                      AND EXISTS (SELECT FROM relais.delivery d
                                   WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL
                                     AND (d.state = 'queued' OR d.state = 'deferred'
                                          AND d.due_at <= (SELECT relais.now()))))
"""


async def any_stale(db: Connection) -> bool:
    """Return whether any posting under way has to be looked at before its next claim."""
    return bool(await db.fetchval(ANY_STALE))


# Those that have had the fewest turns are claimed first.
STALE = """
    SELECT o.posting_id
      FROM relais.posting o JOIN relais.turn t USING (posting_id)
     WHERE o.state = 'open' AND o.fresh_until <= (SELECT relais.now())
       AND (o.not_before IS NULL OR o.not_before <= (SELECT relais.now()))
       AND t.provider <> ALL($1)
       AND EXISTS (SELECT FROM relais.delivery d
                    WHERE d.posting_id = o.posting_id AND d.provider = t.provider
                      AND d.settled_at IS NULL
                      AND (d.state = 'queued'
                           OR d.state = 'deferred' AND d.due_at <= (SELECT relais.now())))
     GROUP BY o.posting_id
     ORDER BY min(t.passed), o.posting_id LIMIT $2
"""


async def stale(db: Connection, *, closed: Sequence[str], at_most: int) -> list[int]:
    """Return postings that have something to claim now, but must be checked first."""
    return [row["posting_id"] for row in await db.fetch(STALE, closed, at_most)]


@dataclass(frozen=True, slots=True)
class StalePosting:
    """A posting that this transaction looks at."""

    posting_id: int
    list_id: int
    definition: str
    parts: dict[str, str]
    fingerprint: bytes
    approved: list[str]


LOCK = """
    SELECT o.posting_id, o.list_id, l.definition, l.parts, o.fingerprint,
           o.approved
      FROM relais.posting o JOIN relais.list l USING (list_id)
     WHERE o.posting_id = $1 AND o.state = 'open' AND o.fresh_until <= relais.now()
       FOR NO KEY UPDATE OF o
"""


async def lock(db: Connection, posting_id: int) -> StalePosting | None:
    """Lock a stale posting; None if somebody else has looked meanwhile, or it is held."""
    row = await db.fetchrow(LOCK, posting_id)
    return StalePosting(**{**row, "parts": json.loads(row["parts"])}) if row else None


# Against *listed*, in which expansion.judge has judged the list of this moment.
# Who is listed without a usable address counts as lost: so does everybody when
# the column of addresses breaks.
COUNT_LOST = """
    SELECT count(*) AS waiting, count(*) FILTER (WHERE kept.person_id IS NULL) AS lost
      FROM relais.delivery d
      LEFT JOIN (SELECT DISTINCT p.person_id
                   FROM listed l JOIN relais.person p ON p.key = l.key
                  WHERE l.verdict IN ('recipient', 'duplicate', 'suppressed', 'held')) kept
        ON kept.person_id = d.person_id
     WHERE d.posting_id = $1 AND d.state IN ('queued', 'deferred')
"""


async def count_lost(db: Connection, posting_id: int) -> tuple[int, int]:
    """Return how many wait, and how many of them the list has lost."""
    row = await db.fetchrow(COUNT_LOST, posting_id, timeout=_LONG_SECONDS)
    if row is None:
        raise AssertionError("an aggregate always has its one row")
    return row["waiting"], row["lost"]


# A person may have several rows: the kindest says why they get nothing.
CANCEL_LEFT = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(),
           reply = coalesce(
               (SELECT CASE l.verdict WHEN 'suppressed' THEN 'unsubscribed'
                                      ELSE 'held: mail to this address comes back' END
                  FROM listed l JOIN relais.person p ON p.key = l.key
                 WHERE p.person_id = d.person_id AND l.verdict IN ('suppressed', 'held')
                 ORDER BY l.verdict DESC LIMIT 1),
               'no longer on the list')
     WHERE d.posting_id = $1 AND d.state IN ('queued', 'deferred')
       AND NOT EXISTS (SELECT FROM listed l JOIN relais.person p ON p.key = l.key
                        WHERE p.person_id = d.person_id
                          AND l.verdict IN ('recipient', 'duplicate'))
 RETURNING delivery_id
"""

# Who has mended their address meanwhile gets the copy there.
FOLLOW = """
    UPDATE relais.delivery d
       SET address = l.address, provider = relais.provider_of(l.address)
      FROM listed l JOIN relais.person p ON p.key = l.key
     WHERE d.posting_id = $1 AND d.state IN ('queued', 'deferred')
       AND p.person_id = d.person_id AND l.verdict = 'recipient'
       AND lower(l.address) <> lower(d.address)
       AND NOT EXISTS (SELECT FROM relais.delivery o
                        WHERE o.posting_id = $1 AND lower(o.address) = lower(l.address))
"""

# A yes to a loss is good for that one loss.
REFRESH = """
    UPDATE relais.posting
       SET fresh_until = relais.now() + $2, approved = array_remove(approved, $3)
     WHERE posting_id = $1
"""


async def apply(db: Connection, posting_id: int, *, approved: str) -> int:
    """Cancel who left, follow who moved; return how many copies were cancelled.

    *approved* is the reason that this uses up, if somebody has agreed to it.
    """
    cancelled = await db.fetch(CANCEL_LEFT, posting_id, timeout=_LONG_SECONDS)
    await db.execute(FOLLOW, posting_id, timeout=_LONG_SECONDS)
    await turns.take_part(db, posting_id)
    await db.execute(REFRESH, posting_id, FRESH_FOR, approved)
    return len(cancelled)


POSTPONE = "UPDATE relais.posting SET not_before = relais.now() + $2 WHERE posting_id = $1"


async def postpone(db: Connection, posting_id: int, delay: timedelta) -> None:
    """Let what waits of a posting wait longer, out of the way of others."""
    await db.execute(POSTPONE, posting_id, delay)


HOLD = """
    UPDATE relais.posting
       SET state = 'held', awaits = 'moderation', reasons = $2, held_because = $3,
           asked_at = NULL, held_until = NULL
     WHERE posting_id = $1 AND state = 'open'
"""


async def hold(db: Connection, posting_id: int, reason: str) -> None:
    """Ask a person before the rest of a posting under way is given up."""
    await db.execute(HOLD, posting_id, [reason], f"awaits moderation; {reason}")
    await db.execute("SELECT pg_notify('relais', 'decision')")
