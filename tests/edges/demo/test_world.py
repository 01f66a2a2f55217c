"""The outside world: it takes, refuses for now, and reports as real hosts do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiosmtplib
import pytest
import pytest_asyncio

from worker.demo.catch_all import CatchAll, hosted_mailbox
from worker.demo.federation import Mailbox
from worker.demo.world import Happening, World, outside_world
from worker.inbox.imap import Inbox
from worker.mail.envelope import envelope_recipients
from worker.mail.header import read_message
from worker.mail.host import HOSTS
from worker.mail.returns import read_return

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DOMAIN = "listes.federation.example"
RETURN = f"return-{'a' * 32}@{DOMAIN}"
COPY = b"From: tous@listes.federation.example\r\nX-Relais-Ref: %s\r\n\r\nBonjour\r\n" % (b"a" * 32)
MAILBOXES = {
    "gone@orange.example": Mailbox.GONE,
    "grey@free.example": Mailbox.GREYLISTED,
    "full@gmail.example": Mailbox.FULL,
}


@pytest_asyncio.fixture
async def catch_all() -> AsyncIterator[CatchAll]:
    """An empty mailbox."""
    async with hosted_mailbox() as catch_all:
        yield catch_all


@pytest.fixture
def happenings() -> list[tuple[Happening, str]]:
    """What the world tells."""
    return []


@pytest_asyncio.fixture
async def world(
    catch_all: CatchAll, happenings: list[tuple[Happening, str]]
) -> AsyncIterator[World]:
    """The world before *catch_all*."""
    async with outside_world(
        DOMAIN, MAILBOXES, catch_all, tell=lambda what, who: happenings.append((what, who))
    ) as world:
        yield world


async def submit(world: World, recipient: str, *, return_address: str = RETURN) -> int:
    """Submit a copy; return the code of the first reply that is not 250, or 250."""
    client = aiosmtplib.SMTP(
        hostname=world.endpoint.host, port=world.endpoint.port, start_tls=False
    )
    async with client:
        try:
            await client.sendmail(return_address, [recipient], COPY)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            return refused.recipients[0].code
    return 250


async def only_message(catch_all: CatchAll) -> bytes:
    """Take the one message in INBOX, with the worker's own client."""
    inbox = await Inbox.connect(catch_all.endpoint)
    try:
        await inbox.select("INBOX")
        (uid,) = await inbox.uids()
        measured = await inbox.measure(uid)
        assert measured is not None
        raw = await inbox.fetch(measured)
        assert raw is not None
        return raw
    finally:
        await inbox.close()


async def mails_in(catch_all: CatchAll) -> int:
    """Count what lies in INBOX."""
    inbox = await Inbox.connect(catch_all.endpoint)
    try:
        await inbox.select("INBOX")
        return len(await inbox.uids())
    finally:
        await inbox.close()


async def test_a_member_gets_the_bytes(world: World) -> None:
    """Copies lie in memory, with who they were for and where they return to."""
    assert await submit(world, "anne@orange.example") == 250

    (copy,) = world.received
    assert (copy.recipient, copy.return_address) == ("anne@orange.example", RETURN)
    assert copy.content == COPY
    assert copy.reference == "a" * 32


async def test_an_author_reaches_the_catch_all(world: World, catch_all: CatchAll) -> None:
    """The host writes down for whom it was, above everything else."""
    await world.post("anne@orange.example", f"tous@{DOMAIN}", b"Subject: x\r\n\r\nBonjour\r\n")

    message = read_message(await only_message(catch_all))
    assert envelope_recipients(message, host=HOSTS["other"], domain=DOMAIN) == ("tous",)
    assert not world.received


async def test_greylisting_ends_by_itself(
    world: World, happenings: list[tuple[Happening, str]]
) -> None:
    """The first time is refused; somebody who comes again is no robot."""
    codes = [await submit(world, "grey@free.example") for _ in range(3)]

    assert codes == [451, 250, 250]
    assert happenings == [(Happening.GREYLISTED, "grey@free.example")]


async def test_a_full_mailbox_is_tidied_up(world: World) -> None:
    """Its owner takes a while."""
    codes = [await submit(world, "full@gmail.example") for _ in range(4)]

    assert codes == [452, 452, 452, 250]


async def test_an_unknown_member_is_reported(world: World, catch_all: CatchAll) -> None:
    """Taken first; then a report that the worker understands comes to the return address."""
    assert await submit(world, "gone@orange.example") == 250

    await world.wait_until_quiet()

    raw = await only_message(catch_all)
    found = read_return(raw)
    assert found is not None
    assert found.recipients[0].final_recipient == "gone@orange.example"
    assert (found.recipients[0].action, found.recipients[0].status) == ("failed", "5.1.1")
    assert found.references == ("a" * 32,)
    assert read_message(raw).first("delivered-to") is not None
    assert len(world.reported) == 1


async def test_an_answer_is_never_reported(world: World, catch_all: CatchAll) -> None:
    """It has no return address (RFC 5321, section 4.5.5), and is known by its reference."""
    assert await submit(world, "gone@orange.example", return_address="") == 250

    await world.wait_until_quiet()

    assert [(copy.return_address, copy.reference) for copy in world.received] == [("", "a" * 32)]
    assert world.reported == []
    assert await mails_in(catch_all) == 0
