"""The fetcher on a real mailbox: stored first, moved then, and known when seen again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.actors.conftest import MAILBOX
from tests.servers.dovecot import ACCOUNT, PASSWORD
from worker.actors import fetcher
from worker.actors.fetcher import Post, run_fetcher
from worker.actors.signals import Signals
from worker.config import Endpoint, Tls
from worker.inbox.imap import Inbox
from worker.store.arrivals import QUARANTINE, REFUSED, TAKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import asyncpg

    from tests.servers.dovecot import Dovecot
    from worker.actors.office import Office

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
pytestmark = pytest.mark.real_servers

LETTER = b"Delivered-To: tous@listes.example.fr\r\nFrom: a@b.fr\r\nSubject: %d\r\n\r\nBonjour\r\n"


def endpoint(dovecot: Dovecot) -> Endpoint:
    """Where the mailbox is."""
    return Endpoint("127.0.0.1", dovecot.imap_port, ACCOUNT, PASSWORD, Tls.NONE)


async def put(dovecot: Dovecot, *letters: bytes) -> None:
    """Put messages into INBOX."""
    inbox = await Inbox.connect(endpoint(dovecot))
    for letter in letters:
        await inbox.append("INBOX", letter)
    await inbox.close()


@asynccontextmanager
async def fetching(office: Office, dovecot: Dovecot) -> AsyncIterator[None]:
    """Run a fetcher for as long as the context lasts."""
    post = Post(
        mailbox=replace(MAILBOX, endpoint=endpoint(dovecot)),
        pool=office.pool,
        worker_id=office.worker_id,
        lease=timedelta(seconds=60),
        chance=lambda: 0.5,
        metrics=office.metrics,
    )
    signals = Signals()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_fetcher(post, signals=signals))
        try:
            yield
        finally:
            signals.stop()


async def until(true: Callable[[], bool]) -> None:
    """Wait until *true* says so."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)  # Servers tell tests nothing.


async def stored(owner: Owner) -> list[str]:
    """Return the subjects of the arrivals, in their order."""
    rows = await owner.fetch(
        "select substring(convert_from(raw, 'utf8') from 'Subject: (\\S+)') as subject "
        "from relais.arrival order by arrival_id"
    )
    return [row["subject"] for row in rows]


async def test_messages_are_stored_then_moved(
    office: Office, owner: Owner, dovecot: Dovecot
) -> None:
    """What lies there, and what comes during IDLE; nothing stays in INBOX."""
    await put(dovecot, LETTER % 1, LETTER % 2)
    async with fetching(office, dovecot):
        await until(lambda: len(dovecot.received(folder=TAKEN)) == 2)
        await put(dovecot, LETTER % 3)
        await until(lambda: len(dovecot.received(folder=TAKEN)) == 3)

    assert await stored(owner) == ["1", "2", "3"]
    assert dovecot.received() == []
    rows = await owner.fetch("select filed_in, filed_uid from relais.arrival order by 1, 2")
    assert [tuple(row) for row in rows] == [(TAKEN, n) for n in (1, 2, 3)]


async def test_a_message_that_is_known_is_only_moved(
    office: Office, owner: Owner, dovecot: Dovecot
) -> None:
    """As after a crash between the commit and the move."""
    await put(dovecot, LETTER % 1)
    inbox = await Inbox.connect(endpoint(dovecot))
    uidvalidity = (await inbox.select("INBOX")).uidvalidity
    await inbox.close()
    await owner.execute(
        "insert into relais.arrival (account, folder, uidvalidity, uid, raw, sha256, size_bytes,"
        " arrived_at, due_at) values ($1, 'INBOX', $2, 1, 'Subject: known', '', 0,"
        " relais.now(), relais.now())",
        f"{ACCOUNT}@127.0.0.1",
        uidvalidity,
    )
    async with fetching(office, dovecot):
        await until(lambda: len(dovecot.received(folder=TAKEN)) == 1)

    assert await stored(owner) == ["known"]


async def test_three_crashes_over_one_message(
    office: Office, owner: Owner, dovecot: Dovecot
) -> None:
    """The fourth time it is moved unread, and the next one is not held up."""
    await put(dovecot, LETTER % 1, LETTER % 2)
    inbox = await Inbox.connect(endpoint(dovecot))
    uidvalidity = (await inbox.select("INBOX")).uidvalidity
    await inbox.close()
    await owner.execute(
        "insert into relais.fetch_attempt values ($1, 'INBOX', $2, 1, 3)",
        f"{ACCOUNT}@127.0.0.1",
        uidvalidity,
    )
    async with fetching(office, dovecot):
        await until(lambda: len(dovecot.received(folder=QUARANTINE)) == 1)
        await until(lambda: len(dovecot.received(folder=TAKEN)) == 1)

    assert await stored(owner) == ["2"]


async def test_a_message_above_all_sizes_is_not_fetched(
    office: Office, owner: Owner, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is asked first; it is kept for a person."""
    monkeypatch.setattr(fetcher, "LARGEST_BYTES", 1000)
    await put(dovecot, LETTER % 1 + b"x" * 2000, LETTER % 2)
    async with fetching(office, dovecot):
        await until(lambda: len(dovecot.received(folder=QUARANTINE)) == 1)
        await until(lambda: len(dovecot.received(folder=TAKEN)) == 1)

    assert await stored(owner) == ["2"]


async def test_what_was_refused_is_filed_where_people_look(
    office: Office, owner: Owner, dovecot: Dovecot
) -> None:
    """The mediator says where a message belongs, the fetcher moves it there."""
    await put(dovecot, LETTER % 1)
    async with fetching(office, dovecot):
        await until(lambda: len(dovecot.received(folder=TAKEN)) == 1)
        await owner.execute("update relais.arrival set state = 'settled', wanted_in = $1", REFUSED)
        await put(dovecot, LETTER % 2)  # News, so that the fetcher looks.
        await until(lambda: len(dovecot.received(folder=REFUSED)) == 1)

    assert await owner.fetchval("select filed_in from relais.arrival where uid = 1") == REFUSED


async def test_two_fetchers_are_harmless(office: Office, owner: Owner, dovecot: Dovecot) -> None:
    """Were the lease not to hold, the key still would."""
    await put(dovecot, *(LETTER % n for n in range(20)))
    async with fetching(office, dovecot), fetching(office, dovecot):
        # Both may move one message, so that it lies twice among the taken.
        await until(lambda: not dovecot.received())

    assert sorted(map(int, await stored(owner))) == list(range(20))
