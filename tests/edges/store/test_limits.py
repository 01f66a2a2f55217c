"""Limits: no window holds more marks than the limit, whoever claims and whoever dies."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import NOON, alive, dead, frozen_clock, members, posted
from worker.actors.dispatcher import claim_affordable, seconds_until_claimable
from worker.errors import ConfigError
from worker.policy.limit import Limit, read_limit
from worker.store import deliveries, limits
from worker.store.database import connect

if TYPE_CHECKING:
    from worker.store.database import Connection

HOUR = timedelta(hours=1)


async def setting(db: Connection, provider: str, text: str) -> None:
    """Set the only limit of a provider."""
    await db.execute("delete from relais.limit_rule where provider = $1", provider)
    await limits.set_limit(
        db, read_limit(text), provider=provider, who="test", reason="because of the test"
    )


async def spend(db: Connection, worker_id: str, *, at_most: int) -> int:
    """Claim what is affordable and mark all of it; return how much that was."""
    claims = await claim_affordable(db, worker_id, "main", at_most=at_most)
    marked = await deliveries.record(
        db, worker_id, marks=[claim.key for claim in claims], settlements=[]
    )
    assert len(marked) == len(claims)
    return len(claims)


async def test_shipped_defaults(db: Connection) -> None:
    """The two providers that this project began with."""
    shipped = {use.provider: str(use.limit) for use in await limits.usage(db)}

    assert (shipped["orange"], shipped["outlook"]) == ("100/day", "300/day")


async def test_a_claim_holds_its_token_until_it_is_freed(owner: Connection, db: Connection) -> None:
    """Claims not yet marked count; a dead worker's claims give their tokens back."""
    await members(owner, [(f"m{n}@orange.fr", str(n)) for n in range(9)])
    await setting(db, "orange", "5/hour")
    await posted(db)
    await alive(db, "w1")
    await alive(db, "w2")

    assert len(await claim_affordable(db, "w1", "main", at_most=3)) == 3
    assert len(await claim_affordable(db, "w2", "main", at_most=9)) == 2
    assert await claim_affordable(db, "w1", "main", at_most=9) == []
    await dead(db, "w1")
    await deliveries.release_dead(db)
    assert len(await claim_affordable(db, "w2", "main", at_most=9)) == 3


async def test_account_and_provider_limits_both_bind(owner: Connection, db: Connection) -> None:
    """The smallest room decides; what one provider lacks another may use."""
    await members(
        owner,
        [(f"m{n}@orange.fr", f"o{n}") for n in range(9)]
        + [(f"m{n}@free.fr", f"f{n}") for n in range(9)],
    )
    await setting(db, "orange", "2/hour")
    await limits.set_limit(db, Limit(6, HOUR), account="main", who="test", reason="test")
    await posted(db)
    await alive(db, "w1")

    claims = await claim_affordable(db, "w1", "main", at_most=100)

    by_provider = sorted(claim.provider for claim in claims)
    assert by_provider == ["free"] * 4 + ["orange"] * 2


@pytest.mark.parametrize("seed", range(3))
async def test_no_window_holds_more_than_the_limit(
    owner: Connection, db: Connection, seed: int
) -> None:
    """Random claims over three hours of the database's clock, every window counted."""
    chance = random.Random(seed)
    await members(owner, [(f"m{n}@orange.fr", str(n)) for n in range(200)])
    await setting(db, "orange", "20/hour, spacing=none")
    await frozen_clock(owner)
    await posted(db)
    await alive(db, "w1", timedelta(hours=1))
    now = NOON
    while now < NOON + 3 * HOUR:
        await frozen_clock(owner, now)
        await spend(db, "w1", at_most=chance.randint(1, 12))
        now += timedelta(seconds=chance.randint(1, 240))

    marks = [
        row[0]
        for row in await db.fetch(
            "select marked_at from relais.delivery where marked_at is not null order by 1"
        )
    ]
    assert largest_window(marks, HOUR) <= 20
    assert len(marks) >= 3 * 19 * 0.95


def largest_window(marks: list[datetime], length: timedelta) -> int:
    """Return the most marks that any half-open interval of *length* holds."""
    return max(sum(1 for mark in marks if start <= mark < start + length) for start in marks)


async def test_a_new_rule_counts_what_has_left(owner: Connection, db: Connection) -> None:
    """A limit that is set in the middle of a day does not begin at nought."""
    await members(owner, [(f"m{n}@free.fr", str(n)) for n in range(9)])
    await frozen_clock(owner)
    await posted(db)
    await alive(db, "w1")
    assert await spend(db, "w1", at_most=4) == 4

    await setting(db, "free", "5/2h")

    assert await spend(db, "w1", at_most=9) == 1


async def test_a_lowered_limit_binds_at_once(owner: Connection, db: Connection) -> None:
    """The next claim in any process uses the new value."""
    await members(owner, [(f"m{n}@orange.fr", str(n)) for n in range(9)])
    await posted(db)
    await alive(db, "w1")
    assert await spend(db, "w1", at_most=3) == 3

    await setting(db, "orange", "4/day")

    assert await spend(db, "w1", at_most=9) == 1
    assert await db.fetchval("select who || ': ' || what from relais.audit") == (
        "test: limit orange = 4/day"
    )


async def test_rivals_cannot_exceed_a_limit(
    owner: Connection, db: Connection, database_url: str
) -> None:
    """Four connections claim and mark at once; the lock lets one count at a time."""
    await members(owner, [(f"m{n}@orange.fr", str(n)) for n in range(80)])
    await setting(db, "orange", "30/hour, spacing=none")
    await posted(db)

    async def rival(name: str) -> int:
        connection = await connect(database_url)
        await alive(connection, name)
        spent = sum([await spend(connection, name, at_most=3) for _ in range(10)])
        await connection.close()
        return spent

    assert sum(await asyncio.gather(*(rival(f"w{n}") for n in range(4)))) == 29  # One is kept.


async def test_starting_values_do_not_overrule_people(db: Connection) -> None:
    """The configuration replaces what we shipped, never what somebody has set."""
    await limits.start_with(db, [read_limit("50/day")], provider="orange")
    await setting(db, "outlook", "10/day")
    await limits.start_with(db, [read_limit("999/day")], provider="outlook")
    await limits.start_with(db, [read_limit("60/day")], provider="orange")

    now = {use.provider: str(use.limit) for use in await limits.usage(db)}
    assert (now["orange"], now["outlook"]) == ("50/day", "10/day")


async def test_a_misspelt_provider_is_named(db: Connection) -> None:
    """It says what may be written, and takes nothing."""
    with pytest.raises(
        ConfigError, match=r"\[limits\] oranje: is no provider; write one of .*orange"
    ):
        await limits.take_starting_values(
            db, providers={"oranje": [read_limit("1/day")]}, accounts={}
        )


async def test_seconds_until_room(owner: Connection, db: Connection) -> None:
    """The dispatcher sleeps until a bin has left the window, and not longer."""
    await members(owner, [("m@orange.fr", "1")])
    await setting(db, "orange", "1/hour")
    await frozen_clock(owner)
    await posted(db)
    await alive(db, "w1")
    await spend(db, "w1", at_most=1)
    await owner.execute("update relais.clock set rate = 60")

    seconds = await seconds_until_claimable(db, "main")

    assert seconds is not None
    assert 59 <= seconds <= 62
