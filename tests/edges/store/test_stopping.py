"""Stopping, holding and resuming: who still gets a copy, and who is told how many."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import alive, claim_due, frozen_clock, members, posted, states
from tests.edges.store.held import a_posting as a_held_posting
from tests.edges.store.held import row_of
from worker.store import (
    decisions,
    deliveries,
    following,
    postings,
    progress,
    rechecks,
    stopping,
    turns,
)
from worker.store.database import connect
from worker.store.decisions import Kind
from worker.store.deliveries import DeliveryState, Settlement
from worker.store.situation import read_situation
from worker.store.stopping import Action

if TYPE_CHECKING:
    from worker.store.database import Connection
    from worker.store.deliveries import Claim

PEOPLE = [(f"m{n}@orange.fr", f"{n}") for n in range(5)]
WORKER = "w"
WAITS = "select exists (select from pg_locks where not granted)"  # Somebody, for somebody.


async def under_way(owner: Connection, db: Connection, *, left: int = 2) -> int:
    """Post to five members, and hand over *left* copies; return the posting's number."""
    await owner.execute("delete from relais.limit_rule")
    await members(owner, PEOPLE)
    posting_id, _ = await posted(db)
    await alive(db, WORKER)
    for claim in await claim_due(db, WORKER, at_most=left):
        await hand_over(db, claim)
    return posting_id


async def hand_over(db: Connection, claim: Claim) -> None:
    """Mark a copy, and settle it."""
    await deliveries.record(db, WORKER, marks=[claim.key], settlements=[])
    settled = Settlement(claim.key, DeliveryState.HANDED_OVER, 250, "ok")
    await deliveries.record(db, WORKER, marks=[], settlements=[settled])


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to postings, and to how many copies."""

    postings: list[int]
    copies: int
    left: int
    cancelled: int = field(default=0, compare=False)


async def done(db: Connection, action: Action, numbers: tuple[int, ...], by: str) -> Done:
    """Do it in a transaction, and count after it."""
    async with db.transaction():
        change = await action(db, numbers, by=by)
    effect = await stopping.count(db, numbers, change)
    return Done(change.postings, effect.copies, effect.left, change.cancelled)


async def stopped(db: Connection, *numbers: int, by: str = "author") -> Done:
    """Stop postings."""
    return await done(db, stopping.stop, numbers, by)


async def held(db: Connection, *numbers: int, by: str = "author") -> Done:
    """Hold postings."""
    return await done(db, stopping.hold, numbers, by)


async def resumed(db: Connection, *numbers: int, by: str = "author") -> Done:
    """Resume postings."""
    return await done(db, stopping.resume, numbers, by)


async def somebody_waits(owner: Connection) -> None:
    """Return once a transaction waits for a lock that another one has."""
    async with asyncio.timeout(30):
        while not await owner.fetchval(WAITS):
            await asyncio.sleep(0.01)  # PostgreSQL tells nobody of a lock that is waited for.


# --- stop --------------------------------------------------------------------


async def test_stop(owner: Connection, db: Connection) -> None:
    """What waits is cancelled, also what is in hand, and what has left is counted."""
    posting_id = await under_way(owner, db)
    [claim] = await claim_due(db, WORKER, at_most=1)

    effect = await stopped(db, posting_id)

    assert effect == Done([posting_id], copies=3, left=2)
    row = await row_of(db, posting_id)
    assert (row.state, row.ended_because, row.decided_by) == ("stopped", "stopped", "author")
    assert await states(db) == {"handed_over": 2, "cancelled": 3}
    assert await deliveries.record(db, WORKER, marks=[claim.key], settlements=[]) == set()
    assert (await progress.figures(db, [posting_id])).stopped == 3


async def test_stop_twice(owner: Connection, db: Connection) -> None:
    """The second one changes nothing, and says how many have it."""
    posting_id = await under_way(owner, db)
    await stopped(db, posting_id)
    before = await db.fetch("select * from relais.posting")

    again = await stopped(db, posting_id, by="root")

    assert again == Done([], copies=0, left=2)
    assert again.postings == []
    assert await db.fetch("select * from relais.posting") == before


async def test_what_is_dotting_may_leave(owner: Connection, db: Connection) -> None:
    """A mark that came before the stop stands, and its copy is settled as ever."""
    posting_id = await under_way(owner, db, left=0)
    [claim] = await claim_due(db, WORKER, at_most=1)
    await deliveries.record(db, WORKER, marks=[claim.key], settlements=[])

    effect = await stopped(db, posting_id)

    assert (effect.copies, effect.left) == (4, 1)
    settled = Settlement(claim.key, DeliveryState.HANDED_OVER)
    await deliveries.record(db, WORKER, marks=[], settlements=[settled])
    assert await states(db) == {"handed_over": 1, "cancelled": 4}


async def test_what_comes_back_is_cancelled(owner: Connection, db: Connection) -> None:
    """A host that defers what was dotting does not get it again."""
    posting_id = await under_way(owner, db, left=0)
    [claim] = await claim_due(db, WORKER, at_most=1)
    await deliveries.record(db, WORKER, marks=[claim.key], settlements=[])
    await stopped(db, posting_id)
    later = Settlement(claim.key, DeliveryState.DEFERRED, 450, "later", delay=timedelta(hours=1))
    await deliveries.record(db, WORKER, marks=[], settlements=[later])

    await deliveries.cancel_stopped(db, within=timedelta(days=1))

    assert await states(db) == {"cancelled": 5}


async def test_stop_of_what_has_left(owner: Connection, db: Connection) -> None:
    """There is nothing to stop: the posting ends as it would have."""
    posting_id = await under_way(owner, db, left=5)

    effect = await stopped(db, posting_id)

    assert effect == Done([], copies=0, left=5)
    assert await postings.finish(db) == [posting_id]
    assert (await stopped(db, posting_id)).postings == []
    assert (await row_of(db, posting_id)).state == "finished"


async def test_stop_of_what_waits_for_somebody(db: Connection) -> None:
    """Whoever was asked about it finds it withdrawn, and it cannot be resumed past them."""
    posting_id = await a_held_posting(db, "moderation", reasons=("old",))
    [question] = await decisions.ask(
        db, posting_id, Kind.MODERATE, ["a@b.fr"], within=timedelta(days=3)
    )

    effect = await stopped(db, posting_id)

    assert effect == Done([posting_id], copies=0, left=0)
    assert (await row_of(db, posting_id)).ended_because == "withdrawn"
    async with db.transaction():
        late = await decisions.answer(db, question.decision_id, yes=True, source="page")
    assert late is decisions.Answered.TOO_LATE
    assert (await resumed(db, posting_id)).postings == []


async def test_a_message_to_two_lists(owner: Connection, db: Connection) -> None:
    """All its postings are stopped, those that have ended are left as they are."""
    first = await under_way(owner, db, left=5)
    second, _ = await posted(db, fingerprint=b"g" * 32)
    await postings.finish(db)

    effect = await stopped(db, first, second)

    assert effect == Done([second], copies=5, left=5)
    assert (await row_of(db, first)).state == "finished"


async def test_a_claim_under_way_is_waited_for(
    owner: Connection, db: Connection, database_url: str
) -> None:
    """A claim that has seen the posting open commits first, and then fails at the fence."""
    posting_id = await under_way(owner, db, left=0)
    other = await connect(database_url)
    claiming = other.transaction()
    await claiming.start()
    await other.execute("select pg_advisory_xact_lock_shared(7256947, 2)")
    stop = asyncio.create_task(stopped(db, posting_id))
    await somebody_waits(owner)
    claims = await claim_due(other, WORKER, at_most=2)
    await claiming.commit()

    effect = await stop

    assert (len(claims), effect.copies) == (2, 5)
    marks = [claim.key for claim in claims]
    assert await deliveries.record(other, WORKER, marks=marks, settlements=[]) == set()
    await other.close()


async def test_a_mark_under_way_is_waited_for(
    owner: Connection, db: Connection, database_url: str
) -> None:
    """Its copy leaves, and counts as having left."""
    posting_id = await under_way(owner, db, left=0)
    [claim] = await claim_due(db, WORKER, at_most=1)
    other = await connect(database_url)
    marking = other.transaction()
    await marking.start()
    assert await deliveries.record(other, WORKER, marks=[claim.key], settlements=[]) == {claim.key}
    stop = asyncio.create_task(stopped(db, posting_id))
    await somebody_waits(owner)
    await marking.commit()

    assert await stop == Done([posting_id], copies=4, left=1)
    assert await states(db) == {"dotting": 1, "cancelled": 4}
    await other.close()


async def test_a_large_posting(
    owner: Connection, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands are cancelled at once; the rest cannot leave, and the janitor cancels it."""
    monkeypatch.setattr(stopping, "_AT_ONCE", 2)
    posting_id = await under_way(owner, db, left=0)
    await claim_due(db, WORKER, at_most=1)

    effect = await stopped(db, posting_id)

    assert (effect.copies, effect.cancelled, effect.left) == (5, 3, 0)
    assert await states(db) == {"cancelled": 3, "queued": 2}
    assert await claim_due(db, WORKER, at_most=9) == []
    assert len(await deliveries.cancel_stopped(db, within=timedelta(days=1))) == 2
    assert (await progress.figures(db, [posting_id])).stopped == 5


async def test_a_resumed_posting_is_not_cancelled_behind_its_back(
    owner: Connection, db: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who resumes it while the janitor cancels waits for the janitor, and has it all again."""
    monkeypatch.setattr(stopping, "_AT_ONCE", 2)
    posting_id = await under_way(owner, db, left=0)
    await stopped(db, posting_id)
    other = await connect(database_url)
    sweeping = other.transaction()
    await sweeping.start()
    await deliveries.cancel_stopped(other, within=timedelta(days=1))
    resume = asyncio.create_task(resumed(db, posting_id))
    await somebody_waits(owner)
    await sweeping.commit()

    assert (await resume).copies == 5
    assert await states(db) == {"queued": 5}
    await other.close()


# --- hold --------------------------------------------------------------------


async def test_hold(owner: Connection, db: Connection) -> None:
    """What is in hand goes back, nothing is claimed, and the plan sees no end."""
    posting_id = await under_way(owner, db)
    [claim] = await claim_due(db, WORKER, at_most=1)

    effect = await held(db, posting_id)

    assert effect == Done([posting_id], copies=3, left=2)
    row = await db.fetchrow("select state, awaits, held_because from relais.posting")
    assert tuple(row or ()) == ("held", None, "paused")
    assert await states(db) == {"handed_over": 2, "queued": 3}
    assert (
        await db.fetchval("select max(attempts) from relais.delivery where state = 'queued'") == 0
    )
    assert await deliveries.record(db, WORKER, marks=[claim.key], settlements=[]) == set()
    assert await claim_due(db, WORKER, at_most=9) == []
    async with db.transaction(isolation="repeatable_read"):
        situation = await read_situation(db, ["main"])
    assert situation.finish_at(situation.plan(), situation.parts) is None


async def test_hold_twice(owner: Connection, db: Connection) -> None:
    """Once is enough, and nothing that waits for a person becomes paused."""
    posting_id = await under_way(owner, db)
    await held(db, posting_id)
    moderated = await a_held_posting(db, "moderation")

    assert (await held(db, posting_id, moderated)).postings == []
    assert (await row_of(db, moderated)).awaits == "moderation"
    assert (await held(db, await a_held_posting(db, None))).postings == []  # Nobody waits for it.


async def test_nobody_decides_about_what_is_paused(owner: Connection, db: Connection) -> None:
    """It waits for no answer: approving or refusing it does nothing."""
    posting_id = await under_way(owner, db)
    await held(db, posting_id)

    for yes in (True, False):
        async with db.transaction():
            assert not await decisions.decide(db, posting_id, yes=yes, by="root", reason="r")
    assert not await decisions.end(db, posting_id, "withdrawn", by="author")
    assert await decisions.begin_next(db) is None
    assert (await row_of(db, posting_id)).state == "held"


async def test_stop_of_what_is_paused(owner: Connection, db: Connection) -> None:
    """It is stopped as if it was never paused, and no word of the pause is left."""
    posting_id = await under_way(owner, db)
    await held(db, posting_id)

    assert await stopped(db, posting_id) == Done([posting_id], copies=3, left=2)
    assert (await row_of(db, posting_id)).ended_because == "stopped"
    assert await db.fetchval("select held_because from relais.posting") is None


async def test_a_paused_posting_ends(owner: Connection, db: Connection) -> None:
    """By its date, as others; and when nobody is left to wait."""
    posting_id = await under_way(owner, db)
    await held(db, posting_id)
    await turns.forget_finished(db)
    assert await db.fetchval("select count(*) from relais.turn") == 1
    assert await postings.finish(db) == []
    await db.execute("update relais.delivery set state = 'cancelled', settled_at = relais.now(),"
                     " reply = 'unsubscribed' where state = 'queued'")  # fmt: skip
    assert await postings.finish(db) == [posting_id]

    second, _ = await posted(db, fingerprint=b"g" * 32)
    await held(db, second)
    await db.execute("update relais.posting set finish_by = relais.now()")
    assert await postings.end_late(db) == [second]
    [late, _] = await postings.summaries(db, at_most=2)
    assert (late.state, late.ended_because, late.held_because) == ("stopped", "finish_by", None)


# --- resume ------------------------------------------------------------------


async def test_resume_of_what_is_paused(owner: Connection, db: Connection) -> None:
    """It goes on where it was, at once."""
    posting_id = await under_way(owner, db)
    await held(db, posting_id)
    await db.execute("update relais.posting set not_before = relais.now() + interval '5 minutes'")

    effect = await resumed(db, posting_id)

    assert effect == Done([posting_id], copies=3, left=2)
    assert (await resumed(db, posting_id)).postings == []
    assert await db.fetchval("select held_because from relais.posting") is None
    assert len(await claim_due(db, WORKER, at_most=9)) == 3


async def test_resume_of_what_was_stopped(owner: Connection, db: Connection) -> None:
    """Whose copies were cancelled by the stop gets them, once their list was asked again."""
    posting_id = await under_way(owner, db)
    left = await db.fetchval("select max(delivery_id) from relais.delivery where state = 'queued'")
    await db.execute("update relais.delivery set state = 'cancelled', settled_at = relais.now(),"
                     " reply = 'unsubscribed' where delivery_id = $1", left)  # fmt: skip
    await stopped(db, posting_id)
    await turns.forget_finished(db)

    effect = await resumed(db, posting_id)

    assert effect == Done([posting_id], copies=2, left=2)
    row = await row_of(db, posting_id)
    assert (row.state, row.ended_because, row.decided_by) == ("open", None, None)
    assert await states(db) == {"handed_over": 2, "queued": 2, "cancelled": 1}
    assert await claim_due(db, WORKER, at_most=9) == []
    assert await rechecks.stale(db, closed=[], at_most=9) == [posting_id]
    async with db.transaction():
        await rechecks.lock(db, posting_id)
        await db.execute("update relais.posting set fresh_until = relais.now() + interval '1 hour'")
    assert len(await claim_due(db, WORKER, at_most=9)) == 2
    assert (await resumed(db, posting_id)).postings == []


async def test_a_mark_is_not_forgotten(owner: Connection, db: Connection) -> None:
    """A copy that had been marked before it was stopped and resumed counts in the limits."""
    posting_id = await under_way(owner, db, left=0)
    [claim] = await claim_due(db, WORKER, at_most=1)
    await deliveries.record(db, WORKER, marks=[claim.key], settlements=[])
    later = Settlement(claim.key, DeliveryState.DEFERRED, 450, "later", delay=timedelta(hours=1))
    await deliveries.record(db, WORKER, marks=[], settlements=[later])

    await stopped(db, posting_id)
    await resumed(db, posting_id)

    assert await db.fetchval("select count(*) from relais.v_marks") == 1


Steps = tuple[tuple[Action, str], ...]

# What is done by whom, and whether its author may let it go on then.
MAY_RESUME: dict[str, tuple[Steps, bool]] = {
    "paused by its author": (((stopping.hold, "author"),), True),
    "stopped by its author": (((stopping.stop, "author"),), True),
    "paused by an operator": (((stopping.hold, "root"),), False),
    "stopped by an operator": (((stopping.stop, "root"),), False),
    "paused by an operator, then stopped by its author": (
        ((stopping.hold, "root"), (stopping.stop, "author")),
        False,
    ),
    "paused by its author, then stopped by an operator": (
        ((stopping.hold, "author"), (stopping.stop, "root")),
        False,
    ),
    "paused by an operator, then by its author": (
        ((stopping.hold, "root"), (stopping.hold, "author")),
        False,
    ),
    "resumed by an operator, then paused by its author": (
        ((stopping.hold, "root"), (stopping.resume, "root"), (stopping.hold, "author")),
        True,
    ),
}


@pytest.mark.parametrize(("steps", "may"), MAY_RESUME.values(), ids=MAY_RESUME)
async def test_who_may_resume(
    owner: Connection, db: Connection, steps: Steps, *, may: bool
) -> None:
    """Its author what nobody else has paused or stopped, as they see; an operator anything."""
    posting_id = await under_way(owner, db)
    for action, by in steps:
        await done(db, action, (posting_id,), by)
    [seen] = await following.followed(db, posting_id)

    by_author = await resumed(db, posting_id, by="author")
    by_operator = await resumed(db, posting_id, by="root")

    assert by_author.postings == ([posting_id] if may else [])
    assert by_operator.postings == ([] if may else [posting_id])
    assert (seen.can_be_resumed, seen.waits_for_operator) == (may, not may)


async def test_a_row_is_not_read_whole(db: Connection) -> None:
    """Whether a posting can go on is asked without its template, which may be of megabytes."""
    plan = await db.fetch("explain (verbose, costs off) " + following.POSTINGS, 1)
    said = "\n".join(row[0] for row in plan)

    assert "has_stopped_copies" in said
    assert "may_resume" not in said


async def test_who_approved_it_is_kept(owner: Connection, db: Connection) -> None:
    """A pause decides nothing: whoever let it out did."""
    posting_id = await under_way(owner, db)
    await db.execute("update relais.posting set decided_by = 'chef@b.fr'")

    await held(db, posting_id)
    await resumed(db, posting_id)

    assert (await row_of(db, posting_id)).decided_by == "chef@b.fr"


NOT_RESUMED = {
    "refused": "ended_because = 'refused'",
    "withdrawn": "ended_because = 'withdrawn'",
    "by its date": "ended_because = 'finish_by'",
    "its bytes are purged": "template = null",
    "its date has passed": "finish_by = relais.now()",
}


@pytest.mark.parametrize("change", NOT_RESUMED.values(), ids=NOT_RESUMED)
async def test_not_resumed(owner: Connection, db: Connection, change: str) -> None:
    """What somebody else ended, or what can leave no more, stays as it is."""
    posting_id = await under_way(owner, db)
    await stopped(db, posting_id)
    await db.execute(f"update relais.posting set {change}")

    assert await resumed(db, posting_id) == Done([], copies=0, left=2)
    assert await states(db) == {"handed_over": 2, "cancelled": 3}


async def test_days_of_a_pause_are_none_of_trying(owner: Connection, db: Connection) -> None:
    """A copy that a host deferred before is not given up at its next deferral."""
    posting_id = await under_way(owner, db, left=0)
    [claim] = await claim_due(db, WORKER, at_most=1)
    later = Settlement(claim.key, DeliveryState.DEFERRED, 450, "later", delay=timedelta(hours=1))
    await deliveries.record(db, WORKER, marks=[], settlements=[later])
    await held(db, posting_id)

    await resumed(db, posting_id)

    assert await db.fetchval("select count(tried_since) from relais.delivery") == 0


# --- the receipt -------------------------------------------------------------


async def a_receipt(db: Connection, posting_id: int, *, closed: bool) -> None:
    """Give a posting a receipt that is to be looked at tomorrow."""
    await db.execute(
        """
        with receipt as (
            insert into relais.receipt (author, lang, accepted_at, look_at, closed_at)
            select 'a@b.fr', 'fr', relais.now(), relais.now() + interval '1 day',
                   case when $2 then relais.now() end
            returning receipt_id)
        update relais.posting o set receipt_id = r.receipt_id from receipt r
         where o.posting_id = $1
        """,
        posting_id,
        closed,
    )


IS_DUE = "select closed_at is null and look_at <= relais.now() from relais.receipt"


async def test_its_receipt_is_looked_at(owner: Connection, db: Connection) -> None:
    """Whoever tells the author sees each change soon; a closed one is open again."""
    posting_id = await under_way(owner, db)
    await a_receipt(db, posting_id, closed=False)
    await stopped(db, posting_id)
    assert await db.fetchval(IS_DUE)
    await db.execute("update relais.receipt set closed_at = relais.now()")
    await stopped(db, posting_id)
    assert not await db.fetchval(IS_DUE)
    await resumed(db, posting_id)
    assert await db.fetchval(IS_DUE)


async def test_a_pause_breaks_no_promise(owner: Connection, db: Connection) -> None:
    """The finish that was named is one without the pause: nobody is told of a delay."""
    posting_id = await under_way(owner, db)
    await a_receipt(db, posting_id, closed=False)
    await db.execute("update relais.receipt set written_at = look_at, promised_at = look_at")
    await held(db, posting_id)

    await resumed(db, posting_id)

    row = await db.fetchrow("select promised_at, report_promised, closed_at from relais.receipt")
    assert tuple(row or ()) == (None, False, None)


async def test_a_second_end_is_told(owner: Connection, db: Connection) -> None:
    """Who was told of the stop is told how it ended, with a receipt before or without."""
    posting_id = await under_way(owner, db)
    await a_receipt(db, posting_id, closed=False)
    await stopped(db, posting_id)
    await db.execute("update relais.receipt set closed_at = relais.now()")

    await resumed(db, posting_id)

    row = await db.fetchrow(
        "select closed_at, report_promised, written_at is not null from relais.receipt"
    )
    assert tuple(row or ()) == (None, True, True)


async def test_nothing_done_is_nothing_told(owner: Connection, db: Connection) -> None:
    """A second stop wakes nobody."""
    posting_id = await under_way(owner, db, left=5)
    await a_receipt(db, posting_id, closed=False)
    await frozen_clock(owner)

    await stopped(db, posting_id)
    await resumed(db, posting_id)

    assert not await db.fetchval(IS_DUE)
