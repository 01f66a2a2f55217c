"""One posting through the real worker, beside Postfix's smtp-source, interleaved.

    python -m tests.bench [--members 5000] [--large 100000] [--rounds 3] [--connections 5]

The worker is a process of its own (`relais run`) with PostgreSQL on disk, fsync
on; the host is Postfix's smtp-sink. CPU is the client's own, as the kernel
counts it. Copies are 10 kB. smtp-source sends the same number of messages of
the same size over as many connections to the same sink.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.rig import Rig, Sink, cpu_seconds, peak_rss_mb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SIZE_BYTES = 10_000


@dataclass(frozen=True)
class Figures:
    """One posting, from the mailbox's notice to the last settled copy."""

    copies: int
    seconds: float
    cpu_seconds: float
    first_after_seconds: float
    rss_mb: float

    @property
    def per_second(self) -> float:
        """Copies per second, end to end."""
        return self.copies / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Copies per second of the worker's processor time."""
        return self.copies / self.cpu_seconds


async def main(options: argparse.Namespace) -> None:
    """Run all rounds and print the table."""
    if shutil.which("smtp-source") is None:
        sys.exit("smtp-source is missing: install Postfix (apt-get install postfix)")
    ours: list[Figures] = []
    theirs: list[tuple[float, float]] = []
    async with rig(options.connections) as bench:
        await bench.fill("tous", options.members)
        await bench.fill("grande", options.large)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            ours.append(await one_posting(bench, "tous", options.members))
            theirs.append(await smtp_source(bench.sink, options.members, options.connections))
    print(f"{options.members} copies of 10 kB, {options.connections} connections, plain, loopback")
    report(ours, theirs)
    async with rig(options.connections) as small:
        await small.fill("tous", options.members)
        one = await one_posting(small, "tous", options.members)
    async with rig(options.connections) as large:
        await large.fill("grande", options.large)
        other = await one_posting(large, "grande", options.large)
    print(
        f"peak RSS of the worker     {one.rss_mb:.1f} MB at {one.copies} members, "
        f"{other.rss_mb:.1f} MB at {other.copies}: {other.rss_mb - one.rss_mb:+.1f} MB"
    )
    print(
        f"large posting              {other.per_second:.0f} copies/s, "
        f"{other.per_cpu_second:.0f} per CPU s"
    )


@asynccontextmanager
async def rig(connections: int) -> AsyncIterator[Rig]:
    """Start a sink, a mailbox, a database and a worker in a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="relais-bench-"))
    folder.chmod(0o755)
    try:
        async with Rig.started(folder, connections=connections) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def one_posting(bench: Rig, list_name: str, members: int) -> Figures:
    """Post once and wait until each copy is handed over."""
    before = cpu_seconds(bench.worker_pid)
    noticed_at = await bench.post(list_name, SIZE_BYTES)
    first_at, last_at = await bench.wait_until_handed_over(members)
    return Figures(
        members,
        last_at - noticed_at,
        cpu_seconds(bench.worker_pid) - before,
        first_at - noticed_at,
        peak_rss_mb(bench.worker_pid),
    )


async def smtp_source(sink: Sink, messages: int, connections: int) -> tuple[float, float]:
    """Return messages per second, and per CPU second, of Postfix's own load generator."""
    loop = asyncio.get_running_loop()
    before, start = os.times(), loop.time()
    process = await asyncio.create_subprocess_exec(
        "smtp-source", "-d", "-s", str(connections), "-l", str(SIZE_BYTES), "-m", str(messages),
        "-f", "a@example.org", "-t", "b@example.org", f"127.0.0.1:{sink.port}",
    )  # fmt: skip
    await process.wait()
    after = os.times()
    used = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return messages / (loop.time() - start), messages / used


def report(ours: Sequence[Figures], theirs: Sequence[tuple[float, float]]) -> None:
    """Print medians with their ranges, and the ratios round by round."""
    rows = {
        "copies/s end to end": ([f.per_second for f in ours], [t[0] for t in theirs]),
        "copies per client CPU s": ([f.per_cpu_second for f in ours], [t[1] for t in theirs]),
    }
    print(f"{'':26} {'worker':>28} {'smtp-source':>28} {'ratio':>20}")
    for name, (mine, reference) in rows.items():
        ratios = [a / b for a, b in zip(mine, reference, strict=True)]
        print(
            f"{name:26} {spread(mine, '.0f'):>28} {spread(reference, '.0f'):>28} "
            f"{spread(ratios, '.2f'):>20}"
        )
    first = [f.first_after_seconds * 1000 for f in ours]
    print(f"{'notice to first copy, ms':26} {spread(first, '.1f'):>28}")


def spread(values: Sequence[float], form: str) -> str:
    """Return the median with the least and the most."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--members", type=int, default=5000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
