"""Decisions: the first answer counts, once, and only to a question that still stands."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import NOON, frozen_clock, members, posted, states
from tests.edges.store.held import (
    ANNE,
    AUTHOR,
    BERNARD,
    EVIDENCE,
    WITHIN,
    Row,
    a_posting,
    ask_anew,
    asked_author,
    asked_moderators,
    row_of,
)
from worker.store import authors, decisions, postings, rechecks
from worker.store.authors import Evidence
from worker.store.database import connect
from worker.store.decisions import Answered, Kind

if TYPE_CHECKING:
    from worker.store.database import Connection

TAKEN, TOO_LATE = Answered.TAKEN, Answered.TOO_LATE
RELEASE = Row("held", "release", None, None, tell=False)


async def answer(
    db: Connection, decision_id: int, *, yes: bool, reason: str | None = None
) -> Answered:
    """Answer as a page does."""
    async with db.transaction():
        return await decisions.answer(db, decision_id, yes=yes, source="page", reason=reason)


async def answer_of(db: Connection, decision_id: int) -> tuple[str | None, str | None]:
    """Return the answer that a question has kept, and its reason."""
    row = await db.fetchrow(
        "select answer, reason from relais.decision where decision_id = $1", decision_id
    )
    if row is None:
        raise AssertionError(f"no decision {decision_id}")
    return row["answer"], row["reason"]


async def test_asking(db: Connection) -> None:
    """Each has a question of their own, and the posting waits as long as they do."""
    posting_id = await a_posting(db, "moderation", reasons=("old",))

    anne, bernard = await ask_anew(db, posting_id)

    assert (anne.address, bernard.address) == (ANNE, BERNARD)
    held = await decisions.held(db, posting_id)
    assert held.asked_at is not None
    assert anne.expires_at == bernard.expires_at == held.asked_at + WITHIN
    assert await begun(db) is None
    seconds = await decisions.seconds_until_due(db)
    assert seconds == pytest.approx(WITHIN.total_seconds(), abs=60)


async def test_nobody_to_ask(db: Connection) -> None:
    """It is not asked about for ever: it expires."""
    posting_id = await a_posting(db, "moderation", reasons=("old",))

    assert await ask_anew(db, posting_id, []) == []

    assert await begun(db) is None
    assert (await decisions.held(db, posting_id)).asked_at is not None


CONFIRMED = {
    "that is all": ((), "release", "awaits release"),
    "moderators are next": (("old", "spam"), "moderation", "awaits moderation; old; spam"),
}


@pytest.mark.parametrize(("reasons", "awaits", "why"), CONFIRMED.values(), ids=CONFIRMED)
async def test_author_says_yes(
    db: Connection, reasons: tuple[str, ...], awaits: str, why: str
) -> None:
    """Moderators are not spared by it, and find no answer written."""
    posting_id, question = await asked_author(db, reasons=reasons)

    assert await answer(db, question, yes=True) is TAKEN

    assert await row_of(db, posting_id) == Row("held", awaits, None, None, tell=False)
    held = await decisions.held(db, posting_id)
    assert (held.proof, held.reasons, held.held_because) == ("confirmed", [*reasons], why)
    assert await begun(db) == posting_id


async def test_moderator_says_yes(db: Connection) -> None:
    """What they were shown is waved through, and will not stop it again."""
    posting_id, [anne, _] = await asked_moderators(db, reasons=("old", "shrank"))

    assert await answer(db, anne, yes=True) is TAKEN

    assert await row_of(db, posting_id) == Row("held", "release", None, ANNE, tell=False)
    held = await decisions.held(db, posting_id)
    assert (held.approved, held.reasons) == (["old", "shrank"], [])
    assert await begun(db) == posting_id


# Who is not proven to be the author never hears of an end.
REFUSED = {
    "a proven author is told": ("dkim", "Trop long", True),
    "no reason": ("dkim", None, True),
    "nobody is told": ("", "Faux", False),
}


@pytest.mark.parametrize(("proof", "reason", "tell"), REFUSED.values(), ids=REFUSED)
async def test_moderator_says_no(
    db: Connection, proof: str, reason: str | None, *, tell: bool
) -> None:
    """The reason is kept for the author's letter."""
    posting_id, [anne, _] = await asked_moderators(db, proof=proof)

    assert await answer(db, anne, yes=False, reason=reason) is TAKEN

    assert await row_of(db, posting_id) == Row("stopped", None, "refused", ANNE, tell=tell)
    assert (await decisions.held(db, posting_id)).held_because == reason
    assert await answer_of(db, anne) == ("no", reason)
    assert await begun(db) == (posting_id if tell else None)


async def test_telling_is_over_once_told(db: Connection) -> None:
    """The author hears of it once."""
    posting_id, [anne, _] = await asked_moderators(db)
    await answer(db, anne, yes=False)

    await decisions.told(db, posting_id)

    assert await begun(db) is None


async def test_author_says_no(db: Connection) -> None:
    """A forged message ends in silence."""
    posting_id, question = await asked_author(db, reasons=("old",))

    assert await answer(db, question, yes=False) is TAKEN

    assert await row_of(db, posting_id) == Row("stopped", None, "disowned", AUTHOR, tell=False)
    assert await begun(db) is None
    assert await db.fetchval("select count(*) from relais.proven_author") == 0


@pytest.mark.parametrize("awaits", ["confirmation", "moderation", "release"])
async def test_withdrawn(db: Connection, awaits: str) -> None:
    """Its author need not be told, and nobody can answer any more."""
    posting_id = await a_posting(db, awaits, reasons=("old",), proof="dkim")
    [question] = await decisions.ask(db, posting_id, Kind.MODERATE, [ANNE], within=WITHIN)

    assert await decisions.end(db, posting_id, "withdrawn", by="author")
    assert not await decisions.end(db, posting_id, "withdrawn", by="author")

    ended = Row("stopped", None, "withdrawn", "author", tell=False)
    assert await row_of(db, posting_id) == ended
    assert await answer(db, question.decision_id, yes=True) is TOO_LATE
    assert await row_of(db, posting_id) == ended


async def test_answer_after_the_end(owner: Connection, db: Connection) -> None:
    """A question that has run out takes no answer, and leaves the end to a worker."""
    await frozen_clock(owner)
    posting_id, [anne, _] = await asked_moderators(db)
    await frozen_clock(owner, NOON + WITHIN + timedelta(seconds=1))

    assert await answer(db, anne, yes=True) is TOO_LATE

    assert await answer_of(db, anne) == (None, None)
    assert (await row_of(db, posting_id)).awaits == "moderation"
    assert await begun(db) == posting_id
    assert await decisions.end(db, posting_id, "expired")
    assert await row_of(db, posting_id) == Row("stopped", None, "expired", None, tell=True)


async def test_second_answer(db: Connection) -> None:
    """It is kept, for whoever asks who said what, and changes nothing."""
    posting_id, [anne, bernard] = await asked_moderators(db)

    assert await answer(db, anne, yes=True) is TAKEN
    before = await row_of(db, posting_id)
    assert await answer(db, bernard, yes=False, reason="Non") is TOO_LATE
    assert await answer(db, anne, yes=False) is TOO_LATE

    assert await row_of(db, posting_id) == before
    assert await answer_of(db, anne) == ("yes", None)
    assert await answer_of(db, bernard) == ("no", "Non")


@pytest.mark.parametrize("first", [True, False])
async def test_second_answer_waits_for_the_first(
    db: Connection, database_url: str, *, first: bool
) -> None:
    """Of two at once, the second sees what the first has done."""
    posting_id, [anne, bernard] = await asked_moderators(db)
    other = await connect(database_url)
    transaction = db.transaction()
    await transaction.start()
    assert await decisions.answer(db, anne, yes=first, source="page") is TAKEN

    second = asyncio.create_task(answer(other, bernard, yes=not first))
    await asyncio.sleep(0.1)
    assert not second.done()
    await transaction.commit()

    assert await second is TOO_LATE
    assert (await row_of(db, posting_id)).decided_by == ANNE
    await other.close()


async def test_many_answers_at_once(db: Connection, database_url: str) -> None:
    """Exactly one is taken, whoever pressed how often."""
    crowd = [f"m{n}@example.org" for n in range(4)]
    posting_id, questions = await asked_moderators(db, crowd)
    connections = [await connect(database_url) for _ in range(8)]

    answers = await asyncio.gather(
        *(
            answer(connection, question, yes=n % 2 == 0)
            for n, (connection, question) in enumerate(zip(connections, questions * 2, strict=True))
        )
    )

    assert answers.count(TAKEN) == 1
    winner = crowd[answers.index(TAKEN) % 4]
    assert (await row_of(db, posting_id)).decided_by == winner
    for connection in connections:
        await connection.close()


async def test_answer_while_it_is_withdrawn(db: Connection, database_url: str) -> None:
    """An approval that waits for the author's withdrawal comes too late."""
    posting_id, [anne, _] = await asked_moderators(db)
    other = await connect(database_url)
    async with db.transaction():
        await decisions.end(db, posting_id, "withdrawn", by="author")
        approval = asyncio.create_task(answer(other, anne, yes=True))
        await asyncio.sleep(0.1)

    assert await approval is TOO_LATE
    assert (await row_of(db, posting_id)).ended_because == "withdrawn"
    await other.close()


@pytest.mark.parametrize("asked_again", [True, False])
@pytest.mark.parametrize("yes", [True, False])
async def test_answer_to_an_old_question(db: Connection, *, asked_again: bool, yes: bool) -> None:
    """Whoever saw only the first reasons cannot decide about the others."""
    posting_id, [anne, bernard] = await asked_moderators(db, reasons=("old",))
    await answer(db, anne, yes=True)
    await decisions.await_moderation(db, posting_id, ["shrank"])
    anew = await ask_anew(db, posting_id) if asked_again else []

    old = await decisions.asked(db, bernard, Kind.MODERATE)
    assert old is not None
    assert (old.is_open, old.is_latest) == (False, False)
    assert await answer(db, bernard, yes=yes) is TOO_LATE
    assert (await row_of(db, posting_id)).awaits == "moderation"

    for question in anew:
        asked = await decisions.asked(db, question.decision_id, Kind.MODERATE)
        assert asked is not None
        assert (asked.is_open, asked.is_latest) == (True, True)
    if anew:
        assert await answer(db, anew[1].decision_id, yes=True) is TAKEN
        held = await decisions.held(db, posting_id)
        assert held.approved == ["old", "shrank"]
        assert (await row_of(db, posting_id)).decided_by == BERNARD


async def test_old_question_of_a_posting_held_under_way(owner: Connection, db: Connection) -> None:
    """What was approved once is asked about anew when its list breaks on the way."""
    await members(owner, [("a@b.fr", "1")])
    posting_id, _ = await posted(db)
    await _hold(db, posting_id)
    [anne, bernard] = await ask_anew(db, posting_id)
    await answer(db, anne.decision_id, yes=True)
    assert await postings.resume(db, posting_id)
    await rechecks.hold(db, posting_id, "shrank")

    assert await answer(db, bernard.decision_id, yes=True) is TOO_LATE

    assert (await row_of(db, posting_id)).awaits == "moderation"


OPERATOR = {
    "confirmation": True,
    "moderation": True,
    "release": True,
    "open": False,
    "stopped": False,
    "finished": False,
}


@pytest.mark.parametrize("yes", [True, False])
@pytest.mark.parametrize(("stands", "may"), OPERATOR.items())
async def test_operator_decides(
    owner: Connection, db: Connection, stands: str, *, may: bool, yes: bool
) -> None:
    """Whatever it waits for; of what waits no more, nothing is changed or kept."""
    waits = stands if may else None
    posting_id = await a_posting(db, waits, reasons=("old",) if waits else (), proof="")
    if not may:
        await owner.execute("update relais.posting set state = $1", stands)
    before = await row_of(db, posting_id)

    async with db.transaction():
        done = await decisions.decide(db, posting_id, yes=yes, by="root", reason="Vu au bureau")

    if stands == "release" and yes:
        may = False  # It has been decided so before.
    assert done is may
    after = await row_of(db, posting_id)
    audited = [
        tuple(row) for row in await owner.fetch("select who, what, reason from relais.audit")
    ]
    if not may:
        assert (after, audited) == (before, [])
        return
    what = f"posting {posting_id} {'approved' if yes else 'refused'}"
    assert audited == [("root", what, "Vu au bureau")]
    held = await decisions.held(db, posting_id)
    if yes:
        assert after == Row("held", "release", None, "root", tell=False)
        # An operator who vouches for a message proves nothing of its author.
        assert (held.approved, held.proof) == (["old"], "")
    else:
        assert after == Row("stopped", None, "refused", "root", tell=False)
        assert held.held_because == "Vu au bureau"


async def test_operator_is_faster(db: Connection) -> None:
    """The author's and the moderators' answers then find it decided."""
    posting_id, question = await asked_author(db)
    async with db.transaction():
        await decisions.decide(db, posting_id, yes=True, by="root", reason="r")

    assert await answer(db, question, yes=False) is TOO_LATE

    assert await row_of(db, posting_id) == Row("held", "release", None, "root", tell=False)


async def _hold(db: Connection, posting_id: int) -> None:
    await rechecks.hold(db, posting_id, "shrank")


async def test_end_of_a_posting_held_under_way(owner: Connection, db: Connection) -> None:
    """What has left has left; what is claimed is stopped at the fence of its mark."""
    await members(owner, [(f"{name}@b.fr", name) for name in "abcde"])
    posting_id, _ = await posted(db)
    numbers = [row[0] for row in await db.fetch("select delivery_id from relais.delivery")]
    others = ("queued", "claimed", "deferred", "dotting", "handed_over")
    for number, state in zip(numbers, others, strict=True):
        await db.execute(
            "update relais.delivery set state = $2::relais.delivery_state,"
            " worker_id = case when $2 in ('claimed', 'dotting') then 'w' end,"
            " marked_at = case when $2 = 'dotting' then relais.now() end where delivery_id = $1",
            number,
            state,
        )
    await _hold(db, posting_id)
    [question, _] = await ask_anew(db, posting_id)

    assert await answer(db, question.decision_id, yes=False, reason="Faux") is TAKEN

    assert await states(db) == {"cancelled": 3, "dotting": 1, "handed_over": 1}
    why = await db.fetch("select distinct reply from relais.delivery where state = 'cancelled'")
    assert [row["reply"] for row in why] == ["refused"]
    asked = await decisions.asked(db, question.decision_id, Kind.MODERATE)
    assert asked is not None
    assert asked.is_under_way


WORTH = {
    "a signature": (EVIDENCE, True),
    "a network": (Evidence(network="192.0.2.0/24"), True),
    "the author's word": (Evidence(return_path_domain="example.org"), False),
    "nothing": (Evidence(), False),
}


@pytest.mark.parametrize(("evidence", "worth"), WORTH.values(), ids=WORTH)
async def test_remembered_author(db: Connection, evidence: Evidence, *, worth: bool) -> None:
    """The same evidence is not asked about again; what a forger can write is."""
    _, question = await asked_author(db, evidence=evidence, author=AUTHOR.upper())

    await answer(db, question, yes=True)

    assert await authors.is_remembered(db, AUTHOR, evidence) is worth
    assert not await authors.is_remembered(db, ANNE, evidence)


async def test_a_late_yes_is_not_remembered(db: Connection) -> None:
    """Only the answer that counted proves anything."""
    posting_id, question = await asked_author(db, evidence=EVIDENCE)
    await decisions.end(db, posting_id, "withdrawn", by="author")

    assert await answer(db, question, yes=True) is TOO_LATE

    assert not await authors.is_remembered(db, AUTHOR, EVIDENCE)


async def begun(db: Connection) -> int | None:
    """Begin to attend to the next posting, and return its number."""
    found = await decisions.begin_next(db)
    return found.posting_id if found else None


async def test_what_kills_the_process_is_known(db: Connection) -> None:
    """Attempts count beginnings without an end."""
    posting_id = await a_posting(db, "confirmation")
    for attempts in (1, 2, 3):
        found = await decisions.begin_next(db)
        assert found is not None
        assert (found.posting_id, found.attempts) == (posting_id, attempts)
    await decisions.ended(db, posting_id)
    found = await decisions.begin_next(db)
    assert found is not None
    assert found.attempts == 1


async def test_next_to_attend_skips_what_others_hold(db: Connection, database_url: str) -> None:
    """Two workers never attend to one posting, and none waits for the other."""
    first, second = [await a_posting(db, "confirmation") for _ in range(2)]
    await a_posting(db, None)
    other = await connect(database_url)

    async with db.transaction():
        assert await begun(db) == first
        async with other.transaction():
            assert await begun(other) == second
            async with asyncio.timeout(5):
                third = await connect(database_url)
                assert await begun(third) is None
                assert not await decisions.lock(third, first)
                await third.close()
    assert await begun(other) == first
    await other.close()


async def test_postponed_release(owner: Connection, db: Connection) -> None:
    """A list whose query fails is not asked in a loop."""
    await frozen_clock(owner)
    posting_id = await a_posting(db, "release")
    await decisions.postpone(db, posting_id, timedelta(minutes=5))
    assert await begun(db) is None

    await frozen_clock(owner, NOON + timedelta(minutes=5, seconds=1))

    assert await begun(db) == posting_id


async def test_crash_in_between(owner: Connection, db: Connection, database_url: str) -> None:
    """A session that dies before its commit has asked and answered nothing."""
    posting_id, [anne, _] = await asked_moderators(db)
    unasked = await a_posting(db, "confirmation")
    before = await row_of(db, posting_id)
    dying = await connect(database_url)
    await dying.execute("begin")
    assert await decisions.answer(dying, anne, yes=True, source="page") is TAKEN
    await decisions.ask(dying, unasked, Kind.CONFIRM, [AUTHOR], within=WITHIN)
    await owner.execute("select pg_terminate_backend($1, 5000)", dying.get_server_pid())

    assert await row_of(db, posting_id) == before
    assert await answer_of(db, anne) == (None, None)
    assert await begun(db) == unasked
    assert await answer(db, anne, yes=False) is TAKEN
    dying.terminate()


async def test_question_of_another_kind(db: Connection) -> None:
    """An author's question is not a moderator's, though both have numbers."""
    _, question = await asked_author(db)

    assert await decisions.asked(db, question, Kind.MODERATE) is None
    assert await decisions.asked(db, question + 99, Kind.CONFIRM) is None
    assert await decisions.status(db, 99) is None
    asked = await decisions.asked(db, question, Kind.CONFIRM)
    assert asked is not None
    assert (asked.address, asked.is_open, asked.is_under_way) == (AUTHOR, True, False)


async def test_a_waiting_worker_hears_of_an_answer(db: Connection, database_url: str) -> None:
    """The notification comes with the commit."""
    _, question = await asked_author(db)
    heard: asyncio.Queue[object] = asyncio.Queue()
    listening = await connect(database_url)
    await listening.add_listener("relais", lambda *args: heard.put_nowait(args[-1]))

    await answer(db, question, yes=True)

    async with asyncio.timeout(5):
        assert await heard.get() == "decision"
    await listening.close()
