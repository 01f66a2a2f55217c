"""CSV files, as spreadsheets and member databases of all kinds write them.

Python's csv module forgives a quote that is never closed, and takes what
follows for one cell: members would be lost, and then set inactive. Such a file
is refused here.
"""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from worker.members.encoding import find_encoding
from worker.members.table import (
    HEADER_ROWS,
    MemberFileError,
    Record,
    Table,
    below,
    find_header,
    is_blank,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from worker.members.table import Header
    from worker.policy.member_map import FileSettings

_SEPARATORS = (";", ",", "\t")
_SEPARATOR_NAMES = {"\t": "tab"}
_SAMPLE_CHARACTERS = 256 * 1024
_LINES_PER_ROW = 50  # An address takes four lines; a quote that is not closed, all.


@contextmanager
def csv_table(path: Path, settings: FileSettings, wanted: Sequence[str]) -> Iterator[Table]:
    """Open the file at *path*, which is text."""
    encoding = find_encoding(path, settings.encoding)
    size = path.stat().st_size or 1
    with (
        path.open("rb") as raw,
        # What cannot be read is replaced, and remarked upon in the row it is in.
        io.TextIOWrapper(raw, encoding.codec, errors="replace", newline="") as text,
    ):
        separator, header = _find_separator(text.read(_SAMPLE_CHARACTERS), settings, wanted)
        form = f"{encoding.name}, separator {_SEPARATOR_NAMES.get(separator, separator)}"
        header.require(wanted, form)
        text.seek(0)
        records = _refusing_open_quotes(_records(text, separator), len(header.columns))
        yield Table(
            form=form,
            sample=encoding.sample,
            header_line=header.line,
            columns=header.columns,
            rows=below(header, records),
            progress=lambda: raw.tell() / size,
        )


def _find_separator(
    sample: str, settings: FileSettings, wanted: Sequence[str]
) -> tuple[str, Header]:
    """Return the separator that makes a header of the first lines, and that header."""
    found: list[tuple[str, Header]] = []
    length = max(HEADER_ROWS, settings.header or 0)
    broken: MemberFileError | None = None
    for separator in [settings.separator] if settings.separator else _SEPARATORS:
        first: list[Record] = []
        try:
            first.extend(islice(_records(io.StringIO(sample, newline=""), separator), length))
        except MemberFileError as error:  # Behind the header it is met again.
            broken = error
        if header := find_header(first, wanted, settings.header):
            found.append((separator, header))
    if not found and broken:
        raise broken
    if not found:
        raise MemberFileError(
            f"line {settings.header} of the file is not there: mend [file] header"
            if settings.header
            else "the file is empty"
        )
    return max(found, key=lambda pair: (pair[1].matches, len(pair[1].columns)))


class _Lines:
    """The lines of a file, counted, with the quotes in them."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.number = 0
        self.quotes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.quotes += line.count('"')
        return line


def _records(lines: Iterable[str], separator: str) -> Iterator[Record]:
    counted = _Lines(lines)
    reader = csv.reader(counted, delimiter=separator)
    while True:
        first, counted.quotes = counted.number + 1, 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _open_quote(first, counted.number, str(error)) from error
        if counted.number - first >= _LINES_PER_ROW or (
            counted.number > first and counted.quotes % 2
        ):
            raise _open_quote(first, counted.number, "a quote is opened there and not closed")
        yield Record(first, cells, counted.number)


def _refusing_open_quotes(records: Iterator[Record], width: int) -> Iterator[Record]:
    for record in records:
        is_whole = len(record.cells) >= width and is_blank(record.cells[width:])
        if record.last_line > record.line and not is_whole:
            why = f"they make {len(record.cells)} cells for {width} columns"
            raise _open_quote(record.line, record.last_line, why)
        yield record


def _open_quote(first: int, last: int, why: str) -> MemberFileError:
    return MemberFileError(
        f"lines {first} to {last} are read as one row, and cannot be one: {why};"
        " mend the quotes on the first of them"
    )
