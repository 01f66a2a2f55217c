"""The federation: a newsletter to 820, a committee's mail behind it, and the plan's word."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import NOON
from tests.simulation.federation import COMMITTEE, EVERYBODY, LIMITS
from tests.simulation.world import World, emptiest_window, fullest_window
from worker.policy.limit import read_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from worker.store.database import Connection

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def federation(owner: Connection, db: Connection) -> World:
    """820 members, and the limits that this project began with."""
    world = World(owner, db)
    await world.prepare(LIMITS)
    await world.add_list("newsletter", EVERYBODY)
    await world.add_list("committee", COMMITTEE)
    return world


def times(world: World, provider: str | None) -> list[datetime]:
    """Return when copies left, to one provider or to all."""
    return [mark.at for mark in world.marks if provider in (None, mark.provider)]


def check_law(world: World, limits: Mapping[str, Sequence[str]]) -> None:
    """Check that no window of any limit holds more than it may."""
    for scope, texts in limits.items():
        provider = None if scope == "main" else scope
        for limit in map(read_limit, texts):
            assert fullest_window(times(world, provider), limit.period) <= limit.amount


async def test_a_newsletter_alone(federation: World) -> None:
    """95 of Orange's 100 leave in each day, and the plan knows each provider's end."""
    posting_id = await federation.post("to-newsletter")
    plan = await federation.plan()

    await federation.play()

    check_law(federation, LIMITS)
    assert len(federation.marks) == 820
    orange = times(federation, "orange")
    assert emptiest_window(orange, DAY, start=NOON, end=orange[-1]) >= 95
    account = times(federation, None)
    assert emptiest_window(account, HOUR, start=NOON, end=NOON + 2.5 * HOUR) >= 190
    for key, forecast in plan.finish.items():
        assert key.posting_id == posting_id
        assert forecast is not None
        left = [mark.at for mark in federation.marks if mark.key == key]
        assert abs(forecast - left[-1]) <= 0.01 * (left[-1] - NOON)


async def test_a_committee_behind_a_newsletter(federation: World) -> None:
    """Fourteen people are written to at once, five of them at Orange, in the middle of it."""
    await federation.post("to-newsletter")
    await federation.play(NOON + 30 * HOUR)

    posting_id = await federation.post("to-committee")
    await federation.play(NOON + 31 * HOUR)

    left = [
        mark.at - federation.now + HOUR
        for mark in federation.marks
        if mark.posting_id == posting_id
    ]
    assert len(left) == 14
    assert max(left) < timedelta(minutes=2)
    check_law(federation, LIMITS)


async def test_two_newsletters_take_turns(federation: World) -> None:
    """The second is not days behind the first; both end together."""
    await federation.add_list("half", {"orange": 110, "google": 60})
    first = await federation.post("to-half")
    second = await federation.post("to-half")
    plan = await federation.plan()

    await federation.play()

    ends = {mark.posting_id: mark.at for mark in federation.marks if mark.provider == "orange"}
    assert abs(ends[first] - ends[second]) < HOUR
    orange = plan.finish_at(key for key in plan.finish if key.provider == "orange")
    assert orange is not None
    assert abs(orange - max(ends.values())) <= 0.02 * (max(ends.values()) - NOON)
    check_law(federation, LIMITS)
