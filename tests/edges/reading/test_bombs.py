"""Mail made to break what reads it, through a real child: read in time, or killed in time."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.edges.reading import hostile
from tests.edges.reading.whole import examined, prepared
from worker.errors import ReaderKilled
from worker.reading.reader import Limits, Reader

MEGABYTE = 1024 * 1024
# Less than the worker allows, so that what has to be killed is killed soon.
LIMITS = Limits(cpu_seconds=1, cpu_seconds_per_megabyte=0)

HEAD = b"Delivered-To: tous@listes.example.fr\r\nFrom: a@b.fr\r\nSubject: x\r\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def nested(depth: int) -> bytes:
    """Write a multipart within a multipart within a multipart ..."""
    level = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"
    return HEAD + b"".join(level % (at, at) for at in range(depth)) + b"\r\nx\r\n"


BOMBS = {
    "200,000 parts": MIXED + b"--b\r\n\r\nx\r\n" * 200_000 + b"--b--\r\n",
    "depth of 2,000": nested(2000),
    "50 MB of boundaries": MIXED + b"--b\r\n" * (10 * MEGABYTE),
    "50 MB of almost boundaries": MIXED + b"\r\n--bx" * (8 * MEGABYTE),
    "50 MB of empty lines": HEAD + b"\r\n" * (25 * MEGABYTE),
    "20 kB of quotes": b"From: " + b'"' * 20_000 + b"\r\n\r\nx",
    "10,000 parameters": HEAD + b"Content-Type: a/b" + b";\r\n p*1=x" * 10_000 + b"\r\n\r\nx",
    "8,000 addresses": HEAD + b"To: a@b.fr" + b",\r\n u@listes.example.fr" * 8000 + b"\r\n\r\nx",
    "3,000 comments": HEAD + b"To: " + b"(" * 3000 + b")" * 3000 + b"a@b.fr\r\n\r\nx",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
async def test_a_bomb_harms_nobody(bomb: bytes) -> None:
    """It is read, or what it wanted too much of is said; others are read after it."""
    async with Reader(LIMITS) as reader:
        with suppress(ReaderKilled):
            assert set((await examined(reader, bomb)).local_parts) <= {"tous", "u"}
        with suppress(ReaderKilled):
            assert b"\r\nList-Id: " in await prepared(reader, bomb)
        assert await reader.run(hostile.own_pid, b"")


@pytest.mark.parametrize("bomb", [b for b in BOMBS.values() if len(b) < 3 * MEGABYTE])
async def test_a_small_bomb_is_read(bomb: bytes) -> None:
    """What is not large has nothing in it that takes seconds."""
    async with Reader() as reader:
        seen = await examined(reader, bomb)

    assert len(seen.fingerprint) == 32
