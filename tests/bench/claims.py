"""What a claim costs, beside other rows and beside other processes.

    python -m tests.bench.claims [--rows 1000000] [--batch 20]

First the time of one claim among ever more rows that wait or are finished; it
should not know them. Then claims per second of one and of four processes with
no limit in force, beside a bare UPDATE .. FOR UPDATE SKIP LOCKED of the same
rows in the same run. PostgreSQL is on disk, fsync on.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.rig import ROOT
from tests.simulation.world import FAR, World
from worker.actors.dispatcher import claim_affordable
from worker.store import leases
from worker.store.database import connect
from worker.store.embedded import EmbeddedPostgres
from worker.store.migrations import Track, up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

_CLAIMS = 100
_ROUNDS = 6
_SECONDS = 4.0
_LIMITS = {"main": ["900000000/hour"], "orange": ["900000000/day"]}

FINISHED = """
    insert into relais.delivery (posting_id, person_id, address, provider, state, due_at,
                                 marked_at, settled_at, account)
    select p.posting_id, d.person_id, 'f' || n || '@orange.fr', 'orange', 'handed_over', now(),
           now() - interval '40 days', now() - interval '40 days', 'main'
      from generate_series(1, $1) n,
           (select posting_id from relais.posting order by 1 desc limit 1) p,
           (select person_id from relais.delivery limit 1) d
"""

BARE = """
    UPDATE relais.delivery SET state = 'claimed', worker_id = $1
     WHERE delivery_id IN (SELECT delivery_id FROM relais.delivery WHERE state = 'queued'
                            ORDER BY posting_id, provider, due_at, delivery_id
                            LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING delivery_id
"""


class Server:
    """PostgreSQL on disk, and worlds in databases of their own."""

    def __init__(
        self, postgres: EmbeddedPostgres, admin: asyncpg.Connection[asyncpg.Record]
    ) -> None:
        self._postgres = postgres
        self._admin = admin
        self._made = 0

    @asynccontextmanager
    async def world(self, limits: dict[str, list[str]]) -> AsyncIterator[tuple[World, str]]:
        """Make an empty world; and the URL of its database."""
        self._made += 1
        name = f"world_{self._made}"
        await self._admin.execute(f"create database {name} template relais")
        url = self._postgres.url(name)
        world = World(await connect(url), await connect(url))
        await world.prepare(limits)
        try:
            yield world, url
        finally:
            await world.owner.close()
            await world.db.close()
            await self._admin.execute(f"drop database {name} with (force)")


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """Start PostgreSQL in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="relais-claims-") as folder:
        Path(folder).chmod(0o755)
        postgres = EmbeddedPostgres(Path(folder) / "postgres", durable=True)
        await asyncio.to_thread(postgres.start)
        try:
            admin = await connect(postgres.url())
            await admin.execute("create database relais")
            await up(postgres.url("relais"), [Track("relais", ROOT / "migrations")])
            yield Server(postgres, admin)
            await admin.close()
        finally:
            postgres.stop()


async def main(options: argparse.Namespace) -> None:
    """Measure and print both tables."""
    async with server() as postgres:
        sizes = [10, 10_000, options.rows]
        print(f"one claim of {options.batch}, median of {_ROUNDS * _CLAIMS} in turns, beside")
        for name in ("waiting", "finished"):
            print(f"{name} ...", file=sys.stderr)
            row = await claims_beside(postgres, name, sizes, options.batch)
            cells = "  ".join(f"{n:>9}: {ms:5.2f} ms" for n, ms in zip(sizes, row, strict=True))
            print(f"  {name:9} {cells}   dearest / cheapest {max(row) / min(row):.2f}")
        for batch in (options.batch, 10 * options.batch):
            print(f"claims of {batch}, deliveries a second")
            await compare(postgres, batch)


async def claims_beside(
    postgres: Server, what: str, sizes: Sequence[int], batch: int
) -> list[float]:
    """Return the median milliseconds of a claim beside each number of rows, taken in turns."""
    async with AsyncExitStack() as stack:
        worlds = [(await stack.enter_async_context(postgres.world(_LIMITS)))[0] for _ in sizes]
        for world, size in zip(worlds, sizes, strict=True):
            waiting = max(batch, size) if what == "waiting" else batch
            await world.add_list("crowd", {"orange": waiting})
            await world.post("to-crowd")
            if what == "finished":
                await world.owner.execute(FINISHED, size, timeout=600)
            await world.owner.execute("vacuum analyze", timeout=600)
        times: list[list[float]] = [[] for _ in sizes]
        for _ in range(_ROUNDS):
            for world, measured in zip(worlds, times, strict=True):
                measured.extend(await _claims(world, batch))
        return [statistics.median(measured) * 1000 for measured in times]


async def _claims(world: World, batch: int) -> list[float]:
    """Claim some times over, undoing each, and return how long it took."""
    # What autovacuum would do, at the same moments in all worlds.
    await world.owner.execute("vacuum relais.delivery", timeout=600)
    times = []
    for _ in range(_CLAIMS):
        transaction = world.db.transaction()
        await transaction.start()
        started = time.perf_counter()
        claims = await claim_affordable(world.db, "w", "main", at_most=batch)
        times.append(time.perf_counter() - started)
        assert len(claims) == batch
        await transaction.rollback()
    return times[_CLAIMS // 5 :]  # The first ones plan their statements.


async def compare(postgres: Server, batch: int) -> None:
    """Print what one and four processes claim in a second, ours and bare in turns."""
    async with postgres.world({}) as (world, url):
        await world.add_list("crowd", {"orange": 150_000, "free": 150_000})
        await world.post("to-crowd")
        for processes in (1, 4):
            ours, bare = [], []
            for _ in range(3):
                ours.append(await per_second(world, url, processes, batch, is_bare=False))
                bare.append(await per_second(world, url, processes, batch, is_bare=True))
            ratios = [a / b for a, b in zip(ours, bare, strict=True)]
            print(
                f"  {processes} process{'es' if processes > 1 else '  '}"
                f"  {statistics.median(ours):7.0f}   bare {statistics.median(bare):7.0f}"
                f"   ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            )


async def per_second(world: World, url: str, processes: int, batch: int, *, is_bare: bool) -> float:
    """Return how many deliveries *processes* claim in a second, all together."""
    await world.owner.execute(
        "update relais.delivery set state = 'queued', worker_id = null where state = 'claimed'",
        timeout=600,
    )
    await world.owner.execute("vacuum analyze", timeout=600)
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.claims", "--claim", url, "--name", f"p{number}",
            "--batch", str(batch), *(["--bare"] if is_bare else []),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )
        for number in range(processes)
    ]  # fmt: skip
    outs = [await worker.communicate() for worker in workers]
    return sum(float(out[0]) for out in outs)


async def claim_for_a_while(url: str, name: str, batch: int, *, is_bare: bool) -> None:
    """Claim and claim again for some seconds; print how many in a second."""
    db = await connect(url)
    await leases.renew(db, name, FAR)
    claimed, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < _SECONDS:
        claimed += await _claim(db, name, batch, is_bare=is_bare)
    print(claimed / passed)
    await db.close()


async def _claim(
    db: asyncpg.Connection[asyncpg.Record], name: str, batch: int, *, is_bare: bool
) -> int:
    if is_bare:
        return len(await db.fetch(BARE, name, batch))
    return len(await claim_affordable(db, name, "main", at_most=batch))


def arguments() -> argparse.Namespace:
    """Read the command line; the second half is for the processes it starts."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claims")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--claim", help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    if given.claim:
        asyncio.run(claim_for_a_while(given.claim, given.name, given.batch, is_bare=given.bare))
    else:
        asyncio.run(main(given))
