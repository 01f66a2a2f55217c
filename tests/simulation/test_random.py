"""Random worlds: whatever the limits and lists are, nothing is over, nobody starves, all leave."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import NOON
from tests.simulation.world import Mark, World, fullest_window
from worker.policy.limit import read_limit

if TYPE_CHECKING:
    from worker.store.database import Connection

HOUR = timedelta(hours=1)
PROVIDERS = ("orange", "free", "google")
KINDS = ("to", "urgent", "idle")


async def played(
    owner: Connection, db: Connection, seed: int
) -> tuple[World, dict[str, list[str]]]:
    """Play a world that follows from *seed*; return it and its limits."""
    chance = random.Random(seed)
    world = World(owner, db, accounts=("main", "second")[: chance.randint(1, 2)])
    limits = {
        scope: [
            f"{chance.randint(10, 40)}/{chance.choice(['hour', '30m', '2h'])}{chance.choice(ENDS)}"
        ]
        for scope in (*world.accounts, *PROVIDERS, "main/free")
        if chance.random() < 0.7 or scope == "main"
    }
    await world.prepare(limits)
    for number in range(4):
        sizes = {name: chance.randint(0, 25) for name in PROVIDERS}
        await world.add_list(f"l{number}", sizes | {"orange": chance.randint(1, 25)})
    for _ in range(5):
        await world.post(f"{chance.choice(KINDS)}-l{chance.randrange(4)}")
        await world.play(world.now + chance.random() * HOUR)
    await world.play()
    return world, limits


ENDS = ("", ", burst=3", ", spacing=none", ", spacing=20s")


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_over_and_all_leave(owner: Connection, db: Connection, seed: int) -> None:
    """Every window of every limit, and every copy."""
    world, limits = await played(owner, db, seed)

    assert not await world.anything_waits()
    for scope, [text] in limits.items():
        limit = read_limit(text)
        counted = [mark.at for mark in world.marks if _counts(mark, scope)]
        assert fullest_window(counted, limit.period) <= limit.amount, (scope, text)


def _counts(mark: Mark, scope: str) -> bool:
    names = scope.split("/")
    return all(name in (mark.account, mark.provider) for name in names)


async def test_the_same_seed_is_the_same_world(owner: Connection, db: Connection) -> None:
    """So a failure can be played again."""
    world, _ = await played(owner, db, 7)
    again = await _played_again(owner, db, 7)

    assert _left(world.marks) == _left(again.marks)


async def _played_again(owner: Connection, db: Connection, seed: int) -> World:
    await owner.execute(
        "truncate relais.delivery, relais.posting, relais.list, relais.person, relais.limit_rule,"
        " relais.audit restart identity cascade; drop schema sim cascade"
    )
    await owner.execute("delete from lists.definition where name in ('sized', 'urgent', 'idle')")
    return (await played(owner, db, seed))[0]


def _left(marks: list[Mark]) -> list[tuple[timedelta, int | None, str, str]]:
    return [(mark.at - NOON, mark.posting_id, mark.provider, mark.account) for mark in marks]


async def test_nobody_starves(owner: Connection, db: Connection) -> None:
    """Of five large postings each has had its share after each hour, by its weight."""
    world = World(owner, db)
    await world.prepare({"orange": ["60/hour"]})
    await world.add_list("crowd", {"orange": 400})
    kinds = ["to", "urgent", "idle", "to", "to"]
    numbers = [await world.post(f"{kind}-crowd") for kind in kinds]

    await world.play(NOON + 5 * HOUR)

    weights = {"idle": 1, "to": 2, "urgent": 4}
    had: defaultdict[int | None, int] = defaultdict(int)
    for mark in world.marks:
        had[mark.posting_id] += 1
    share = len(world.marks) / sum(weights[kind] for kind in kinds)
    for number, kind in zip(numbers, kinds, strict=True):
        assert abs(had[number] - share * weights[kind]) <= weights[kind]
