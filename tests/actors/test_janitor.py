"""The janitor keeps what the settings say, for as long as they say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import NOON, an_arrival, frozen_clock
from worker.actors.janitor import purge
from worker.config import Retention
from worker.store.database import Reconnecting

if TYPE_CHECKING:
    from worker.store.database import Connection

DAY = timedelta(days=1)
SETTINGS = {
    "shorter": (Retention(messages=2 * DAY), False),
    "longer": (Retention(messages=4 * DAY), True),
}


@pytest.mark.parametrize(("keep", "is_kept"), SETTINGS.values(), ids=SETTINGS)
async def test_retention(
    owner: Connection, database_url: str, *, keep: Retention, is_kept: bool
) -> None:
    """A message of three days ago."""
    await frozen_clock(owner)
    await an_arrival(owner)
    await owner.execute("update relais.arrival set state = 'settled', kind = 'request'")
    await frozen_clock(owner, NOON + 3 * DAY)
    db = Reconnecting(database_url)

    await purge(db, keep)

    await db.close()
    assert await owner.fetchval("select raw is not null from relais.arrival") == is_kept
