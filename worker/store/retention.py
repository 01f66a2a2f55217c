"""Retention: what has been kept for long enough is purged, a batch at a time.

    of                 the bytes go                  the rows go
    posting            *messages* after its end      never; its traces *traces* after its end
    receipt                                          never; whose it is with its postings' traces
    delivery                                         with its posting's traces, once counted
    decision                                         with its posting's traces
    notice             *messages* after it was made  *traces* after it was made
    arrival, a return  *returns* after it arrived    never
    other arrival      *messages* after it arrived,  never
                       and after its postings' end
    address failure    its words *returns* after it  *traces* after it, unless its address is
                                                     held, or lately suspect or on trial
    burst                                            *traces* after it began
    message                                          *traces* after it was seen last

What is open, held, in doubt, deferred or on its way is never purged. The rows of
postings, arrivals, lists and people stay: they know duplicates and links. Each
statement leaves alone what somebody else has locked.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from worker.store.database import Connection

_MESSAGES, _ROWS = 100, 2000  # At a time: a sweep comes every few seconds.
_RETURNS = ("report", "complaint", "automatic")
_OTHERS = ("posting", "request", "unknown")


@dataclass(frozen=True, slots=True)
class Purged:
    """How much one batch has purged."""

    templates: int
    arrivals: int
    deliveries: int
    postings: int  # Of which no traces are left.
    notices: int
    failures: int  # Of addresses.

    @property
    def is_nothing(self) -> bool:
        """Whether nothing had been kept for long enough."""
        return not any(astuple(self))


PURGE_ARRIVALS = """
    WITH old AS (
        SELECT a.arrival_id FROM relais.arrival a
         WHERE a.raw IS NOT NULL AND a.state = 'settled' AND a.kind = ANY($1)
           AND a.arrived_at < (SELECT relais.now()) - $2::interval
           AND NOT EXISTS (SELECT FROM relais.posting o
                            WHERE o.arrival_id = a.arrival_id
                              AND (o.tell OR o.finished_at IS NULL
                                   OR o.finished_at >= (SELECT relais.now()) - $3::interval))
         ORDER BY a.arrived_at LIMIT $4
           FOR UPDATE OF a SKIP LOCKED
    )
    UPDATE relais.arrival a SET raw = NULL, reason = NULL
      FROM old WHERE a.arrival_id = old.arrival_id
 RETURNING a.arrival_id
"""


async def _purge_arrivals(
    db: Connection, kinds: Sequence[str], *, after: timedelta, messages: timedelta
) -> int:
    """Drop the bytes of arrivals of these *kinds*; those of postings wait for their end."""
    return len(await db.fetch(PURGE_ARRIVALS, kinds, after, messages, _MESSAGES))


PURGE_POSTINGS = """
    WITH old AS (
        SELECT o.posting_id FROM relais.posting o
         WHERE o.template IS NOT NULL AND o.state IN ('finished', 'stopped') AND NOT o.tell
           AND o.finished_at < (SELECT relais.now()) - $1::interval
           AND NOT EXISTS (SELECT FROM relais.delivery d
                            WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL)
         ORDER BY o.finished_at LIMIT $2
           FOR NO KEY UPDATE OF o SKIP LOCKED
    )
    UPDATE relais.posting o SET template = NULL FROM old WHERE o.posting_id = old.posting_id
 RETURNING o.posting_id
"""


async def _purge_postings(db: Connection, after: timedelta) -> int:
    """Drop the bytes of which copies were made."""
    return len(await db.fetch(PURGE_POSTINGS, after, _MESSAGES))


PURGE_NOTICES = """
    WITH old AS (
        SELECT n.notice_id FROM relais.notice n
         WHERE n.template IS NOT NULL AND n.made_at < (SELECT relais.now()) - $1::interval
           AND NOT EXISTS (SELECT FROM relais.delivery d
                            WHERE d.notice_id = n.notice_id AND d.settled_at IS NULL)
         ORDER BY n.made_at LIMIT $2
           FOR NO KEY UPDATE OF n SKIP LOCKED
    )
    UPDATE relais.notice n SET template = NULL FROM old WHERE n.notice_id = old.notice_id
 RETURNING n.notice_id
"""


async def _purge_notices(db: Connection, after: timedelta) -> int:
    """Drop the bytes of notices."""
    return len(await db.fetch(PURGE_NOTICES, after, _MESSAGES))


# A copy may come back in the moment in which its bytes are purged. It is never
# claimed, and ends here, once the janitor has opened its posting again. An array,
# or the planner might look through all that is queued.
CANCEL_COPIES = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), reply = 'purged', worker_id = NULL
     WHERE d.posting_id = ANY(ARRAY(SELECT o.posting_id FROM relais.posting o
                                     WHERE o.state = 'open' AND o.template IS NULL))
       AND d.settled_at IS NULL AND d.state IN ('queued', 'deferred')
"""

CANCEL_NOTICES = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), reply = 'purged', worker_id = NULL
      FROM relais.notice n
     WHERE n.template IS NULL AND n.notice_id = d.notice_id
       AND d.notice_id IS NOT NULL AND d.state = 'queued'
"""


async def _cancel_without_bytes(db: Connection) -> None:
    """Cancel what came back too late to leave again."""
    await db.execute(CANCEL_COPIES)
    await db.execute(CANCEL_NOTICES)


FORGET_DELIVERIES = """
    WITH ended AS (
        SELECT o.posting_id FROM relais.posting o
         WHERE o.has_traces AND o.state IN ('finished', 'stopped')
           AND o.finished_at < (SELECT relais.now()) - $1::interval
           AND NOT EXISTS (SELECT FROM relais.delivery d
                            WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL)
         ORDER BY o.finished_at LIMIT 100
           FOR NO KEY UPDATE OF o SKIP LOCKED
    ), old AS (
        SELECT d.delivery_id
          FROM ended
         CROSS JOIN LATERAL (SELECT x.delivery_id FROM relais.delivery x
                              WHERE x.posting_id = ended.posting_id LIMIT $2) d
         LIMIT $2
    ), gone AS (
        DELETE FROM relais.delivery d
         WHERE d.delivery_id = ANY(ARRAY(SELECT old.delivery_id FROM old))
     RETURNING d.posting_id, d.state
    ), counted AS (
        INSERT INTO relais.posting_figure AS figure (posting_id, state, deliveries)
        SELECT posting_id, state, count(*) FROM gone GROUP BY 1, 2
            ON CONFLICT (posting_id, state) DO UPDATE
           SET deliveries = figure.deliveries + excluded.deliveries
    )
    SELECT count(*) FROM gone
"""


async def _forget_deliveries(db: Connection, after: timedelta) -> int:
    """Count deliveries into the figures of their posting, and delete them."""
    deleted: int = await db.fetchval(FORGET_DELIVERIES, after, _ROWS)
    return deleted


FORGET_AUTHORS = """
    WITH ended AS (
        SELECT o.posting_id, o.receipt_id FROM relais.posting o
         WHERE o.has_traces AND o.state IN ('finished', 'stopped')
           AND o.finished_at < (SELECT relais.now()) - $1::interval
           AND NOT EXISTS (SELECT FROM relais.delivery d WHERE d.posting_id = o.posting_id)
         ORDER BY o.finished_at LIMIT $2
           FOR NO KEY UPDATE OF o SKIP LOCKED
    ), asked AS (
        DELETE FROM relais.decision d USING ended WHERE d.posting_id = ended.posting_id
    ), told AS (
        UPDATE relais.receipt r
           SET author = '', closed_at = coalesce(r.closed_at, relais.now())
         WHERE r.receipt_id IN (SELECT receipt_id FROM ended)
           AND NOT EXISTS (SELECT FROM relais.posting other
                            WHERE other.receipt_id = r.receipt_id AND other.has_traces
                              AND other.posting_id NOT IN (SELECT posting_id FROM ended))
    )
    UPDATE relais.posting o
       SET has_traces = false, author = '', subject = '', message_id = NULL, thread = '{}',
           held_because = NULL, decided_by = NULL, paused_by = NULL, signed_by = '',
           return_path_domain = '', network = '', author_lang = NULL, content = NULL
      FROM ended WHERE o.posting_id = ended.posting_id
 RETURNING o.posting_id
"""


async def _forget_authors(db: Connection, after: timedelta) -> int:
    """Forget who wrote postings without deliveries, and who decided about them."""
    return len(await db.fetch(FORGET_AUTHORS, after, _MESSAGES))


# Their deliveries go with them.
FORGET_NOTICES = """
    WITH old AS (
        SELECT n.notice_id FROM relais.notice n
         WHERE n.made_at < (SELECT relais.now()) - $1::interval
           AND NOT EXISTS (SELECT FROM relais.delivery d
                            WHERE d.notice_id = n.notice_id
                              AND (d.settled_at IS NULL
                                   OR d.settled_at >= (SELECT relais.now()) - $1::interval))
         ORDER BY n.made_at LIMIT $2
           FOR UPDATE OF n SKIP LOCKED
    )
    DELETE FROM relais.notice n USING old WHERE n.notice_id = old.notice_id
 RETURNING n.notice_id
"""


async def _forget_notices(db: Connection, after: timedelta) -> int:
    """Delete notices."""
    return len(await db.fetch(FORGET_NOTICES, after, _ROWS))


FORGET_WORDS = """
    WITH old AS (
        SELECT f.failure_id FROM relais.address_failure f
         WHERE f.evidence <> '' AND f.failed_at < (SELECT relais.now()) - $1::interval
         ORDER BY f.failed_at LIMIT $2
           FOR UPDATE SKIP LOCKED
    )
    UPDATE relais.address_failure f SET evidence = '' FROM old WHERE f.failure_id = old.failure_id
"""

# Whoever changes an address just now is not waited for: there is another time.
FORGET_LAST_WORDS = """
    WITH old AS (
        SELECT h.address FROM relais.address_health h
         WHERE h.evidence <> '' AND h.since < (SELECT relais.now()) - $1::interval
           FOR UPDATE SKIP LOCKED
    )
    UPDATE relais.address_health h SET evidence = '' FROM old WHERE h.address = old.address
"""


async def _forget_words(db: Connection, after: timedelta) -> None:
    """Keep of what servers said of addresses only how it was understood."""
    await db.execute(FORGET_WORDS, after, _ROWS)
    await db.execute(FORGET_LAST_WORDS, after)


# What nothing has come of in all that time is of an address that is on no list.
FORGET_STATES = """
    WITH old AS (
        SELECT h.address FROM relais.address_health h
         WHERE h.state <> 'held' AND h.since < (SELECT relais.now()) - $1::interval
           FOR UPDATE SKIP LOCKED
    )
    DELETE FROM relais.address_health h USING old WHERE h.address = old.address
"""

FORGET_FAILURES = """
    WITH old AS (
        SELECT f.failure_id FROM relais.address_failure f
         WHERE f.failed_at < (SELECT relais.now()) - $1::interval
           AND NOT EXISTS (SELECT FROM relais.address_health h WHERE h.address = f.address)
         ORDER BY f.failed_at LIMIT $2
           FOR UPDATE OF f SKIP LOCKED
    )
    DELETE FROM relais.address_failure f USING old WHERE f.failure_id = old.failure_id
 RETURNING f.failure_id
"""

FORGET_BURSTS = """
    WITH old AS (
        SELECT b.posting_id, b.provider, b.words FROM relais.burst b
         WHERE b.began_at < (SELECT relais.now()) - $1::interval
           FOR UPDATE SKIP LOCKED
    )
    DELETE FROM relais.burst b USING old
     WHERE (b.posting_id, b.provider, b.words) = (old.posting_id, old.provider, old.words)
"""


async def _forget_failures(db: Connection, after: timedelta) -> int:
    """Delete failures of addresses that are alive, and bursts."""
    await db.execute(FORGET_STATES, after)
    await db.execute(FORGET_BURSTS, after)
    return len(await db.fetch(FORGET_FAILURES, after, _ROWS))


# Of what a message says, and where it was refused, hashes. No other row refers to one,
# and nobody looks for one that old: an expansion writes its own anew.
FORGET_MESSAGES = """
    WITH old AS (
        SELECT m.fingerprint FROM relais.message m
         WHERE m.seen_at < (SELECT relais.now()) - $1::interval
         ORDER BY m.seen_at LIMIT $2
           FOR UPDATE SKIP LOCKED
    )
    DELETE FROM relais.message m USING old WHERE m.fingerprint = old.fingerprint
"""


async def _forget_messages(db: Connection, after: timedelta) -> None:
    """Delete by what messages are known that came twice, or to several lists."""
    await db.execute(FORGET_MESSAGES, after, _ROWS)


async def purge(
    db: Connection, *, messages: timedelta, returns: timedelta, traces: timedelta
) -> Purged:
    """Purge one batch of everything that was kept for long enough."""
    arrivals = await _purge_arrivals(db, _RETURNS, after=returns, messages=messages)
    arrivals += await _purge_arrivals(db, _OTHERS, after=messages, messages=messages)
    templates = await _purge_postings(db, messages) + await _purge_notices(db, messages)
    await _cancel_without_bytes(db)
    await _forget_words(db, returns)
    await _forget_messages(db, traces)
    return Purged(
        templates=templates,
        arrivals=arrivals,
        deliveries=await _forget_deliveries(db, traces),
        postings=await _forget_authors(db, traces),
        notices=await _forget_notices(db, traces),
        failures=await _forget_failures(db, traces),
    )
