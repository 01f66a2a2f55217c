"""Turns: which postings wait at which provider, and how many turns each has had.

A row stands for a posting at a provider from its expansion until the posting is
finished. What waits of it is in relais.delivery; a crash changes neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.policy.feedback import POSTING_STOP
from worker.policy.turns import Queue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from worker.policy.turns import QueueKey
    from worker.store.database import Connection


# A newcomer begins where the one stands that has had the fewest turns: it owes
# nothing and is owed nothing.
TAKE_PART = """
    INSERT INTO relais.turn (provider, posting_id, passed)
    SELECT d.provider, $1,
           coalesce((SELECT min(t.passed) FROM relais.turn t WHERE t.provider = d.provider), 0)
      FROM relais.delivery d WHERE d.posting_id = $1 AND d.state IN ('queued', 'deferred')
     GROUP BY d.provider
        ON CONFLICT DO NOTHING
"""


async def take_part(db: Connection, posting_id: int) -> None:
    """Give a posting its turns at each provider that it has deliveries for."""
    await db.execute(TAKE_PART, posting_id, timeout=600.0)


# How many wait is counted only as far as somebody might ask for, and in the order
# of the claim, so that the planner has no other index to take. What a provider has
# called unwanted stays where it is when the stop ends, until the janitor has
# cancelled it: who is awake first must not decide.
QUEUES = """
    WITH clock AS MATERIALIZED (SELECT relais.now() AS now),
    part AS (
        SELECT t.provider, t.posting_id, o.recipients, o.weight, t.passed
          FROM relais.turn t JOIN relais.posting o USING (posting_id), clock
         WHERE t.provider <> ALL($1) AND o.state = 'open' AND o.fresh_until > clock.now
           AND (o.finish_by IS NULL OR o.finish_by > clock.now)
           AND (o.not_before IS NULL OR o.not_before <= clock.now)
           AND NOT EXISTS (SELECT FROM relais.provider_state s
                            WHERE s.posting_id = t.posting_id AND s.provider = t.provider
                              AND (s.until > clock.now
                                   OR (s.rule_id IS NOT NULL AND s.until - s.since >= $3::interval
                                       AND s.until > clock.now - interval '1 day')))
    )
    SELECT part.*, n.waiting
      FROM part
     CROSS JOIN LATERAL (
           SELECT count(*) AS waiting
             FROM (SELECT FROM relais.delivery d
                    WHERE d.posting_id = part.posting_id AND d.provider = part.provider
                      AND d.state = 'queued'
                    ORDER BY d.due_at, d.delivery_id LIMIT $2) found) n
     WHERE n.waiting > 0
     UNION ALL
    SELECT p.provider, NULL, NULL, NULL, NULL, n.waiting
      FROM relais.provider p
     CROSS JOIN LATERAL (
           SELECT count(*) AS waiting
             FROM (SELECT FROM relais.delivery d
                    WHERE d.provider = p.provider AND d.state = 'queued'
                      AND d.notice_id IS NOT NULL
                    ORDER BY d.due_at, d.delivery_id LIMIT $2) found) n
     WHERE n.waiting > 0 AND p.provider <> ALL($1)
"""


async def queues(db: Connection, *, closed: Sequence[str], at_most: int) -> list[Queue]:
    """Return what could leave now, but to providers that are *closed*.

    Each queue is counted up to *at_most*.
    """
    return [
        Queue.of_notices(row["provider"], waiting=row["waiting"])
        if row["posting_id"] is None
        else Queue.of_posting(
            row["posting_id"],
            row["provider"],
            waiting=row["waiting"],
            recipients=row["recipients"],
            weight=row["weight"],
            passed=row["passed"],
        )
        for row in await db.fetch(QUEUES, closed, at_most, POSTING_STOP)
    ]


PASSED = """
    UPDATE relais.turn t SET passed = greatest(t.passed, p.passed)
      FROM (SELECT t.provider, t.posting_id, n.passed
              FROM unnest($1::bigint[], $2::text[], $3::double precision[])
                   AS n(posting_id, provider, passed)
              JOIN relais.turn t USING (posting_id, provider)
             ORDER BY 1, 2 FOR NO KEY UPDATE OF t SKIP LOCKED) p
     WHERE t.provider = p.provider AND t.posting_id = p.posting_id
"""


async def record(db: Connection, passed: Mapping[QueueKey, float]) -> None:
    """Remember how many turns postings have had.

    A row that another claim is writing is left: the turn is given twice, once.
    """
    if passed:
        await db.execute(
            PASSED,
            [key.posting_id for key in passed],
            [key.provider for key in passed],
            list(passed.values()),
        )


# Who expanded it may not have known of turns: an older worker during an upgrade.
MISSING = """
    SELECT o.posting_id FROM relais.posting o
     WHERE o.state IN ('open', 'held')
       AND NOT EXISTS (SELECT FROM relais.turn t WHERE t.posting_id = o.posting_id)
       AND EXISTS (SELECT FROM relais.delivery d
                    WHERE d.posting_id = o.posting_id AND d.settled_at IS NULL
                      AND d.state IN ('queued', 'deferred'))
"""


async def take_part_late(db: Connection) -> None:
    """Give their turns to postings under way that have none at all."""
    for row in await db.fetch(MISSING):
        await take_part(db, row["posting_id"])


JOIN = """
    INSERT INTO relais.turn (provider, posting_id, passed)
    SELECT j.provider, j.posting_id,
           coalesce((SELECT min(t.passed) FROM relais.turn t WHERE t.provider = j.provider), 0)
      FROM unnest($1::bigint[], $2::text[]) AS j(posting_id, provider)
     ORDER BY 1, 2
        ON CONFLICT DO NOTHING
"""


async def join(db: Connection, keys: Iterable[tuple[int, str]]) -> None:
    """Let postings take part at providers that deliveries of theirs have come to."""
    pairs = sorted(set(keys))
    await db.execute(JOIN, [number for number, _ in pairs], [name for _, name in pairs])


FORGET = """
    DELETE FROM relais.turn t USING relais.posting o
     WHERE o.posting_id = t.posting_id AND o.state NOT IN ('open', 'held')
"""


async def forget_finished(db: Connection) -> None:
    """Drop the turns of postings that have ended."""
    await db.execute(FORGET)
