"""How answers look: one JSON object for scripts, plain lines and tables for people."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

SCHEMA = 1

_AGES = (
    (timedelta(days=2), timedelta(days=1), "d"),
    (timedelta(hours=2), timedelta(hours=1), "h"),
    (timedelta(minutes=2), timedelta(minutes=1), "min"),
)


def print_json(answer: Mapping[str, object]) -> None:
    """Print *answer* as one object, times as RFC 3339 in UTC."""
    print(json.dumps({"schema": SCHEMA, **answer}, default=_json, ensure_ascii=False, indent=2))


def _json(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    raise TypeError(f"{value!r} has no place in an answer")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows under the names of their columns; numbers stand to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def without_empty(self, optional: Container[str]) -> Rows:
        """Leave out those *optional* columns in which no row has anything."""
        kept = [
            index
            for index, name in enumerate(self.columns)
            if name not in optional or any(row[index] not in _EMPTY for row in self.rows)
        ]
        return Rows(
            [self.columns[index] for index in kept],
            [[row[index] for index in kept] for row in self.rows],
        )

    @property
    def texts(self) -> list[list[str]]:
        """The cells as they are shown."""
        return [[visible("" if cell is None else str(cell)) for cell in row] for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """Which columns have numbers and nothing else."""
        cells = [[row[index] for row in self.rows] for index in range(len(self.columns))]
        return [
            all(isinstance(cell, int) or cell in _EMPTY for cell in column)
            and any(isinstance(cell, int) for cell in column)
            for column in cells
        ]


Block: TypeAlias = "Rows | str"
_EMPTY = (None, "")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print *rows* under the names of their *columns*."""
    print_blocks([Rows(columns, rows)])


def print_blocks(blocks: Sequence[Block]) -> None:
    """Print tables and lines under each other."""
    if sys.stdout.isatty():
        Console().print(on_terminal(blocks))
        return
    for block in blocks:
        if isinstance(block, Rows):
            _print_plain([block.columns, *block.texts], block.numeric)
        else:
            print(visible(block))


def on_terminal(blocks: Sequence[Block]) -> Group:
    """Return what a terminal shows, as wide as it is."""
    # Text: what is in brackets is no markup.
    return Group(
        *(
            _table(block) if isinstance(block, Rows) else Text(visible(block), overflow="fold")
            for block in blocks
        )
    )


def _table(block: Rows) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, is_number in zip(block.columns, block.numeric, strict=True):
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in block.texts:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _print_plain(lines: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    """Print for a file or a pipe, where no width limits a line."""
    widths = [max(len(line[index]) for line in lines) for index in range(len(numeric))]
    for line in lines:
        cells = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, numeric, strict=True)
        ]
        print("  ".join(cells).rstrip())


def print_facts(facts: Mapping[str, str]) -> None:
    """Print one fact a line, under each other."""
    width = max(len(name) for name in facts)
    for name, fact in facts.items():
        print(f"{name.ljust(width)}  {visible(fact)}".rstrip())


def visible(text: str) -> str:
    """Replace what a terminal would obey instead of show; subjects come from strangers."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def when(moment: datetime | None, now: datetime) -> str:
    """Tell a time to come, in the reader's time zone."""
    if moment is None:
        return "not in sight"
    if moment <= now:
        return "now"
    local, today = moment.astimezone(), now.astimezone()
    if local.date() == today.date():
        return f"today {local:%H:%M %Z}"
    return f"{local:%a %d %b, %H:%M %Z}" if local.year == today.year else f"{local:%d %b %Y}"


def age(since: datetime | None, now: datetime) -> str:
    """Tell how long ago *since* was."""
    if since is None:
        return ""
    for least, unit, name in _AGES:
        if now - since >= least:
            return f"{(now - since) // unit} {name}"
    return f"{max(0, int((now - since).total_seconds()))} s"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write ``1 posting`` and ``2 postings``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
