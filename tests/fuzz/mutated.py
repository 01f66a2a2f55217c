"""Real messages, mutated, through the whole reader in its child: nothing crashes, nothing stalls.

    python -m tests.fuzz.mutated --count 200000 --seed 1
    python -m tests.fuzz.mutated --show NUMBER --seed 1     the bytes of one of them

Each message is examined, prepared, and its copy looked at. Crashes and kills are
told by the numbers of their messages, with the slowest message and the longest
time for which the event loop did not turn; of that, what the worker itself
computed (the rest is other programs on the machine).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.edges.reading.whole import examined, prepared
from worker.errors import ReaderKilled
from worker.mail.copy import Personal, for_reader, read_template
from worker.reading.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
FOLDERS = ("posts", "malformed", "bounces")
SIZE_LIMIT_BYTES = 200_000
TICK_SECONDS = 0.005
LINE_LIMIT_OCTETS = 998
PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b'"', b"(", b")", b"<", b">", b"@", b";", b"=", b"\\", b"--"),
    *(b"=?utf-8?q?=0ABcc=3A_x?=", b"=?utf-8?b?w6k=?=", b"=?", b"?=", b"\xff", b"\xc3", b"\xe2\x80"),
    *(b"Content-Type: text/html; charset=utf-7\r\n", b"Content-Transfer-Encoding: base64\r\n"),
    *(b"Content-Type: multipart/mixed; boundary=", b"; boundary*0=a; boundary*1=b", b"boundary="),
    *(b"Content-Type: multipart/alternative; boundary=b\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n"),
    *(b"Content-Type: text/plain; format=flowed; delsp=yes\r\n", b"Content-Type: message/rfc822"),
    *(b"From: a@b.fr, c@d.fr\r\n", b"From: x <a@b.fr>\r\n", b"Date: 99 Foo -1\r\n", b"\r\n.\r\n"),
    *(b"References: <a@b> <c@d>\r\n", b"\r\n\t", b"</body>", b"<!--", b"<style>", b"-- \r\n"),
    *(b"\0U\0", b"\0?fr\0", b"\0M1t\0"),
    *(b"a" * 2000, b" " * 500, b"(" * 300, b"<" * 300, b'"' * 301, b"a@b.fr, " * 200),
)  # fmt: skip


@dataclass
class Figures:
    """What came of a run."""

    count: int = 0
    broken: dict[int, str] = field(default_factory=dict)  # By number: killed, or a bad copy.
    slowest_seconds: float = 0.0
    slowest: int = 0
    stall_seconds: float = 0.0
    stall_own_seconds: float = 0.0  # The most that the worker computed between two turns.


def seeds() -> list[bytes]:
    """Return the messages of the corpus, in a fixed order."""
    files = sorted(file for name in FOLDERS for file in (CORPUS / name).rglob("*.eml"))
    return [file.read_bytes()[:SIZE_LIMIT_BYTES] for file in files]


def mutant(number: int, originals: Sequence[bytes], *, seed: int) -> bytes:
    """Return message *number*: one of the originals with a few accidents."""
    chance = random.Random(f"{seed}:{number}")
    raw = bytearray(chance.choice(originals))
    # Most of what is read stands in the header.
    end = raw.find(b"\n\r\n") + 1 or raw.find(b"\n\n") + 1 or len(raw)
    for _ in range(chance.randint(1, 8)):
        reach = end if chance.random() < 0.7 else len(raw)
        at, to = sorted(chance.choices(range(min(reach, len(raw)) + 1), k=2))
        match chance.randrange(6):
            case 0:
                raw[at:at] = chance.choice(PIECES)
            case 1:
                raw[at : at + 1] = chance.choice(PIECES)
            case 2:
                del raw[at : min(to, at + 200)]
            case 3:
                raw[at:at] = raw[at:to]
            case 4:
                raw[at : at + 3] = chance.randbytes(3)
            case _:
                other = chance.choice(originals)
                begin = chance.randrange(len(other) + 1)
                raw[at:at] = other[begin : begin + 400]
        del raw[SIZE_LIMIT_BYTES:]
    return bytes(raw)


async def run(
    count: int, *, seed: int, progress: Callable[[int], None] = lambda _number: None
) -> Figures:
    """Read *count* messages; *progress* is told of each."""
    figures, originals = Figures(), seeds()
    async with Reader() as reader:
        await reader.start()
        with _watched(figures):
            for number in range(count):
                begun = time.perf_counter()
                wrong = await _read(reader, mutant(number, originals, seed=seed))
                taken = time.perf_counter() - begun
                figures.count += 1
                progress(figures.count)
                if wrong:
                    figures.broken[number] = wrong
                if taken > figures.slowest_seconds:
                    figures.slowest_seconds, figures.slowest = taken, number
    return figures


async def _read(reader: Reader, raw: bytes) -> str:
    """Read one message; return what is wrong with the reading."""
    try:
        seen = await examined(reader, raw)
        template = await prepared(reader, raw, seen if seen.author else None)
    except ReaderKilled as killed:
        return str(killed)
    personal = Personal(b"r" * 32, b"u" * 32, "a@b.fr")
    return wrong_with(read_template(for_reader(template, "fr")).copy(personal))


def wrong_with(copy: bytes) -> str:
    """Name what no copy may have on the wire, or ""."""
    header = copy.partition(b"\r\n\r\n")[0]
    lines = header.split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines if line[:1] not in (b" ", b"\t")]
    faults = {
        "a NUL": b"\0" in copy,
        "a bare line end": len({copy.count(end) for end in (b"\r", b"\n", b"\r\n")}) > 1,
        "a dot": b"\r\n.\r\n" in copy,
        "8 bits in the header": not header.isascii(),
        "a long line": max(map(len, lines)) > LINE_LIMIT_OCTETS,
        "a field twice": len(set(names)) != len(names),
        "no From": b"from" not in names,
    }
    return ", ".join(name for name, holds in faults.items() if holds)


@contextmanager
def _watched(figures: Figures) -> Iterator[None]:
    """Note how long the loop does not turn, until the end."""
    watching = asyncio.get_running_loop().create_task(_watch(figures))
    try:
        yield
    finally:
        watching.cancel()


async def _watch(figures: Figures) -> None:
    while True:
        begun, computed = time.perf_counter(), time.thread_time()
        await asyncio.sleep(TICK_SECONDS)
        late = time.perf_counter() - begun - TICK_SECONDS
        figures.stall_seconds = max(figures.stall_seconds, late)
        own = min(late, time.thread_time() - computed)
        figures.stall_own_seconds = max(figures.stall_own_seconds, own)


def _told(found: Figures, seconds: float) -> str:
    lines = [
        f"{found.count} messages in {seconds:.0f} s, {len(found.broken)} broken",
        f"slowest: {found.slowest_seconds * 1000:.0f} ms, number {found.slowest}",
        f"the loop stood for {found.stall_seconds * 1000:.1f} ms at most",
        f"it computed for {found.stall_own_seconds * 1000:.1f} ms at most",
        *(f"  {number}: {why}" for number, why in list(found.broken.items())[:50]),
    ]
    return "\n".join(lines) + "\n"


def _progress(number: int) -> None:
    if number % 5_000 == 0:
        sys.stderr.write(f"\r{number:,} read")


def main() -> int:
    """Read as many as were asked for, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int)
    asked = parser.parse_args()
    if asked.show is not None:
        sys.stdout.buffer.write(mutant(asked.show, seeds(), seed=asked.seed))
        return 0
    begun = time.perf_counter()
    found = asyncio.run(run(asked.count, seed=asked.seed, progress=_progress))
    sys.stderr.write("\n")
    sys.stdout.write(_told(found, time.perf_counter() - begun))
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
