"""A server that goes away, falls silent or says too much: every wait ends."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.inbox.script import SELECT, SOON, session
from worker.errors import MailboxLost, MailboxRefused
from worker.inbox.imap import MessageSize

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from worker.inbox.imap import Inbox

SHORT = timedelta(milliseconds=60)
MINUTE = timedelta(minutes=1)
SMALL = MessageSize(5, 100, None)

COMMANDS: dict[str, Callable[[Inbox], Awaitable[object]]] = {
    "ensure_folders": lambda inbox: inbox.ensure_folders(["relais/taken"]),
    "select": lambda inbox: inbox.select("relais/taken"),
    "uids": lambda inbox: inbox.uids(),
    "measure": lambda inbox: inbox.measure(5),
    "fetch": lambda inbox: inbox.fetch(SMALL),
    "move": lambda inbox: inbox.move(5, "relais/taken"),
    "append": lambda inbox: inbox.append("relais/taken", b"raw"),
    "wait_for_news": lambda inbox: inbox.wait_for_news(at_most=MINUTE),
}
ENDS = {
    "closed": ("close", "closed"),
    "closed in a line": ("write half line\nclose", "closed"),
    "closed in a literal": ("write half literal\nclose", "closed"),
    "silent": ("silence", "no answer"),
    "silent in a line": ("write half line\nsilence", "no answer"),
    "silent in a literal": ("write half literal\nsilence", "no answer"),
    "BYE": ("S: * BYE for today\nsilence", "BYE for today"),
    "another tag": ("S: Z9 OK done\nsilence", "cannot be understood"),
    "huge literal": ("S: * 1 FETCH (UID 5 BODY[] {999999999999}\nsilence", "larger than"),
    "absurd literal": (f"S: * 1 FETCH (UID 5 BODY[] {{{'9' * 5000}}}\nsilence", "understood"),
    "endless line": ("write endless line\nsilence", "larger than"),
}
OCTETS = {
    "half line": b"* 1 FET",
    "half literal": b"* 1 FETCH (UID 5 BODY[] {100}\r\nhalf of it",
    "endless line": b"* " + 5_000_000 * b"x",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(("end", "why"), ENDS.values(), ids=ENDS)
async def test_end(command: Callable[[Inbox], Awaitable[object]], end: str, why: str) -> None:
    """Whatever is running when the server ends it, the mailbox is lost, for good."""
    dialogue = f"{SELECT} C: *\n{end}"
    deadline = SHORT if why == "no answer" else SOON
    async with session(dialogue, octets=OCTETS, deadline=deadline) as (inbox, _):
        await inbox.select("INBOX")
        with pytest.raises(MailboxLost, match=why):
            await command(inbox)

        with pytest.raises(MailboxLost):
            await inbox.uids()
        await inbox.close()


@pytest.mark.parametrize("answer", ["NO not today", "BAD what?"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
async def test_refused(command: Callable[[Inbox], Awaitable[object]], answer: str) -> None:
    """A refusal is told, and the connection is still good."""
    dialogue = f"{SELECT} C: *\nS: T {answer}\nC: UID SEARCH UNDELETED\nS: T OK"
    async with session(dialogue) as (inbox, _):
        await inbox.select("INBOX")
        with pytest.raises(MailboxRefused, match=answer.rstrip("?")):
            await command(inbox)

        assert await inbox.uids() == []


async def test_late_answer() -> None:
    """A tagged answer after the deadline meets nobody."""
    dialogue = f"{SELECT} C: *\nawait deadline\nS: * SEARCH 5\nS: T OK\nsilence"
    async with session(dialogue, deadline=SHORT) as (inbox, script):
        await inbox.select("INBOX")
        with pytest.raises(MailboxLost, match="no answer"):
            await inbox.uids()
        script.told["deadline"].set()

        with pytest.raises(MailboxLost, match="no answer"):
            await inbox.uids()


async def test_trickle() -> None:
    """A server that sends an octet now and then does not push the deadline away."""
    octets = {"slow": b"* 1 FETCH (UID 5 BODY[] {100}\r\n" + 10_000 * b"x"}
    dialogue = f"{SELECT} C: *\ndrip slow\nsilence"
    async with session(dialogue, octets=octets, deadline=SHORT) as (inbox, _):
        await inbox.select("INBOX")
        began = time.monotonic()
        with pytest.raises(MailboxLost, match="no answer"):
            await inbox.fetch(SMALL)
        assert time.monotonic() - began < 1


async def test_large_messages_get_more_time() -> None:
    """The deadline grows with the size that was measured."""
    body = b"x" * 10_000
    octets = {"head": b"* 1 FETCH (UID 5 BODY[] {10000}\r\n" + body[:5000], "tail": body[5000:]}
    dialogue = f"{SELECT} C: *\nwrite head\nawait later\nwrite tail\nS: )\nS: T OK"
    async with session(dialogue, octets=octets, deadline=SHORT) as (inbox, script):
        await inbox.select("INBOX")
        asyncio.get_running_loop().call_later(0.1, script.told["later"].set)

        assert await inbox.fetch(MessageSize(5, 10_000, None)) == body


async def test_cancelled() -> None:
    """A command that is cancelled takes the connection with it."""
    async with session(f"{SELECT} C: *\ntell asked\nsilence") as (inbox, script):
        await inbox.select("INBOX")
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(inbox.uids())
            await script.told["asked"].wait()
            asking.cancel()

        with pytest.raises(MailboxLost):
            await inbox.uids()


async def test_one_command_at_a_time() -> None:
    """Two at once are a mistake of ours, and do no harm to the first."""
    dialogue = f"{SELECT} C: *\ntell asked\nawait second\nS: * SEARCH 5\nS: T OK"
    async with session(dialogue) as (inbox, script):
        await inbox.select("INBOX")
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(inbox.uids())
            await script.told["asked"].wait()
            with pytest.raises(RuntimeError, match="one command at a time"):
                await inbox.measure(5)
            script.told["second"].set()

        assert await asking == [5]


async def test_close_does_not_wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOGOUT has a deadline of its own, then the connection is dropped."""
    monkeypatch.setattr("worker.inbox.imap._LOGOUT_DEADLINE", SHORT)
    async with session("C: LOGOUT\nsilence", deadline=MINUTE) as (inbox, _):
        async with asyncio.timeout(5):
            await inbox.close()
