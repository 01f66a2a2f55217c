"""A file as a table: its columns, and the rows below them.

Which row has the names of the columns is found out from the columns that the
map wants. Nothing is dropped but blank rows and the header when it comes again.
Raises MemberFileError.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.errors import WorkerError
from worker.policy.member_map import did_you_mean, folded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HEADER_ROWS = 30  # Titles and empty lines may stand above the header.


class MemberFileError(WorkerError):
    """The file cannot be read as it is; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row as the file has it; *last_line* is where its last cell ends."""

    line: int
    cells: Sequence[str]
    last_line: int


@dataclass(frozen=True, slots=True)
class Table:
    """What was found out about a file, and its rows, to be read once."""

    form: str  # "windows-1252, separator ;" or "sheet Licences", for people.
    sample: str  # Words by which to see whether the encoding is right, or "".
    header_line: int
    columns: tuple[str, ...]
    rows: Iterator[Record]
    progress: Callable[[], float]  # From 0 to 1.


@dataclass(frozen=True, slots=True)
class Header:
    """The row with the names of the columns."""

    line: int
    columns: tuple[str, ...]
    matches: int  # How many of the columns that are wanted it has.

    def require(self, wanted: Sequence[str], form: str) -> None:
        """Refuse a file, read as *form*, that lacks one of the *wanted* columns."""
        have = {folded(name) for name in self.columns}
        lacking = [name for name in wanted if folded(name) not in have]
        if lacking:
            told = [f"the file has no column {name}{self._hint(name)}" for name in lacking]
            columns = ", ".join(name for name in self.columns if name)
            raise MemberFileError(
                "\n".join([*told, f"line {self.line} ({form}) has the columns {columns}"])
            )

    def _hint(self, name: str) -> str:
        if folded(f"{name}#1") in {folded(column) for column in self.columns}:
            return f": it has several; write {name}#1 for the first"
        hint = did_you_mean(name, [column for column in self.columns if column])
        return hint if hint.startswith(":") else ""


def find_header(
    records: Sequence[Record], wanted: Sequence[str], line: int | None
) -> Header | None:
    """Return the row that has most of the *wanted* columns, or the one on *line*."""
    headers = [
        _header(record, wanted)
        for record in records
        if (record.line == line if line is not None else not is_blank(record.cells))
    ]
    # Of rows without any, the widest is shown to whoever has to mend the map.
    return max(headers, key=lambda h: (h.matches, len(h.columns), -h.line), default=None)


def _header(record: Record, wanted: Sequence[str]) -> Header:
    names = [" ".join(cell.split()) for cell in record.cells]
    while names and not names[-1]:
        names.pop()
    often = Counter(folded(name) for name in names if name)
    seen: Counter[str] = Counter()
    columns = []
    for name in names:
        seen[folded(name)] += 1
        nth = seen[folded(name)]
        columns.append(f"{name}#{nth}" if often[folded(name)] > 1 else name)
    have = {folded(name) for name in columns}
    return Header(record.line, tuple(columns), sum(folded(name) in have for name in wanted))


def below(header: Header, records: Iterator[Record]) -> Iterator[Record]:
    """Give the rows after *header*, without blank ones and without itself again."""
    names: list[str] | None = None
    for record in records:
        if record.line == header.line:
            names = [cell.strip() for cell in record.cells]
        elif names is not None and not is_blank(record.cells):
            if record.cells[0].strip() == names[0] and _same(record.cells, names):
                continue
            yield record


def _same(cells: Sequence[str], names: Sequence[str]) -> bool:
    return [cell.strip() for cell in cells] == list(names)


def is_blank(cells: Sequence[str]) -> bool:
    """Tell whether a row has nothing in it."""
    return not any(cell and not cell.isspace() for cell in cells)
