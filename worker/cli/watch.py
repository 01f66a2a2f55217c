"""``--watch``: look again and again, until Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from typer.core import TyperCommand

from worker.cli.show import on_terminal, print_blocks
from worker.errors import StoreLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Group

    from worker.cli.show import Block

WatchOption = Annotated[
    float | None,
    typer.Option(
        "--watch", metavar="[SECONDS]", min=0.1, help="Look again every 2 seconds, or as said."
    ),
]

_SECONDS = "2"


class WatchedCommand(TyperCommand):
    """A command whose ``--watch`` may stand without a number: typer knows no such option."""

    # Any: which click it is depends on typer: 0.29 has its own.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, with the number that was left out."""
        return super().parse_args(ctx, with_seconds(args))


def with_seconds(arguments: Sequence[str]) -> list[str]:
    """Write the number behind a ``--watch`` that has none."""
    filled: list[str] = []
    for index, argument in enumerate(arguments):
        filled.append(argument)
        following = arguments[index + 1 : index + 2]
        if argument == "--watch" and (not following or following[0].startswith("-")):
            filled.append(_SECONDS)
    return filled


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen, when, and what has gone wrong since."""

    blocks: Sequence[Block]
    at: datetime
    trouble: str = ""


def watch(see: Callable[[], Sequence[Block]], *, seconds: float) -> None:
    """Show what *see* returns, again and again, until Ctrl-C.

    A database that goes away is told in the view. One that was not there at the
    start raises: then it is probably the wrong one.
    """
    show = _on_terminal if sys.stdout.isatty() else _one_after_the_other
    with contextlib.suppress(KeyboardInterrupt):
        show(_looks(see, seconds), seconds)


def _looks(see: Callable[[], Sequence[Block]], seconds: float) -> Iterator[_Look]:
    look = _Look(see(), datetime.now(UTC))
    while True:
        yield look
        time.sleep(seconds)
        try:
            look = _Look(see(), datetime.now(UTC))
        except StoreLost as lost:
            look = _Look(look.blocks, look.at, str(lost))


def _on_terminal(looks: Iterator[_Look], seconds: float) -> None:
    first = next(looks)  # What fails here is told on the screen that stays.
    with Live(_shown(first, seconds), screen=True, auto_refresh=False) as live:
        live.refresh()
        for look in looks:
            live.update(_shown(look, seconds), refresh=True)


def _shown(look: _Look, seconds: float) -> Group:
    lines = [f"{_clock(look.at)}, every {seconds:g} s; Ctrl-C ends"]
    if look.trouble:
        lines = [f"{look.trouble}; trying again. What follows is of {_clock(look.at)}."]
    return on_terminal([*lines, *look.blocks])


def _one_after_the_other(looks: Iterator[_Look], _seconds: float) -> None:
    for look in looks:
        if look.trouble:
            print(f"{_clock(datetime.now(UTC))}  {look.trouble}; trying again.\n", flush=True)
            continue
        print(_clock(look.at))
        print_blocks(look.blocks)
        print(flush=True)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
