"""How long the pages take over tokens that are none, by how wrong they are.

    python -m tests.bench.tokens [--requests 3000]

Kinds are asked in turns over one connection. Two kinds whose times overlap as
much as two halves of one kind do cannot be told apart by a clock.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections import Counter, defaultdict
from time import perf_counter

from tests.edges.web.directory import MemoryDirectory, NoDecisions, NoPostings, stands_for
from tests.edges.web.visitor import SITE, Visitor, open_door, visiting
from worker.mail.return_address import Purpose, Tokens, subscriber_number
from worker.telemetry.log import configure_logging
from worker.telemetry.metrics import Metrics
from worker.web.pages import build_app

_TOKENS = Tokens(SITE.secrets)
_NUMBER = subscriber_number(7, 12)
_STANDS_FOR = stands_for(7, 12)
_GENUINE = _TOKENS.sign(Purpose.UNSUBSCRIBE, _NUMBER, stands_for=_STANDS_FOR).decode()
_OTHER = "b" if _GENUINE[-1] == "a" else "a"
KINDS = {
    "forged": "k7" * 16,
    "forged again": "m3" * 16,
    "last letter": _GENUINE[:-1] + _OTHER,
    "other purpose": _TOKENS.sign(Purpose.RETURN, _NUMBER).decode(),
    "other site": Tokens((b"x" * 32,))
    .sign(Purpose.UNSUBSCRIBE, _NUMBER, stands_for=_STANDS_FOR)
    .decode(),
    "truncated": _GENUINE[:-1],
}
_BIN_MICROSECONDS = 10


async def _times(visitor: Visitor, requests: int) -> dict[str, list[float]]:
    times = defaultdict(list)
    for _ in range(requests):
        for kind, token in KINDS.items():
            began = perf_counter()
            answer = await visitor.ask("GET", f"/u/{token}")
            times[kind].append(1e6 * (perf_counter() - began))
            if answer.status != 404:
                raise AssertionError(f"{kind} is genuine")
    return times


def overlap(some: list[float], others: list[float]) -> float:
    """Return which part of two distributions is the same, from 0 to 1."""
    one, two = (Counter(round(t / _BIN_MICROSECONDS) for t in times) for times in (some, others))
    return sum(min(one[b] / len(some), two[b] / len(others)) for b in one | two)


async def main(requests: int) -> None:
    """Print the table."""
    app = build_app(
        tokens=_TOKENS,
        directory=MemoryDirectory({7: "Comité"}, {12: "jean@orange.fr"}),
        decisions=NoDecisions(),
        postings=NoPostings(),
        metrics=Metrics(),
        site=SITE,
        door=open_door(),
    )
    async with visiting(app) as visitor:
        await _times(visitor, requests // 10)  # Whatever is slow at first.
        times = await _times(visitor, requests)
    first = times["forged"]
    print(
        f"{'kind':15} {'5 %':>7} {'median':>7} {'95 %':>7}  overlap with forged ({requests} each)"
    )
    for kind, taken in times.items():
        cuts = statistics.quantiles(taken, n=20)
        print(
            f"{kind:15} {cuts[0]:7.0f} {cuts[9]:7.0f} {cuts[18]:7.0f}  {overlap(first, taken):.2f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    configure_logging(b"k" * 32, level="WARNING")
    asyncio.run(main(parser.parse_args().requests))
