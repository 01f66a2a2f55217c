"""Tables in plain text: set in from the margin, their columns three spaces apart.

    Orange   221   Friday, about 3 am   (Orange accepts only 100 messages a day)

A name, a number, what is said of it, and a note in brackets, which few rows have.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SET_IN = "  "
_APART = "   "
_BETWEEN = re.compile(r" {2,}")
_NUMBERS = 1  # The column that is aligned on the right.


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return *rows* under each other; only the last of their cells may be empty."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return "\n".join(
        (SET_IN + _APART.join(map(_padded, range(len(widths)), row, widths))).rstrip()
        for row in rows
    )


def cells_of(lines: Sequence[str]) -> list[tuple[list[str], str]]:
    """Return the cells and the note of each of *lines*; [] if they are no table."""
    rows = [_read(line) for line in lines]
    widths = {len(cells) for cells, _ in rows}
    return rows if len(widths) == 1 and widths.pop() > 1 else []


def _read(line: str) -> tuple[list[str], str]:
    cells = _BETWEEN.split(line.strip())
    if len(cells) > 1 and cells[-1].startswith("(") and cells[-1].endswith(")"):
        return cells[:-1], cells[-1]
    return cells, ""


def _padded(column: int, cell: str, width: int) -> str:
    return cell.rjust(width) if column == _NUMBERS else cell.ljust(width)
