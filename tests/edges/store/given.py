"""What store tests start from: a list, a posting, a worker, a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from worker.config import LOCALES
from worker.mail.copy import freeze
from worker.policy.turns import is_small, share, weight_of
from worker.store import deliveries, expansion, leases, lists, postings, turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.policy.expansion import ListAddress
    from worker.store.database import Connection
    from worker.store.deliveries import Claim
    from worker.store.expansion import Roll

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DOMAIN = "listes.example.fr"
PATIENCE = timedelta(seconds=10)

MEMBER_TABLE = """
    create schema club;
    create table club.member (email text, name text, person text, may_post boolean,
                              moderator boolean, section text);
    create view lists.everybody as
        select email, name, person, may_post, moderator from club.member;
    select lists.define(view => 'lists.everybody', address => 'tous', title => 'Tous');
"""


async def members(owner: Connection, rows: Sequence[tuple[str | None, str | None]]) -> None:
    """Create the list ``tous`` with *rows* of (email, person)."""
    await owner.execute(MEMBER_TABLE)
    await owner.executemany("insert into club.member (email, person) values ($1, $2)", rows)


async def frozen_clock(owner: Connection, at: datetime = NOON) -> None:
    """Let relais.now() stand (almost) still at *at*."""
    await owner.execute(
        "update relais.clock set rate = 1e-9, origin = $1, since = clock_timestamp()", at
    )


async def alive(db: Connection, worker_id: str, lease: timedelta = timedelta(minutes=5)) -> None:
    """Make *worker_id* a living worker."""
    await leases.renew(db, worker_id, lease)


async def dead(db: Connection, worker_id: str) -> None:
    """End the lease of *worker_id*."""
    await leases.resign(db, worker_id)


async def posted(
    db: Connection,
    local_part: str = "tous",
    *,
    fingerprint: bytes = b"f" * 32,
    look_up: bool = False,
) -> tuple[int, Roll]:
    """Post one message to *local_part*; return its number and its roll."""
    address = await resolved(db, local_part)
    list_id = await lists.remember(db, address)
    async with db.transaction(isolation="repeatable_read"):
        roll = await expansion.judge(
            db, address, list_id=list_id, fingerprint=fingerprint, domain=DOMAIN, patience=PATIENCE
        )
        new = postings.NewPosting(
            list_id=list_id,
            arrival_id=await an_arrival(db),
            fingerprint=fingerprint,
            author="auteur@example.org",
            subject="Bonjour",
            message_id="<1@example.org>",
            template=freeze(b"Subject: Bonjour\r\n", b"Bonjour\r\n"),
            key_id="00000000",
            weight=weight_of(address.definition.priority),
            finish_within=address.definition.finish_within,
        )
        posting_id = await postings.add(db, new, roll)
        if posting_id is None:
            raise AssertionError("posted before")
        await expansion.deliver(
            db,
            posting_id,
            is_small=is_small(roll.recipients),
            look_up=look_up,
            langs=LOCALES,
        )
    return posting_id, roll


async def claim_due(db: Connection, worker_id: str, *, at_most: int) -> list[Claim]:
    """Claim what is due for the account main, whatever the limits are."""
    await deliveries.promote_due(db)
    shared = share(await turns.queues(db, closed=[], at_most=at_most), [], at_most=at_most)
    return await deliveries.claim(db, worker_id, "main", shared)


async def resolved(db: Connection, local_part: str) -> ListAddress:
    """Return a list that must exist."""
    address = await lists.resolve(db, local_part)
    if address is None:
        raise AssertionError(f"no list {local_part}")
    return address


async def an_arrival(db: Connection) -> int:
    """Store a message that does not matter, and return its number."""
    arrival_id: int = await db.fetchval(
        """
        insert into relais.arrival (account, folder, uidvalidity, uid, raw, sha256, size_bytes,
                                    arrived_at, due_at)
        select 'a', 'INBOX', 1, coalesce(max(uid), 0) + 1, '', '', 0, relais.now(), relais.now()
          from relais.arrival
        returning arrival_id
        """
    )
    return arrival_id


async def states(db: Connection) -> dict[str, int]:
    """Count the deliveries by state."""
    rows = await db.fetch("select state::text, count(*) as n from relais.delivery group by 1")
    return {row["state"]: row["n"] for row in rows}
