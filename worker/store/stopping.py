"""Stopping, holding and resuming: what people may still do with copies that wait.

    what    a posting that is              becomes          its copies
    stop    open or paused, and waits      stopped          what waits is cancelled
            held for somebody              stopped, as      the same
                                           withdrawn
    hold    open, and waits                held (paused):   what is claimed is queued again
                                           awaits is null
    resume  paused                         open
            stopped so, with its bytes     open, stale      what the stop cancelled is queued

Whoever is *by* is 'author' or an operator. What an operator has paused or stopped its
author cannot resume, nor by stopping it first.

Nothing is claimed or marked meanwhile. What was marked before may leave: one copy per
connection at most. The rest in hand fails at the fence of its mark. Of a large posting
thousands are cancelled at once, for everybody waits; the janitor cancels the rest, and
what comes back. Twice is like once. The caller's transaction commits all of it or nothing,
and ends soon: copies are counted after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from worker.store import turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from worker.store.database import Connection

_AT_ONCE = 10_000  # Copies: a second.
_SECONDS = 600.0  # To count, or to queue again, a million rows.


@dataclass(frozen=True, slots=True)
class Change:
    """Which postings were changed, and how many copies were cancelled at once."""

    postings: list[int]
    cancelled: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing to do any more."""
        return not self.postings


class Action(Protocol):
    """One of stop, hold and resume."""

    def __call__(self, db: Connection, posting_ids: Sequence[int], *, by: str) -> Awaitable[Change]:
        """Do it, as *by* says."""


# Its receipt first, as whoever tells the author does.
LOCK_RECEIPTS = """
    SELECT FROM relais.receipt r
     WHERE r.receipt_id IN (SELECT o.receipt_id FROM relais.posting o
                             WHERE o.posting_id = ANY($1))
     ORDER BY r.receipt_id FOR NO KEY UPDATE
"""

# As a change of the limits does: a claim that has seen a posting open is waited for, and
# so is a mark.
STAND_STILL = "SELECT pg_advisory_xact_lock(7256947, 2), pg_advisory_xact_lock(7256947, 1)"

STOP = """
    UPDATE relais.posting o
       SET state = 'stopped', finished_at = relais.now(), decided_by = $2, awaits = NULL,
           ended_because = CASE WHEN o.awaits IS NULL THEN 'stopped' ELSE 'withdrawn' END,
           held_until = NULL, held_because = NULL
     WHERE o.posting_id = ANY($1) AND o.state IN ('open', 'held')
       AND (o.awaits IS NOT NULL
            OR EXISTS (SELECT FROM relais.delivery d
                        WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL
                          AND d.state IN ('queued', 'deferred', 'claimed')))
 RETURNING o.posting_id
"""

CANCEL = """
    WITH gone AS (
        UPDATE relais.delivery d
           SET state = 'cancelled', settled_at = relais.now(), reply = 'stopped', worker_id = NULL
         WHERE d.delivery_id = ANY(ARRAY(
               SELECT x.delivery_id FROM relais.delivery x
                WHERE x.posting_id = ANY($1) AND x.settled_at IS NULL
                  AND x.state::text = ANY($2)
                LIMIT $3 FOR UPDATE SKIP LOCKED))
     RETURNING d.delivery_id
    )
    SELECT count(*) FROM gone
"""

_IN_HAND, _QUEUED = ("claimed",), ("queued", "deferred")


async def stop(db: Connection, posting_ids: Sequence[int], *, by: str) -> Change:
    """Cancel what waits of postings."""
    await db.execute(LOCK_RECEIPTS, posting_ids)
    await db.execute(STAND_STILL, timeout=_SECONDS)
    stopped = [row["posting_id"] for row in await db.fetch(STOP, posting_ids, by)]
    cancelled: int = await db.fetchval(CANCEL, stopped, _IN_HAND, None)
    cancelled += await db.fetchval(CANCEL, stopped, _QUEUED, _AT_ONCE)
    await _look_again(db, stopped)
    return Change(stopped, cancelled)


HOLD = """
    UPDATE relais.posting o
       SET state = 'held', held_because = 'paused', held_until = NULL, paused_by = $2
     WHERE o.posting_id = ANY($1) AND o.state = 'open'
       AND EXISTS (SELECT FROM relais.delivery d
                    WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL
                      AND d.state IN ('queued', 'deferred', 'claimed'))
 RETURNING o.posting_id
"""

PUT_BACK = """
    UPDATE relais.delivery d SET state = 'queued', worker_id = NULL, attempts = d.attempts - 1
     WHERE d.delivery_id = ANY(ARRAY(
           SELECT x.delivery_id FROM relais.delivery x
            WHERE x.posting_id = ANY($1) AND x.settled_at IS NULL AND x.state = 'claimed'
              FOR UPDATE SKIP LOCKED))
"""


async def hold(db: Connection, posting_ids: Sequence[int], *, by: str) -> Change:
    """Let what waits of postings wait until somebody resumes it."""
    await db.execute(LOCK_RECEIPTS, posting_ids)
    await db.execute(STAND_STILL, timeout=_SECONDS)
    held = [row["posting_id"] for row in await db.fetch(HOLD, posting_ids, by)]
    await db.execute(PUT_BACK, held, timeout=_SECONDS)
    await _look_again(db, held)
    return Change(held)


# What was stopped is asked about before its first claim: people may have left.
RESUME = """
    UPDATE relais.posting o
       SET state = 'open', held_because = NULL, paused_by = NULL, not_before = NULL,
           finished_at = NULL,
           decided_by = CASE WHEN o.state = 'held' THEN o.decided_by END, ended_because = NULL,
           fresh_until = CASE WHEN o.state = 'held' THEN o.fresh_until ELSE relais.now() END
     WHERE o.posting_id = ANY($1) AND relais.may_resume(o, $2)
 RETURNING o.posting_id
"""

# The time of the stop is none in which a host has deferred it.
QUEUE_AGAIN = """
    UPDATE relais.delivery d
       SET state = 'queued', due_at = relais.now(), settled_at = NULL, reply = NULL,
           tried_since = NULL
     WHERE d.posting_id = ANY($1) AND d.state = 'cancelled' AND d.reply = 'stopped'
"""

FORGET_TRIES = """
    UPDATE relais.delivery d SET tried_since = NULL
     WHERE d.posting_id = ANY($1) AND d.settled_at IS NULL
       AND d.state IN ('queued', 'deferred') AND d.tried_since IS NOT NULL
"""

# The finish that was named is one without the pause. Who was told the end is told the
# next one as well, and needs no receipt before it.
REOPEN = """
    UPDATE relais.receipt r
       SET closed_at = NULL, promised_at = NULL,
           written_at = coalesce(r.written_at, r.closed_at),
           report_promised = r.report_promised OR r.closed_at IS NOT NULL
     WHERE r.receipt_id IN (SELECT o.receipt_id FROM relais.posting o
                             WHERE o.posting_id = ANY($1))
"""


async def resume(db: Connection, posting_ids: Sequence[int], *, by: str) -> Change:
    """Let postings go on that were paused or stopped, as far as that is for *by* to say."""
    await db.execute(LOCK_RECEIPTS, posting_ids)
    opened = [row["posting_id"] for row in await db.fetch(RESUME, posting_ids, by)]
    await db.execute(QUEUE_AGAIN, opened, timeout=_SECONDS)
    await db.execute(FORGET_TRIES, opened, timeout=_SECONDS)
    for posting_id in opened:
        await turns.take_part(db, posting_id)
    await db.execute(REOPEN, opened)
    await _look_again(db, opened)
    if opened:
        await db.execute("SELECT pg_notify('relais', 'delivery')")
    return Change(opened)


LOOK_AGAIN = """
    UPDATE relais.receipt r SET look_at = relais.now()
     WHERE r.closed_at IS NULL
       AND r.receipt_id IN (SELECT o.receipt_id FROM relais.posting o
                             WHERE o.posting_id = ANY($1))
"""


async def _look_again(db: Connection, posting_ids: Sequence[int]) -> None:
    """Have it seen soon what their author is to be told now."""
    if posting_ids:
        await db.execute(LOOK_AGAIN, posting_ids)
        await db.execute("SELECT pg_notify('relais', 'receipt')")


@dataclass(frozen=True, slots=True)
class Effect:
    """To how many copies it was done, and how many are out of reach."""

    copies: int  # Who gets it no more; of those that are held or resumed, who waits.
    left: int  # They have left, or may have.


COUNT = """
    SELECT count(*) FILTER (
               WHERE d.posting_id = ANY($2)
                 AND (d.state IN ('queued', 'deferred', 'claimed')
                      OR d.state = 'cancelled' AND d.reply = 'stopped')) AS copies,
           count(*) FILTER (
               WHERE d.state IN ('handed_over', 'bounced', 'refused', 'dotting', 'in_doubt'))
               AS left
      FROM relais.delivery d WHERE d.posting_id = ANY($1)
"""


async def count(db: Connection, posting_ids: Sequence[int], change: Change) -> Effect:
    """Count what a change of postings has done.

    Call it after the transaction that has made it: a million rows are read, and nobody
    claims as long as it lasts.
    """
    row = await db.fetchrow(COUNT, posting_ids, change.postings, timeout=_SECONDS)
    if row is None:
        raise AssertionError("an aggregate always has its one row")
    return Effect(**row)
