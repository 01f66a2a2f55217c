"""Pacing in the database: exact windows whatever changes, the reserve, turns, dates."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import NOON, alive, dead, frozen_clock, states
from tests.simulation.world import World
from worker.actors.dispatcher import claim_affordable, seconds_until_claimable
from worker.policy.limit import read_limit
from worker.policy.outcome import NoticeKind
from worker.policy.plan import BINS
from worker.policy.provider_state import ProviderState, StateKind
from worker.store import deliveries, limits, notices, postings, provider_states, turns
from worker.store.database import connect
from worker.store.deliveries import DeliveryState, Settlement

if TYPE_CHECKING:
    import asyncpg

    from worker.store.database import Connection
    from worker.store.deliveries import Claim

HOUR = timedelta(hours=1)
LARGE = {"orange": 60, "free": 60}
SMALL = {"orange": 5, "free": 9}


@pytest.fixture
async def world(owner: Connection, db: Connection) -> World:
    """A world with a large and a small list, and no limit."""
    world = World(owner, db)
    await world.prepare({})
    await world.add_list("large", LARGE)
    await world.add_list("small", SMALL)
    return world


async def claim(world: World, at_most: int = 1000) -> list[Claim]:
    """Claim as the only worker."""
    return await claim_affordable(world.db, "w", "main", at_most=at_most)


async def mark(world: World, claims: list[Claim], *, by: str = "w") -> int:
    """Mark *claims*; return how many were marked."""
    keys = [claim.key for claim in claims]
    return len(await deliveries.record(world.db, by, marks=keys, settlements=[]))


async def marks(db: Connection) -> list[datetime]:
    """Return when copies were marked, those that were marked twice among them."""
    rows = await db.fetch("select at from relais.v_marks order by at")
    return [row["at"] for row in rows]


def by_provider(claims: list[Claim]) -> Counter[str]:
    """Count claims by provider."""
    return Counter(claim.provider for claim in claims)


async def test_a_small_posting_finds_room_behind_a_large_one(world: World) -> None:
    """Of a hundred the large one leaves five; the small one takes them all at once."""
    await world.limit("main", "100/hour, spacing=none")
    await world.post("to-large")
    assert await mark(world, await claim(world)) == 95

    posting_id = await world.post("to-small")
    claims = await claim(world)

    assert {claim.posting_id for claim in claims} == {posting_id}
    assert len(claims) == 5


async def test_a_notice_goes_before_a_small_posting(world: World) -> None:
    """Somebody waits for it."""
    await world.limit("main", "1/hour, spacing=none")
    await world.post("to-small")
    await notices.send(
        world.db,
        notices.NewNotice(NoticeKind.HELD, "jean@free.fr", b"", "00000000"),
    )

    [first] = await claim(world)

    assert first.notice_id is not None
    await mark(world, [first])
    assert await world.db.fetchval("select small from relais.limit_spent") == 1


async def test_a_large_posting_is_spaced(world: World) -> None:
    """A twentieth at a stretch, then one each interval, whoever asks how often."""
    await world.limit("orange", "60/hour")
    await world.post("to-large")
    await claim(world)  # What goes to Free.
    await world.owner.execute(
        "update relais.delivery set state = 'queued' where provider = 'orange'"
    )

    left = []
    for second in range(0, 600, 7):
        await world.set_clock(NOON + timedelta(seconds=second))
        claims = await claim(world)
        await mark(world, claims)
        left += [second] * len(claims)

    assert left[:3] == [0, 0, 0]
    gaps = [b - a for a, b in pairwise(left[2:])]
    assert all(56 <= gap <= 63 for gap in gaps)


async def test_a_small_posting_is_not_spaced(world: World) -> None:
    """Fourteen people do not wait for each other."""
    await world.limit("orange", "100/day")
    await world.limit("main", "200/hour")
    await world.post("to-small")

    assert by_provider(await claim(world)) == {"orange": 5, "free": 9}


async def test_a_burst_that_is_given_binds_all(world: World) -> None:
    """Who writes burst=3 means three."""
    await world.limit("orange", "100/day, burst=3")
    await world.post("to-small")

    assert by_provider(await claim(world)) == {"orange": 3, "free": 9}


async def test_postings_take_turns(world: World) -> None:
    """The second does not wait for the end of the first; a high priority gets twice as much."""
    await world.limit("orange", "40/hour, spacing=none")
    first = await world.post("to-large")
    second = await world.post("urgent-large")

    claims = [c for c in await claim(world) if c.provider == "orange"]

    taken = Counter(claim.posting_id for claim in claims)
    assert taken.total() == 38
    assert 2 * taken[first] - 2 <= taken[second] <= 2 * taken[first] + 2


async def test_a_provider_that_waits_slows_no_other(world: World) -> None:
    """Orange is used up; Free takes what the account has left."""
    await world.limit("orange", "0/day")
    await world.post("to-large")

    assert by_provider(await claim(world)) == {"free": 60}


async def test_a_held_posting_at_the_head_blocks_nobody(world: World) -> None:
    """It has the oldest rows, and they are passed over."""
    first = await world.post("to-large")
    second = await world.post("to-large")
    await world.owner.execute(
        "update relais.posting set state = 'held', awaits = 'moderation' where posting_id = $1",
        first,
    )

    assert {claim.posting_id for claim in await claim(world, 10)} == {second}


async def test_a_lowered_limit_takes_back_what_is_not_marked(world: World) -> None:
    """Claims of the old limit are fenced, and its marks after the change are within the new one."""
    await world.limit("orange", "50/hour, spacing=none")
    await world.post("to-large")
    claims = [c for c in await claim(world) if c.provider == "orange"]
    assert await mark(world, claims[:10]) == 10

    await world.limit("orange", "20/hour, spacing=none")

    assert await mark(world, claims[10:]) == 0
    again = [c for c in await claim(world) if c.provider == "orange"]
    assert len(again) == 20 - 1 - 10
    assert (await states(world.db))["dotting"] == 10


async def test_a_raised_limit_takes_nothing_back(world: World) -> None:
    """What is in hand stays in hand."""
    await world.limit("orange", "20/hour, spacing=none")
    await world.post("to-large")
    claims = [c for c in await claim(world) if c.provider == "orange"]

    await world.limit("orange", "50/hour, spacing=none")

    assert await mark(world, claims) == len(claims) == 19


async def test_a_new_rule_knows_every_mark(world: World) -> None:
    """Also the first one of a copy that was marked twice."""
    await world.post("to-small")
    claims = await claim(world)
    await mark(world, claims)
    later = [Settlement(c.key, DeliveryState.DEFERRED, 451, "451", timedelta(0)) for c in claims]
    await deliveries.record(world.db, "w", marks=[], settlements=later)
    await mark(world, await claim(world))

    await world.limit("orange", "100/day")

    [use] = await limits.usage(world.db)
    assert use.spent == 2 * SMALL["orange"]


async def test_a_rule_that_is_made_while_marks_are_written_misses_none(
    world: World, database_url: str
) -> None:
    """Marks and a change of the rules exclude each other, so each mark is counted once."""
    await world.add_list("huge", {"orange": 3000})
    await world.post("to-huge")
    rivals = [await connect(database_url) for _ in range(3)]

    async def marking(name: str, db: asyncpg.Connection[asyncpg.Record]) -> None:
        await alive(db, name, timedelta(days=3650))
        while claims := await claim_affordable(db, name, "main", at_most=7):
            await deliveries.record(db, name, marks=[c.key for c in claims], settlements=[])

    async def changing() -> None:
        for days in range(1, 26):
            await world.limit("orange", f"9999/{days}d, spacing=none")

    await asyncio.gather(changing(), *(marking(f"r{n}", db) for n, db in enumerate(rivals)))
    for db in rivals:
        await db.close()

    left = len(await marks(world.db))
    assert left > 0
    assert {use.spent for use in await limits.usage(world.db)} == {left}


async def test_a_changed_period_counts_anew(world: World) -> None:
    """An admin may write SQL; bins of another length would mean nothing."""
    await world.limit("orange", "100/hour, spacing=none")
    await world.post("to-small")
    await mark(world, await claim(world))

    await world.owner.execute("update relais.limit_rule set period = '2 hours'")

    [use] = await limits.usage(world.db)
    assert (use.spent, use.limit) == (5, read_limit("100/2h, spacing=none"))


async def test_a_rule_can_be_deleted_while_marks_are_written(world: World) -> None:
    """Its bins go with it."""
    await world.limit("orange", "100/hour, spacing=none")
    await world.post("to-small")
    claims = await claim(world)
    await world.owner.execute("delete from relais.limit_rule")

    assert await mark(world, claims) == len(claims)


@pytest.mark.parametrize("seed", range(4))
async def test_exact_whatever_happens(world: World, seed: int) -> None:
    """Random claims, crashes, steps of the clock back and forth, and changes of the limit.

    No interval holds more than the highest limit under which its marks were claimed.
    """
    chance = random.Random(seed)
    amount = 20
    allowed: dict[int, int] = {}
    await world.limit("orange", "20/hour, spacing=none")
    for _ in range(6):
        await world.post("to-large")
    now = NOON
    for _ in range(150):
        now += timedelta(seconds=chance.choice([1, 30, 200, 900, 900, -50, -400]))
        await world.set_clock(now)
        event = chance.random()
        if event < 0.1:
            amount = chance.randint(1, 30)
            await world.limit("orange", f"{amount}/hour, spacing=none")
        elif event < 0.2:
            await claim(world, chance.randint(1, 9))
            await dead(world.db, "w")
            await deliveries.release_dead(world.db)
            await alive(world.db, "w", timedelta(days=3650))
        else:
            claims = await claim(world, chance.randint(1, 9))
            allowed |= {c.delivery_id: amount for c in claims}
            await world.set_clock(now := now + timedelta(seconds=chance.choice([0, 5, -300])))
            await mark(world, claims)

    marked = await world.db.fetch(
        "select delivery_id, at as marked_at from relais.v_marks where provider = 'orange'"
    )
    assert len(marked) > 60
    for first in marked:
        inside = [
            allowed[row["delivery_id"]]
            for row in marked
            if timedelta(0) <= row["marked_at"] - first["marked_at"] < HOUR
        ]
        assert len(inside) <= max(inside)


async def test_a_clock_that_ran_ahead_for_days_is_forgiven(world: World) -> None:
    """Set right, it does not leave a limit used up until that day comes."""
    await world.limit("orange", "10/hour, spacing=none")
    await world.set_clock(NOON + timedelta(days=300))
    await world.post("to-large")
    await mark(world, await claim(world))
    await world.set_clock(NOON)

    assert by_provider(await claim(world))["orange"] == 0
    await limits.forget_bins(world.db)
    assert by_provider(await claim(world))["orange"] == 0
    await world.set_clock(NOON + HOUR + timedelta(minutes=1))
    assert by_provider(await claim(world))["orange"] == 10


async def test_a_slowed_provider_gets_less(world: World) -> None:
    """Half of its limits while it lasts, all of them after its recovery."""
    await world.limit("orange", "40/hour, spacing=none")
    await world.post("to-large")
    await provider_states.add(world.db, state(StateKind.SLOW, factor=0.5))

    claims = await claim(world)
    assert by_provider(claims)["orange"] == 19
    await mark(world, claims)
    await world.set_clock(NOON + 5 * HOUR)
    assert by_provider(await claim(world))["orange"] == 38


async def test_a_paused_provider_gets_nothing_until_then(world: World) -> None:
    """The pause ends by itself, and the dispatcher knows when."""
    await world.post("to-small")
    await provider_states.add(world.db, state(StateKind.PAUSE))

    assert by_provider(await claim(world)) == {"free": 9}
    seconds = await seconds_until_claimable(world.db, "main")
    assert seconds is not None
    assert round(seconds * 1e-9) == 3600
    await world.set_clock(NOON + HOUR)
    assert by_provider(await claim(world)) == {"orange": 5}


async def test_a_posting_stopped_at_a_provider_stops_no_other(world: World) -> None:
    """Its copies to Free leave, and another posting's to Orange."""
    stopped = await world.post("to-small")
    other = await world.post("to-small")
    await provider_states.add(world.db, state(StateKind.PAUSE, posting_id=stopped))

    claims = await claim(world)

    assert {c.posting_id for c in claims if c.provider == "orange"} == {other}
    assert {c.posting_id for c in claims if c.provider == "free"} == {stopped, other}


def state(
    kind: StateKind, *, factor: float | None = None, posting_id: int | None = None
) -> ProviderState:
    """Something that is in force for Orange for an hour."""
    return ProviderState(
        provider="orange",
        account=None,
        posting_id=posting_id,
        kind=kind,
        factor=factor,
        since=NOON,
        until=NOON + HOUR,
        why="test",
        rule_id=None,
        set_by="test",
    )


async def test_the_rest_is_cancelled_at_the_finish_by_date(world: World) -> None:
    """Nothing is claimed after it, and the posting says how it ended."""
    await world.limit("orange", "20/hour, spacing=none")
    posting_id = await world.post("to-large")
    await world.owner.execute(
        "update relais.posting set finish_by = $1 where posting_id = $2", NOON + HOUR, posting_id
    )
    await mark(world, await claim(world))
    await world.set_clock(NOON + 2 * HOUR)

    assert await claim(world) == []
    assert await postings.end_late(world.db) == [posting_id]
    await deliveries.cancel_stopped(world.db, within=timedelta(days=1))
    assert await states(world.db) == {"dotting": 79, "cancelled": 41}
    [summary] = await postings.summaries(world.db, at_most=1)
    assert (summary.state, summary.ended_because) == ("stopped", "finish_by")


async def test_a_list_says_by_when_its_postings_are_over(world: World) -> None:
    """lists.define(finish_within => ...), and the refusal of what cannot be meant."""
    await world.owner.execute(
        "select lists.define(view => 'lists.sized', address => 'to-{sized}', title => 'x',"
        " finish_within => '2 days', priority => 'low')"
    )
    posting_id = await world.post("to-small")

    row = await world.db.fetchrow(
        "select weight, finish_by - accepted_at as within from relais.posting"
        " where posting_id = $1",
        posting_id,
    )
    assert row is not None
    assert (row["weight"], row["within"]) == (1, timedelta(days=2))


async def test_a_deferred_copy_joins_the_queue_at_its_time(world: World) -> None:
    """Until then it is in nobody's way, and afterwards it has its turn."""
    await world.post("to-small")
    [first] = await claim(world, 1)
    later = Settlement(first.key, DeliveryState.DEFERRED, 451, "451", HOUR)
    await deliveries.record(world.db, "w", marks=[], settlements=[later])

    assert first.delivery_id not in {c.delivery_id for c in await claim(world)}
    await frozen_clock(world.owner, NOON + HOUR + timedelta(seconds=1))
    assert [c.delivery_id for c in await claim(world)] == [first.delivery_id]


async def test_a_mark_belongs_to_who_made_it(world: World) -> None:
    """A copy that is sent again by another account counts once for each."""
    await world.post("to-small")
    [first] = await claim(world, 1)
    await mark(world, [first])
    later = Settlement(first.key, DeliveryState.DEFERRED, 451, "451", timedelta(0))
    await deliveries.record(world.db, "w", marks=[], settlements=[later])
    again = await claim_affordable(world.db, "w", "second", at_most=1000)
    await mark(world, again)

    for account in ("main", "second"):
        await limits.set_limit(
            world.db, read_limit("100/day"), account=account, who="test", reason="test"
        )

    assert {use.account: use.spent for use in await limits.usage(world.db)} == {
        "main": 1,
        "second": len(again),
    }


async def test_a_paused_account_sleeps_until_the_end_of_its_pause(world: World) -> None:
    """A copy that is due meanwhile does not wake it all the time."""
    await world.post("to-small")
    [first] = await claim(world, 1)
    later = Settlement(first.key, DeliveryState.DEFERRED, 451, "451", timedelta(0))
    await deliveries.record(world.db, "w", marks=[], settlements=[later])
    await limits.pause_account(world.db, "main", pause=HOUR, failures=1, why="test")

    assert await claim(world) == []
    seconds = await seconds_until_claimable(world.db, "main")
    assert seconds is not None
    assert round(seconds * 1e-9) == 3600


async def test_a_posting_that_nobody_gave_turns_gets_them(world: World) -> None:
    """An older worker may have expanded it during an upgrade."""
    await world.post("to-small")
    await world.owner.execute("delete from relais.turn")
    assert await claim(world) == []

    await turns.take_part_late(world.db)

    assert len(await claim(world)) == 14


async def test_what_a_provider_calls_unwanted_does_not_leave_after_all(world: World) -> None:
    """The stop of a posting ends with its cancellation there, unless somebody resumes it."""
    posting_id = await world.post("to-small")
    stop = replace(
        state(StateKind.PAUSE, posting_id=posting_id),
        until=NOON + timedelta(days=5),
        rule_id="ofr_506_spam",
    )
    await provider_states.add(world.db, stop)
    await world.set_clock(NOON + timedelta(days=5, seconds=1))
    await world.owner.execute("update relais.posting set fresh_until = 'infinity'")

    # The dispatcher may be awake first.
    assert {claim.provider for claim in await claim(world)} == set(SMALL) - {"orange"}
    cancelled = await provider_states.cancel_refused(world.db)

    assert len(cancelled) == SMALL["orange"]
    assert await states(world.db) == {"cancelled": 5, "claimed": 9}


async def test_what_an_operator_knows_better_about_leaves(world: World) -> None:
    """Resumed before the stop has ended, or just after."""
    posting_id = await world.post("to-small")
    stop = replace(
        state(StateKind.PAUSE, posting_id=posting_id),
        until=NOON + timedelta(days=5),
        rule_id="ofr_506_spam",
    )
    await provider_states.add(world.db, stop)
    await world.set_clock(NOON + timedelta(days=5, seconds=1))
    await world.owner.execute("update relais.posting set fresh_until = 'infinity'")

    await provider_states.resume(world.owner, "orange", who="test", reason="test")

    assert {claim.provider for claim in await claim(world)} == set(SMALL)


async def test_bins_are_of_one_width(db: Connection) -> None:
    """The plan counts as the database does."""
    width = await db.fetchval("select relais.bin_width(interval '1 day')")

    assert width == timedelta(days=1) / BINS
