"""The stage of the demo: a database, a mailbox, a world and a worker, all on this machine.

Everything is thrown away in the end. The clock of the database runs fast, and
with it limits, retries and expiry: nothing in the worker knows about it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING

import aiohttp

from worker.actors.signals import Signals
from worker.app import Ports, run_worker
from worker.config import Account, Config, Database, Listen, Mailbox, Site
from worker.demo import federation
from worker.demo.catch_all import hosted_mailbox
from worker.demo.federation import DOMAIN, Federation
from worker.demo.world import AUTHSERV_ID, Happening, outside_world
from worker.mail.return_address import Purpose, Tokens, subscriber_number
from worker.policy.limit import read_limit
from worker.store import migrations, suppressions
from worker.store.database import borrowed, close_pool, open_pool
from worker.store.embedded import EmbeddedPostgres
from worker.store.migrations import Track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from worker.demo.catch_all import CatchAll
    from worker.demo.federation import Member
    from worker.demo.world import World
    from worker.policy.limit import Limit
    from worker.store.database import Pool

SEED = 2026
_HOST = "127.0.0.1"
_START_SECONDS = 20.0
_LOOK_SECONDS = 0.03

# Two are enough for the picture; what is shipped for the others is taken away.
_LIMITS = {
    **{provider: () for _, provider, _ in federation.PROVIDERS},
    "orange": (read_limit("100/day"),),
    "outlook": (read_limit("300/day"),),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What a demonstration plays on. *db* is the admin's, who may read everything."""

    db: Pool
    federation: Federation
    world: World
    catch_all: CatchAll
    clock: FastClock
    tokens: Tokens
    speed: float
    ports: Ports
    http: aiohttp.ClientSession

    async def post(self, author: Member, local_part: str, *, subject: str, text: str) -> None:
        """Write to a list as *author*."""
        message = EmailMessage()
        message["From"] = f"{author.full_name} <{author.email}>"
        message["To"] = f"{local_part}@{DOMAIN}"
        message["Subject"] = subject
        message["Message-ID"] = make_msgid(domain=(author.email or "").rpartition("@")[2])
        message["Date"] = format_datetime(self.clock.now())
        message.set_content(text)
        await self.world.post(author.email or "", f"{local_part}@{DOMAIN}", bytes(message))

    async def unsubscribe(self, url: str) -> bool:
        """Press the button behind a personal link."""
        async with self.http.post(url, data={"List-Unsubscribe": "One-Click"}) as answer:
            return answer.ok

    async def personal_link(self, list_id: int, person_id: int) -> str:
        """Return the link that a copy of this list to this person carries."""
        async with borrowed(self.db) as db:
            subscriber = await suppressions.subscriber(db, list_id, person_id)
        if subscriber is None:
            raise LookupError(f"list {list_id} or person {person_id} is unknown")
        token = self.tokens.sign(
            Purpose.UNSUBSCRIBE,
            subscriber_number(list_id, person_id),
            stands_for=subscriber.subscription,
        )
        return f"http://{_HOST}:{self.ports.web}/u/{token.decode()}"

    async def wait_until(self, happened: Callable[[], Awaitable[bool]]) -> None:
        """Look again and again, as a spectator does, until it has happened."""
        while not await happened():  # noqa: ASYNC110 - the database tells spectators nothing
            await asyncio.sleep(_LOOK_SECONDS)

    async def hurry(self, speed: float) -> None:
        """Let the clock run at another speed from now on, and tell those who sleep by it."""
        await self.db.execute(HURRY, speed)
        await self.clock.read(self.db)
        await self.db.execute("SELECT pg_notify('relais', 'delivery')")

    async def sleep(self, length: timedelta) -> None:
        """Sleep for *length* on the fast clock."""
        await asyncio.sleep(length.total_seconds() / self.speed)


class FastClock:
    """The clock of the database, for mail that is dated elsewhere: by authors, and by the host."""

    def __init__(self) -> None:
        self._origin = self._since = datetime.now(UTC)
        self._rate = 1.0

    async def read(self, db: Pool) -> None:
        """Take over how the database's clock goes now."""
        row = await db.fetchrow(CLOCK)
        if row is None:
            raise LookupError("the database has no clock")
        self._origin, self._since, self._rate = row

    def now(self) -> datetime:
        """Return what the clock shows."""
        return self._origin + (datetime.now(UTC) - self._since) * self._rate


CLOCK = "SELECT origin, since, rate FROM relais.clock"
HURRY = """
    UPDATE relais.clock SET rate = $1, origin = relais.now(), since = clock_timestamp()
"""


@asynccontextmanager
async def staged(
    *,
    speed: float,
    host_limits: tuple[Limit, ...] = (),
    tell: Callable[[Happening, str], None] = lambda _happening, _address: None,
) -> AsyncIterator[Stage]:
    """Build the stage, let a worker run on it, and take it down in the end."""
    people = federation.invent(random.Random(SEED))  # noqa: S311 - the same people each time
    postgres = EmbeddedPostgres(in_memory=True)
    try:
        await asyncio.to_thread(postgres.start)
        await migrations.up(postgres.url(), tracks())
        pool = await open_pool(postgres.url(), size=3)
        try:
            async with borrowed(pool) as db, db.transaction():
                await federation.settle(db, people)
                await db.execute(SET_CLOCK, speed)
            async with (
                hosted_mailbox() as catch_all,
                outside_world(DOMAIN, people.mailboxes(), catch_all, tell=tell) as world,
                aiohttp.ClientSession() as http,
            ):
                clock = FastClock()
                await clock.read(pool)
                catch_all.now = clock.now
                config = _config(postgres, catch_all, world, host_limits)
                async with _working(config) as ports:
                    tokens = Tokens(config.site.secrets)
                    yield Stage(pool, people, world, catch_all, clock, tokens, speed, ports, http)
        finally:
            await close_pool(pool)
    finally:
        await asyncio.to_thread(postgres.stop)


# The clock starts on a Monday morning.
SET_CLOCK = """
    UPDATE relais.clock
       SET rate = $1, since = clock_timestamp(),
           origin = date_trunc('week', clock_timestamp()) + interval '7 days 8 hours'
"""


def tracks() -> list[Track]:
    """Return the migrations, ours and the demo's lists."""
    shipped = migrations.shipped_track()
    return [shipped, Track("site", shipped.folder / "site")]


@asynccontextmanager
async def _working(config: Config) -> AsyncIterator[Ports]:
    """Run a worker; at the end let it finish what it holds."""
    signals = Signals()
    ready: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            run_worker(config, signals=signals, on_ready=ready.set_result), name="worker"
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                ports = await ready
            yield ports
        finally:
            signals.stop()


def _config(
    postgres: EmbeddedPostgres,
    catch_all: CatchAll,
    world: World,
    host_limits: tuple[Limit, ...],
) -> Config:
    # The links in the copies name the port, so it must be known before.
    web = Listen(_HOST, _free_port())
    return Config(
        site=Site(
            domain=DOMAIN,
            public_url=f"http://{web.host}:{web.port}",
            locale="fr",
            help_address="aide@federation.example",
            member_space="https://monespace.federation.example",
            secrets=(secrets.token_bytes(32),),
            migrations=(),
        ),
        database=Database(
            url=postgres.url(user="relais_worker"),  # Who cannot read the member file.
            admin_url=postgres.url(),
        ),
        mailbox=Mailbox(
            endpoint=catch_all.endpoint,
            poll=timedelta(seconds=2),
            recipient_headers=("Delivered-To",),
            trusted_authserv_id=AUTHSERV_ID.replace(".", r"\."),
        ),
        accounts=(Account("main", world.endpoint, connections=2, limits=host_limits),),
        limits=_LIMITS,
        lease=timedelta(seconds=10),
        in_doubt_after=timedelta(minutes=30),
        look_up_mx=False,  # None of these domains exists.
        web=web,
        metrics=Listen(_HOST, 0),
    )


def _free_port() -> int:
    """Find a port that nobody has, below those that outgoing connections get."""
    for port in random.sample(range(10_240, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((_HOST, port))
            return port
    raise OSError("no port is free on the loopback")
