"""What every IMAP server must let us do: the same on pymap and on Dovecot."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.inbox.script import SOON, endpoint
from tests.servers.dovecot import ACCOUNT, PASSWORD
from worker.config import Endpoint, Tls
from worker.demo.catch_all import hosted_mailbox
from worker.errors import LoginRefused, MailboxRefused
from worker.inbox.imap import Inbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.dovecot import Dovecot

FOLDERS = ["relais/taken", "relais/quarantine", "relais/refused"]
MINUTE = timedelta(minutes=1)

MESSAGES = {
    "plain": b"Subject: hello\r\n\r\nbody\r\n",
    "no body": b"Subject: hello\r\n\r\n",
    "answers": b"Subject: :( ((\r\n\r\n* 1 EXISTS\r\n* BYE\r\nA1 OK {12}\r\n{12}\r\n)\r\n",
    "octets": b"Subject: \xff\xfe\r\n\r\n" + bytes(range(128, 256)) + b"\r\n",
    "large": b"Subject: large\r\n\r\n" + 40_000 * (b"x" * 126 + b"\r\n"),
}


@pytest.fixture(params=["pymap", pytest.param("dovecot", marks=pytest.mark.real_servers)])
async def where(request: pytest.FixtureRequest) -> AsyncIterator[Endpoint]:
    """The login of an empty account."""
    if request.param == "pymap":
        async with hosted_mailbox() as catch_all:
            yield catch_all.endpoint
    else:
        dovecot: Dovecot = request.getfixturevalue("dovecot")
        yield endpoint(dovecot.imap_port, user=ACCOUNT, password=PASSWORD)


@asynccontextmanager
async def logged_in(where: Endpoint) -> AsyncIterator[Inbox]:
    """One more connection, with the folders made and INBOX selected."""
    inbox = await Inbox.connect(where, deadline=SOON)
    try:
        await inbox.ensure_folders(FOLDERS)
        await inbox.select("INBOX")
        yield inbox
    finally:
        await inbox.close()


async def contents(inbox: Inbox, folder: str) -> list[bytes | None]:
    """Everything in *folder*, oldest first."""
    await inbox.select(folder)
    sizes = [await inbox.measure(uid) for uid in await inbox.uids()]
    return [await inbox.fetch(size) for size in sizes if size]


async def idling(inbox: Inbox) -> None:
    """Wait until the server has agreed to IDLE; pymap loses what comes just before."""
    async with asyncio.timeout(5):
        # There is no event for it; the loop is the same as the test's.
        while (command := inbox._wire.pending_sync_command) is None or command.name != "IDLE":
            await asyncio.sleep(0)
        await command.continued.wait()


class TestContract:
    """The mailbox as the fetcher uses it."""

    async def test_login_refused(self, where: Endpoint) -> None:
        """A wrong password is a refusal, not a lost connection."""
        with pytest.raises(LoginRefused):
            await Inbox.connect(replace(where, password="wrong"), deadline=SOON)

    async def test_capabilities(self, where: Endpoint) -> None:
        """Both can all that we like to use."""
        async with logged_in(where) as inbox:
            assert inbox.has_idle
            assert inbox.has_move
            assert inbox.has_uidplus

    async def test_folders(self, where: Endpoint) -> None:
        """Folders are made once, and are empty."""
        async with logged_in(where) as inbox:
            await inbox.ensure_folders(FOLDERS)
            for folder in ("INBOX", *FOLDERS):
                assert (await inbox.select(folder)).exists == 0
                assert await inbox.uids() == []

    async def test_no_such_folder(self, where: Endpoint) -> None:
        """A refusal leaves the connection as it is."""
        async with logged_in(where) as inbox:
            with pytest.raises(MailboxRefused):
                await inbox.select("nowhere")
            await inbox.select("INBOX")
            assert await inbox.uids() == []

    @pytest.mark.parametrize("raw", MESSAGES.values(), ids=MESSAGES)
    async def test_fetch(self, where: Endpoint, raw: bytes) -> None:
        """A message comes back as the octets that it is."""
        async with logged_in(where) as inbox:
            await inbox.append("INBOX", raw)
            (uid,) = await inbox.uids()
            size = await inbox.measure(uid)

            assert size
            assert size.size_bytes == len(raw)
            assert size.internal_date
            assert abs(size.internal_date - datetime.now(UTC)) < MINUTE
            assert await inbox.fetch(size) == raw

    @pytest.mark.parametrize("without", ["", "MOVE"])
    async def test_move(self, where: Endpoint, without: str) -> None:
        """One message goes, the others stay, even those that a person deleted."""
        async with logged_in(where) as inbox:
            inbox.capabilities -= {without}
            for raw in (b"X: 1\r\n\r\n", b"X: 2\r\n\r\n", b"X: 3\r\n\r\n"):
                await inbox.append("INBOX", raw)
            first, second, third = await inbox.uids()
            await inbox._run(rf"UID STORE {third} +FLAGS (\Deleted)")

            new_uid = await inbox.move(second, "relais/taken")
            assert await inbox.uids() == [first]
            assert await inbox.measure(third)

            await inbox.select("relais/taken")
            assert await inbox.uids() == [new_uid]
            assert await contents(inbox, "relais/taken") == [b"X: 2\r\n\r\n"]

    @pytest.mark.parametrize("without", ["", "MOVE"])
    async def test_gone(self, where: Endpoint, without: str) -> None:
        """What another client has removed is nothing, and no error."""
        async with logged_in(where) as inbox, logged_in(where) as other:
            inbox.capabilities -= {without}
            await inbox.append("INBOX", MESSAGES["plain"])
            (uid,) = await inbox.uids()
            size = await inbox.measure(uid)
            assert size
            await other.select("INBOX")
            await other.move(uid, "relais/refused")

            await inbox.wait_for_news(at_most=timedelta(0))
            assert await inbox.fetch(size) is None
            assert await inbox.measure(uid) is None
            assert await inbox.move(uid, "relais/taken") is None
            assert await contents(inbox, "relais/taken") == []

    async def test_news(self, where: Endpoint) -> None:
        """What arrives while we idle is pushed."""
        async with logged_in(where) as inbox, logged_in(where) as other:
            assert await inbox.uids() == []
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(inbox.wait_for_news(at_most=MINUTE))
                await idling(inbox)
                await other.append("INBOX", MESSAGES["plain"])

            assert waiting.result()
            assert len(await inbox.uids()) == 1
            assert not await inbox.wait_for_news(at_most=timedelta(0))

    async def test_woken(self, where: Endpoint) -> None:
        """Woken from IDLE, the connection is as good as before."""
        wake = asyncio.Event()
        async with logged_in(where) as inbox:
            await inbox.uids()
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(inbox.wait_for_news(at_most=MINUTE, wake=wake))
                wake.set()

            assert not waiting.result()
            assert await inbox.uids() == []


@pytest.mark.real_servers
@pytest.mark.parametrize("tls", Tls)
async def test_tls(dovecot: Dovecot, tls: Tls) -> None:
    """However the connection is protected, mail comes through."""
    port = dovecot.imaps_port if tls is Tls.IMPLICIT else dovecot.imap_port
    ca_file = dovecot.certificates.ca
    where = endpoint(port, tls, user=ACCOUNT, password=PASSWORD, ca_file=ca_file)
    async with logged_in(where) as inbox:
        await inbox.append("INBOX", MESSAGES["large"])
        assert await contents(inbox, "INBOX") == [MESSAGES["large"]]
