"""What goes through the pipes between the worker and its reading child.

    request   what it may use, then the call, then the message
    answer    whether it went well, how long the pieces are, then the pieces

The call is a pickle: it comes from the worker, whom the child may trust. The
answer is none (worker/reading/values.py).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

REQUEST_HEAD = struct.Struct("!IQQQ")
ANSWER_HEAD = struct.Struct("!?I")
PIECES_LIMIT = 16
_LENGTH = "Q"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """How long the two parts of a request are, and what it may use."""

    cpu_seconds: int
    memory_bytes: int  # Of address space, in all.
    call_bytes: int
    message_bytes: int

    def packed(self) -> bytes:
        """Return what a request begins with."""
        return REQUEST_HEAD.pack(
            self.cpu_seconds, self.memory_bytes, self.call_bytes, self.message_bytes
        )


def answer_lengths(count: int) -> struct.Struct:
    """Return how the lengths of *count* pieces are written."""
    return struct.Struct(f"!{count}{_LENGTH}")


def packed_answer(pieces: list[bytes], *, went_well: bool) -> list[bytes]:
    """Return *pieces* with what precedes them, to be written one after the other."""
    lengths = answer_lengths(len(pieces)).pack(*map(len, pieces))
    return [ANSWER_HEAD.pack(went_well, len(pieces)) + lengths, *pieces]
