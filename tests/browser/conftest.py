"""One browser and one stage for all tests here: states are shown, not changed.

A test that presses buttons asks for a newcomer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.browser.chromium import CHROMIUM, chromium
from tests.browser.stage import Stage, stage
from tests.conftest import lacking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

    from tests.servers.postgres import PostgresCluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, which takes a second to start."""
    if CHROMIUM is None:
        lacking("Chromium")
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session", name="stage")
async def the_stage(cluster: PostgresCluster) -> AsyncIterator[Stage]:
    """Every page in every state."""
    database = cluster.create()
    async with stage(database) as made:
        yield made
    cluster.drop(database)
