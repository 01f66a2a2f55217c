"""Domains: what the DNS said of those that are in no table, and who waits for it.

    relais.mx_answer      means                                   after a crash
    provider is null      asked for by an expansion               asked for again
    ask_again_at passed   known, and asked again while used       unchanged
    else                  known                                   unchanged

A copy to a domain that is asked for is deferred for PATIENCE, and leaves as one
to `other` if there is no answer by then. Answers and what follows from them are
one transaction; any number of processes may survey at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from worker.policy.provider import OTHER, RESERVED
from worker.store import turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.store.database import Connection

PATIENCE = timedelta(seconds=20)
_FORGOTTEN_AFTER = timedelta(days=30)
# What may touch a million rows; the patience of a connection is a minute.
_LONG_SECONDS = 600.0

# Sorted, so that two expansions cannot deadlock. What others have asked for is
# locked: its answer comes before this transaction, which then is run again and
# sees it, or after it, and then moves the deliveries that it has made.
ASK = """
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT lower(split_part(l.address, '@', 2)) AS domain
          FROM listed l WHERE l.verdict = 'recipient'
    ), asked AS (
        INSERT INTO relais.mx_answer (domain, asked_at, ask_again_at)
        SELECT wanted.domain, t.now, t.now
          FROM wanted, (SELECT relais.now() AS now) t
         WHERE wanted.domain !~ $1
           AND NOT EXISTS (SELECT FROM relais.domain_provider d WHERE d.domain = wanted.domain)
         ORDER BY wanted.domain
            ON CONFLICT DO NOTHING
    )
    SELECT FROM relais.mx_answer a
     WHERE a.provider IS NULL AND a.domain IN (SELECT wanted.domain FROM wanted)
     ORDER BY a.domain FOR SHARE OF a
"""

TELL = """
    SELECT pg_notify('relais', 'domain')
     WHERE EXISTS (SELECT FROM relais.mx_answer WHERE ask_again_at <= relais.now())
"""


async def ask_for_listed(db: Connection) -> None:
    """Ask for the domains of the recipients in *listed* that nobody has asked for.

    The caller's transaction is REPEATABLE READ, and run again after a conflict.
    """
    await db.execute(ASK, RESERVED, timeout=_LONG_SECONDS)
    await db.execute(TELL)


# LATERAL keeps the planner from reading all that waits.
DUE = """
    SELECT a.domain FROM relais.mx_answer a
     CROSS JOIN LATERAL (
           SELECT FROM relais.delivery d
            WHERE lower(split_part(d.address, '@', 2)) = a.domain
              AND d.state IN ('queued', 'deferred') LIMIT 1) used
     WHERE a.ask_again_at <= (SELECT relais.now())
     ORDER BY a.provider IS NOT NULL, a.ask_again_at, a.domain LIMIT $1
"""


async def due(db: Connection, *, at_most: int) -> list[str]:
    """Return domains to look up now, of those that somebody still waits to be written to."""
    return [row["domain"] for row in await db.fetch(DUE, at_most)]


SUFFIXES = "SELECT suffix, provider FROM relais.provider_mx"


async def suffixes(db: Connection) -> dict[str, str]:
    """Return the providers by the suffixes of their exchanges."""
    return {row["suffix"]: row["provider"] for row in await db.fetch(SUFFIXES)}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a look-up said."""

    domain: str
    provider: str | None  # None: nobody knows; what was known before still holds.
    good_for: timedelta


# What an expansion that is under way waits for is left to the next round, and
# so is what another process is just writing.
ANSWER = """
    WITH said AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::interval[])
                      AS s(domain, provider, good_for)
    ), mine AS (
        SELECT a.domain FROM relais.mx_answer a JOIN said USING (domain)
         WHERE a.ask_again_at <= (SELECT relais.now())
         ORDER BY a.domain FOR NO KEY UPDATE OF a SKIP LOCKED
    )
    UPDATE relais.mx_answer a
       SET provider = coalesce(said.provider, a.provider, $4), answered_at = t.now,
           ask_again_at = t.now + said.good_for
      FROM mine JOIN said USING (domain), (SELECT relais.now() AS now) t
     WHERE a.domain = mine.domain
 RETURNING a.domain
"""

# A domain in the table of domains is the table's, whatever the DNS said before.
# What was never tried only waited for this.
MOVE = """
    WITH moved AS (
        SELECT d.delivery_id, p.provider
          FROM relais.domain_provider p
          JOIN relais.delivery d ON lower(split_part(d.address, '@', 2)) = p.domain
         WHERE p.domain = ANY($1::text[]) AND d.state IN ('queued', 'deferred')
           AND (d.provider <> p.provider OR (d.state = 'deferred' AND d.tried_since IS NULL))
         ORDER BY d.delivery_id FOR NO KEY UPDATE OF d
    ), done AS (
        UPDATE relais.delivery d
           SET provider = moved.provider,
               state = CASE WHEN d.tried_since IS NULL THEN 'queued' ELSE d.state END,
               due_at = CASE WHEN d.tried_since IS NULL AND d.state = 'deferred'
                             THEN relais.now() ELSE d.due_at END
          FROM moved WHERE d.delivery_id = moved.delivery_id
     RETURNING d.posting_id, d.provider
    )
    SELECT posting_id, provider, count(*)::integer AS moved FROM done GROUP BY 1, 2
"""


async def answer(db: Connection, answers: Sequence[Answer]) -> tuple[int, int]:
    """Write *answers*, and let what waits for them go.

    Returns how many were written, and how many copies have moved. A posting may
    join a provider by this, so that it takes part in the turns there. Call it in
    a transaction.
    """
    answered = await db.fetch(
        ANSWER,
        [said.domain for said in answers],
        [said.provider for said in answers],
        [said.good_for for said in answers],
        OTHER,
    )
    domains = [row["domain"] for row in answered]
    rows = await db.fetch(MOVE, domains, timeout=_LONG_SECONDS)
    # Notices take no turns.
    await turns.join(db, ((r["posting_id"], r["provider"]) for r in rows if r["posting_id"]))
    if rows:
        await db.execute("SELECT pg_notify('relais', 'delivery')")
    return len(domains), sum(row["moved"] for row in rows)


# Whose answer is that old has not been used: else it would have been asked again.
FORGET = """
    DELETE FROM relais.mx_answer a
     WHERE coalesce(a.answered_at, a.asked_at) < relais.now() - $1::interval
       AND NOT EXISTS (SELECT FROM relais.delivery d
                        WHERE lower(split_part(d.address, '@', 2)) = a.domain
                          AND d.state IN ('queued', 'deferred'))
"""


async def forget_unused(db: Connection) -> None:
    """Drop what was said of domains that nobody writes to any more."""
    await db.execute(FORGET, _FORGOTTEN_AFTER)
