"""Deliveries: one row per recipient of a posting. The table is the queue.

    state        means                                 after a crash
    queued       due                                   unchanged
    claimed      leased, token held, no dot sent       queued when the lease ends
    dotting      marked; the dot may have been sent    in_doubt when the lease ends
    in_doubt     submitted or not, nobody knows        evidence, else one resend, then parked
    handed_over  2yz after the dot                     unchanged; a report may make it bounced
                                                       or deferred
    deferred     4yz, refused for rate or policy, or   unchanged
                 its domain unknown; queued at due_at
    bounced, refused, cancelled, expired: final        unchanged

The mark is fenced: it changes a row only while that row is held by the very
claim that asks. What cannot be marked must not be dotted.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from worker.policy.turns import QueueKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    import asyncpg

    from worker.policy.turns import Turns
    from worker.store.database import Connection


_LONG_SECONDS = 600.0  # What is left of a stop may be a million rows.


class DeliveryState(Enum):
    """The states a submission can leave a delivery in."""

    QUEUED = "queued"
    HANDED_OVER = "handed_over"
    DEFERRED = "deferred"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    EXPIRED = "expired"


class ClaimKey(NamedTuple):
    """One claim of a delivery. A later one, of the same worker even, has another."""

    delivery_id: int
    nth: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this worker holds, with its token; of a posting or of a notice."""

    key: ClaimKey
    posting_id: int | None
    notice_id: int | None
    person_id: int | None  # Of a posting's only.
    person: str | None  # Their key.
    address: str
    lang: str | None  # Of the reader; None: the posting's.
    fields: list[str] | None  # Merge fields of the posting's words.
    provider: str
    attempts: int  # This one included.
    returned: int  # How often it was refused for rate or policy, and queued again.
    tried_for: timedelta  # Since the first attempt.

    @property
    def delivery_id(self) -> int:
        """Which delivery it is of."""
        return self.key.delivery_id


# What a host deferred joins the queue again when its time has come.
PROMOTE = """
    UPDATE relais.delivery d SET state = 'queued'
     WHERE d.delivery_id = ANY(ARRAY(
           SELECT x.delivery_id FROM relais.delivery x
            WHERE x.state = 'deferred' AND x.due_at <= (SELECT relais.now())
            ORDER BY x.due_at LIMIT 1000 FOR UPDATE SKIP LOCKED))
"""


async def promote_due(db: Connection) -> None:
    """Queue what was deferred until now."""
    await db.execute(PROMOTE)


# Who has left meanwhile is passed over, and so are an address that is held by now
# and what has no bytes any more; they are cancelled elsewhere. An address that is
# held takes nobody's place. What is found is handed on as an array, which the
# planner takes for the few that it is.
CLAIM = """
    WITH due AS (
        SELECT q.delivery_id
          FROM unnest($3::bigint[], $4::text[], $5::integer[]) AS turn(posting_id, provider, count)
         CROSS JOIN LATERAL (
               SELECT d.delivery_id, d.person_id
                 FROM relais.delivery d
                WHERE d.posting_id = turn.posting_id AND d.provider = turn.provider
                  AND d.state = 'queued'
                  AND (SELECT h.state FROM relais.address_health h
                        WHERE h.address = lower(d.address)) IS DISTINCT FROM 'held'
                ORDER BY d.due_at, d.delivery_id
                LIMIT turn.count
                  FOR UPDATE SKIP LOCKED) q
          JOIN relais.posting o ON o.posting_id = turn.posting_id AND o.template IS NOT NULL
         WHERE NOT EXISTS (SELECT FROM relais.suppression s
                            WHERE s.person_id = q.person_id
                              AND (s.list_id IS NULL OR s.list_id = o.list_id))
         UNION ALL
        SELECT q.delivery_id
          FROM unnest($3::bigint[], $4::text[], $5::integer[]) AS turn(posting_id, provider, count)
         CROSS JOIN LATERAL (
               SELECT d.delivery_id, d.notice_id
                 FROM relais.delivery d
                WHERE d.notice_id IS NOT NULL AND d.provider = turn.provider
                  AND d.state = 'queued'
                ORDER BY d.due_at, d.delivery_id
                LIMIT turn.count
                  FOR UPDATE SKIP LOCKED) q
          JOIN relais.notice n ON n.notice_id = q.notice_id AND n.template IS NOT NULL
         WHERE turn.posting_id IS NULL
    )
    UPDATE relais.delivery d
       SET state = 'claimed', worker_id = $1, account = $2, attempts = d.attempts + 1,
           claims = d.claims + 1, claimed_at = t.now, tried_since = coalesce(d.tried_since, t.now)
      FROM (SELECT relais.now() AS now) t
     WHERE d.delivery_id = ANY(ARRAY(SELECT due.delivery_id FROM due))
 RETURNING d.delivery_id, d.claims, d.posting_id, d.notice_id, d.person_id,
           (SELECT p.key FROM relais.person p WHERE p.person_id = d.person_id) AS person,
           d.address, d.lang, d.fields, d.provider,
           d.attempts, d.returned, t.now - d.tried_since AS tried_for
"""


async def claim(db: Connection, worker_id: str, account: str, turns: Turns) -> list[Claim]:
    """Claim what has its turn, in the order of the turns.

    The caller holds the locks of the limits that *turns* were shared out from.
    """
    taken = turns.taken
    rows = await db.fetch(
        CLAIM,
        worker_id,
        account,
        [key.posting_id for key in taken],
        [key.provider for key in taken],
        list(taken.values()),
    )
    return _in_turn([_claim_of(row) for row in rows], turns)


def _claim_of(row: asyncpg.Record) -> Claim:
    delivery_id, nth, *rest = row.values()
    return Claim(ClaimKey(delivery_id, nth), *rest)


def _in_turn(claims: list[Claim], turns: Turns) -> list[Claim]:
    waiting: defaultdict[QueueKey, deque[Claim]] = defaultdict(deque)
    for claim in sorted(claims, key=lambda claim: claim.delivery_id):
        waiting[QueueKey(claim.posting_id, claim.provider)].append(claim)
    return [
        waiting[turn.key].popleft()
        for turn in turns.order
        for _ in range(min(turn.copies, len(waiting[turn.key])))
    ]


# Negative for what has become due since the last claim.
NEXT_DUE = """
    SELECT relais.seconds_until(min(due_at)) FROM relais.delivery WHERE state = 'deferred'
"""


async def seconds_until_due(db: Connection) -> float | None:
    """Return how long until a delivery that waits for its time is due."""
    seconds: float | None = await db.fetchval(NEXT_DUE)
    return seconds


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a claim. *delay* is for DEFERRED only."""

    claim: ClaimKey
    state: DeliveryState
    code: int | None = None
    reply: str | None = None
    delay: timedelta | None = None
    verdict: str | None = None  # What a rule read in the reply.
    is_returned: bool = False  # Refused, and queued again all the same: that is bounded.


# One statement, so one commit and one round trip for the marks and the
# settlements of all connections. The marks are counted into the bins and the
# bucket of every limit they fall under, in a fixed order, so that two workers
# cannot deadlock. A mark is never earlier than its claim, so that a clock which
# steps back moves no mark out of the window that it was claimed in; and the time
# is read when the lock has been waited for. What a report said of the copy before
# is not of the one that leaves now.
# The states are compared as text to keep the planner on the primary key: the
# index of what is in hand collects dead entries until the next vacuum.
RECORD = """
    WITH t AS MATERIALIZED (SELECT relais.mark_lock(), relais.now() AS now),
    marked AS (
        UPDATE relais.delivery d
           SET state = 'dotting', marked_at = greatest(t.now, d.claimed_at), status = NULL
          FROM t, unnest($2::bigint[], $3::integer[]) AS m(delivery_id, nth)
         WHERE d.delivery_id = m.delivery_id AND d.claims = m.nth AND d.worker_id = $1
           AND d.state::text = 'claimed'
     RETURNING d.delivery_id, d.claims, d.account, d.provider, d.marked_at, d.small
    ), settled AS (
        UPDATE relais.delivery d
           SET state = s.state::relais.delivery_state,
               settled_at = CASE WHEN s.state IN ('queued', 'deferred', 'in_doubt') THEN NULL
                                 ELSE t.now END,
               failed_at = CASE WHEN s.state = 'refused' OR s.is_returned THEN t.now
                                ELSE d.failed_at END,
               due_at = t.now + coalesce(s.delay, interval '0'),
               attempts = d.attempts - (s.state = 'queued')::integer,
               worker_id = CASE WHEN s.state = 'in_doubt' THEN d.worker_id END,
               code = coalesce(s.code, d.code),
               reply = coalesce(s.reply, d.reply), verdict = coalesce(s.verdict, d.verdict),
               returned = d.returned + s.is_returned::integer
          FROM t, unnest($4::bigint[], $5::integer[], $6::text[], $7::integer[], $8::text[],
                         $9::interval[], $10::text[], $11::boolean[])
               AS s(delivery_id, nth, state, code, reply, delay, verdict, is_returned)
         WHERE d.delivery_id = s.delivery_id AND d.claims = s.nth AND d.worker_id = $1
           AND d.state::text IN ('claimed', 'dotting', 'in_doubt')
    ), spent AS (
        INSERT INTO relais.limit_spent AS bins (limit_id, bin, marks, small)
        SELECT r.limit_id, relais.bin_of(r.period, m.marked_at), count(*),
               count(*) FILTER (WHERE m.small)
          FROM marked m
          JOIN relais.rules_in_force() r ON (r.account IS NULL OR r.account = m.account)
                                        AND (r.provider IS NULL OR r.provider = m.provider)
         GROUP BY 1, 2 ORDER BY 1, 2
            ON CONFLICT (limit_id, bin) DO UPDATE
           SET marks = bins.marks + excluded.marks, small = bins.small + excluded.small
     RETURNING limit_id
    ), owed AS (
        INSERT INTO relais.limit_bucket AS bucket (limit_id, owed, as_of)
        SELECT r.limit_id, count(*), t.now
          FROM marked m
          JOIN relais.rules_in_force() r ON (r.account IS NULL OR r.account = m.account)
                                        AND (r.provider IS NULL OR r.provider = m.provider),
               t
         WHERE r.spacing IS DISTINCT FROM interval '0'
           AND (SELECT count(*) FROM spent) > 0   -- after the bins, in every worker
         GROUP BY r.limit_id, t.now ORDER BY r.limit_id
            ON CONFLICT (limit_id) DO UPDATE
           SET owed = excluded.owed + greatest(0, bucket.owed
                      - extract(epoch FROM greatest(excluded.as_of - bucket.as_of, interval '0'))
                        / (SELECT extract(epoch FROM relais.spacing_of(r))
                             FROM relais.limit_rule r WHERE r.limit_id = bucket.limit_id)),
               as_of = greatest(excluded.as_of, bucket.as_of)
    )
    SELECT delivery_id, claims FROM marked
"""


async def record(
    db: Connection,
    worker_id: str,
    *,
    marks: Sequence[ClaimKey],
    settlements: Sequence[Settlement],
) -> set[ClaimKey]:
    """Commit *marks* and *settlements* together; return what was marked.

    Whatever is missing from the result was not ours any more. Running it again
    after a lost reply changes nothing that has happened already.
    """
    rows = await db.fetch(
        RECORD,
        worker_id,
        [mark.delivery_id for mark in marks],
        [mark.nth for mark in marks],
        [s.claim.delivery_id for s in settlements],
        [s.claim.nth for s in settlements],
        [s.state.value for s in settlements],
        [s.code for s in settlements],
        [s.reply for s in settlements],
        [s.delay for s in settlements],
        [s.verdict for s in settlements],
        [s.is_returned for s in settlements],
    )
    return {ClaimKey(row["delivery_id"], row["claims"]) for row in rows}


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
                                             AND (s.list_id IS NULL OR s.list_id = o.list_id))
                               OR EXISTS (SELECT FROM relais.address_health h
                                           WHERE h.address = lower(d.address)
                                             AND h.state = 'held')))
 RETURNING d.delivery_id
"""


async def resend_doubtful(db: Connection, *, after: timedelta) -> list[int]:
    """Queue once more what has been in doubt for *after*.

    A second doubt stays parked, and so does the first one of a list that wants it
    so, of a posting that was stopped, of a person who has left, and of an address
    that is held.
    """
    return [row["delivery_id"] for row in await db.fetch(RESEND, after)]


# What a dead worker held, or a host deferred, when somebody stopped the posting; and
# what a stop left for later. Whoever resumes one waits until it is all cancelled, or
# some of it would be behind their back.
CANCEL_STOPPED = """
    WITH stopped AS (
        SELECT o.posting_id FROM relais.posting o
         WHERE o.state = 'stopped' AND o.finished_at > (SELECT relais.now()) - $1::interval
           AND EXISTS (SELECT FROM relais.delivery d
                        WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL
                          AND d.state IN ('queued', 'deferred'))
           FOR SHARE OF o SKIP LOCKED
    )
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), reply = 'stopped', worker_id = NULL
     WHERE d.posting_id = ANY(ARRAY(SELECT s.posting_id FROM stopped s))
       AND d.settled_at IS NULL AND d.state IN ('queued', 'deferred')
 RETURNING d.delivery_id
"""


async def cancel_stopped(db: Connection, *, within: timedelta) -> list[int]:
    """Cancel what waits of postings that were stopped *within* the time before now."""
    rows = await db.fetch(CANCEL_STOPPED, within, timeout=_LONG_SECONDS)
    return [row["delivery_id"] for row in rows]


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


# What was in hand, or being expanded, when its address was held: an expansion
# leaves out what is held before it, and takes less than a day. LIMIT keeps the
# planner on the key of each open posting: all that waits may be a million rows.
CANCEL_HELD = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), worker_id = NULL,
           reply = 'held: mail to this address comes back'
     WHERE d.delivery_id = ANY(ARRAY(
           SELECT found.delivery_id
             FROM relais.address_health h
            CROSS JOIN relais.posting o
            CROSS JOIN LATERAL (
                  SELECT x.delivery_id, x.state FROM relais.delivery x
                   WHERE x.posting_id = o.posting_id AND lower(x.address) = h.address
                   LIMIT 1) found
            WHERE h.state = 'held' AND h.since > o.accepted_at - interval '1 day'
              AND o.state IN ('open', 'held') AND found.state IN ('queued', 'deferred')))
       AND d.state IN ('queued', 'deferred')
 RETURNING d.delivery_id
"""


async def cancel_held(db: Connection) -> list[int]:
    """Cancel what waits for addresses that were held after it was posted."""
    return [row["delivery_id"] for row in await db.fetch(CANCEL_HELD)]


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
       SET state = 'bounced', settled_at = t.now, status = $2, reply = $3, worker_id = NULL,
           failed_at = CASE WHEN $4 THEN t.now ELSE failed_at END
      FROM (SELECT relais.now() AS now) t
     WHERE delivery_id = $1
       AND (state IN ('handed_over', 'in_doubt', 'dotting')
            OR $4 AND state = 'bounced' AND verdict IS NULL AND failed_at IS NULL)
 RETURNING provider
"""


async def bounce(
    db: Connection, delivery_id: int, *, status: str, diagnostic: str, is_proven: bool
) -> str | None:
    """Mark a delivery bounced, as a report says; None if it is not in such a state.

    A report is evidence: it also settles what was in doubt. Only a proven one makes
    it a failure of its account, also after one that was not.
    """
    provider: str | None = await db.fetchval(
        BOUNCE, delivery_id, status, diagnostic[:500], is_proven
    )
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
     WHERE settled_at IS NULL AND state IN ('queued', 'deferred', 'claimed', 'dotting', 'in_doubt')
     GROUP BY provider, state
"""


async def backlog(db: Connection) -> list[Backlog]:
    """Count what is not final, for the metrics."""
    return [Backlog(**row) for row in await db.fetch(BACKLOG)]
