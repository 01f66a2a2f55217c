"""A site of the test's own: its folder, its database, and the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.edges.cli.site import LISTS, POSTED, Site
from worker.store.migrations import Track, shipped_track, up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgres import Database


@pytest.fixture
def bare(empty_database: Database, tmp_path: Path) -> Site:
    """A site whose database is empty: nothing was migrated."""
    return Site.made(tmp_path, empty_database)


@pytest_asyncio.fixture
async def site(database: Database, tmp_path: Path) -> Site:
    """A site with the lists of a club, and nothing posted."""
    site = Site.made(tmp_path, database)
    site.migration("0001_club.sql", LISTS)
    await up(site.admin_url, [shipped_track(), Track("site", tmp_path / "migrations")])
    return site


@pytest_asyncio.fixture
async def busy(site: Site) -> Site:
    """A site with two postings under way."""
    await site.sql(POSTED)
    return site
