"""What happens to a message on its way: bytes changed, cut, doubled and moved."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST = 50_000


def accidents(message: bytes, pieces: Sequence[bytes], *, count: int, seed: int) -> Iterator[bytes]:
    """Yield *count* messages that were *message*; *pieces* are put where they do not belong."""
    chance = random.Random(seed)
    for _ in range(count):
        raw = bytearray(message)
        for _ in range(chance.randint(1, 12)):
            at, to = sorted(chance.choices(range(len(raw) + 1), k=2))
            match chance.randrange(4):
                case 0:
                    raw[at : at + 1] = chance.choice(pieces)
                case 1:
                    del raw[at : min(to, at + 40)]
                case 2:
                    raw[at:at] = raw[at:to]
                case _:
                    raw[at:to] = bytes(chance.randbytes(min(3, to - at)))
            del raw[_LONGEST:]
        yield bytes(raw)
