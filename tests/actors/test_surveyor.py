"""The surveyor: whose a club's own domain is, asked of a name server while copies wait."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest_asyncio

from tests.actors.conftest import NOWHERE
from tests.edges.store.given import NOON, alive, claim_due, frozen_clock, members, posted
from worker.actors.signals import Signals
from worker.actors.surveyor import run_surveyor, survey
from worker.lookup.dns import Exchanges, Found, Texts
from worker.store.database import Reconnecting, connect
from worker.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.actors.letters import Owner
    from worker.lookup.dns import Lookup

MICROSOFT = Exchanges(Found.RECORDS, ("club-fr.mail.protection.outlook.com",))
GOOGLE = Exchanges(Found.RECORDS, ("alt1.aspmx.l.google.com", "aspmx.l.google.com"))
MIXED = Exchanges(Found.RECORDS, ("club-fr.mail.protection.outlook.com", "mx.filter.fr"))
NO_MAIL = Exchanges(Found.RECORDS, (".",))


@dataclass
class NameServer:
    """Says what it is told to; of all else there is nothing."""

    has: dict[str, Exchanges]
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def texts(self, _name: str) -> Texts:
        """There are none."""
        return Texts(Found.NOTHING)

    async def exchanges(self, name: str) -> Exchanges:
        """Answer after a moment."""
        self.asked.append(name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)  # So that others are asked meanwhile.
        self.at_once -= 1
        return self.has.get(name, Exchanges(Found.NOTHING))


@pytest_asyncio.fixture
async def owner(admin_url: str) -> AsyncIterator[Owner]:
    """Its clock stands still."""
    db = await connect(admin_url)
    await frozen_clock(db)
    yield db
    await db.close()


@pytest_asyncio.fixture
async def db(database_url: str) -> AsyncIterator[Owner]:
    """The surveyor's connection."""
    db = await connect(database_url)
    await alive(db, "w1")
    yield db
    await db.close()


async def wait_for(owner: Owner, db: Owner, *domains: str) -> None:
    """Post to one person at each of *domains*."""
    await members(owner, [(f"m@{domain}", domain) for domain in domains])
    await posted(db, look_up=True)


async def providers(db: Owner) -> dict[str, tuple[str, str]]:
    """Return provider and state of the copies, by domain."""
    rows = await db.fetch(
        "select split_part(address, '@', 2) as domain, provider, state::text from relais.delivery"
    )
    return {row["domain"]: (row["provider"], row["state"]) for row in rows}


async def surveyed(db: Owner, lookup: Lookup) -> int:
    """Do one round."""
    return await survey(db, lookup=lookup, signals=Signals())


async def test_whose_a_domain_is(owner: Owner, db: Owner) -> None:
    """Hosted at Microsoft it counts as outlook; behind a filter as other, at once."""
    names = ["club-m.fr", "club-g.fr", "club-x.fr", "none.fr", "nobody.fr"]
    server = NameServer(
        {"club-m.fr": MICROSOFT, "club-g.fr": GOOGLE, "club-x.fr": MIXED, "none.fr": NO_MAIL}
    )
    await wait_for(owner, db, *names, "orange.fr", "club.example")

    assert await surveyed(db, server) == 5

    assert await providers(db) == {
        "club-m.fr": ("outlook", "queued"),
        "club-g.fr": ("google", "queued"),
        "club-x.fr": ("other", "queued"),
        "none.fr": ("other", "queued"),
        "nobody.fr": ("other", "queued"),
        "orange.fr": ("orange", "queued"),
        "club.example": ("other", "queued"),
    }
    assert sorted(server.asked) == sorted(names)
    assert await surveyed(db, server) == 0, "cached for a day"


async def test_a_name_server_that_is_away(owner: Owner, db: Owner) -> None:
    """Its silence is an answer as well; and if nobody asks it, copies leave after 20 seconds."""
    await wait_for(owner, db, "asso.fr")
    await frozen_clock(owner, NOON + timedelta(seconds=19))
    assert await claim_due(db, "w1", at_most=10) == []
    await frozen_clock(owner, NOON + timedelta(seconds=20.1))
    assert [c.provider for c in await claim_due(db, "w1", at_most=10)] == ["other"]

    await posted(db, look_up=True, fingerprint=b"g" * 32)
    assert await surveyed(db, NOWHERE) == 1
    assert [c.provider for c in await claim_due(db, "w1", at_most=10)] == ["other"]
    await posted(db, look_up=True, fingerprint=b"h" * 32)
    assert await surveyed(db, NameServer({"asso.fr": MICROSOFT})) == 0, "for an hour"
    await frozen_clock(owner, NOON + timedelta(hours=1, minutes=1))
    assert await surveyed(db, NameServer({"asso.fr": MICROSOFT})) == 1
    assert [c.provider for c in await claim_due(db, "w1", at_most=10)] == ["outlook"]


async def test_a_domain_that_moved(owner: Owner, db: Owner) -> None:
    """What waits for it after a day follows it."""
    server = NameServer({"asso.fr": GOOGLE})
    await wait_for(owner, db, "asso.fr")
    await surveyed(db, server)
    assert await providers(db) == {"asso.fr": ("google", "queued")}
    server.has["asso.fr"] = MICROSOFT

    await frozen_clock(owner, NOON + timedelta(hours=23))
    await surveyed(db, server)
    assert await providers(db) == {"asso.fr": ("google", "queued")}
    await frozen_clock(owner, NOON + timedelta(hours=25))
    await surveyed(db, server)

    assert await providers(db) == {"asso.fr": ("outlook", "queued")}
    assert len(server.asked) == 2


async def test_many_domains(owner: Owner, db: Owner) -> None:
    """Twenty are asked for at once, a hundred in one round."""
    await wait_for(owner, db, *(f"club-{n}.fr" for n in range(130)))
    server = NameServer({})

    assert await surveyed(db, server) == 100
    assert await surveyed(db, server) == 30

    assert server.most_at_once == 20
    assert set((await providers(db)).values()) == {("other", "queued")}


@asynccontextmanager
async def surveying(url: str, lookup: Lookup) -> AsyncIterator[Signals]:
    """Let a surveyor run, and stop it in the end."""
    signals, db = Signals(), Reconnecting(url)
    async with asyncio.TaskGroup() as group:
        group.create_task(run_surveyor(db, lookup=lookup, signals=signals, metrics=Metrics()))
        try:
            yield signals
        finally:
            signals.stop()
    await db.close()


async def none_waits(db: Owner) -> None:
    """Wait until every copy may leave."""
    async with asyncio.timeout(10):
        while any(state == "deferred" for _, state in (await providers(db)).values()):
            await asyncio.sleep(0.02)  # The database tells spectators nothing.


async def test_two_surveyors_at_once(owner: Owner, db: Owner, database_url: str) -> None:
    """Both may ask; each copy moves once, and there is one answer for each domain."""
    names = [f"club-{n}.fr" for n in range(250)]
    await wait_for(owner, db, *names)
    server = NameServer(dict.fromkeys(names, MICROSOFT))

    async with surveying(database_url, server), surveying(database_url, server):
        await none_waits(db)

    assert set((await providers(db)).values()) == {("outlook", "queued")}
    assert (
        await db.fetchval("select count(*) from relais.mx_answer where provider = 'outlook'") == 250
    )
    assert await db.fetchval("select count(*) from relais.turn where provider = 'outlook'") == 1


async def test_it_is_woken_and_stopped(owner: Owner, db: Owner, database_url: str) -> None:
    """An expansion wakes it long before its own clock does, and the stop ends its sleep."""
    async with surveying(database_url, NameServer({"asso.fr": MICROSOFT})) as signals:
        # It looks as it starts; only after that is it the notification that wakes it.
        await asyncio.sleep(0.3)
        await db.add_listener("relais", lambda *args: signals.tell(str(args[3])))
        await wait_for(owner, db, "asso.fr")
        async with asyncio.timeout(2):
            await none_waits(db)
        await db.reset()

    assert await providers(db) == {"asso.fr": ("outlook", "queued")}


class Slow(NameServer):
    """Waits until it may answer."""

    def __init__(self, has: dict[str, Exchanges]) -> None:
        super().__init__(has)
        self.may_answer = asyncio.Event()

    async def exchanges(self, name: str) -> Exchanges:
        """Answer when it may."""
        answer = await super().exchanges(name)
        await self.may_answer.wait()
        return answer


async def test_a_lost_connection(owner: Owner, db: Owner, database_url: str) -> None:
    """It is opened again, and what was asked for is asked again."""
    await wait_for(owner, db, "asso.fr")
    server = Slow({"asso.fr": MICROSOFT})
    async with surveying(database_url, server) as signals:
        async with asyncio.timeout(5):
            while not server.asked:
                await asyncio.sleep(0.02)  # A list that grows wakes nobody.
        await owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid not in (pg_backend_pid(), $1)",
            db.get_server_pid(),
        )
        server.may_answer.set()
        # Until it has met the lost connection: a hint that comes before would be used up.
        await asyncio.sleep(0.2)
        signals.tell("domain")
        await none_waits(db)

    assert len(server.asked) >= 2
