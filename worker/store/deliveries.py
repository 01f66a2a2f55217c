"""Deliveries: one row per recipient of a posting. The table is the queue.

    state        means                                 after a crash
    queued       due at due_at                         unchanged
    claimed      leased, token held, no dot sent       queued when the lease ends
    dotting      marked; the dot may have been sent    in_doubt when the lease ends
    in_doubt     submitted or not, nobody knows        evidence, else one resend, then parked
    handed_over  2yz after the dot                     unchanged; a report may make it bounced
    deferred     4yz; due again at due_at              unchanged
    bounced, refused, cancelled, expired: final        unchanged

The mark is fenced: it changes a row only while that row is claimed by the
worker that asks. What cannot be marked must not be dotted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from worker.store.database import Connection


class DeliveryState(Enum):
    """The states a submission can leave a delivery in."""

    QUEUED = "queued"
    HANDED_OVER = "handed_over"
    DEFERRED = "deferred"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this worker holds, with its token; of a posting or of a notice."""

    delivery_id: int
    posting_id: int | None
    notice_id: int | None
    person_id: int | None  # Of a posting's only.
    address: str
    provider: str
    attempts: int  # This one included.
    tried_for: timedelta  # Since the first attempt.


CLAIM = """
    WITH due AS (
        SELECT q.delivery_id
          FROM unnest($3::text[], $4::integer[]) AS affordable(provider, room)
         CROSS JOIN LATERAL (
               SELECT x.delivery_id, x.posting_id, x.person_id, row_number() OVER () AS turn
                 FROM (SELECT d.delivery_id, d.posting_id, d.person_id
                         FROM relais.delivery d
                        WHERE d.provider = affordable.provider
                          AND d.state IN ('queued', 'deferred')
                          AND d.due_at <= (SELECT relais.now())
                        ORDER BY d.due_at, d.delivery_id
                        LIMIT affordable.room
                          FOR UPDATE SKIP LOCKED) x) q
          LEFT JOIN relais.posting o ON o.posting_id = q.posting_id
         WHERE o.posting_id IS NULL
            OR o.state = 'open' AND o.fresh_until > (SELECT relais.now())
               AND NOT EXISTS (SELECT FROM relais.suppression s
                                WHERE s.person_id = q.person_id
                                  AND (s.list_id IS NULL OR s.list_id = o.list_id))
         ORDER BY q.turn
         LIMIT $5
    )
    UPDATE relais.delivery d
       SET state = 'claimed', worker_id = $1, account = $2, attempts = d.attempts + 1,
           tried_since = coalesce(d.tried_since, t.now)
      FROM due, (SELECT relais.now() AS now) t
     WHERE d.delivery_id = due.delivery_id
 RETURNING d.delivery_id, d.posting_id, d.notice_id, d.person_id, d.address, d.provider, d.attempts,
           t.now - d.tried_since AS tried_for
"""


async def claim(
    db: Connection,
    worker_id: str,
    account: str,
    *,
    room: Mapping[str, int],
    at_most: int,
) -> list[Claim]:
    """Claim what is due: at most ``room[provider]`` each, providers in turn.

    What belongs to a posting that is held, stopped or stale (worker/store/rechecks.py)
    is left. The caller holds the locks of the limits that *room* was computed from.
    """
    rows = await db.fetch(
        CLAIM, worker_id, account, list(room), [min(n, at_most) for n in room.values()], at_most
    )
    return [Claim(**row) for row in rows]


NEXT_DUE = """
    SELECT relais.seconds_until(min(next.due_at))
      FROM relais.provider p
     CROSS JOIN LATERAL (
           SELECT d.due_at FROM relais.delivery d
            WHERE d.provider = p.provider AND d.state IN ('queued', 'deferred')
              AND d.due_at > (SELECT relais.now())
            ORDER BY d.due_at LIMIT 1) next
"""


async def seconds_until_due(db: Connection) -> float | None:
    """Return how long until a delivery that waits for its time is due."""
    seconds: float | None = await db.fetchval(NEXT_DUE)
    return seconds


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a claim. *delay* is for DEFERRED only."""

    delivery_id: int
    state: DeliveryState
    code: int | None = None
    reply: str | None = None
    delay: timedelta | None = None


# One statement, so one commit and one round trip for the marks and the
# settlements of all connections. The marks are counted into the bins of every
# limit they fall under, in a fixed order, so that two workers cannot deadlock.
# The states are compared as text to keep the planner on the primary key: the
# index of what is in hand collects dead entries until the next vacuum.
RECORD = """
    WITH t AS MATERIALIZED (SELECT relais.now() AS now),
    marked AS (
        UPDATE relais.delivery d SET state = 'dotting', marked_at = t.now
          FROM t
         WHERE d.delivery_id = ANY($2::bigint[]) AND d.worker_id = $1
           AND d.state::text = 'claimed'
     RETURNING d.delivery_id, d.account, d.provider, d.marked_at
    ), settled AS (
        UPDATE relais.delivery d
           SET state = s.state::relais.delivery_state,
               settled_at = CASE WHEN s.state IN ('queued', 'deferred', 'in_doubt') THEN NULL
                                 ELSE t.now END,
               due_at = t.now + coalesce(s.delay, interval '0'),
               attempts = d.attempts - (s.state = 'queued')::integer,
               worker_id = CASE WHEN s.state = 'in_doubt' THEN d.worker_id END,
               code = coalesce(s.code, d.code),
               reply = coalesce(s.reply, d.reply)
          FROM t, unnest($3::bigint[], $4::text[], $5::integer[], $6::text[], $7::interval[])
               AS s(delivery_id, state, code, reply, delay)
         WHERE d.delivery_id = s.delivery_id AND d.worker_id = $1
           AND d.state::text IN ('claimed', 'dotting', 'in_doubt')
    ), spent AS (
        INSERT INTO relais.limit_spent AS bins (limit_id, bin, marks)
        SELECT r.limit_id, relais.bin_of(r.period, m.marked_at), count(*)
          FROM marked m
          JOIN relais.limit_rule r ON (r.account IS NULL OR r.account = m.account)
                                  AND (r.provider IS NULL OR r.provider = m.provider)
         GROUP BY 1, 2 ORDER BY 1, 2
            ON CONFLICT (limit_id, bin) DO UPDATE SET marks = bins.marks + excluded.marks
    )
    SELECT delivery_id FROM marked
"""


async def record(
    db: Connection,
    worker_id: str,
    *,
    marks: Sequence[int],
    settlements: Sequence[Settlement],
) -> set[int]:
    """Commit *marks* and *settlements* together; return what was marked.

    Whatever is missing from the result was not ours any more. Running it again
    after a lost reply changes nothing that has happened already.
    """
    rows = await db.fetch(
        RECORD,
        worker_id,
        marks,
        [s.delivery_id for s in settlements],
        [s.state.value for s in settlements],
        [s.code for s in settlements],
        [s.reply for s in settlements],
        [s.delay for s in settlements],
    )
    return {row["delivery_id"] for row in rows}


RELEASE_DEAD = """
    UPDATE relais.delivery d
       SET state = CASE d.state WHEN 'claimed' THEN 'queued'
                                ELSE 'in_doubt' END::relais.delivery_state,
           worker_id = CASE d.state WHEN 'claimed' THEN NULL ELSE d.worker_id END,
           attempts = d.attempts - (d.state = 'claimed')::integer
     WHERE d.state IN ('claimed', 'dotting')
       AND NOT EXISTS (SELECT FROM relais.worker w
                        WHERE w.worker_id = d.worker_id AND w.alive_until > clock_timestamp())
 RETURNING d.state::text
"""


async def release_dead(db: Connection) -> tuple[int, int]:
    """Free what dead workers held; return how many were queued and put in doubt."""
    states = [row["state"] for row in await db.fetch(RELEASE_DEAD)]
    return states.count("queued"), states.count("in_doubt")


RESEND = """
    UPDATE relais.delivery d
       SET state = 'queued', resends = 1, worker_id = NULL, due_at = relais.now()
     WHERE d.state = 'in_doubt' AND d.resends = 0 AND d.marked_at <= relais.now() - $1::interval
       AND NOT EXISTS (SELECT FROM relais.posting o
                        WHERE o.posting_id = d.posting_id
                          AND (NOT o.resend_doubtful OR o.state = 'stopped'
                               OR EXISTS (SELECT FROM relais.suppression s
                                           WHERE s.person_id = d.person_id
                                             AND (s.list_id IS NULL OR s.list_id = o.list_id))))
 RETURNING d.delivery_id
"""


async def resend_doubtful(db: Connection, *, after: timedelta) -> list[int]:
    """Queue once more what has been in doubt for *after*.

    A second doubt stays parked, and so does the first one of a list that wants it
    so, of a posting that was stopped, and of a person who has left.
    """
    return [row["delivery_id"] for row in await db.fetch(RESEND, after)]


# What a dead worker held, or a host deferred, when somebody stopped the posting.
CANCEL_STOPPED = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), reply = 'stopped', worker_id = NULL
      FROM relais.posting o
     WHERE o.state = 'stopped' AND o.finished_at > relais.now() - $1::interval
       AND d.posting_id = o.posting_id AND d.state IN ('queued', 'deferred')
 RETURNING d.delivery_id
"""


async def cancel_stopped(db: Connection, *, within: timedelta) -> list[int]:
    """Cancel what waits of postings that were stopped *within* the time before now."""
    return [row["delivery_id"] for row in await db.fetch(CANCEL_STOPPED, within)]


# Who left while the posting was being expanded, or the copy was in hand: the
# opt-out itself cancels only what it sees.
CANCEL_SUPPRESSED = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), reply = 'unsubscribed',
           worker_id = NULL
      FROM relais.suppression s, relais.posting o
     WHERE s.since > relais.now() - $1::interval
       AND d.person_id = s.person_id AND d.state IN ('queued', 'deferred')
       AND o.posting_id = d.posting_id AND (s.list_id IS NULL OR s.list_id = o.list_id)
 RETURNING d.delivery_id
"""


async def cancel_suppressed(db: Connection, *, within: timedelta) -> list[int]:
    """Cancel what waits for people who left *within* the time before now."""
    return [row["delivery_id"] for row in await db.fetch(CANCEL_SUPPRESSED, within)]


EXPIRE = """
    UPDATE relais.delivery SET state = 'expired', settled_at = relais.now()
     WHERE state = 'deferred' AND tried_since < relais.now() - $1::interval
 RETURNING delivery_id
"""


async def expire(db: Connection, *, after: timedelta) -> list[int]:
    """Give up deliveries that hosts have deferred for *after*."""
    return [row["delivery_id"] for row in await db.fetch(EXPIRE, after)]


BOUNCE = """
    UPDATE relais.delivery
       SET state = 'bounced', settled_at = relais.now(), status = $2, reply = $3, worker_id = NULL
     WHERE delivery_id = $1 AND state IN ('handed_over', 'in_doubt', 'dotting')
 RETURNING provider
"""


async def bounce(db: Connection, delivery_id: int, *, status: str, diagnostic: str) -> str | None:
    """Mark a delivery bounced, as a report says; None if it is not in such a state.

    A report is evidence: it also settles what was in doubt.
    """
    provider: str | None = await db.fetchval(BOUNCE, delivery_id, status, diagnostic[:500])
    return provider


CONFIRM = """
    UPDATE relais.delivery SET state = 'handed_over', settled_at = relais.now(), worker_id = NULL
     WHERE delivery_id = $1 AND state = 'in_doubt'
"""


async def confirm(db: Connection, delivery_id: int) -> None:
    """Settle a delivery in doubt: something that only its copy carries came back."""
    await db.execute(CONFIRM, delivery_id)


EXISTS = "SELECT EXISTS (SELECT FROM relais.delivery WHERE delivery_id = $1)"


async def exists(db: Connection, delivery_id: int) -> bool:
    """Return whether *delivery_id* is still kept."""
    return bool(await db.fetchval(EXISTS, delivery_id))


BY_MESSAGE = """
    SELECT d.delivery_id
      FROM relais.posting o JOIN relais.delivery d USING (posting_id)
     WHERE o.message_id = $1 AND lower(d.address) = lower($2)
     ORDER BY d.delivery_id DESC LIMIT 1
"""


async def find(db: Connection, *, message_id: str, recipient: str) -> int | None:
    """Find a delivery by what every report should name (RFC 3464, section 2.3.2)."""
    delivery_id: int | None = await db.fetchval(BY_MESSAGE, message_id, recipient)
    return delivery_id


@dataclass(frozen=True, slots=True)
class Backlog:
    """The deliveries of one provider in one state that is not final."""

    provider: str
    state: str
    count: int


BACKLOG = """
    SELECT provider, state::text, count(*)::integer AS count FROM relais.delivery
     WHERE state IN ('queued', 'deferred', 'claimed', 'dotting', 'in_doubt')
     GROUP BY provider, state
"""


async def backlog(db: Connection) -> list[Backlog]:
    """Count what is not final, for the metrics."""
    return [Backlog(**row) for row in await db.fetch(BACKLOG)]


@dataclass(frozen=True, slots=True)
class ProviderQueue:
    """A row of relais.v_queue."""

    provider: str
    waiting: int
    in_doubt: int
    oldest_at: datetime | None


QUEUE = "SELECT provider, waiting, in_doubt, oldest_at FROM relais.v_queue ORDER BY provider"


async def queue(db: Connection) -> list[ProviderQueue]:
    """Return what waits, by provider."""
    return [ProviderQueue(**row) for row in await db.fetch(QUEUE)]
