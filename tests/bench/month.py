"""Thirty days of the federation in minutes: utilisation, small postings, the plan's word.

    python -m tests.bench.month [--days 30] [--seed 1] [--forecasts 30]

The worker's own claim, marks and plan on a real PostgreSQL under a clock that
is set from event to event; see tests/simulation/world.py. For the forecasts the
database is copied at random postings, and the copy is played to its end without
later arrivals.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import structlog

from tests.edges.store.given import NOON
from tests.servers.postgres import PostgresCluster
from tests.simulation.federation import LIMITS, LISTS, letters
from tests.simulation.world import World, fullest_window
from worker.store.database import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tests.servers.postgres import Database
    from tests.simulation.world import Mark
    from worker.policy.turns import QueueKey

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WINDOWS = {"orange": (100, DAY), "outlook": (300, DAY), "": (200, HOUR)}


class Forecast(NamedTuple):
    """How long a posting would take at a provider, and how long it took."""

    error: float
    provider: str
    told: timedelta
    taken: timedelta


@dataclass
class Month:
    """What was posted, and how good the forecasts were."""

    posted: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    forecasts: list[Forecast] = field(default_factory=list)


async def main(options: argparse.Namespace) -> None:
    """Play the month and print what became of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    started = time.monotonic()
    with PostgresCluster() as cluster:
        database = cluster.create()
        world, month = await opened(database), Month()
        await world.prepare(LIMITS)
        for name, sizes in LISTS.items():
            await world.add_list(name, sizes)
        written = list(letters(world.now, options.days, options.seed))
        probes = set(random.Random(options.seed).sample(range(len(written)), options.forecasts))
        for number, letter in enumerate(written):
            await world.play(letter.at)
            await world.tidy()
            posting_id = await world.post(f"to-{letter.list}")
            month.posted[posting_id] = letter.list, world.now
            if number in probes:
                month.forecasts += await forecasts(cluster, database, world, posting_id)
                progress(letter.at - NOON, options.days, started)
        await world.play()
        await closed(world)
    report(world.marks, month, seconds=time.monotonic() - started, days=options.days)


def progress(played: timedelta, days: int, started: float) -> None:
    """Say how far it has come."""
    print(f"day {played / DAY:4.1f} of {days}, {time.monotonic() - started:.0f} s", file=sys.stderr)


async def opened(database: Database, at: datetime = NOON) -> World:
    """Connect to a database as the roles that a world needs."""
    owner, db = await connect(database.admin_url), await connect(database.url)
    return World(owner, db, now=at)


async def closed(world: World) -> None:
    """Give the connections back."""
    await world.owner.close()
    await world.db.close()


async def forecasts(
    cluster: PostgresCluster, database: Database, world: World, posting_id: int
) -> list[Forecast]:
    """Return what the plan said of a posting, and what came if nothing else was posted."""
    plan = await world.plan()
    await closed(world)
    copy = cluster.copy(database)
    world.owner, world.db = await connect(database.admin_url), await connect(database.url)
    twin = await opened(copy, world.now)
    await twin.set_clock(world.now)
    await twin.play()
    await closed(twin)
    cluster.drop(copy)
    ended: defaultdict[QueueKey, datetime] = defaultdict(lambda: world.now)
    for mark in twin.marks:
        ended[mark.key] = mark.at
    return [
        compared(key.provider, forecast - world.now, ended[key] - world.now)
        for key, forecast in plan.finish.items()
        if key.posting_id == posting_id and forecast is not None
    ]


def compared(provider: str, told: timedelta, taken: timedelta) -> Forecast:
    """Compare two times to wait; under a minute nobody sees a difference."""
    error = abs(told - taken) / max(taken, timedelta(minutes=1))
    return Forecast(error, provider, told, taken)


def report(marks: Sequence[Mark], month: Month, *, seconds: float, days: int) -> None:
    """Print all figures."""
    print(f"{days} days, {len(month.posted)} postings, {len(marks)} copies, in {seconds:.0f} s")
    for provider, (amount, length) in WINDOWS.items():
        times = [mark.at for mark in marks if provider in ("", mark.provider)]
        print(
            f"{provider or 'account':8} {amount}/{length}: fullest window"
            f" {fullest_window(times, length)} ({fullest_window(times, length) / amount:.3f})"
            f"{used(marks, month, provider, amount, length)}"
        )
    behind = small_behind_large(marks, month)
    soon = sum(seconds < 120 for seconds in behind)
    print(
        f"14-person postings behind a newsletter: {len(behind)}; {soon} of them within two minutes;"
        f" the last copy left after median {statistics.median(behind):.1f} s,"
        f" worst {max(behind) / 3600:.1f} h (idle: 0)"
    )
    errors = [forecast.error for forecast in month.forecasts]
    worst = max(month.forecasts)
    print(
        f"plan at acceptance, without later arrivals: {len(errors)} finish times, error"
        f" median {statistics.median(errors):.2%}, over 10 % {sum(e > 0.1 for e in errors)},"
        f" worst {worst.error:.2%} ({worst.provider}: told {worst.told}, taken {worst.taken})"
    )


def used(marks: Sequence[Mark], month: Month, provider: str, amount: int, length: timedelta) -> str:
    """Tell how much of a limit was used in the windows during which somebody always waited."""
    times = [mark.at for mark in marks if provider in ("", mark.provider)]
    counts = [
        sum(begin <= time < begin + length for time in times)
        for start, end in backlogs(marks, month, provider)
        for begin in moments(start, end - length, length / 20)
    ]
    if not counts:
        return "; never waited for as long"
    return (
        f"; used while backlogged: mean {statistics.mean(counts) / amount:.1%},"
        f" least {min(counts) / amount:.1%} of {len(counts)} windows"
    )


def backlogs(marks: Iterable[Mark], month: Month, provider: str) -> list[tuple[datetime, datetime]]:
    """Return when somebody waited: from a posting to the last of its copies, put together."""
    last: dict[int, datetime] = {}
    for mark in marks:
        if mark.posting_id is not None and provider in ("", mark.provider):
            last[mark.posting_id] = mark.at
    spans = sorted((month.posted[number][1], end) for number, end in last.items())
    joined: list[tuple[datetime, datetime]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def moments(start: datetime, end: datetime, step: timedelta) -> Iterable[datetime]:
    """Yield times from *start* to *end*."""
    while start <= end:
        yield start
        start += step


def small_behind_large(marks: Sequence[Mark], month: Month) -> list[float]:
    """Return how long each 14-person posting took that came while a newsletter was under way."""
    last: dict[int, datetime] = {}
    for mark in marks:
        if mark.posting_id is not None:
            last[mark.posting_id] = mark.at
    newsletters = [
        (at, last[number]) for number, (name, at) in month.posted.items() if name == "newsletter"
    ]
    return [
        (last[number] - at).total_seconds()
        for number, (name, at) in month.posted.items()
        if name == "committee" and any(start <= at < end for start, end in newsletters)
    ]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.month")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forecasts", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
