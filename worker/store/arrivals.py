"""Arrivals: every message taken from the mailbox, as its bytes.

    state     means                               after a crash
    received  stored; the mediator has not ended  claimed again when the lease ends
    sorted    a return; its handler has not ended the same
    settled   *outcome* says what became of it    unchanged

A message leaves INBOX only after its row here has been committed. *attempts*
counts beginnings without an end: it is committed before the work begins, so a
message that kills the process is known by it (three: quarantine).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from worker.policy.outcome import ArrivalKind

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from worker.policy.outcome import ArrivalOutcome
    from worker.store.database import Connection

QUARANTINE = "relais/quarantine"
REFUSED = "relais/refused"
TAKEN = "relais/taken"
FOLDERS = (TAKEN, QUARANTINE, REFUSED)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message lay when it was found: the key of an arrival."""

    account: str
    folder: str
    uidvalidity: int
    uid: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that somebody has begun to work on."""

    arrival_id: int
    raw: bytes
    internal_date: datetime | None
    arrived_at: datetime
    attempts: int


REMEMBER_MAILBOX = """
    INSERT INTO relais.mailbox AS known (account, folder, uidvalidity, found_uidvalidity)
    VALUES ($1, $2, $3, $3)
        ON CONFLICT (account, folder) DO UPDATE
       SET halted = known.halted OR known.uidvalidity <> excluded.uidvalidity,
           found_uidvalidity = excluded.uidvalidity, seen_at = clock_timestamp()
 RETURNING NOT halted
"""


async def may_take(db: Connection, account: str, folder: str, uidvalidity: int) -> bool:
    """Return whether messages may be taken from *folder*.

    A changed UIDVALIDITY halts the folder until a person has looked: old mail
    under new numbers would go out again (reliability: fault 34).
    """
    return bool(await db.fetchval(REMEMBER_MAILBOX, account, folder, uidvalidity))


@dataclass(frozen=True, slots=True)
class MailboxFolder:
    """A folder that messages are taken from, and whether they are."""

    account: str
    folder: str
    uidvalidity: int
    found_uidvalidity: int | None
    halted: bool
    seen_at: datetime


MAILBOXES = """
    SELECT account, folder, uidvalidity, found_uidvalidity, halted, seen_at
      FROM relais.mailbox ORDER BY account, folder
"""


async def mailboxes(db: Connection) -> list[MailboxFolder]:
    """Return every folder that messages were ever taken from."""
    return [MailboxFolder(**row) for row in await db.fetch(MAILBOXES)]


RESUME = """
    UPDATE relais.mailbox SET halted = false, uidvalidity = found_uidvalidity
     WHERE halted AND found_uidvalidity IS NOT NULL
 RETURNING account, folder
"""


async def resume(db: Connection) -> list[str]:
    """Take messages again from every halted folder; return which.

    Whatever lies in INBOX under new numbers is taken anew; what was posted
    before is known by its fingerprint.
    """
    return [f"{row['account']} {row['folder']}" for row in await db.fetch(RESUME)]


KNOWN = """
    SELECT uid FROM relais.arrival
     WHERE account = $1 AND folder = $2 AND uidvalidity = $3 AND uid = ANY($4)
"""


async def known_uids(
    db: Connection, account: str, folder: str, uidvalidity: int, uids: list[int]
) -> set[int]:
    """Return which of *uids* are stored already: they only need to be moved."""
    rows = await db.fetch(KNOWN, account, folder, uidvalidity, uids)
    return {row["uid"] for row in rows}


BEGIN_FETCH = """
    INSERT INTO relais.fetch_attempt AS tried (account, folder, uidvalidity, uid)
    VALUES ($1, $2, $3, $4)
        ON CONFLICT (account, folder, uidvalidity, uid) DO UPDATE SET attempts = tried.attempts + 1
 RETURNING attempts
"""


async def begin_fetch(db: Connection, place: Place) -> int:
    """Record durably that *place* is about to be fetched; return the how-manieth time."""
    attempts: int = await db.fetchval(
        BEGIN_FETCH, place.account, place.folder, place.uidvalidity, place.uid
    )
    return attempts


END_FETCH = """
    DELETE FROM relais.fetch_attempt
     WHERE account = $1 AND folder = $2 AND uidvalidity = $3 AND uid = $4
"""


async def end_fetch(db: Connection, place: Place) -> None:
    """Forget the attempts: the fetch ended without a crash."""
    await db.execute(END_FETCH, place.account, place.folder, place.uidvalidity, place.uid)


STORE = """
    INSERT INTO relais.arrival (account, folder, uidvalidity, uid, raw, sha256, size_bytes,
                                internal_date, arrived_at, due_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, t.now, t.now FROM (SELECT relais.now() AS now) t
        ON CONFLICT (account, folder, uidvalidity, uid) DO NOTHING
"""


async def store(
    db: Connection, place: Place, raw: bytes, *, internal_date: datetime | None
) -> None:
    """Store the bytes of *place*; a second time changes nothing."""
    # 50 MB take a tenth of a second, in which the loop goes on.
    digest = await asyncio.to_thread(lambda: sha256(raw).digest())
    await db.execute(
        STORE,
        place.account,
        place.folder,
        place.uidvalidity,
        place.uid,
        raw,
        digest,
        len(raw),
        internal_date,
    )
    await db.execute("SELECT pg_notify('relais', 'arrival')")


FILED = """
    UPDATE relais.arrival SET filed_in = $5, filed_uid = $6
     WHERE account = $1 AND folder = $2 AND uidvalidity = $3 AND uid = $4
"""


async def filed(db: Connection, place: Place, folder: str, uid: int | None) -> None:
    """Record where the message lies now.

    A mediator that looked while this held the row's lock has skipped it, so it
    is told again.
    """
    await db.execute(FILED, place.account, place.folder, place.uidvalidity, place.uid, folder, uid)
    await db.execute("SELECT pg_notify('relais', 'arrival')")


@dataclass(frozen=True, slots=True)
class Misfiled:
    """An arrival that lies in one folder and belongs in another."""

    arrival_id: int
    filed_in: str
    filed_uid: int
    wanted_in: str


MISFILED = """
    SELECT arrival_id, filed_in, filed_uid, wanted_in FROM relais.arrival
     WHERE account = $1 AND wanted_in IS NOT NULL AND wanted_in IS DISTINCT FROM filed_in
       AND filed_uid IS NOT NULL
     ORDER BY arrival_id LIMIT 50
"""


async def misfiled(db: Connection, account: str) -> list[Misfiled]:
    """Return what the fetcher should move to another folder."""
    return [Misfiled(**row) for row in await db.fetch(MISFILED, account)]


REFILED = "UPDATE relais.arrival SET filed_in = $2, filed_uid = $3 WHERE arrival_id = $1"


async def refiled(db: Connection, arrival_id: int, folder: str, uid: int | None) -> None:
    """Record that an arrival was moved to *folder*."""
    await db.execute(REFILED, arrival_id, folder, uid)


CLAIM = """
    UPDATE relais.arrival a
       SET attempts = a.attempts + 1, worker_id = $2
     WHERE a.arrival_id = (
               SELECT b.arrival_id FROM relais.arrival b
                WHERE b.state = $1
                  AND b.due_at <= (SELECT relais.now())
                  AND NOT EXISTS (SELECT FROM relais.worker w
                                   WHERE w.worker_id = b.worker_id
                                     AND w.alive_until > clock_timestamp())
                ORDER BY b.due_at, b.arrival_id
                LIMIT 1 FOR UPDATE SKIP LOCKED)
 RETURNING a.arrival_id, a.raw, a.internal_date, a.arrived_at, a.attempts
"""


async def claim(db: Connection, state: str, worker_id: str) -> Arrival | None:
    """Take the oldest arrival in *state* that no living worker has."""
    row = await db.fetchrow(CLAIM, state, worker_id)
    return Arrival(**row) if row else None


SORT = """
    UPDATE relais.arrival SET state = 'sorted', kind = $3, worker_id = NULL, attempts = 0
     WHERE arrival_id = $1 AND worker_id = $2
"""


async def sort(db: Connection, arrival: Arrival, worker_id: str, kind: ArrivalKind) -> None:
    """Hand a return on to its handler."""
    await db.execute(SORT, arrival.arrival_id, worker_id, kind.value)
    await db.execute("SELECT pg_notify('relais', 'report')")


SETTLE = """
    UPDATE relais.arrival
       SET state = 'settled', kind = $3, outcome = $4, reason = $5, wanted_in = $6, worker_id = NULL
     WHERE arrival_id = $1 AND worker_id = $2 AND state <> 'settled'
 RETURNING true
"""


async def settle(
    db: Connection,
    arrival: Arrival,
    worker_id: str,
    *,
    kind: ArrivalKind,
    outcome: ArrivalOutcome,
    reason: str | None = None,
    wanted_in: str | None = None,
) -> bool:
    """Say what became of an arrival. False if it was no longer ours."""
    done = await db.fetchval(
        SETTLE, arrival.arrival_id, worker_id, kind.value, outcome.value, reason, wanted_in
    )
    if kind is ArrivalKind.POSTING:
        await db.execute("SELECT pg_notify('relais', 'receipt')")
    return done is not None


POSTPONE = """
    UPDATE relais.arrival
       SET due_at = relais.now() + $3, reason = $4, worker_id = NULL, attempts = 0,
           waits_since = coalesce(waits_since, relais.now())
     WHERE arrival_id = $1 AND worker_id = $2
"""


async def postpone(
    db: Connection, arrival: Arrival, worker_id: str, *, delay: timedelta, reason: str
) -> None:
    """Let an arrival wait, for a query that fails now; this is no crash."""
    await db.execute(POSTPONE, arrival.arrival_id, worker_id, delay, reason)


SET_ASIDE = """
    UPDATE relais.arrival
       SET due_at = relais.now() + $3, reason = $4, worker_id = NULL
     WHERE arrival_id = $1 AND worker_id = $2
"""


async def set_aside(
    db: Connection, arrival: Arrival, worker_id: str, *, delay: timedelta, reason: str
) -> None:
    """Let an arrival wait that broke what read it; this counts as an attempt."""
    await db.execute(SET_ASIDE, arrival.arrival_id, worker_id, delay, reason)


TO_BE_TOLD = """
    SELECT told_at IS NULL AND waits_since <= relais.now() - $2::interval
      FROM relais.arrival WHERE arrival_id = $1
"""


async def is_to_be_told(db: Connection, arrival_id: int, *, after: timedelta) -> bool:
    """Return whether an arrival has waited so long that its author should hear of it."""
    return bool(await db.fetchval(TO_BE_TOLD, arrival_id, after))


TOLD = """
    UPDATE relais.arrival SET told_at = relais.now()
     WHERE arrival_id = $1 AND told_at IS NULL RETURNING true
"""


async def told(db: Connection, arrival_id: int) -> bool:
    """Note that the author was told that it waits. False if that was done before."""
    return await db.fetchval(TOLD, arrival_id) is not None


NEXT_DUE = """
    SELECT relais.seconds_until(min(due_at)) FROM relais.arrival
     WHERE state = $1 AND due_at > (SELECT relais.now())
"""


async def seconds_until_due(db: Connection, state: str) -> float | None:
    """Return how long until a postponed arrival is due, if there is one."""
    seconds: float | None = await db.fetchval(NEXT_DUE, state)
    return seconds
