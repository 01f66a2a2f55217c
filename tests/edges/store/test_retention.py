"""Retention: what was kept for long enough goes, what is still needed stays."""

from __future__ import annotations

from dataclasses import astuple
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import NOON, alive, claim_due, frozen_clock, members, posted
from worker.policy.feedback import Action
from worker.store import deliveries, postings, retention, returns, suppressions
from worker.store.deliveries import DeliveryState, Settlement

if TYPE_CHECKING:
    from worker.store.database import Connection

DAY = timedelta(days=1)
KEPT = {"messages": 7 * DAY, "returns": 30 * DAY, "traces": 90 * DAY}


async def handed_over(owner: Connection, db: Connection, *, settled: int = 2) -> int:
    """Post to two members at NOON, and hand over *settled* copies; return the posting's number."""
    await frozen_clock(owner)
    await owner.execute("delete from relais.limit_rule")
    await members(owner, [("a@b.fr", "1"), ("b@b.fr", "2")])
    posting_id, _ = await posted(db)
    await alive(db, "w")
    claims = await claim_due(db, "w", at_most=settled)
    settled_now = [Settlement(claim.key, DeliveryState.HANDED_OVER) for claim in claims]
    await deliveries.record(db, "w", marks=[claim.key for claim in claims], settlements=[])
    await deliveries.record(db, "w", marks=[], settlements=settled_now)
    await postings.finish(db)
    await owner.execute("update relais.arrival set state = 'settled', kind = 'posting'")
    return posting_id


async def purged_at(owner: Connection, db: Connection, age: timedelta) -> tuple[int, ...]:
    """Purge when *age* has passed since NOON; return how much went."""
    await frozen_clock(owner, NOON + age)
    return astuple(await retention.purge(db, **KEPT))


AGES = {
    "within the messages' time": (7 * DAY, (0, 0, 0, 0, 0, 0), True, 2),
    "after it": (8 * DAY, (1, 1, 0, 0, 0, 0), False, 2),
    "within the traces' time": (90 * DAY, (1, 1, 0, 0, 0, 0), False, 2),
    "after it, too": (91 * DAY, (1, 1, 2, 1, 0, 0), False, 0),
}


@pytest.mark.parametrize(("age", "purged", "has_bytes", "copies"), AGES.values(), ids=AGES)
async def test_a_finished_posting(
    owner: Connection,
    db: Connection,
    *,
    age: timedelta,
    purged: tuple[int, ...],
    has_bytes: bool,
    copies: int,
) -> None:
    """First its bytes go, then who got it and who wrote it; its figures stay."""
    posting_id = await handed_over(owner, db)

    assert await purged_at(owner, db, age) == purged
    assert not any(await purged_at(owner, db, age))

    bytes_left = "select count(template), (select count(raw) from relais.arrival) as raw"
    assert set(*await db.fetch(f"{bytes_left} from relais.posting")) == {int(has_bytes)}
    assert await db.fetchval("select count(*) from relais.delivery") == copies
    [summary] = await postings.summaries(db, at_most=1, posting_id=posting_id)
    assert (summary.handed_over, summary.waiting, summary.recipients) == (2, 0, 2)
    assert (summary.author == "") == (summary.subject == "") == (copies == 0)


async def test_a_receipt(owner: Connection, db: Connection) -> None:
    """Whose it is goes with the traces of the last of its postings."""
    posting_id = await handed_over(owner, db)
    other, _ = await posted(db, fingerprint=b"g" * 32)
    await owner.execute(
        "insert into relais.receipt (author, lang, accepted_at, look_at)"
        " values ('a@b.fr', 'fr', relais.now(), relais.now())"
    )
    await owner.execute("update relais.posting set receipt_id = 1, content = 'x'")

    await purged_at(owner, db, 91 * DAY)

    assert await db.fetchval("select author from relais.receipt") == "a@b.fr"
    kept = "select content is not null from relais.posting where posting_id = $1"
    assert not await db.fetchval(kept, posting_id)
    assert await db.fetchval(kept, other)
    await owner.execute(
        "update relais.delivery set state = 'cancelled', settled_at = relais.now();"
        f"update relais.posting set state = 'stopped', finished_at = '{NOON}'"
        f" where posting_id = {other}"
    )
    await purged_at(owner, db, 91 * DAY)
    [receipt] = await db.fetch("select author, closed_at is not null from relais.receipt")
    assert tuple(receipt) == ("", True)


async def test_what_messages_are_known_by(owner: Connection, db: Connection) -> None:
    """What they say, and where they were refused, hashed: as long as it was seen lately."""
    await frozen_clock(owner)
    for mark in (b"again", b"once"):
        await postings.take_turn(db, mark)
    await postings.refuse(db, b"refused", ["tous"])
    await frozen_clock(owner, NOON + DAY)
    await postings.take_turn(db, b"again")

    known = (
        "select array_agg(encode(fingerprint, 'escape') order by fingerprint) from relais.message"
    )
    await purged_at(owner, db, 90 * DAY)
    assert await db.fetchval(known) == ["again", "once", "refused"]
    await purged_at(owner, db, 90.5 * DAY)
    assert await db.fetchval(known) == ["again"]
    assert await postings.refuse(db, b"refused", ["tous"])
    await purged_at(owner, db, 91.5 * DAY)
    assert await db.fetchval(known) == ["refused"]


async def test_what_is_not_finished_stays(owner: Connection, db: Connection) -> None:
    """As long as one copy may still leave, nothing of the posting is purged."""
    posting_id = await handed_over(owner, db, settled=1)

    assert not any(await purged_at(owner, db, 400 * DAY))
    await owner.execute(
        "update relais.posting set state = 'stopped', finished_at = $1 where posting_id = $2",
        NOON,
        posting_id,
    )
    # One copy has still to be cancelled; what it was made from is needed no more.
    assert await purged_at(owner, db, 400 * DAY) == (0, 1, 0, 0, 0, 0)


async def test_a_held_posting_stays(owner: Connection, db: Connection) -> None:
    """Its bytes are needed for those who decide, and for its copies."""
    await handed_over(owner, db)
    await owner.execute(
        "update relais.posting set state = 'held', awaits = 'moderation', finished_at = null"
    )

    assert not any(await purged_at(owner, db, 400 * DAY))


async def test_it_is_still_known(owner: Connection, db: Connection) -> None:
    """A second taking of the same message is a duplicate, and a link takes its person off."""
    await handed_over(owner, db)
    await purged_at(owner, db, 91 * DAY)
    list_id = await db.fetchval("select list_id from relais.list")
    person_id = await db.fetchval("select min(person_id) from relais.person")

    assert await postings.exists(db, list_id, b"f" * 32)
    await suppressions.opt_out(db, list_id, person_id, source="page")
    seen = await suppressions.subscriber(db, list_id, person_id)
    assert seen is not None
    assert (seen.address, seen.out_of_list) == ("", True)
    _, roll = await posted(db, fingerprint=b"g" * 32)
    assert (roll.recipients, roll.suppressed) == (1, 1)


async def requeued(db: Connection) -> list[bool]:
    """Let a report put every copy back into the queue; return which were."""
    numbers = await db.fetch("select delivery_id from relais.delivery order by 1")
    return [
        await returns.requeue(
            db, row["delivery_id"], due_at=NOON, verdict=Action.SLOW, status="4.7.0", reply=""
        )
        for row in numbers
    ]


async def test_a_copy_that_comes_back_too_late(owner: Connection, db: Connection) -> None:
    """Without its bytes it cannot leave again."""
    await handed_over(owner, db)
    await purged_at(owner, db, 8 * DAY)

    assert await requeued(db) == [False, False]


async def test_a_copy_that_comes_back_in_that_moment(owner: Connection, db: Connection) -> None:
    """It is never claimed, and the next sweep cancels it."""
    await handed_over(owner, db)
    assert await requeued(db) == [True, True]
    await owner.execute("update relais.posting set template = null")

    assert await claim_due(db, "w", at_most=9) == []
    await purged_at(owner, db, DAY)

    replies = await db.fetch("select state::text, reply from relais.delivery")
    assert [tuple(row) for row in replies] == [("cancelled", "purged")] * 2


ARRIVALS = {
    "a report": ("report", "settled", 29 * DAY, 31 * DAY),
    "a complaint": ("complaint", "settled", 29 * DAY, 31 * DAY),
    "an automatic answer": ("automatic", "settled", 29 * DAY, 31 * DAY),
    "a request": ("request", "settled", 6 * DAY, 8 * DAY),
    "what was refused": ("posting", "settled", 6 * DAY, 8 * DAY),
    "what nobody understood": ("unknown", "settled", 6 * DAY, 8 * DAY),
    "what its handler has not seen": ("report", "sorted", 400 * DAY, None),
    "what nobody has looked at": (None, "received", 400 * DAY, None),
}


@pytest.mark.parametrize(("kind", "state", "kept", "gone"), ARRIVALS.values(), ids=ARRIVALS)
async def test_an_arrival(
    owner: Connection,
    db: Connection,
    kind: str | None,
    state: str,
    kept: timedelta,
    gone: timedelta | None,
) -> None:
    """Its bytes go, and the row stays: it is never taken twice."""
    await owner.execute(
        """
        insert into relais.arrival (account, folder, uidvalidity, uid, raw, sha256, size_bytes,
                                    arrived_at, due_at, state, kind, reason)
        values ('a', 'INBOX', 1, 1, 'x', '', 1, $1, $1, $2, $3, 'x')
        """,
        NOON,
        state,
        kind,
    )

    assert not any(await purged_at(owner, db, kept))
    if gone is not None:
        assert await purged_at(owner, db, gone) == (0, 1, 0, 0, 0, 0)
        [row] = await db.fetch("select raw, reason, uid from relais.arrival")
        assert tuple(row) == (None, None, 1)


NOTICES = {
    "young": ("handed_over", 6 * DAY, (0, 0, 0, 0, 0, 0)),
    "of more than a week": ("handed_over", 8 * DAY, (1, 0, 0, 0, 0, 0)),
    "old": ("handed_over", 91 * DAY, (1, 0, 0, 0, 1, 0)),
    "not sent yet": ("deferred", 400 * DAY, (0, 0, 0, 0, 0, 0)),
}


@pytest.mark.parametrize(("state", "age", "purged"), NOTICES.values(), ids=NOTICES)
async def test_a_notice(
    owner: Connection, db: Connection, state: str, age: timedelta, purged: tuple[int, ...]
) -> None:
    """Our own mail is kept as postings are."""
    await owner.execute(
        """
        with made as (
            insert into relais.notice (kind, address, template, key_id, made_at)
            values ('moderate', 'a@b.fr', 'x', 'k', $1) returning notice_id)
        insert into relais.delivery (notice_id, address, provider, state, due_at, settled_at)
        select notice_id, 'a@b.fr', 'other', $2::relais.delivery_state, $1,
               case when $2 = 'handed_over' then $1 end
          from made
        """,
        NOON,
        state,
    )

    assert await purged_at(owner, db, age) == purged
    assert await db.fetchval("select count(*) from relais.delivery") == 1 - purged[4]


async def test_a_limit_still_counts(owner: Connection, db: Connection) -> None:
    """A new rule of the longest period finds every mark that it reaches to."""
    await handed_over(owner, db)
    await frozen_clock(owner, NOON + 30 * DAY)
    await retention.purge(db, messages=DAY, returns=DAY, traces=32 * DAY)

    await owner.execute(
        "insert into relais.limit_rule (provider, amount, period, set_at, set_by, reason)"
        " values ('other', 5, '31 days', relais.now(), 'test', 'test')"
    )

    assert await db.fetchval("select spent from relais.v_limits") == 2


async def test_what_others_hold_is_left(owner: Connection, db: Connection) -> None:
    """It is purged by a later sweep."""
    await handed_over(owner, db)
    await frozen_clock(owner, NOON + 91 * DAY)

    async with owner.transaction():
        await owner.execute("select from relais.posting for update")
        assert not any(astuple(await retention.purge(db, **KEPT))[2:])

    assert (await purged_at(owner, db, 91 * DAY))[2:] == (2, 1, 0, 0)


FAILED = """
    insert into relais.address_failure (address, delivery_id, posting_id, provider, failed_at,
                                        is_permanent, reason, status, evidence, words)
    values ($1, $2, 1, 'other', $3, true, 'unknown_user', '5.1.1', 'no such user', '')
"""
STATE = """
    insert into relais.address_health (address, state, since, reason, status, evidence)
    values ($1, $2, $3, 'unknown_user', '5.1.1', 'no such user')
"""


async def test_what_came_back_from_addresses(owner: Connection, db: Connection) -> None:
    """The words go first; then the failures of who is written to, and not of who is held."""
    for number, state in enumerate(("alive", "suspect", "held", "trial")):
        await owner.execute(FAILED, f"{state}@b.fr", number, NOON)
        if state != "alive":
            await owner.execute(STATE, f"{state}@b.fr", state, NOON)
    await owner.execute(
        "insert into relais.burst (posting_id, provider, words, failures, began_at)"
        " values (1, 'other', '', 4, $1)",
        NOON,
    )

    assert not any(await purged_at(owner, db, 30 * DAY))
    assert await said(owner) == {"no such user"}
    assert not any(await purged_at(owner, db, 31 * DAY))
    assert await said(owner) == {""}
    assert not any(await purged_at(owner, db, 90 * DAY))
    assert (await purged_at(owner, db, 91 * DAY))[-1] == 3

    kept = await owner.fetch("select address from relais.address_failure order by 1")
    assert [row["address"] for row in kept] == ["held@b.fr"]
    assert await owner.fetchval("select count(*) from relais.burst") == 0


async def said(owner: Connection) -> set[str]:
    """Return the words of servers that are kept of addresses."""
    rows = await owner.fetch(
        "select evidence from relais.address_failure union select evidence"
        " from relais.address_health"
    )
    return {row["evidence"] for row in rows}
