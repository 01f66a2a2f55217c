"""Children that read, behave, break, and are taken over: real processes, all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.edges.reading import hostile
from worker.errors import ReaderKilled, ReaderMissing
from worker.mail.examination import examine
from worker.mail.host import HOSTS
from worker.reading.reader import Limits, Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SHORT = Limits(cpu_seconds=1, clock_seconds=5.0)
IMPATIENT = Limits(clock_seconds=0.5)


@pytest_asyncio.fixture
async def reader() -> AsyncIterator[Reader]:
    """A reader of a worker's own limits."""
    async with Reader() as reader:
        yield reader


def is_running(pid: int) -> bool:
    """Tell whether there is a process *pid*; one that has ended was waited for."""
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


BROKEN: dict[str, tuple[Callable[[bytes], int], Limits, str, str]] = {
    "computes for ever": (hostile.loop, SHORT, "time", "CPU"),
    "waits for ever": (hostile.wait, IMPATIENT, "time", "no answer"),
    "takes all memory": (hostile.grow, Limits(), "memory", "MemoryError at hostile.py"),
    "writes a file": (hostile.fill, Limits(), "crash", "OSError at hostile.py"),
    "falls into itself": (hostile.recurse, Limits(), "crash", "RecursionError at hostile.py"),
    "exits": (hostile.leave, Limits(), "crash", "exit status 0"),
    "dies": (hostile.die, Limits(), "crash", "exit status -11"),
    "raises": (hostile.blunder, Limits(), "crash", "KeyError at hostile.py"),
    "raves": (hostile.rave, Limits(), "nonsense", "begins"),
    "boasts": (hostile.boast, Limits(), "nonsense", "too long"),
    "floods": (hostile.flood, Limits(), "nonsense", "int"),
    "falls silent": (hostile.fall_silent, Limits(), "crash", "exit status -9"),
    "slanders": (hostile.slander, Limits(), "nonsense", "no fault"),
    "lies": (hostile.lie, Limits(), "nonsense", "int"),
}


@pytest.mark.parametrize(("read", "limits", "why", "detail"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_is_killed_and_replaced(
    read: Callable[[bytes], int], limits: Limits, why: str, detail: str
) -> None:
    """It says what was exceeded and not what was read; the next message is read as ever."""
    async with Reader(limits) as reader:
        before = await reader.run(hostile.own_pid, b"")

        with pytest.raises(ReaderKilled, match=detail) as killed:
            await reader.run(read, b"jean@example.org")

        assert killed.value.why == why
        assert "jean" not in str(killed.value)
        assert not is_running(before)
        assert await reader.run(hostile.own_pid, b"") != before


async def test_a_child_is_kept(reader: Reader) -> None:
    """It starts once, and reads one message after the other."""
    pids = {await reader.run(hostile.own_pid, b"x") for _ in range(5)}

    assert len(pids) == 1
    assert pids != {os.getpid()}


async def test_it_knows_nothing_of_the_site(
    monkeypatch: pytest.MonkeyPatch, reader: Reader
) -> None:
    """Secrets may be in our environment; none is in the child's."""
    monkeypatch.setenv("RELAIS_MAILBOX__PASSWORD", "secret")

    names = await reader.run(hostile.environment, b"")

    assert set(names) <= {"LC_CTYPE", "PYTHONPATH"}  # The former is Python's own doing.


async def test_killed_while_idle(reader: Reader) -> None:
    """By the kernel when memory is short, say: no message is to blame."""
    pid = await reader.run(hostile.own_pid, b"")
    os.kill(pid, signal.SIGKILL)
    while reader._idle[0].lives:  # Until the loop has heard of it.
        await asyncio.sleep(0)

    assert await reader.run(hostile.own_pid, b"") != pid


async def test_killed_from_outside_in_mid_request(reader: Reader) -> None:
    """The message in hand counts one attempt; the next is read."""
    pid = await reader.run(hostile.own_pid, b"")
    reading = asyncio.create_task(reader.run(hostile.wait, b""))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)

    with pytest.raises(ReaderKilled, match="exit status -9") as killed:
        await reading

    assert killed.value.why == "crash"
    assert await reader.run(hostile.own_pid, b"") != pid


async def test_a_cancelled_request_ends_its_child(reader: Reader) -> None:
    """Else its answer would be taken for that of the next."""
    pid = await reader.run(hostile.own_pid, b"")
    reading = asyncio.create_task(reader.run(hostile.wait, b""))
    await asyncio.sleep(0)
    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading

    assert not is_running(pid)
    assert await reader.run(hostile.own_pid, b"") != pid


async def test_one_at_work_does_not_hold_up_another(reader: Reader) -> None:
    """Two children; more requests wait for their turn."""
    busy = asyncio.create_task(reader.run(hostile.wait, b""))
    await asyncio.sleep(0)

    async with asyncio.timeout(20):
        pids = {await reader.run(hostile.own_pid, b"") for _ in range(5)}

    assert len(pids) == 1
    busy.cancel()
    with pytest.raises(asyncio.CancelledError):
        await busy


async def test_the_end_leaves_no_process() -> None:
    """Whatever was idle is gone."""
    async with Reader() as reader:
        await reader.start()
        pid = await reader.run(hostile.own_pid, b"")

    assert not is_running(pid)


async def test_who_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is gone, or one that does not find the worker's modules."""
    async with Reader() as reader:
        with monkeypatch.context() as broken:
            broken.setattr(sys, "path", ["/nowhere"])
            with pytest.raises(ReaderMissing, match="No module named"):
                await reader.start()
            broken.setattr(sys, "executable", "/nowhere/python")
            with pytest.raises(ReaderMissing, match="No such file"):
                await reader.run(hostile.own_pid, b"")

        assert await reader.run(hostile.own_pid, b"")


MEGABYTE = 1024 * 1024


async def test_the_loop_turns_while_a_bomb_is_read() -> None:
    """50 MB of boundaries go through the pipe in pieces, and are read elsewhere."""
    bomb = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * (50 * MEGABYTE // 4)
    turns: dict[bool, int] = defaultdict(int)

    async def turn() -> None:
        while True:
            turns[reading.done()] += 1
            await asyncio.sleep(0)

    async with Reader(Limits(cpu_seconds=1, cpu_seconds_per_megabyte=0)) as reader:
        reading = asyncio.create_task(
            reader.run(examine, bomb, host=HOSTS["other"], domain="listes.example.fr", account="x")
        )
        turning = asyncio.create_task(turn())
        with suppress(ReaderKilled):  # As it may be.
            await reading
        turning.cancel()

    assert turns[False] > 1000


async def test_it_may_fail_before_it_has_read_all() -> None:
    """Nobody waits for the other: what is too large for its memory is said at once."""
    narrow = Limits(memory_bytes=64 * MEGABYTE, memory_per_byte=0)
    async with Reader(narrow) as reader:
        with pytest.raises(ReaderKilled, match="MemoryError at __main__") as killed:
            await reader.run(hostile.own_pid, b"x" * 64 * MEGABYTE)

    assert killed.value.why == "memory"
