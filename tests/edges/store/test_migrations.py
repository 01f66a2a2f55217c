"""Migrations: applied once, in order, whole or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from worker.errors import MigrationError
from worker.store.database import connect
from worker.store.migrations import Track, status, up, write_new

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def track(tmp_path: Path) -> Track:
    """A track with two migrations."""
    (tmp_path / "0001_first.sql").write_text("create table first (n int);\n")
    (tmp_path / "0002_second.sql").write_text("create table second (n int);\n")
    return Track("site", tmp_path)


async def tables(url: str) -> set[str]:
    """Return which of the tests' tables exist."""
    db = await connect(url)
    try:
        rows = await db.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await db.close()


async def test_each_file_is_applied_once(admin_url: str, track: Track) -> None:
    """A second run finds nothing to do."""
    first = await up(admin_url, [track])
    second = await up(admin_url, [track])

    assert [str(m) for m in first.applied] == ["site/0001_first", "site/0002_second"]
    assert second.applied == ()
    assert await tables(admin_url) == {"first", "second"}


async def test_five_at_once_apply_once(admin_url: str, track: Track) -> None:
    """One of them does it, the others wait."""
    outcomes = await asyncio.gather(*(up(admin_url, [track]) for _ in range(5)))

    assert sorted(len(outcome.applied) for outcome in outcomes) == [0, 0, 0, 0, 2]


async def test_a_failing_file_leaves_nothing(admin_url: str, track: Track) -> None:
    """What came before stays; the file that failed is as if never begun."""
    (track.folder / "0003_third.sql").write_text(
        "create table third (n int);\n\nselect lists.define('lists.nothing', 'x', 'X');\n"
    )

    with pytest.raises(
        MigrationError, match=r'site/0003_third.sql.*"lists.nothing" does not exist'
    ):
        await up(admin_url, [track])

    assert await tables(admin_url) == {"first", "second"}
    assert [str(m) for m in (await status(admin_url, [track])).pending] == ["site/0003_third"]


async def test_the_line_of_a_mistake_is_told(admin_url: str, track: Track) -> None:
    """PostgreSQL's position becomes a line of the file."""
    (track.folder / "0003_third.sql").write_text("select 1;\nselect 2;\nselekt 3;\n")

    with pytest.raises(MigrationError, match=r"0003_third.sql, line 3: syntax error"):
        await up(admin_url, [track])


async def test_a_dry_run_changes_nothing(admin_url: str, track: Track) -> None:
    """It runs everything, and rolls everything back."""
    outcome = await up(admin_url, [track], dry_run=True)

    assert len(outcome.applied) == 2
    assert await tables(admin_url) == set()


async def test_a_definition_error_rolls_the_migration_back(admin_url: str, track: Track) -> None:
    """lists.check() runs in the transaction of the last file."""
    (track.folder / "0003_clash.sql").write_text(
        "create view lists.one as select 'x@y.fr'::text as email, 'a'::text as part;\n"
        "select lists.define('lists.one', 'club.{part}', 'One');\n"
        "create view lists.two as select 'x@y.fr'::text as email, 'club'::text as part;\n"
        "select lists.define('lists.two', '{part}.a', 'Two');\n"
    )

    with pytest.raises(MigrationError, match=r"list one: club.a is also an address of two"):
        await up(admin_url, [track])

    db = await connect(admin_url)
    with pytest.raises(asyncpg.UndefinedTableError):
        await db.fetch("select * from lists.one")
    await db.close()


class TestDrift:
    """What was applied and what lies in the folder must agree before anything runs."""

    async def test_edited(self, admin_url: str, track: Track) -> None:
        """An applied file is history."""
        await up(admin_url, [track])
        (track.folder / "0001_first.sql").write_text("create table other (n int);\n")

        with pytest.raises(MigrationError, match="0001_first was edited after it was applied"):
            await up(admin_url, [track])

    async def test_gone(self, admin_url: str, track: Track) -> None:
        """A missing file is named."""
        await up(admin_url, [track])
        (track.folder / "0001_first.sql").unlink()

        with pytest.raises(MigrationError, match="0001_first is applied but its file is gone"):
            await status(admin_url, [track])

    async def test_out_of_order(self, admin_url: str, track: Track) -> None:
        """A number below an applied one would run in another order elsewhere."""
        (track.folder / "0001_first.sql").rename(track.folder / "0003_first.sql")
        await up(admin_url, [track])
        (track.folder / "0001_late.sql").write_text("select 1;\n")

        with pytest.raises(MigrationError, match="0001_late is numbered below"):
            await up(admin_url, [track])

    async def test_line_ends_are_no_drift(self, admin_url: str, track: Track) -> None:
        """Git may check out the same file with CRLF."""
        await up(admin_url, [track])
        file = track.folder / "0001_first.sql"
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

        assert (await status(admin_url, [track])).pending == ()


async def test_bad_names_are_refused(admin_url: str, track: Track) -> None:
    """The number decides the order, so it must be there."""
    (track.folder / "committees.sql").write_text("select 1;\n")

    with pytest.raises(MigrationError, match=r"name it like 0007_committees\.sql"):
        await status(admin_url, [track])


def test_new_takes_the_next_number(track: Track) -> None:
    """The name becomes a slug."""
    path = write_new(track, "Regional lists (2027)")

    assert path.name == "0003_regional_lists_2027.sql"
    with pytest.raises(MigrationError, match="gives no file name"):
        write_new(track, "???")
