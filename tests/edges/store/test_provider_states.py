"""What is in force at providers, on real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.edges.store.copies import a_copy, a_posting
from tests.edges.store.given import NOON, frozen_clock
from worker.policy.feedback import Action
from worker.policy.limit import read_limit
from worker.policy.provider_state import ProviderState, StateKind, paused_until, rate_factor
from worker.store import breakers, limits, provider_states, returns

if TYPE_CHECKING:
    from datetime import datetime

    from worker.store.database import Connection

HOUR = timedelta(hours=1)
TENTH = timedelta(seconds=0.1)  # The frozen clock creeps.


def state(
    *, posting_id: int | None = None, factor: float | None = None, why: str = "no"
) -> ProviderState:
    """A state of Orange for an hour from noon."""
    kind = StateKind.SLOW if factor else StateKind.PAUSE
    return ProviderState(
        "orange", None, posting_id, kind, factor, NOON, NOON + HOUR, why, "r", "feedback"
    )


async def paused(db: Connection, now: datetime) -> datetime | None:
    """Say until when Orange is left alone."""
    return paused_until(await provider_states.live(db), "orange", "main", now)


async def test_rows_come_back_as_they_were(owner: Connection, db: Connection) -> None:
    """And from their first moment on; reasons hold no address."""
    await frozen_clock(owner)
    await provider_states.add(db, state(factor=0.5, why="jean@orange.fr: OFR_104"))

    (row,) = await provider_states.live(db)

    assert abs(row.since - NOON) < TENTH
    assert row.until - row.since == HOUR
    assert (row.kind, row.factor, row.rule_id) == (StateKind.SLOW, 0.5, "r")
    assert row.why == "(address): OFR_104"
    assert rate_factor([row], "orange", NOON) == 0.5


async def test_rows_matter_while_they_recover(owner: Connection, db: Connection) -> None:
    """For three hours after their end; the janitor keeps them for a month."""
    await frozen_clock(owner)
    await provider_states.add(db, state(factor=0.5))
    for hours, rows in ((3.9, 1), (4.1, 0)):
        await frozen_clock(owner, NOON + hours * HOUR)
        assert len(await provider_states.live(db)) == rows
    await provider_states.forget(db)
    assert await db.fetchval("select count(*) from relais.provider_state") == 1
    await frozen_clock(owner, NOON + timedelta(days=31))
    await provider_states.forget(db)
    assert await db.fetchval("select count(*) from relais.provider_state") == 0


async def test_an_operators_pause(owner: Connection, db: Connection) -> None:
    """For a time or for good; who and why are kept."""
    await frozen_clock(owner)
    await provider_states.pause(db, "orange", length=HOUR, who="ada", reason="they called")
    until = await paused(db, NOON)
    assert until is not None
    assert abs(until - NOON - HOUR) < TENTH
    await provider_states.pause(db, "orange", length=None, who="ada", reason="for good")
    until = await paused(db, NOON)
    assert until is not None
    assert until > NOON + timedelta(days=3000)

    assert await provider_states.resume(db, "orange", who="ada", reason="all is well") == 2
    assert await paused(db, NOON) is None
    rows = await db.fetch("select who, what, reason from relais.audit order by audit_id")
    assert [tuple(row) for row in rows] == [
        ("ada", "pause orange for 1:00:00", "they called"),
        ("ada", "pause orange until told otherwise", "for good"),
        ("ada", "resume orange", "all is well"),
    ]


async def test_resuming_lets_go_what_came_back(owner: Connection, db: Connection) -> None:
    """Stops of postings end, too; another provider is left as it is."""
    await frozen_clock(owner)
    posting_id = await a_posting(db)
    for name, provider in (("jean", "orange"), ("zoé", "sfr")):
        copy = await a_copy(db, posting_id, name, provider=provider)
        assert await returns.requeue(
            db, copy, due_at=NOON + 5 * HOUR, verdict=Action.CONTENT, status="", reply=""
        )
    await provider_states.add(db, state(posting_id=posting_id))

    assert await provider_states.resume(db, "orange", who="ada", reason="it was fine") == 1
    due = await db.fetch(
        "select provider, due_at <= relais.now() as due from relais.delivery order by 1"
    )
    assert [tuple(row) for row in due] == [("orange", True), ("sfr", False)]
    assert await provider_states.live(db) == []


async def test_changes_wake_the_dispatchers(db: Connection) -> None:
    """By the notification that limits use."""
    heard: asyncio.Queue[object] = asyncio.Queue()
    await db.add_listener("relais", lambda *args: heard.put_nowait(args[3]))
    await provider_states.add(db, state())
    await provider_states.resume(db, "orange", who="ada", reason="")
    async with asyncio.timeout(5):
        assert [await heard.get(), await heard.get()] == ["delivery", "delivery"]


async def test_limited_or_not(db: Connection) -> None:
    """What a factor can slow: Orange has a limit from the start."""
    await db.execute("delete from relais.limit_rule where provider = 'sfr'")
    await limits.set_limit(
        db, read_limit("9/day"), account="main", provider="sfr", who="ada", reason="x"
    )

    assert await provider_states.is_limited(db, "orange", "main")
    assert await provider_states.is_limited(db, "sfr", "main")
    assert not await provider_states.is_limited(db, "sfr", "second")


async def test_pauses_of_accounts_add_up(owner: Connection, db: Connection) -> None:
    """The later end holds, and only the first is news."""
    await frozen_clock(owner)
    assert await breakers.pause_until(db, "main", NOON + 2 * HOUR, why="first")
    assert not await breakers.pause_until(db, "main", NOON + HOUR, why="shorter")
    assert not await breakers.pause_until(db, "main", NOON + 3 * HOUR, why="longer")
    assert not await breakers.pause_until(db, "second", NOON - HOUR, why="over")
    row = await db.fetchrow("select paused_until, failures, why from relais.account_state")
    assert row is not None
    assert tuple(row) == (NOON + 3 * HOUR, 0, "longer")
    await frozen_clock(owner, NOON + 4 * HOUR)
    assert await breakers.pause_until(db, "main", NOON + 5 * HOUR, why="again")
