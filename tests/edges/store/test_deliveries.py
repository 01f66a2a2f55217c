"""The fence, the leases and the doubt: who may change a delivery, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import (
    NOON,
    alive,
    claim_due,
    dead,
    frozen_clock,
    members,
    posted,
    states,
)
from worker.store import breakers, deliveries, suppressions, turns
from worker.store.deliveries import Claim, ClaimKey, DeliveryState, Settlement

if TYPE_CHECKING:
    from worker.store.database import Connection

HALF_HOUR = timedelta(minutes=30)


async def claimed(db: Connection, worker_id: str, count: int = 1) -> list[Claim]:
    """Claim *count* deliveries for a worker that is alive."""
    await alive(db, worker_id)
    claims = await claim_due(db, worker_id, at_most=count)
    assert len(claims) == count
    return claims


async def marked(db: Connection, worker_id: str, *claims: Claim) -> set[ClaimKey]:
    """Mark *claims* and settle nothing."""
    keys = [claim.key for claim in claims]
    return await deliveries.record(db, worker_id, marks=keys, settlements=[])


@pytest.fixture
def anyone() -> list[tuple[str | None, str | None]]:
    """Five members."""
    return [(f"m{n}@example.org", str(n)) for n in range(5)]


async def test_each_delivery_is_claimed_once(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """Two workers share the queue without a row in common."""
    await members(owner, anyone)
    await posted(db)

    first = await claimed(db, "w1", 3)
    second = await claimed(db, "w2", 2)

    assert len({claim.delivery_id for claim in first + second}) == 5
    assert await claim_due(db, "w1", at_most=9) == []


async def test_providers_take_turns(owner: Connection, db: Connection) -> None:
    """A small claim does not go to one provider alone."""
    rows = [(f"m{n}@orange.fr", str(n)) for n in range(50)]
    await members(owner, [*rows, *((f"m{n}@example.org", f"x{n}") for n in range(3))])
    await posted(db)

    claims = await claimed(db, "w1", 4)

    assert sorted(claim.provider for claim in claims) == ["orange", "orange", "other", "other"]


async def test_only_the_claimer_can_mark(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """The fence: no mark for another worker, none twice, none for what is not claimed."""
    await members(owner, anyone)
    await posted(db)
    [claim] = await claimed(db, "w1")

    assert await marked(db, "w2", claim) == set()
    assert await marked(db, "w1", claim) == {claim.key}
    assert await marked(db, "w1", claim) == set()


async def test_a_worker_that_slept_is_fenced(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """What others freed while its lease was over has left its name."""
    await members(owner, anyone[:1])
    await posted(db)
    [claim] = await claimed(db, "sleeper")
    await dead(db, "sleeper")
    assert await deliveries.release_dead(db) == (1, 0)
    await alive(db, "sleeper")

    assert await marked(db, "sleeper", claim) == set()
    [again] = await claimed(db, "w2")
    assert again.attempts == 1, "an attempt that never came to a dot does not count"


async def test_unsubscribing_closes_the_fence(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """Who left while the copy was in hand gets no dot, and nothing of what waits."""
    await members(owner, anyone[:2])
    await posted(db)
    [claim] = await claimed(db, "w1")
    assert claim.person_id is not None

    async with db.transaction():
        assert await suppressions.opt_out(db, None, claim.person_id, source="page") == 1

    assert await marked(db, "w1", claim) == set()
    assert await states(db) == {"cancelled": 1, "queued": 1}


async def test_a_dead_worker_leaves_claims_queued_and_marks_in_doubt(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """Before the mark a copy was never submitted; after it nobody knows."""
    await members(owner, anyone)
    await posted(db)
    first, *_ = await claimed(db, "w1", 3)
    await marked(db, "w1", first)
    await dead(db, "w1")

    assert await deliveries.release_dead(db) == (2, 1)
    assert await states(db) == {"queued": 4, "in_doubt": 1}


async def test_a_doubtful_delivery_is_resent_once(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """After half an hour, by the database's clock; a second doubt stays parked."""
    await members(owner, anyone[:1])
    await frozen_clock(owner)
    await posted(db)
    for resends in (1, 0):
        [claim] = await claimed(db, "w1")
        await marked(db, "w1", claim)
        doubt = Settlement(claim.key, DeliveryState.IN_DOUBT)
        await deliveries.record(db, "w1", marks=[], settlements=[doubt])

        assert await deliveries.resend_doubtful(db, after=HALF_HOUR) == []
        await frozen_clock(owner, NOON + timedelta(minutes=31) * (2 - resends))
        assert len(await deliveries.resend_doubtful(db, after=HALF_HOUR)) == resends
    assert await states(db) == {"in_doubt": 1}


async def test_a_late_reply_settles_what_is_in_doubt(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """Who wrote the dot still believes the reply to it."""
    await members(owner, anyone[:1])
    await posted(db)
    [claim] = await claimed(db, "w1")
    await marked(db, "w1", claim)
    await dead(db, "w1")
    await deliveries.release_dead(db)

    done = Settlement(claim.key, DeliveryState.HANDED_OVER, 250, "250 ok")
    await deliveries.record(db, "w1", marks=[], settlements=[done])

    assert await states(db) == {"handed_over": 1}


async def test_a_deferred_delivery_waits_its_time(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """due_at is on the database's clock, and the attempt counts."""
    await members(owner, anyone[:1])
    await frozen_clock(owner)
    await posted(db)
    [claim] = await claimed(db, "w1")
    later = Settlement(claim.key, DeliveryState.DEFERRED, 451, "451 later", timedelta(minutes=15))
    await deliveries.record(db, "w1", marks=[], settlements=[later])

    assert await claim_due(db, "w1", at_most=9) == []
    await frozen_clock(owner, NOON + timedelta(minutes=15, seconds=1))
    [again] = await claimed(db, "w1")
    assert (again.attempts, again.tried_for) == (2, timedelta(minutes=15, seconds=1))


async def test_recording_twice_changes_nothing(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """A commit whose reply was lost is run again."""
    await members(owner, anyone[:1])
    await posted(db)
    [claim] = await claimed(db, "w1")
    await marked(db, "w1", claim)
    done = Settlement(claim.key, DeliveryState.HANDED_OVER, 250, "250 ok")
    for _ in range(2):
        await deliveries.record(db, "w1", marks=[], settlements=[done])
    refused = Settlement(claim.key, DeliveryState.REFUSED, 550, "550 no")
    await deliveries.record(db, "w1", marks=[], settlements=[refused])

    assert await states(db) == {"handed_over": 1}


async def test_a_report_settles_doubt_and_a_second_one_nothing(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """A bounce is evidence that the copy had been submitted."""
    await members(owner, anyone[:1])
    await posted(db)
    [claim] = await claimed(db, "w1")
    await marked(db, "w1", claim)

    for provider in ("other", None):
        found = await deliveries.bounce(
            db, claim.delivery_id, status="5.1.1", diagnostic="550 unknown user", is_proven=True
        )
        assert found == provider
    assert await states(db) == {"bounced": 1}


async def test_five_days_of_deferral_expire(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """Counted from the first attempt: waiting for a limit is no failure."""
    await members(owner, anyone[:2])
    await frozen_clock(owner)
    await posted(db)
    [claim] = await claimed(db, "w1")
    later = Settlement(claim.key, DeliveryState.DEFERRED, 451, "451", timedelta(hours=6))
    await deliveries.record(db, "w1", marks=[], settlements=[later])
    await frozen_clock(owner, NOON + timedelta(days=5, seconds=1))

    assert await deliveries.expire(db, after=timedelta(days=5)) == [claim.delivery_id]
    assert await states(db) == {"expired": 1, "queued": 1}


async def test_an_old_claim_neither_marks_nor_settles(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """What was taken back and claimed anew by the same worker is another claim."""
    await members(owner, anyone[:1])
    await posted(db)
    [old] = await claimed(db, "w1")
    await owner.execute("update relais.delivery set state = 'queued', worker_id = null")
    [new] = await claimed(db, "w1")

    assert await marked(db, "w1", old) == set()
    assert await marked(db, "w1", old, new) == {new.key}
    put_back = Settlement(old.key, DeliveryState.QUEUED)
    await deliveries.record(db, "w1", marks=[], settlements=[put_back])
    assert await states(db) == {"dotting": 1}


# Each with what it is asked; the plan must be good for any.
STATEMENTS = {
    "queues": (turns.QUEUES, "array['free'], 20, interval '5 days'"),
    "claim": (deliveries.CLAIM, "'w', 'main', array[1], array['orange'], array[10]"),
    "promote": (deliveries.PROMOTE, ""),
    "next due": (deliveries.NEXT_DUE, ""),
    "failures": (breakers.FAILED, "'main', '1 hour', 100"),
    "marks": (
        "select count(*) from relais.v_marks where at > $1::timestamptz",
        "relais.now() - interval '1 hour'",
    ),
}


async def test_no_statement_of_the_claim_reads_what_is_finished(
    owner: Connection, db: Connection
) -> None:
    """Beside many finished, deferred and waiting rows each goes through its own index."""
    await members(owner, [(f"m{n}@orange.fr", str(n)) for n in range(20_000)])
    await posted(db)
    await owner.execute(
        "update relais.delivery set state = 'handed_over', account = 'main',"
        " marked_at = relais.now() - interval '9 days',"
        " settled_at = relais.now() - interval '9 days'"
        " where delivery_id > 4000;"
        " update relais.delivery set state = 'deferred', due_at = relais.now() + interval '1 day'"
        " where delivery_id <= 2000; analyze; set plan_cache_mode = force_generic_plan"
    )
    for name, (statement, values) in STATEMENTS.items():
        await owner.execute(f"prepare asked as {statement}")
        call = f"execute asked({values})" if values else "execute asked"
        plan = "\n".join(row[0] for row in await owner.fetch(f"explain {call}"))
        await owner.execute("deallocate asked")

        assert "Seq Scan on delivery" not in plan, (name, plan)
        assert "delivery_pkey on delivery d_" not in plan, (name, plan)
