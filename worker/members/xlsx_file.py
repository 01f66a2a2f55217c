"""Spreadsheets (.xlsx): the only importer of openpyxl.

Read row by row, so that memory does not know their length. Cells become the
text that a CSV would have had; dates become ISO dates.
"""

from __future__ import annotations

import warnings
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time
from itertools import chain, islice
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from worker.members.table import HEADER_ROWS, MemberFileError, Record, Table, below, find_header
from worker.policy.member_map import did_you_mean, folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from worker.policy.member_map import FileSettings

# What openpyxl raises on a workbook that is none, or is damaged.
_BROKEN = (
    InvalidFileException,
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    KeyError,
    ValueError,
    TypeError,
    EOFError,
)


@contextmanager
def xlsx_table(path: Path, settings: FileSettings, wanted: Sequence[str]) -> Iterator[Table]:
    """Open the workbook at *path* at the sheet that the settings name, or the first."""
    # Opened here: openpyxl goes by the name of a file, which may say anything.
    with path.open("rb") as file, warnings.catch_warnings():
        # Of styles and extensions that it does not know; we want text only.
        warnings.filterwarnings("ignore", module="openpyxl")
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        except _BROKEN as error:
            raise _broken(path, error) from error
        try:
            yield _table(path, book, settings, wanted)
        finally:
            book.close()


def _table(
    path: Path,
    book: Any,  # openpyxl has no types.
    settings: FileSettings,
    wanted: Sequence[str],
) -> Table:
    sheet = _sheet(book, settings.sheet)
    length = sheet.max_row or 0
    # Some programs write a wrong one, and openpyxl would believe it.
    sheet.reset_dimensions()
    records = _records(path, sheet)
    first = list(islice(records, max(HEADER_ROWS, settings.header or 0)))
    header = find_header(first, wanted, settings.header)
    if header is None:
        raise MemberFileError(f"sheet {sheet.title} has no such row, or is empty")
    form = f"sheet {sheet.title}"
    if settings.sheet is None and len(book.worksheets) > 1:
        form += f", the first of {len(book.worksheets)}"
    header.require(wanted, form)
    at = [0]

    def counted() -> Iterator[Record]:
        for record in chain(first, records):
            at[0] = record.line
            # A workbook has no cells where nothing was typed.
            missing = len(header.columns) - len(record.cells)
            yield replace(record, cells=[*record.cells, *[""] * missing])

    return Table(
        form=form,
        sample="",
        header_line=header.line,
        columns=header.columns,
        rows=below(header, counted()),
        progress=lambda: min(1.0, at[0] / length) if length > 1 else 0.0,
    )


def _sheet(book: Any, name: str | None) -> Any:
    sheets = {folded(sheet.title): sheet for sheet in book.worksheets}
    if not sheets:
        raise MemberFileError("the workbook has no sheet with rows")
    if name is None:
        return book.worksheets[0]
    if folded(name) not in sheets:
        titles = [sheet.title for sheet in book.worksheets]
        raise MemberFileError(f"[file] sheet: there is no {name}{did_you_mean(name, titles)}")
    return sheets[folded(name)]


def _records(path: Path, sheet: Any) -> Iterator[Record]:
    try:
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = [_text(value) for value in values]
            if any(cells):
                yield Record(number, cells, number)
    except _BROKEN as error:
        raise _broken(path, error) from error


def _text(value: object) -> str:  # noqa: PLR0911 - a table of types
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))  # A number that was typed without a point.
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime():
            return value.isoformat(" ", "seconds")
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _broken(path: Path, error: Exception) -> MemberFileError:
    return MemberFileError(
        f"{path.name} cannot be read as a spreadsheet: {error}; open it and save it again as .xlsx"
    )
