"""The fence, the leases and the doubt: who may change a delivery, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import NOON, alive, dead, frozen_clock, members, posted, states
from worker.store import deliveries, suppressions
from worker.store.deliveries import Claim, DeliveryState, Settlement

if TYPE_CHECKING:
    from worker.store.database import Connection

UNLIMITED = {"other": 1000, "orange": 1000}
HALF_HOUR = timedelta(minutes=30)


async def claimed(db: Connection, worker_id: str, count: int = 1) -> list[Claim]:
    """Claim *count* deliveries for a worker that is alive."""
    await alive(db, worker_id)
    claims = await deliveries.claim(db, worker_id, "main", room=UNLIMITED, at_most=count)
    assert len(claims) == count
    return claims


async def marked(db: Connection, worker_id: str, *ids: int) -> set[int]:
    """Mark *ids* and settle nothing."""
    return await deliveries.record(db, worker_id, marks=ids, settlements=[])


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
    assert await deliveries.claim(db, "w1", "main", room=UNLIMITED, at_most=9) == []


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

    assert await marked(db, "w2", claim.delivery_id) == set()
    assert await marked(db, "w1", claim.delivery_id) == {claim.delivery_id}
    assert await marked(db, "w1", claim.delivery_id) == set()


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

    assert await marked(db, "sleeper", claim.delivery_id) == set()
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

    assert await marked(db, "w1", claim.delivery_id) == set()
    assert await states(db) == {"cancelled": 1, "queued": 1}


async def test_a_dead_worker_leaves_claims_queued_and_marks_in_doubt(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """Before the mark a copy was never submitted; after it nobody knows."""
    await members(owner, anyone)
    await posted(db)
    first, *_ = await claimed(db, "w1", 3)
    await marked(db, "w1", first.delivery_id)
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
        await marked(db, "w1", claim.delivery_id)
        doubt = Settlement(claim.delivery_id, DeliveryState.IN_DOUBT)
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
    await marked(db, "w1", claim.delivery_id)
    await dead(db, "w1")
    await deliveries.release_dead(db)

    done = Settlement(claim.delivery_id, DeliveryState.HANDED_OVER, 250, "250 ok")
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
    later = Settlement(
        claim.delivery_id, DeliveryState.DEFERRED, 451, "451 later", timedelta(minutes=15)
    )
    await deliveries.record(db, "w1", marks=[], settlements=[later])

    assert await deliveries.claim(db, "w1", "main", room=UNLIMITED, at_most=9) == []
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
    await marked(db, "w1", claim.delivery_id)
    done = Settlement(claim.delivery_id, DeliveryState.HANDED_OVER, 250, "250 ok")
    for _ in range(2):
        await deliveries.record(db, "w1", marks=[], settlements=[done])
    refused = Settlement(claim.delivery_id, DeliveryState.REFUSED, 550, "550 no")
    await deliveries.record(db, "w1", marks=[], settlements=[refused])

    assert await states(db) == {"handed_over": 1}


async def test_a_report_settles_doubt_and_a_second_one_nothing(
    owner: Connection, db: Connection, anyone: list[tuple[str | None, str | None]]
) -> None:
    """A bounce is evidence that the copy had been submitted."""
    await members(owner, anyone[:1])
    await posted(db)
    [claim] = await claimed(db, "w1")
    await marked(db, "w1", claim.delivery_id)

    for provider in ("other", None):
        found = await deliveries.bounce(
            db, claim.delivery_id, status="5.1.1", diagnostic="550 unknown user"
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
    later = Settlement(claim.delivery_id, DeliveryState.DEFERRED, 451, "451", timedelta(hours=6))
    await deliveries.record(db, "w1", marks=[], settlements=[later])
    await frozen_clock(owner, NOON + timedelta(days=5, seconds=1))

    assert await deliveries.expire(db, after=timedelta(days=5)) == [claim.delivery_id]
    assert await states(db) == {"expired": 1, "queued": 1}


async def test_a_claim_reads_only_what_is_due(owner: Connection, db: Connection) -> None:
    """The claim goes through the partial index, so finished rows cost nothing."""
    await members(owner, [(f"m{n}@orange.fr", str(n)) for n in range(2000)])
    await posted(db)
    await owner.execute("update relais.delivery set state = 'handed_over' where delivery_id > 20")
    await owner.execute("analyze relais.delivery")
    plan = await owner.fetch(
        "explain "
        + deliveries.CLAIM.replace("$1", "'w'")
        .replace("$2", "'main'")
        .replace("$3", "array['orange']")
        .replace("$4", "array[10]")
        .replace("$5", "10")
    )

    text = "\n".join(row[0] for row in plan)
    assert "delivery_due" in text
    assert "Seq Scan on delivery" not in text
