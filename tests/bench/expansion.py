"""How long one expansion takes, and that the worker's memory does not know its size.

    python -m tests.bench.expansion [--members 1000000]

The account may submit nothing, so that only the expansion is measured: from the
mailbox's notice until the posting and its deliveries are committed. The
reference is one INSERT .. SELECT of as many rows into a table with the same
keys, without judging anybody.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from tests.bench.__main__ import SIZE_BYTES, rig
from tests.bench.rig import Rig, cpu_seconds, peak_rss_mb

NOTHING_LEAVES = """
    insert into relais.limit_rule (account, amount, period, set_at, set_by, reason)
    values ('main', 0, '1 day', relais.now(), 'bench', 'only the expansion is measured')
"""
REFERENCE = """
    create table bench_delivery (like relais.delivery including all);
    insert into bench_delivery (posting_id, person_id, address, provider, due_at)
    select 1, row_number() over (), email, 'other', relais.now() from lists.{name};
    drop table bench_delivery;
"""


async def main(members: int) -> None:
    """Expand a small list and a large one, and print what it took."""
    for name, size in (("petite", 1000), ("grande", members)):
        async with rig(connections=5) as bench:
            await bench.fill(name, size)
            await bench.execute(NOTHING_LEAVES)
            before = cpu_seconds(bench.worker_pid)
            seconds = await expansion(bench, name)
            used = cpu_seconds(bench.worker_pid) - before
            rss = peak_rss_mb(bench.worker_pid)
            began = time.monotonic()
            await bench.execute(REFERENCE.format(name=name))
            reference = time.monotonic() - began
        print(
            f"{size:>9} members: {seconds:7.2f} s, INSERT alone {reference:7.2f} s, "
            f"ratio {seconds / reference:5.2f}; worker {used:5.2f} CPU s, peak RSS {rss:5.1f} MB"
        )


async def expansion(bench: Rig, name: str) -> float:
    """Post once; return how long it took until the deliveries were committed."""
    began = await bench.post(name, SIZE_BYTES)
    await bench.wait_until_posted()
    return time.time() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.expansion")
    parser.add_argument("--members", type=int, default=1_000_000)
    asyncio.run(main(parser.parse_args().members))
