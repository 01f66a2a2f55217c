"""Four workers that are killed while their limits change: no window may be exceeded.

    python -m tests.bench.chaos [--deliveries 10000] [--seed 1]

Every two seconds one of four `relais run` is killed with SIGKILL and started
anew; every three seconds a limit is changed. PostgreSQL is on disk, fsync on; the host is
an SMTP server that records each message it takes. For every limit each interval
as long as its period is compared with the highest amount that was in force in it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.rig import ROOT, answers, free_port, start, start_pymap, write_config
from worker.config import Endpoint, Tls
from worker.inbox.imap import Inbox
from worker.policy.limit import Limit, read_limit
from worker.store import limits
from worker.store.database import connect
from worker.store.embedded import EmbeddedPostgres
from worker.store.migrations import Track, up

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

PROCESSES = 4
KILL_SECONDS = 2.0
CHANGE_SECONDS = 3.0
PROVIDERS = {
    "orange": "orange.fr",
    "free": "free.fr",
    "google": "gmail.com",
    "other": "club.example",
}
LIMITS = {
    "main": ("600/10s", "60/s"), "orange": ("150/10s", "400/30s"), "free": ("100/7s",),
    "google": ("20/s",), "main/other": ("200/12s",),
}  # fmt: skip
SETTINGS = """
[worker]
lease_seconds = 2

"""


@dataclass
class Rule:
    """A limit, and the amounts it had: from when until when each was in force."""

    scope: str
    limit: Limit
    amounts: list[tuple[datetime, datetime, int]] = field(default_factory=list)

    @property
    def account(self) -> str | None:
        """The account it is for."""
        return "main" if self.scope.startswith("main") else None

    @property
    def provider(self) -> str | None:
        """The provider it is for."""
        name = self.scope.removeprefix("main").removeprefix("/")
        return name or None

    def highest(self, start: datetime, end: datetime) -> int:
        """Return the highest amount in force at any time within *start* and *end*."""
        return max(
            amount for since, until, amount in self.amounts if since < end and until >= start
        )


class Chaos:
    """The workers, their database, and what is done to them."""

    def __init__(
        self, db: asyncpg.Connection[asyncpg.Record], config: Path, chance: random.Random
    ) -> None:
        self.rules = [Rule(s, read_limit(text)) for s, texts in LIMITS.items() for text in texts]
        self.kills = 0
        self._db = db
        self._config = config
        self._log = config.with_name("workers.log")
        self._chance = chance
        self._workers: list[asyncio.subprocess.Process] = []
        self._doing = asyncio.Lock()  # One statement at a time on the one connection.

    async def set_limits(self) -> None:
        """Set every limit as it is written above."""
        await self._db.execute("delete from relais.limit_rule")
        for rule in self.rules:
            await self._set(rule, rule.limit.amount)

    async def _set(self, rule: Rule, amount: int) -> None:
        limit = Limit(amount, rule.limit.period)
        before = datetime.now(UTC)
        async with self._doing:
            await limits.set_limit(
                self._db, limit, account=rule.account, provider=rule.provider, who="chaos",
                reason="chaos",
            )  # fmt: skip
        after = datetime.now(UTC)
        if rule.amounts:
            since, _, old = rule.amounts[-1]
            rule.amounts[-1] = since, after, old
        rule.amounts.append((before, datetime.max.replace(tzinfo=UTC), amount))

    async def start(self) -> None:
        """Start all workers."""
        self._workers = [await self._worker() for _ in range(PROCESSES)]

    async def _worker(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", "run", "--config", self._config, cwd=ROOT,
            stdout=asyncio.subprocess.DEVNULL, stderr=self._log.open("ab"),
        )  # fmt: skip

    async def kill(self) -> None:
        """Kill one worker after the other, and start each anew."""
        while True:
            await asyncio.sleep(KILL_SECONDS)
            number = self._chance.randrange(PROCESSES)
            with contextlib.suppress(ProcessLookupError):
                self._workers[number].send_signal(signal.SIGKILL)
            await self._workers[number].wait()
            self._workers[number] = await self._worker()
            self.kills += 1

    async def change(self) -> None:
        """Change one limit after the other, to something between a half and three halves."""
        while True:
            await asyncio.sleep(CHANGE_SECONDS)
            rule = self._chance.choice(self.rules)
            amount = round(rule.limit.amount * self._chance.uniform(0.5, 1.5))
            await self._set(rule, max(1, amount))

    async def until_done(self) -> None:
        """Wait until nothing has to leave any more."""
        while True:
            await asyncio.sleep(1)
            async with self._doing:
                waiting = await self._db.fetchval(
                    "select count(*) from relais.delivery"
                    " where state in ('queued', 'deferred', 'claimed')"
                )
            print(f"\r{waiting} waiting, {self.kills} kills ", end="", file=sys.stderr)
            if not waiting:
                return

    async def stop(self) -> None:
        """End all workers."""
        for worker in self._workers:
            if worker.returncode is None:
                worker.terminate()
        await asyncio.gather(*(worker.wait() for worker in self._workers))


async def main(options: argparse.Namespace) -> None:
    """Run it and print what the windows held."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relais-chaos-")))
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder / "postgres", durable=True)
        await asyncio.to_thread(postgres.start)
        stack.callback(postgres.stop)
        await up(postgres.url(), [Track("relais", ROOT / "migrations")])
        db = await connect(postgres.url())
        stack.push_async_callback(db.close)
        imap, smtp, taken = await start_pymap(stack), free_port(), folder / "taken.log"
        await start(
            stack, sys.executable, "-m", "tests.servers.smtp", "--port", str(smtp), "--log", taken
        )
        await answers(smtp)
        config = write_config(
            folder, database=postgres.url(user="relais_worker"), imap=imap, smtp=smtp, connections=2
        )
        config.write_text(config.read_text() + SETTINGS)
        await fill(db, options.deliveries)
        chaos = Chaos(db, config, random.Random(options.seed))
        await chaos.set_limits()
        await post(imap)
        started = time.monotonic()
        await chaos.start()
        stack.push_async_callback(chaos.stop)
        await until_expanded(db)
        trouble = [asyncio.create_task(chaos.kill()), asyncio.create_task(chaos.change())]
        await chaos.until_done()
        for task in trouble:
            task.cancel()
        await report(db, chaos, taken, seconds=time.monotonic() - started)


async def fill(db: asyncpg.Connection[asyncpg.Record], deliveries: int) -> None:
    """Make a list with as many members at each provider."""
    await db.execute("create schema crowd; create table crowd.member (person text, email text)")
    for name, domain in PROVIDERS.items():
        await db.execute(
            "insert into crowd.member select $1 || n, $1 || n || '@' || $2"
            " from generate_series(1, $3) n",
            name, domain, deliveries // len(PROVIDERS),
        )  # fmt: skip
    await db.execute(
        "create view lists.crowd as select person, email from crowd.member;"
        "select lists.define('lists.crowd', 'crowd', 'crowd', post => 'anyone',"
        " max_recipients => 1000000, grace => '0')"
    )


async def post(imap: int) -> None:
    """Put one message to the list into the mailbox."""
    inbox = await Inbox.connect(Endpoint("127.0.0.1", imap, "catchall", "secret", Tls.NONE))
    await inbox.append(
        "INBOX",
        b"Delivered-To: crowd@listes.example.fr\r\nFrom: Jean <jean@example.org>\r\n"
        b"To: crowd@listes.example.fr\r\nSubject: Chaos\r\nMessage-ID: <chaos@example.org>\r\n"
        b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\nBonjour\r\n",
    )
    await inbox.close()


async def until_expanded(db: asyncpg.Connection[asyncpg.Record]) -> None:
    """Wait for the posting."""
    async with asyncio.timeout(60):
        while not await db.fetchval("select count(*) from relais.posting"):
            await asyncio.sleep(0.1)


async def report(
    db: asyncpg.Connection[asyncpg.Record], chaos: Chaos, taken: Path, *, seconds: float
) -> None:
    """Print, for every limit, the fullest window and how much was used."""
    marks: defaultdict[str, list[datetime]] = defaultdict(list)
    for row in await db.fetch("select provider, at from relais.v_marks order by at"):
        marks[row["provider"]].append(row["at"])
        marks[""].append(row["at"])
    states = await db.fetch("select state::text, count(*) from relais.delivery group by 1")
    told = ", ".join(f"{row['count']} {row['state']}" for row in states)
    messages = len([json.loads(line) for line in taken.read_text().splitlines()])
    changes = sum(len(rule.amounts) - 1 for rule in chaos.rules)
    print(f"\n{seconds:.0f} s, {chaos.kills} kills, {changes} changes; {told}")
    print(f"{len(marks[''])} marks, {messages} messages at the host")
    print(f"{'limit':28} {'fullest / allowed':>18} {'mean used':>10}")
    for rule in chaos.rules:
        ratios = window_ratios(marks[rule.provider or ""], rule)
        print(
            f"{rule.scope:14} {rule.limit!s:13} {max(ratios):18.3f} {statistics.mean(ratios):10.1%}"
        )
    print(f"left, of what the limits let through meanwhile: {utilisation(chaos.rules, marks):.1%}")


def window_ratios(times: Sequence[datetime], rule: Rule) -> list[float]:
    """Return, of each interval that begins with a mark, what it held of what it might."""
    period, last = rule.limit.period, times[-1]
    return [
        (bisect_left(times, start + period) - index) / rule.highest(start, start + period)
        for index, start in enumerate(times)
        if start + period <= last or index == 0
    ]


def utilisation(rules: Sequence[Rule], marks: dict[str, list[datetime]]) -> float:
    """Return how many left, of those that might have left while somebody waited.

    That is, second by second, what the limits in force let through to the providers
    that had copies left. Large postings may use 95 % of it.
    """
    moment, allowed = marks[""][0], 0.0
    while moment < marks[""][-1]:
        waiting = [p for p, times in marks.items() if p and times[-1] > moment]
        to_each = [rate(rules, moment, provider) for provider in waiting]
        allowed += min(rate(rules, moment, None), sum(to_each))
        moment += timedelta(seconds=1)
    return len(marks[""]) / allowed


def rate(rules: Sequence[Rule], moment: datetime, provider: str | None) -> float:
    """Return what the limits of a provider, or of the account, let through in a second."""
    return min(
        rule.highest(moment, moment + timedelta(milliseconds=1)) / rule.limit.period.total_seconds()
        for rule in rules
        if rule.provider == provider
    )


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.chaos")
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
