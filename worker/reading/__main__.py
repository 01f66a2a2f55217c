"""The child: it reads what it is given, and says what it found, until its input ends.

It trusts whoever started it, and nobody trusts it: it was given no secret, has no use
for a connection, and what it says is checked. It is limited, and runs as the user
that the worker runs as: what confines that one confines it. A fault is told by its
kind and place alone, for what was read is personal.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import resource
import sys
import traceback
from typing import IO

# What is read here most; imported now, because later it would cost a message's time.
import worker.mail.examination
import worker.mail.preparation  # noqa: F401
from worker.reading.frames import REQUEST_HEAD, RequestHead, packed_answer
from worker.reading.values import encode

_OPEN_FILES = 16  # Codecs and the list of public suffixes are read when they are wanted.


def main() -> None:
    """Serve one request after the other; what has failed ends with it."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    _confine()
    _write(answers, packed_answer(encode(os.getpid()), went_well=True))
    went_well = True
    while went_well and (head := requests.read(REQUEST_HEAD.size)):
        went_well = _serve(RequestHead(*REQUEST_HEAD.unpack(head)), requests, answers)


def _confine() -> None:
    """Give up what reading does not need, for good."""
    # Whatever it says from now on may be a stranger's words.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        _limit(limit, most, hard=most)


def _limit(limit: int, most: int, hard: int) -> None:
    # macOS has limits that it cannot set; the clock of the worker remains.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(limit, (most, hard))


def _allow(head: RequestHead) -> None:
    """Set what one request may use."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = math.ceil(used.ru_utime + used.ru_stime) + head.cpu_seconds
    for limit, most in ((resource.RLIMIT_CPU, cpu), (resource.RLIMIT_AS, head.memory_bytes)):
        _limit(limit, most, hard=resource.getrlimit(limit)[1])


def _serve(head: RequestHead, requests: IO[bytes], answers: IO[bytes]) -> bool:
    """Answer one request, and return whether it went well."""
    try:
        _allow(head)
        read, args, kwargs = pickle.loads(requests.read(head.call_bytes))  # noqa: S301 - the worker's own
        raw = requests.read(head.message_bytes)
        pieces, went_well = encode(read(raw, *args, **kwargs)), True
    except Exception as error:  # noqa: BLE001 - the top of this process, which ends by it
        pieces, went_well = encode(_described(error)), False
    _write(answers, packed_answer(pieces, went_well=went_well))
    return went_well


def _described(error: Exception) -> str:
    """Return what went wrong, and where; never what was read."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {os.path.basename(frame.filename)}:{frame.lineno}"  # noqa: PTH119 - pathlib costs time at each start


def _write(answers: IO[bytes], pieces: list[bytes]) -> None:
    for piece in pieces:
        answers.write(piece)
    answers.flush()


if __name__ == "__main__":
    main()
