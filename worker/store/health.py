"""Address health: what came back by address, and the state that follows.

    table            row                                         after a crash
    address_failure  a copy that came back, once per delivery    unchanged
    address_health   an address that is not simply alive         written with its last failure

Whoever changes what is kept of an address holds lock() from before its first read;
deliveries are locked before it, and a burst (worker/store/bursts.py) is counted after
it: so nobody waits for anybody in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.policy.health import ARRIVED_AFTER, Failure, Steps
from worker.store.ailing import reason_stored

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from worker.mail.reason import Reason
    from worker.policy.health import Health
    from worker.store.database import Connection

_EVIDENCE_LIMIT = 500

LOCK = "SELECT pg_advisory_xact_lock(7256949, hashtext($1))"


async def lock(db: Connection, address: str) -> None:
    """Be the only one who changes what is kept of *address*, until the transaction ends."""
    await db.execute(LOCK, address)


ADDRESS_OF = "SELECT address FROM relais.delivery WHERE delivery_id = $1 FOR SHARE"


async def address_of(db: Connection, delivery_id: int) -> str | None:
    """Return whom a delivery is for, in lower case, and keep it so; None of an erased one.

    An erasure that has begun is waited for, and one that begins waits for our end.
    """
    address: str | None = await db.fetchval(ADDRESS_OF, delivery_id)
    return address.lower() if address is not None and "@" in address else None


@dataclass(frozen=True, slots=True)
class NewFailure:
    """A copy that came back because of its address, which is in lower case."""

    address: str
    delivery_id: int
    posting_id: int | None  # None: a notice.
    person_id: int | None
    provider: str
    is_permanent: bool
    reason: Reason
    status: str
    evidence: str
    words: bytes


# The burst's row is locked to the end of the transaction: whoever excuses it comes
# after all that it does not see excused yet.
RECORD = """
    WITH failed AS (
        INSERT INTO relais.address_failure (address, delivery_id, posting_id, person_id, provider,
                                            failed_at, is_permanent, reason, status, evidence,
                                            words, look_at)
        SELECT $1, $2, $3, $4, $5, t.now, $6, $7, $8, $9, $10, t.now + $11::interval
          FROM (SELECT relais.now() AS now) t
            ON CONFLICT (delivery_id) DO NOTHING
     RETURNING failure_id, posting_id, provider, words, failed_at
    ), counted AS (
        INSERT INTO relais.burst AS b (posting_id, provider, words, failures, began_at)
        SELECT posting_id, provider, words, 1, failed_at FROM failed WHERE posting_id IS NOT NULL
            ON CONFLICT (posting_id, provider, words) DO UPDATE SET failures = b.failures + 1
     RETURNING is_excused
    )
    SELECT failure_id, coalesce((SELECT is_excused FROM counted), false) AS is_excused FROM failed
"""

EXCUSE_ONE = "UPDATE relais.address_failure SET is_excused = true WHERE failure_id = $1"


async def record(db: Connection, failure: NewFailure) -> bool:
    """Keep a failure, excused if its burst is; False if that delivery's is kept already."""
    row = await db.fetchrow(
        RECORD,
        failure.address,
        failure.delivery_id,
        failure.posting_id,
        failure.person_id,
        failure.provider,
        failure.is_permanent,
        failure.reason.value,
        failure.status,
        failure.evidence[:_EVIDENCE_LIMIT],
        failure.words,
        ARRIVED_AFTER,
    )
    if row is not None and row["is_excused"]:
        await db.execute(EXCUSE_ONE, row["failure_id"])
    return row is not None


@dataclass(frozen=True, slots=True)
class History:
    """What is kept of an address: its failures since the last success, and its row."""

    failures: list[Failure]
    state: str | None  # None: alive.
    since: datetime | None
    due_at: datetime | None
    steps: Steps


FAILURES = """
    SELECT failed_at, is_permanent, reason, status, evidence, posting_id, is_excused
      FROM relais.address_failure WHERE address = $1 AND NOT is_over ORDER BY failure_id
"""

STATE = """
    SELECT state, since, due_at, asked_at, tried_at FROM relais.address_health WHERE address = $1
"""


async def history(db: Connection, address: str) -> History:
    """Return what is kept of *address*."""
    rows = await db.fetch(FAILURES, address)
    failures = [Failure(**{**row, "reason": reason_stored(row["reason"])}) for row in rows]
    row = await db.fetchrow(STATE, address)
    if row is None:
        return History(failures, None, None, None, Steps())
    steps = Steps(row["asked_at"], row["tried_at"])
    return History(failures, row["state"], row["since"], row["due_at"], steps)


FORGET = "DELETE FROM relais.address_health WHERE address = $1"

WRITE = """
    INSERT INTO relais.address_health AS h (address, state, since, due_at, reason, status, evidence,
                                            asked_at, tried_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (address) DO UPDATE
       SET state = excluded.state, since = excluded.since, due_at = excluded.due_at,
           reason = excluded.reason, status = excluded.status, evidence = excluded.evidence,
           asked_at = excluded.asked_at, tried_at = excluded.tried_at
"""


async def write(db: Connection, address: str, health: Health | None, steps: Steps) -> None:
    """Keep the state of *address*, and what we have done about it; None: it is alive."""
    if health is None:
        await db.execute(FORGET, address)
        return
    await db.execute(
        WRITE,
        address,
        health.state.value,
        health.since,
        health.due_at,
        health.cause.reason.value,
        health.cause.status,
        health.cause.evidence,
        steps.asked_at,
        steps.tried_at,
    )


END = """
    UPDATE relais.address_failure SET is_over = true
     WHERE address = $1 AND NOT is_over AND failed_at <= $2
"""


async def end(db: Connection, address: str, *, until: datetime) -> None:
    """Let the failures of *address* up to then count no more: a copy has arrived."""
    await db.execute(END, address, until)


END_BEFORE = """
    UPDATE relais.address_failure f SET is_over = true
      FROM relais.delivery d
     WHERE f.address = $1 AND NOT f.is_over
       AND d.delivery_id = $2 AND f.failed_at <= d.marked_at
"""


async def end_before(db: Connection, address: str, delivery_id: int) -> None:
    """Let the failures of *address* up to when that copy left count no more: it has arrived."""
    await db.execute(END_BEFORE, address, delivery_id)


IS_TROUBLED = """
    SELECT EXISTS (SELECT FROM relais.address_failure WHERE address = $1 AND NOT is_over)
        OR EXISTS (SELECT FROM relais.address_health WHERE address = $1)
"""


async def is_troubled(db: Connection, address: str) -> bool:
    """Return whether a success of *address* would change anything."""
    return bool(await db.fetchval(IS_TROUBLED, address))


TO_LOOK_AT = """
    SELECT address FROM relais.address_failure
     WHERE NOT is_over AND look_at <= (SELECT relais.now()) ORDER BY look_at LIMIT $1
"""


async def to_look_at(db: Connection, *, at_most: int) -> list[str]:
    """Return addresses that may have had a later copy by now."""
    rows = await db.fetch(TO_LOOK_AT, at_most)
    return list(dict.fromkeys(row["address"] for row in rows))


# Of the people who had copies there, or of our own letters; deliveries have no
# index by address. What a relay is still trying has not arrived.
ARRIVED = """
    WITH theirs AS (
        SELECT d.* FROM relais.delivery d
         WHERE d.person_id IN (SELECT f.person_id FROM relais.address_failure f
                                WHERE f.address = $1)
         UNION ALL
        SELECT d.* FROM relais.notice n JOIN relais.delivery d USING (notice_id)
         WHERE lower(n.address) = $1
    )
    SELECT max(d.marked_at) FROM theirs d
     WHERE lower(d.address) = $1 AND d.state = 'handed_over'
       AND d.settled_at <= (SELECT relais.now()) - $2::interval
       AND (d.status IS NULL OR d.status NOT LIKE '4.%')
"""

LOOK_AGAIN = """
    UPDATE relais.address_failure SET look_at = relais.now() + $2::interval
     WHERE address = $1 AND NOT is_over
"""


async def last_arrival(
    db: Connection, address: str, *, after: timedelta, again: timedelta
) -> datetime | None:
    """Return when the last copy left for *address* that has not come back *after* that long.

    The next look at it is *again* from now.
    """
    await db.execute(LOOK_AGAIN, address, again)
    arrived: datetime | None = await db.fetchval(ARRIVED, address, after)
    return arrived


HAS_LEFT = """
    SELECT EXISTS (
        SELECT FROM relais.delivery d
         WHERE d.person_id IN (SELECT f.person_id FROM relais.address_failure f
                                WHERE f.address = $1)
           AND lower(d.address) = $1 AND d.marked_at > $2
           AND d.state IN ('dotting', 'in_doubt', 'handed_over'))
"""


async def has_left(db: Connection, address: str, *, since: datetime) -> bool:
    """Return whether a copy for *address* has left since then, which may answer for a letter."""
    return bool(await db.fetchval(HAS_LEFT, address, since))


DUE = """
    SELECT address FROM relais.address_health
     WHERE state = $1 AND due_at <= (SELECT relais.now()) ORDER BY due_at, address LIMIT $2
"""


async def due(db: Connection, state: str, *, at_most: int) -> list[str]:
    """Return addresses in *state* that are to be asked, or tried, again."""
    return [row["address"] for row in await db.fetch(DUE, state, at_most)]


COUNTS = "SELECT state, count(*)::integer AS count FROM relais.address_health GROUP BY state"


async def counts(db: Connection) -> dict[str, int]:
    """Count addresses by state, for the metrics."""
    return {row["state"]: row["count"] for row in await db.fetch(COUNTS)}


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom the last copy that came back was for; "" where that is not kept any more."""

    title: str  # Of the list.
    lang: str
    list_lang: str
    has_left: bool  # The person wants nothing of that list, or of any.


ADDRESSEE = """
    SELECT coalesce(nullif(l.title, ''), l.address, '') AS title, coalesce(d.lang, '') AS lang,
           coalesce(o.lang, '') AS list_lang,
           EXISTS (SELECT FROM relais.suppression s
                    WHERE (s.person_id = f.person_id OR s.address = f.address)
                      AND (s.list_id IS NULL OR s.list_id = o.list_id)) AS has_left
      FROM relais.address_failure f
      LEFT JOIN relais.delivery d USING (delivery_id)
      LEFT JOIN relais.posting o ON o.posting_id = f.posting_id
      LEFT JOIN relais.list l USING (list_id)
     WHERE f.address = $1 ORDER BY f.failure_id DESC LIMIT 1
"""


async def addressee(db: Connection, address: str) -> Addressee | None:
    """Return whom a letter to *address* would be for; None if nothing has come back from there."""
    row = await db.fetchrow(ADDRESSEE, address)
    return Addressee(**row) if row else None
