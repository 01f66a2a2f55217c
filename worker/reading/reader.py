"""The reader: readers of foreign bytes, run in children that are killed when they take too much.

A child starts in a fifth of a second and is kept for as long as it behaves. After
anything else than an answer in time it is killed and replaced: whatever the
message did to it is gone with it. Two children at most, so that the mail of
others goes on while one of them is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import re
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from worker.errors import ReaderKilled, ReaderMissing
from worker.reading.frames import ANSWER_HEAD, PIECES_LIMIT, RequestHead, answer_lengths
from worker.reading.values import answer_type, decode

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from asyncio.subprocess import Process
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from worker.errors import KillReason

P = ParamSpec("P")
T = TypeVar("T")

_CHILDREN = 2
_MEGABYTE = 1024 * 1024
_CHUNK_BYTES = 256 * 1024  # What is written or read between two turns of the loop.
_ENDING_SECONDS = 2.0
_FAULT = re.compile(r"\w{1,60} at [\w<>.-]{1,60}:\d{1,6}")
_START_SECONDS, _START_LIMIT_BYTES = 60.0, 100


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one message may take. The CPU is the law, the clock is for what only waits.

    Preparing takes most: 50 MB of text 5.3 seconds and 700 MB, 50 MB of attachments
    0.9 seconds and 320 MB. The interpreter itself has 26 MB.
    """

    cpu_seconds: int = 2
    cpu_seconds_per_megabyte: float = 0.2
    clock_seconds: float = 20.0
    clock_seconds_per_megabyte: float = 1.0
    memory_bytes: int = 256 * _MEGABYTE
    memory_per_byte: int = 12
    answer_bytes: int = 2 * _MEGABYTE
    answer_per_byte: int = 4

    def head(self, call: bytes, raw: bytes) -> RequestHead:
        """Return the head of the request to *call* a reader for *raw*."""
        size = len(raw)
        cpu = self.cpu_seconds + round(self.cpu_seconds_per_megabyte * size / _MEGABYTE)
        memory = self.memory_bytes + self.memory_per_byte * size
        return RequestHead(cpu, memory, len(call), size)

    def clock(self, size: int) -> float:
        """Return how long to wait for an answer about *size* bytes."""
        return self.clock_seconds + self.clock_seconds_per_megabyte * size / _MEGABYTE

    def answer(self, size: int) -> int:
        """Return how long an answer about *size* bytes may be."""
        return self.answer_bytes + self.answer_per_byte * size


class Reader:
    """Runs pure functions of a message's bytes where they can do no harm."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turns = asyncio.Semaphore(_CHILDREN)
        self._idle: list[_Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Have a child ready. ReaderMissing says why there can be none."""
        self._idle.append(await _Child.start())

    async def close(self) -> None:
        """End the children that are idle; those at work end with their requests."""
        while self._idle:
            await self._idle.pop().end()

    async def run(
        self,
        read: Callable[Concatenate[bytes, P], T],
        raw: bytes,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what *read* says of *raw*; *read* must be a function of a module.

        ReaderKilled says that it took too much, or that something broke.
        """
        call = pickle.dumps((read, args, kwargs))
        async with self._turns:
            child = await self._child()
            try:
                answer = await child.ask(call, raw, self._limits)
                found = _understood(answer, answer_type(read))
            except BaseException:  # A cancelled request leaves a child in the midst of it.
                await child.end()
                raise
            self._idle.append(child)
            return found

    async def _child(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.lives:
                return child
            await child.end()
        return await _Child.start()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a child says, not understood yet."""

    went_well: bool
    pieces: list[bytes]


class _Child:
    """One process that reads, and the pipes to it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        # Both are pipes: it was started so.
        self._requests = cast("StreamWriter", process.stdin)
        self._answers = cast("StreamReader", process.stdout)

    @classmethod
    async def start(cls) -> _Child:
        """Start a child, and wait for its first word."""
        try:
            # Its environment is empty but for where our modules are.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-s", "-m", "worker.reading"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_CHUNK_BYTES,
                env={"PYTHONPATH": ":".join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for the worker, which finishes what it holds.
            )
        except OSError as error:
            raise ReaderMissing(f"the reading process cannot be started: {error}") from error
        child = cls(process)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await child._receive(_START_LIMIT_BYTES)
        except (TimeoutError, EOFError, OSError, ValueError) as error:
            why = await child.end()
            raise ReaderMissing(f"the reading process does not start: {why}") from error
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def lives(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self._process.returncode is None and not self._answers.at_eof()

    async def ask(self, call: bytes, raw: bytes, limits: Limits) -> _Answer:
        """Send a request and return its answer."""
        try:
            async with asyncio.timeout(limits.clock(len(raw))):
                # It may answer, and end, before it has read everything.
                with contextlib.suppress(ConnectionError):
                    await self._send(limits.head(call, raw).packed() + call)
                    await self._send(raw)
                return await self._receive(limits.answer(len(raw)))
        except TimeoutError:
            raise ReaderKilled("time", "no answer") from None
        except ValueError as error:
            raise ReaderKilled("nonsense", str(error)) from None
        except (EOFError, OSError):
            raise _killed_by(await self._status()) from None

    async def end(self) -> str:
        """Kill it, wait until it is gone, and return the last line that it wrote to stderr."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._requests.close()
        _, said = await self._process.communicate()
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self._process.returncode}"

    async def _status(self) -> int:
        """Return how it ended, of which its closed pipe tells; it may only seem so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):
                return await self._process.wait()
        await self.end()
        return -signal.SIGKILL

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)
        for at in range(0, len(view), _CHUNK_BYTES):
            self._requests.write(view[at : at + _CHUNK_BYTES])
            await self._requests.drain()

    async def _receive(self, limit: int) -> _Answer:
        """Return the next answer. ValueError if it is longer than *limit* bytes, or none."""
        went_well, count = ANSWER_HEAD.unpack(await self._read(ANSWER_HEAD.size))
        if not 0 < count <= PIECES_LIMIT:
            raise ValueError("no answer begins like this")
        lengths = answer_lengths(count)
        sizes = lengths.unpack(await self._read(lengths.size))
        if sum(sizes) > limit:
            raise ValueError("too long an answer")
        return _Answer(went_well, [await self._read(size) for size in sizes])

    async def _read(self, size: int) -> bytes:
        chunks: list[bytes] = []
        while size:
            chunk = await self._answers.read(min(size, _CHUNK_BYTES))
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)


def _understood(answer: _Answer, expected: type[T]) -> T:
    try:
        if answer.went_well:
            return decode(answer.pieces, expected)
        fault = decode(answer.pieces, str)
    except ValueError as error:
        raise ReaderKilled("nonsense", str(error)) from None
    if not _FAULT.fullmatch(fault):  # It goes into the log and the database.
        raise ReaderKilled("nonsense", "no fault is called this")
    why: KillReason = "memory" if fault.startswith("MemoryError") else "crash"
    raise ReaderKilled(why, fault)


def _killed_by(status: int) -> ReaderKilled:
    """Return what an exit status says: the kernel ends what has used its seconds up."""
    if status == -signal.SIGXCPU:
        return ReaderKilled("time", "all its CPU seconds used")
    return ReaderKilled("crash", f"exit status {status}")
