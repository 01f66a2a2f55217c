"""Waiting for new messages: IDLE is a hint, and every wait ends."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from tests.edges.inbox.script import SELECT, session
from worker.errors import MailboxLost

SHORT = timedelta(milliseconds=60)
MINUTE = timedelta(minutes=1)

LOOKED = f"{SELECT} C: UID SEARCH UNDELETED\nS: * SEARCH 5\nS: T OK\n"
NOOP = "C: NOOP\nS: T OK\n"
IDLE = f"{NOOP} C: IDLE\nS: + idling\ntell idling\n"
DONE = "L: DONE\nS: T OK\n"

NEWS = {
    "before we looked": (SELECT + "C: NOOP\nS: T OK", True),
    "between commands": (LOOKED + "C: NOOP\nS: * 2 EXISTS\nS: T OK", True),
    "while idling": (LOOKED + IDLE + "S: * OK still here\nS: * 2 EXISTS\n" + DONE, True),
    "at the end of idling": (LOOKED + IDLE + "L: DONE\nS: * 2 EXISTS\nS: T OK", True),
    "after one has gone": (LOOKED + IDLE + "S: * 1 EXPUNGE\nS: * 1 EXISTS\n" + DONE, True),
    "none": (LOOKED + IDLE + DONE, False),
    "only flags": (LOOKED + IDLE + "S: * 1 FETCH (FLAGS ())\n" + DONE, False),
    "only an expunge": (LOOKED + IDLE + "S: * 1 EXPUNGE\nS: * 0 EXISTS\n" + DONE, False),
    "the same again": (LOOKED + "C: NOOP\nS: * 1 EXISTS\nS: T OK\nC: IDLE\nS: +\n" + DONE, False),
    "idling refused": (LOOKED + NOOP + "C: IDLE\nS: T NO not today\nsilence", False),
}


@pytest.mark.parametrize(("dialogue", "news"), NEWS.values(), ids=NEWS)
async def test_news(dialogue: str, news: bool) -> None:  # noqa: FBT001
    """News are messages that came since we looked, and nothing else."""
    async with session(dialogue) as (inbox, _):
        await inbox.select("INBOX")
        if "SEARCH" in dialogue:
            await inbox.uids()
        assert await inbox.wait_for_news(at_most=SHORT) is news


async def test_news_during_another_command() -> None:
    """What the server told while we moved a message is not told again."""
    move = 'C: UID MOVE 5 "taken"\nS: * 2 EXISTS\nS: * 1 EXPUNGE\nS: T OK\n'
    async with session(LOOKED + move + NOOP) as (inbox, _):
        await inbox.select("INBOX")
        await inbox.uids()
        await inbox.move(5, "taken")
        assert await inbox.wait_for_news(at_most=MINUTE)


async def test_without_idle() -> None:
    """A server that cannot IDLE is asked at our own pace."""
    dialogue = f"{LOOKED} {NOOP} C: NOOP\nS: * 2 EXISTS\nS: T OK"
    async with session(dialogue, capabilities="") as (inbox, script):
        await inbox.select("INBOX")
        await inbox.uids()
        assert not await inbox.wait_for_news(at_most=SHORT)
        assert await inbox.wait_for_news(at_most=SHORT)
    assert "IDLE" not in script.heard


IDLE_ENDS = {
    "BYE": ("S: * BYE shutting down\nsilence", "shutting down"),
    "closed": ("close", "closed"),
    "silent after DONE": ("L: DONE\nsilence", "no answer"),
}


@pytest.mark.parametrize(("end", "why"), IDLE_ENDS.values(), ids=IDLE_ENDS)
async def test_idle_ends(end: str, why: str) -> None:
    """A server that goes while we idle is noticed at once."""
    async with session(LOOKED + IDLE + end, deadline=SHORT) as (inbox, _):
        await inbox.select("INBOX")
        await inbox.uids()
        at_most = SHORT if "DONE" in end else MINUTE
        with pytest.raises(MailboxLost, match=why):
            await inbox.wait_for_news(at_most=at_most)


@pytest.mark.parametrize("capabilities", ["", "IDLE"])
async def test_closed_while_resting(capabilities: str) -> None:
    """So is one that goes while we only wait."""
    dialogue = f"{LOOKED} {NOOP} " + ("C: IDLE\n" if capabilities else "") + "close"
    async with session(dialogue, capabilities=capabilities) as (inbox, _):
        await inbox.select("INBOX")
        await inbox.uids()
        with pytest.raises(MailboxLost, match="closed"):
            await inbox.wait_for_news(at_most=MINUTE)


WAKES = {
    "resting": ("", f"{NOOP} tell waiting"),
    "idling": ("IDLE", f"{NOOP} C: IDLE\nS: + idling\ntell waiting\n{DONE}"),
}


@pytest.mark.parametrize(("capabilities", "dialogue"), WAKES.values(), ids=WAKES)
async def test_woken(capabilities: str, dialogue: str) -> None:
    """Woken, it leaves the connection as good as it was."""
    wake = asyncio.Event()
    dialogue = f"{LOOKED}{dialogue}\nC: UID SEARCH UNDELETED\nS: T OK"
    async with session(dialogue, capabilities=capabilities) as (inbox, script):
        await inbox.select("INBOX")
        await inbox.uids()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(inbox.wait_for_news(at_most=MINUTE, wake=wake))
            await script.told["waiting"].wait()
            wake.set()

        assert waiting.result() is False
        assert await inbox.uids() == []


async def test_woken_before() -> None:
    """Whoever is awake does not wait."""
    wake = asyncio.Event()
    wake.set()
    async with session(LOOKED + NOOP + "C: IDLE\nS: +\n" + DONE) as (inbox, _):
        await inbox.select("INBOX")
        await inbox.uids()
        assert not await inbox.wait_for_news(at_most=MINUTE, wake=wake)


SILENCES = {
    "to NOOP": "C: NOOP\ntell waiting\nsilence",
    "to IDLE": f"{NOOP} C: IDLE\ntell waiting\nsilence",
    "to DONE": f"{NOOP} C: IDLE\nS: + idling\ntell waiting\nL: DONE\nsilence",
}


@pytest.mark.parametrize("dialogue", SILENCES.values(), ids=SILENCES)
async def test_woken_in_silence(dialogue: str) -> None:
    """Woken, it waits for no silent server: SIGTERM has a second."""
    wake = asyncio.Event()
    async with session(LOOKED + dialogue, deadline=MINUTE) as (inbox, script):
        await inbox.select("INBOX")
        await inbox.uids()

        async def terminate() -> float:
            await script.told["waiting"].wait()
            wake.set()
            return time.monotonic()

        async with asyncio.TaskGroup() as group:
            terminating = group.create_task(terminate())
            with pytest.raises(MailboxLost):
                await inbox.wait_for_news(at_most=MINUTE, wake=wake)
        assert time.monotonic() - terminating.result() < 1


async def test_cancelled_while_idling() -> None:
    """A cancelled wait takes the connection with it, and close() still works."""
    async with session(LOOKED + IDLE + "silence") as (inbox, script):
        await inbox.select("INBOX")
        await inbox.uids()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(inbox.wait_for_news(at_most=MINUTE, wake=asyncio.Event()))
            await script.told["idling"].wait()
            waiting.cancel()
        await inbox.close()

        with pytest.raises(MailboxLost):
            await inbox.uids()
