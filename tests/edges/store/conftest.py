"""Connections to a database of the test's own, as the owner and as the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from worker.store.database import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg


@pytest_asyncio.fixture
async def owner(admin_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The role that migrates, and may set the clock."""
    db = await connect(admin_url)
    yield db
    await db.close()


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The role that the worker runs as."""
    db = await connect(database_url)
    yield db
    await db.close()
