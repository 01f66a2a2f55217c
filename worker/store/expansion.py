"""Expansion: a list's view becomes one delivery per recipient, inside the database.

The caller's transaction is REPEATABLE READ, so the view is seen at one moment.
Each row of the view is judged once, in the temporary table *listed*; no row
ever comes to the worker, so its memory does not know the size of the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.store.lists import as_json

if TYPE_CHECKING:
    from datetime import timedelta

    from worker.policy.expansion import ListAddress
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class Roll:
    """How the rows of a view were judged."""

    listed: int
    recipients: int
    suppressed: int
    unusable: int
    duplicates: int


CREATE_LISTED = """
    CREATE TEMPORARY TABLE listed (address text, key text, verdict text) ON COMMIT DROP
"""

# Suppressed rows are taken out before duplicates are: of two people who share
# an address, the one who left must not hide the other. A person comes once,
# then an address comes once. The IN sets are small and hashed.
JUDGE = """
    INSERT INTO listed (address, key, verdict)
    WITH scope AS (
        SELECT s.person_id, s.address FROM relais.suppression s
         WHERE s.list_id = $3 OR s.list_id IS NULL
    ), seen AS (
        SELECT btrim(r.email) AS address,
               coalesce('person:' || r.person, 'address:' || lower(btrim(r.email))) AS key
          FROM lists.recipients($1::text::regclass, $2::jsonb) r
    ), judged AS (
        SELECT seen.*,
               CASE WHEN NOT coalesce(relais.usable_address(address), false)
                      OR lower(split_part(address, '@', 2)) = $5 THEN 'unusable'
                    WHEN lower(address) IN (SELECT scope.address FROM scope
                                             WHERE scope.address IS NOT NULL)
                      OR key IN (SELECT p.key FROM scope JOIN relais.person p USING (person_id))
                    THEN 'suppressed'
                    WHEN lower(address) IN (
                        SELECT lower(d.address) FROM relais.posting o
                          JOIN relais.delivery d USING (posting_id)
                         WHERE o.fingerprint = $4 AND o.list_id IS DISTINCT FROM $3)
                    THEN 'duplicate'
               END AS verdict
          FROM seen
    ), by_person AS (
        SELECT judged.*, row_number() OVER (PARTITION BY verdict, key ORDER BY address) AS nth
          FROM judged
    ), by_address AS (
        SELECT by_person.*,
               row_number() OVER (PARTITION BY verdict, nth > 1, lower(address) ORDER BY key) AS mth
          FROM by_person
    )
    SELECT address, key,
           coalesce(verdict, CASE WHEN nth > 1 OR mth > 1 THEN 'duplicate' ELSE 'recipient' END)
      FROM by_address
"""

COUNT = """
    SELECT count(*) AS listed,
           count(*) FILTER (WHERE verdict = 'recipient') AS recipients,
           count(*) FILTER (WHERE verdict = 'suppressed') AS suppressed,
           count(*) FILTER (WHERE verdict = 'unusable') AS unusable,
           count(*) FILTER (WHERE verdict = 'duplicate') AS duplicates
      FROM listed
"""


async def judge(
    db: Connection,
    address: ListAddress,
    *,
    list_id: int | None,
    fingerprint: bytes,
    domain: str,
    patience: timedelta,
) -> Roll:
    """Run the list's query once and judge its rows into *listed*.

    Raises asyncpg.PostgresError for what is wrong with the query, a
    QueryCanceledError after *patience* among them.
    """
    await db.execute(CREATE_LISTED)
    milliseconds = str(int(patience.total_seconds() * 1000))
    await db.fetchval("SELECT set_config('statement_timeout', $1, true)", milliseconds)
    await db.execute(
        JUDGE,
        address.definition.view,
        as_json(address.parts),
        list_id,
        fingerprint,
        domain,
        timeout=patience.total_seconds() + 10,
    )
    await db.fetchval("SELECT set_config('statement_timeout', '0', true)")
    row = await db.fetchrow(COUNT)
    return Roll(**row)  # type: ignore[arg-type]  # an aggregate always has its one row


# Sorted, so that all is looked up before the first is inserted: in a table that
# is new the planner looks through its own insertions again for each row.
MEET = """
    INSERT INTO relais.person (key)
    SELECT l.key FROM listed l
     WHERE l.verdict = 'recipient'
       AND NOT EXISTS (SELECT FROM relais.person p WHERE p.key = l.key)
     ORDER BY l.key
        ON CONFLICT DO NOTHING
"""

# In an order that looks random, so that no provider and no end of the alphabet
# is always first, and that a second run would repeat.
DELIVER = """
    INSERT INTO relais.delivery (posting_id, person_id, address, provider, due_at)
    SELECT $1, p.person_id, l.address, coalesce(d.provider, 'other'), t.now
      FROM (SELECT relais.now() AS now) t, listed l
      JOIN relais.person p ON p.key = l.key
      LEFT JOIN relais.provider_domain d ON d.domain = lower(split_part(l.address, '@', 2))
     WHERE l.verdict = 'recipient'
     ORDER BY hashtextextended(l.key, $1)
"""


async def deliver(db: Connection, posting_id: int) -> None:
    """Make one delivery for each recipient in *listed*."""
    await db.execute(MEET)
    await db.execute(DELIVER, posting_id)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one row of a view is in or out."""

    address: str
    provider: str
    verdict: str


VERDICTS = """
    SELECT coalesce(l.address, '') AS address,
           relais.provider_of(coalesce(l.address, '')) AS provider, l.verdict
      FROM listed l ORDER BY l.verdict, lower(l.address) LIMIT $1
"""


async def verdicts(db: Connection, *, at_most: int) -> list[Verdict]:
    """Return how the rows in *listed* were judged, for people to read."""
    return [Verdict(**row) for row in await db.fetch(VERDICTS, at_most)]


BY_PROVIDER = """
    SELECT relais.provider_of(l.address) AS provider, count(*) AS recipients
      FROM listed l WHERE l.verdict = 'recipient' GROUP BY 1 ORDER BY 2 DESC, 1
"""


async def by_provider(db: Connection) -> dict[str, int]:
    """Return how many recipients in *listed* each provider has."""
    return {row["provider"]: row["recipients"] for row in await db.fetch(BY_PROVIDER)}
