"""How long it takes to look at many definitions, as each migration does.

    python -m tests.bench.lists [--definitions 200] [--rows 100] [--large 5000000]

Every definition has parts, and its rows are spread over ten addresses. The
large one is looked at with and without the limit, to see the server's memory.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from worker.store import checks
from worker.store.database import connect
from worker.store.embedded import EmbeddedPostgres
from worker.store.migrations import Track, shipped_track, up

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import asyncpg

T = TypeVar("T")

ONE = """
create view lists.l{number} as
select 's' || n % 10 as section, 'm' || n || '@b.fr' as email, 'Jean' as name, 'fr' as lang,
       n::text as person
  from bench.member where n <= {rows};
select lists.define('lists.l{number}', 'l{number}.{{section}}', '{{section}}');
"""
LARGE = """
create view lists.large as select 'm' || n || '@b.fr' as email from generate_series(1, {rows}) n;
select lists.define('lists.large', 'large', 'Large');
"""


async def main(options: argparse.Namespace) -> None:
    """Define, look, and print what it took."""
    with tempfile.TemporaryDirectory() as name, EmbeddedPostgres() as server:
        track = Track("site", Path(name))
        first = (
            "create schema bench; create table bench.member as"
            f" select generate_series(1, {options.rows}) as n;"
        )
        definitions = [ONE.format(number=n, rows=options.rows) for n in range(options.definitions)]
        (track.folder / "0001_lists.sql").write_text(first + "".join(definitions))
        await timed("migrate", up(server.url(), [shipped_track(), track]))
        await timed("nothing to migrate", up(server.url(), [shipped_track(), track]))
        (track.folder / "0002_more.sql").write_text("select 1;")
        await timed("dry-run", up(server.url(), [shipped_track(), track], dry_run=True))
        db = await connect(server.url())
        try:
            await timed("lists.check()", db.fetch("select * from lists.check()"))
            await db.execute(LARGE.format(rows=options.large))
            await large(db)
        finally:
            await db.close()


async def timed(what: str, work: Awaitable[T]) -> T:
    """Print how long *work* takes."""
    began = time.monotonic()
    done = await work
    print(f"{what:<24}{time.monotonic() - began:6.2f} s")
    return done


async def large(db: asyncpg.Connection[asyncpg.Record]) -> None:
    """Look at the large list with and without the limit."""
    pid = await db.fetchval("select pg_backend_pid()")
    await db.execute("delete from lists.definition where name <> 'large'")
    for patience in (checks.PATIENCE, timedelta(minutes=1)):
        async with db.transaction():
            found = await timed("large list", checks.inspect(db, patience=patience))
        said = ", ".join(map(str, found.findings)) or "nothing is wrong"
        print(f"  {private_mb(pid)} MB in the server's process; {said}")


def private_mb(pid: int) -> int:
    """Return the private memory of a process of the server."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) // 1024
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--definitions", type=int, default=200)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--large", type=int, default=5_000_000)
    asyncio.run(main(parser.parse_args()))
