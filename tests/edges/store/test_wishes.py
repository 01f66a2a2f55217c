"""Wishes of authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.edges.store.given import NOON, frozen_clock
from worker.store import wishes

if TYPE_CHECKING:
    from worker.store.database import Connection


async def test_fewer(db: Connection) -> None:
    """A wish is of the address, however it is written, and can be undone."""
    assert not await wishes.fewer(db, "marie@example.org")

    await wishes.wish(db, "Marie@Example.org", fewer=True)
    assert await wishes.fewer(db, "marie@example.ORG")
    assert not await wishes.fewer(db, "marie@example.com")

    await wishes.wish(db, "marie@example.org", fewer=False)
    assert not await wishes.fewer(db, "marie@example.org")


async def test_the_same_wish_again(owner: Connection, db: Connection) -> None:
    """It dates from the first time."""
    await frozen_clock(owner)
    await wishes.wish(db, "marie@example.org", fewer=True)
    since = await db.fetchval("select since from relais.author_wish")
    await frozen_clock(owner, NOON.replace(year=2027))

    await wishes.wish(db, "marie@example.org", fewer=True)

    assert await db.fetchval("select since from relais.author_wish") == since
