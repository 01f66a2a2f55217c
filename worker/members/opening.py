"""Open a member file, whatever it is: its first bytes say so, not its name."""

from __future__ import annotations

import hashlib
import tomllib
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from worker.errors import ConfigError
from worker.members.csv_file import csv_table
from worker.members.table import MemberFileError
from worker.policy.member_map import read_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from worker.members.table import Table
    from worker.policy.member_map import FileSettings, MemberMap

# Also the envelope of a workbook with a password.
_OLD_OFFICE = bytes.fromhex("d0cf11e0a1b11ae1")


def read_map_file(path: Path) -> MemberMap:
    """Read the map at *path*. ConfigError has all that is wrong with it."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from error
    except ValueError as error:  # No UTF-8, or no TOML.
        raise ConfigError([f"{path} is no TOML: {error}"]) from error
    try:
        return read_map(document)
    except ConfigError as error:
        raise ConfigError([f"{path.name}: {problem}" for problem in error.problems]) from error


@contextmanager
def opened(path: Path, settings: FileSettings, wanted: Sequence[str]) -> Iterator[Table]:
    """Open the file at *path*, which must have the columns that are *wanted*."""
    if _is_workbook(path):
        # openpyxl takes a fifth of a second to import, and is rarely wanted.
        from worker.members.xlsx_file import xlsx_table  # noqa: PLC0415

        with xlsx_table(path, settings, wanted) as table:
            yield table
        return
    with csv_table(path, settings, wanted) as table:
        yield table


def sha256_of(path: Path) -> bytes:
    """Return the digest of the file, by which it is known again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _is_workbook(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise MemberFileError(f"{path} cannot be read: {error.strerror}") from error
    if head == _OLD_OFFICE:
        raise MemberFileError(
            f"{path.name} is an old .xls or has a password: save it as plain .xlsx, or as CSV"
        )
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            is_workbook = "xl/workbook.xml" in archive.namelist()
    except zipfile.BadZipFile as error:
        raise MemberFileError(f"{path.name} is damaged: {error}") from error
    if not is_workbook:
        raise MemberFileError(
            f"{path.name} is an archive, but no .xlsx: unpack it, or save it as .xlsx or as CSV"
        )
    return True
