"""Actors on a real database; their peers are real or scripted servers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest_asyncio

from tests.edges.store.given import DOMAIN, MEMBER_TABLE
from worker.actors.office import Office
from worker.config import Endpoint, Mailbox, Site, Tls
from worker.lookup.dns import Resolver
from worker.mail.return_address import Tokens
from worker.reading.reader import Reader
from worker.store import leases
from worker.store.database import borrowed, close_pool, connect, open_pool
from worker.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

SECRET = b"s" * 32
SITE = Site(
    domain=DOMAIN,
    public_url="https://listes.example.fr",
    locale="fr",
    help_address="aide@example.fr",
    member_space="https://membres.example.fr",
    secrets=(SECRET,),
    migrations=(Path("migrations/site"),),
)
MAILBOX = Mailbox(
    endpoint=Endpoint("127.0.0.1", 1, "catchall", "secret", Tls.NONE),
    poll=timedelta(seconds=1),
    recipient_headers=("Delivered-To",),
    trusted_authserv_id=r"mx\.host\.test",
)
# No name server: what tests do not bring along, nobody knows.
NOWHERE = Resolver(["127.0.0.1"], port=1, patience=timedelta(seconds=0.2))


@pytest_asyncio.fixture
async def owner(admin_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The role that migrates; it has made the list ``tous`` with two members."""
    db = await connect(admin_url)
    await db.execute(MEMBER_TABLE)
    await db.execute(
        "insert into club.member (email, person) values ('a@b.fr', '1'), ('c@d.fr', '2')"
    )
    yield db
    await db.close()


@pytest_asyncio.fixture
async def office(
    owner: asyncpg.Connection[asyncpg.Record],  # noqa: ARG001 - makes the list first
    database_url: str,
) -> AsyncIterator[Office]:
    """What a mediator works with, its lease alive."""
    pool = await open_pool(database_url, size=3)
    async with borrowed(pool) as db:
        await leases.renew(db, "w1", timedelta(minutes=5))
    tokens, metrics = Tokens((SECRET,)), Metrics()
    async with Reader() as reader:
        yield Office(pool, "w1", SITE, MAILBOX, tokens, metrics, NOWHERE, reader, look_up_mx=False)
    await close_pool(pool)
