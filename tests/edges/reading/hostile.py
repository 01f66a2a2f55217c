"""What a reader may do when a message has broken it, or taken it over.

A child runs what the worker names, which never is a word of a message; so these
need no door in the worker.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from worker.reading.frames import packed_answer
from worker.reading.values import encode


def own_pid(raw: bytes) -> int:
    """Behave."""
    return os.getpid() + 0 * len(raw)


def environment(raw: bytes) -> tuple[str, ...]:
    """Tell what could be read in its environment."""
    return tuple(sorted(os.environ)) if not raw else ()


def loop(raw: bytes) -> int:
    """Compute for ever."""
    while True:
        raw = raw[::-1]


def wait(_raw: bytes) -> int:
    """Do nothing, for ever."""
    while True:
        signal.pause()


def grow(raw: bytes) -> int:
    """Take all memory that can be had."""
    kept = []
    while True:
        kept.append(bytearray(raw) * 1_000_000)


def fill(raw: bytes) -> int:
    """Write a file."""
    with Path("/tmp/of-a-reader").open("ab", buffering=0) as file:
        return file.write(raw)


def recurse(raw: bytes) -> int:
    """Fall into itself."""
    return recurse(raw)


def leave(_raw: bytes) -> int:
    """Exit."""
    os._exit(0)


def die(_raw: bytes) -> int:
    """End as by a fault of memory."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def blunder(raw: bytes) -> int:
    """Raise what nobody foresaw, with a stranger's words in it."""
    raise KeyError(raw)


def rave(raw: bytes) -> int:
    """Say what is no answer."""
    os.write(sys.stdout.fileno(), raw * 1000)
    return 0


def boast(_raw: bytes) -> int:
    """Announce an answer of a terabyte."""
    os.write(sys.stdout.fileno(), b"\1\0\0\0\1" + (1 << 40).to_bytes(8, "big"))
    return 0


def flood(_raw: bytes) -> int:
    """Say for ever what begins like an answer."""
    while True:
        os.write(sys.stdout.fileno(), b"\1\0\0\0\1\0\0\0\0\0\0\0\1x")


def fall_silent(_raw: bytes) -> int:
    """Close the pipe, and live on."""
    os.close(sys.stdout.fileno())
    return wait(b"")


def slander(_raw: bytes) -> int:
    """Tell of a fault with a stranger's words in it."""
    pieces = packed_answer(encode("KeyError: jean@example.org\0"), went_well=False)
    os.write(sys.stdout.fileno(), b"".join(pieces))
    return 0


def lie(_raw: bytes) -> int:
    """Answer with what was not asked for."""
    return "words"  # type: ignore[return-value] # that is the lie
