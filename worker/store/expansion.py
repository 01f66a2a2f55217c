"""Expansion: a list's view becomes one delivery per recipient, inside the database.

The caller's transaction is REPEATABLE READ, so the view is seen at one moment.
Each row of the view is judged once, in the temporary table *listed*; no row
ever comes to the worker, so its memory does not know the size of the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.store import domains, turns
from worker.store.lists import as_json, asking_views

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

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
    held: int = 0  # Mail to their address comes back.


# For a million rows on a slow disk; the patience of a connection is a minute.
_LONG_SECONDS = 600.0

CREATE_LISTED = """
    CREATE TEMPORARY TABLE listed
        (address text, key text, verdict text, lang text, fields text[]) ON COMMIT DROP
"""

# Suppressed rows are taken out before duplicates are: of two people who share
# an address, the one who left must not hide the other. A person comes once,
# then an address comes once. Opt-outs are few; the copies of the same message
# to another list may be a million, so they are joined. Whoever was erased is known
# by a hash, for which no row is hashed while nobody was.
JUDGE = """
    INSERT INTO listed (address, key, verdict, lang, fields)
    WITH scope AS (
        SELECT s.person_id, s.address FROM relais.suppression s
         WHERE s.list_id = $3 OR s.list_id IS NULL
    ), erased AS MATERIALIZED (
        SELECT substr(scope.address, 8) AS hash FROM scope WHERE scope.address LIKE 'erased:%'
         UNION
        SELECT split_part(p.key, ':', 2) FROM scope JOIN relais.person p USING (person_id)
         WHERE p.key LIKE 'erased:%'
    ), held AS MATERIALIZED (
        SELECT h.address FROM relais.address_health h WHERE h.state = 'held'
    ), elsewhere AS MATERIALIZED (
        SELECT lower(d.address) AS address, p.key
          FROM relais.posting o
          JOIN relais.delivery d USING (posting_id)
          JOIN relais.person p USING (person_id)
         WHERE o.fingerprint = $4 AND o.list_id IS DISTINCT FROM $3 AND d.state <> 'cancelled'
    ), seen AS (
        SELECT btrim(r.email) AS address,
               coalesce('person:' || r.person, 'address:' || lower(btrim(r.email))) AS key,
               r.lang, r.fields
          FROM lists.roll($1::text::regclass, $2::jsonb, $6) r
    ), judged AS (
        SELECT seen.*,
               CASE WHEN NOT coalesce(relais.usable_address(seen.address), false)
                      OR lower(split_part(seen.address, '@', 2)) = $5 THEN 'unusable'
                    WHEN lower(seen.address) IN (SELECT scope.address FROM scope
                                                  WHERE scope.address IS NOT NULL)
                      OR seen.key IN (SELECT p.key FROM scope JOIN relais.person p
                                       USING (person_id))
                      OR EXISTS (SELECT FROM erased)
                     AND (relais.salted(lower(seen.address), (SELECT salt FROM relais.salt))
                          IN (SELECT hash FROM erased)
                          OR relais.salted(seen.key, (SELECT salt FROM relais.salt))
                          IN (SELECT hash FROM erased))
                    THEN 'suppressed'
                    WHEN lower(seen.address) IN (SELECT held.address FROM held) THEN 'held'
                    WHEN same_address.address IS NOT NULL OR same_person.key IS NOT NULL
                    THEN 'duplicate'
               END AS verdict
          FROM seen
          LEFT JOIN (SELECT DISTINCT address FROM elsewhere) same_address
            ON same_address.address = lower(seen.address)
          LEFT JOIN (SELECT DISTINCT key FROM elsewhere) same_person
            ON same_person.key = seen.key
    ), by_person AS (
        SELECT judged.*, row_number() OVER (PARTITION BY verdict, key ORDER BY address) AS nth
          FROM judged
    ), by_address AS (
        SELECT by_person.*,
               row_number() OVER (PARTITION BY verdict, nth > 1, lower(address) ORDER BY key) AS mth
          FROM by_person
    )
    SELECT address, key,
           coalesce(verdict, CASE WHEN nth > 1 OR mth > 1 THEN 'duplicate' ELSE 'recipient' END),
           lang, fields
      FROM by_address
"""

COUNT = """
    SELECT count(*) AS listed,
           count(*) FILTER (WHERE verdict = 'recipient') AS recipients,
           count(*) FILTER (WHERE verdict = 'suppressed') AS suppressed,
           count(*) FILTER (WHERE verdict = 'unusable') AS unusable,
           count(*) FILTER (WHERE verdict = 'duplicate') AS duplicates,
           count(*) FILTER (WHERE verdict = 'held') AS held
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
    async with asking_views(db, patience):
        await db.execute(
            JUDGE,
            address.definition.view,
            as_json(address.parts),
            list_id,
            fingerprint,
            domain,
            address.definition.merge_fields,
            timeout=patience.total_seconds() + 10,
        )
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
# is always first, and that a second run would repeat. A domain of nobody is one
# whose exchanges are being asked for.
DELIVER = """
    INSERT INTO relais.delivery (posting_id, person_id, address, provider, state, due_at, small,
                                 lang, fields)
    SELECT $1, p.person_id, l.address, coalesce(d.provider, 'other'),
           CASE WHEN waits.yes THEN 'deferred' ELSE 'queued' END::relais.delivery_state,
           CASE WHEN waits.yes THEN t.now + $3 ELSE t.now END, $2,
           CASE WHEN lower(substr(l.lang, 1, 2)) = ANY ($4::text[])
                THEN lower(substr(l.lang, 1, 2)) END, l.fields
      FROM (SELECT relais.now() AS now) t, listed l
      JOIN relais.person p ON p.key = l.key
      LEFT JOIN relais.domain_provider d ON d.domain = lower(split_part(l.address, '@', 2))
     CROSS JOIN LATERAL (
           SELECT $3::interval IS NOT NULL
              AND d.domain IS NOT NULL AND d.provider IS NULL) waits(yes)
     WHERE l.verdict = 'recipient'
     ORDER BY hashtextextended(l.key, $1)
"""


async def deliver(
    db: Connection, posting_id: int, *, is_small: bool, look_up: bool, langs: Sequence[str]
) -> None:
    """Make one delivery for each recipient in *listed*, and give the posting its turns.

    *langs* are the languages that its copies exist in; who reads another gets the
    posting's. With *look_up* those at domains that nobody has asked about wait for the answer.
    """
    if look_up:
        await domains.ask_for_listed(db)
    patience = domains.PATIENCE if look_up else None
    await db.execute(MEET, timeout=_LONG_SECONDS)
    await db.execute(DELIVER, posting_id, is_small, patience, langs, timeout=_LONG_SECONDS)
    await turns.take_part(db, posting_id)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one row of a view was judged, and by what; what does not apply is None."""

    address: str
    provider: str
    verdict: str
    key: str | None  # Whose row it is.
    flaw: str | None  # Of an unusable address.
    reason: str | None  # These four of the oldest suppression; of a held address two.
    source: str | None
    since: datetime | None
    everywhere: bool | None
    same_person: str | None  # Of a duplicate: where the same person is written to,
    same_address: str | None  # or else the key of who shares the address.


# Those who get nothing come first: it is them that people ask about. A person's
# first row may itself be a duplicate, of someone who shares the address.
VERDICTS = """
    WITH shown AS MATERIALIZED (
        SELECT l.address, l.key, l.verdict FROM listed l
         ORDER BY l.verdict = 'recipient', l.verdict, lower(coalesce(l.address, '')), l.key
         LIMIT $1
    ), person AS (
        SELECT DISTINCT ON (l.key) l.key, l.address, l.verdict FROM listed l
         WHERE l.verdict IN ('recipient', 'duplicate')
         ORDER BY l.key, l.verdict DESC, l.address
    ), mailbox AS (
        SELECT lower(l.address) AS address, min(l.key) AS key FROM listed l
         WHERE l.verdict = 'recipient' GROUP BY 1
    )
    SELECT coalesce(s.address, '') AS address,
           coalesce(d.provider, 'other') AS provider, s.verdict, s.key,
           CASE WHEN s.verdict <> 'unusable' THEN NULL
                WHEN coalesce(s.address, '') = '' THEN 'empty'
                WHEN lower(split_part(s.address, '@', 2)) = $3 THEN 'ours'
                WHEN s.address ~ '@[^@]*[,;/[:space:]][^@]*@' THEN 'several'
                WHEN octet_length(s.address) <> length(s.address) THEN 'not_ascii'
                WHEN s.address ~ '[<>()"]' THEN 'decorated'
                WHEN s.address ~ '[[:space:]]' THEN 'blank'
                WHEN length(s.address) > 254 OR position('@' IN s.address) > 65 THEN 'too_long'
                WHEN s.address !~ '@' THEN 'no_at'
                WHEN s.address ~ '@.*@' THEN 'two_ats'
                WHEN split_part(s.address, '@', 2) !~ '[.]' THEN 'no_dot'
                ELSE 'malformed' END AS flaw,
           coalesce(kept.reason, back.reason) AS reason, kept.source,
           coalesce(kept.since, back.since) AS since, kept.everywhere,
           CASE WHEN s.verdict = 'duplicate'
                 AND (person.verdict = 'recipient' OR mailbox.key IS NULL)
                THEN person.address END AS same_person,
           CASE WHEN s.verdict = 'duplicate' AND person.verdict <> 'recipient'
                THEN mailbox.key END AS same_address
      FROM shown s
      LEFT JOIN person ON person.key = s.key
      LEFT JOIN mailbox ON mailbox.address = lower(s.address)
      LEFT JOIN relais.domain_provider d ON d.domain = lower(split_part(s.address, '@', 2))
      LEFT JOIN LATERAL (
           SELECT q.reason::text, q.source, q.since, q.list_id IS NULL AS everywhere
             FROM (SELECT x.* FROM relais.person p JOIN relais.suppression x USING (person_id)
                    WHERE p.key = s.key
                    UNION ALL
                   SELECT x.* FROM relais.suppression x WHERE x.address = lower(s.address)
                    UNION ALL
                   SELECT x.* FROM relais.suppression x
                     LEFT JOIN relais.person p ON p.person_id = x.person_id
                    CROSS JOIN relais.salt t
                    WHERE x.address LIKE 'erased:%'
                      AND x.address = 'erased:' || relais.salted(lower(s.address), t.salt)
                       OR p.key LIKE 'erased:%'
                      AND split_part(p.key, ':', 2) = relais.salted(s.key, t.salt)) q
            WHERE s.verdict = 'suppressed' AND (q.list_id = $2 OR q.list_id IS NULL)
            ORDER BY q.since LIMIT 1) kept ON true
      LEFT JOIN relais.address_health back
        ON back.address = lower(s.address) AND s.verdict = 'held'
     ORDER BY s.verdict = 'recipient', s.verdict, lower(coalesce(s.address, '')), s.key
"""


async def verdicts(
    db: Connection, *, list_id: int | None, domain: str, at_most: int
) -> list[Verdict]:
    """Return how the first rows in *listed* were judged, and why, for people to read."""
    return [Verdict(**row) for row in await db.fetch(VERDICTS, at_most, list_id, domain)]


BY_PROVIDER = """
    SELECT coalesce(d.provider, 'other') AS provider, count(*) AS recipients
      FROM listed l
      LEFT JOIN relais.domain_provider d ON d.domain = lower(split_part(l.address, '@', 2))
     WHERE l.verdict = 'recipient' GROUP BY 1 ORDER BY 2 DESC, 1
"""


async def by_provider(db: Connection) -> dict[str, int]:
    """Return how many recipients in *listed* each provider has."""
    return {row["provider"]: row["recipients"] for row in await db.fetch(BY_PROVIDER)}
