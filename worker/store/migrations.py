"""Migrations: plain SQL files in numbered order, forward only.

A track is a folder: ours first, then the admin's own. Each file is applied in
one transaction together with its row in relais.migration, so a crash leaves it
applied or not begun. A file that was edited after it was applied, is missing,
or is numbered below an applied one is refused before anything runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from worker.errors import MigrationError
from worker.store.database import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.store.database import Connection

# Any fixed number that no other program in the database uses: "relais" in ASCII.
_LOCK_KEY = 0x72656C616973
_LOCK_POLL_SECONDS = 0.2
_LOCK_PATIENCE_SECONDS = 120.0
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Track:
    """A folder of migrations with a sequence of its own."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: ``relais/0001_ground``."""

    track: str
    version: str
    name: str
    sql: str = field(repr=False)
    sha256: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.track}/{self.version}_{self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What has been applied, and what is left to apply, in order."""

    applied: tuple[Migration, ...]
    pending: tuple[Migration, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A row of lists.check()."""

    definition: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `up` did or, in a dry run, would do."""

    applied: tuple[Migration, ...]
    findings: tuple[Finding, ...]


def shipped_track() -> Track:
    """Return our own migrations: beside the package in a wheel, above it in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "_migrations"
    return Track("relais", installed if installed.is_dir() else package.parent / "migrations")


def read_track(track: Track) -> list[Migration]:
    """Read the files of *track*. MigrationError if a name or a number is wrong."""
    if not track.folder.is_dir():
        raise MigrationError(f"{track.folder} is no folder; create it or mend [site] migrations")
    migrations: dict[str, Migration] = {}
    for path in sorted(track.folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(
                f"{path}: name it like 0007_committees.sql (four digits, then a-z, 0-9, _)"
            )
        version, name = match.groups()
        if version in migrations:
            raise MigrationError(f"{path}: {track.name} has two files numbered {version}")
        # Git may check files out with other line ends on another machine.
        source = path.read_bytes().replace(b"\r\n", b"\n")
        digest = hashlib.sha256(source).hexdigest()
        migrations[version] = Migration(track.name, version, name, source.decode(), digest)
    return list(migrations.values())


async def status(admin_url: str, tracks: Sequence[Track]) -> Plan:
    """Return the plan without changing anything."""
    db = await connect(admin_url)
    try:
        return await _plan(db, tracks)
    finally:
        await db.close()


async def up(
    admin_url: str,
    tracks: Sequence[Track],
    *,
    dry_run: bool = False,
    on_applied: Callable[[Migration], None] | None = None,
) -> Outcome:
    """Apply what is pending; in a dry run, roll everything back in the end.

    MigrationError names the file and what PostgreSQL said; the files before it
    stay applied. Several processes may call this at once: one applies.
    """
    db = await connect(admin_url)
    try:
        await _lock(db)
        plan = await _plan(db, tracks)
        if dry_run:
            return await _rehearse(db, plan)
        await db.execute(CREATE_BOOK)
        for migration in plan.pending:
            await _apply(db, migration, check=migration == plan.pending[-1])
            if on_applied is not None:
                on_applied(migration)
        return Outcome(plan.pending, await _findings(db))
    finally:
        await db.close()  # Ends the session, and the lock with it.


TRY_LOCK = "SELECT pg_try_advisory_lock($1)"


async def _lock(db: Connection) -> None:
    # Polled: a blocked pg_advisory_lock() holds a snapshot for as long as it
    # waits, and deadlocks with CREATE INDEX CONCURRENTLY of the one who has it.
    try:
        async with asyncio.timeout(_LOCK_PATIENCE_SECONDS):
            while not await db.fetchval(TRY_LOCK, _LOCK_KEY):  # noqa: ASYNC110 - it is remote
                await asyncio.sleep(_LOCK_POLL_SECONDS)
    except TimeoutError as error:
        raise MigrationError(
            "another migration has held the lock for two minutes; look for it in pg_locks"
        ) from error


CREATE_BOOK = """
    CREATE SCHEMA IF NOT EXISTS relais;
    CREATE TABLE IF NOT EXISTS relais.migration (
        track      text NOT NULL,
        version    text NOT NULL,
        name       text NOT NULL,
        sha256     text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (track, version)
    );
"""

BOOK_EXISTS = "SELECT to_regclass('relais.migration') IS NOT NULL"

APPLIED = "SELECT track, version, name, sha256 FROM relais.migration"


async def _plan(db: Connection, tracks: Sequence[Track]) -> Plan:
    rows = await db.fetch(APPLIED) if await db.fetchval(BOOK_EXISTS) else []
    book = {(row["track"], row["version"]): row for row in rows}
    applied, pending = [], []
    for track in tracks:
        for migration in read_track(track):
            row = book.pop((migration.track, migration.version), None)
            if row is None:
                pending.append(migration)
            elif row["sha256"] != migration.sha256:
                raise MigrationError(
                    f"{migration} was edited after it was applied: put it back as it was"
                    " and write the change as a new migration"
                )
            elif any(other.track == migration.track for other in pending):
                late = next(m for m in pending if m.track == migration.track)
                raise MigrationError(
                    f"{late} is numbered below {migration}, which is applied:"
                    " give it a higher number"
                )
            else:
                applied.append(migration)
    known = {track.name for track in tracks}
    for (track_name, version), row in book.items():
        if track_name in known:
            raise MigrationError(
                f"{track_name}/{version}_{row['name']} is applied but its file is gone: restore it"
            )
    return Plan(tuple(applied), tuple(pending))


RECORD = """
    INSERT INTO relais.migration (track, version, name, sha256) VALUES ($1, $2, $3, $4)
"""


async def _apply(db: Connection, migration: Migration, *, check: bool) -> None:
    async with db.transaction():
        try:
            await db.execute(migration.sql, timeout=None)
        except asyncpg.PostgresError as error:
            raise MigrationError(_explained(migration, error)) from error
        await db.execute(
            RECORD, migration.track, migration.version, migration.name, migration.sha256
        )
        if check:
            _refuse_errors(await _findings(db))


async def _rehearse(db: Connection, plan: Plan) -> Outcome:
    rehearsal = db.transaction()
    await rehearsal.start()
    try:
        await db.execute(CREATE_BOOK)
        for migration in plan.pending:
            await _apply(db, migration, check=False)
        findings = await _findings(db) if plan.pending or plan.applied else ()
        return Outcome(plan.pending, findings)
    finally:
        await rehearsal.rollback()


CHECK_LISTS = "SELECT definition, severity, finding FROM lists.check()"


async def _findings(db: Connection) -> tuple[Finding, ...]:
    if not await db.fetchval("SELECT to_regprocedure('lists.check()') IS NOT NULL"):
        return ()
    rows = await db.fetch(CHECK_LISTS)
    return tuple(Finding(row["definition"], row["severity"], row["finding"]) for row in rows)


def _refuse_errors(findings: Sequence[Finding]) -> None:
    errors = [f"list {f.definition}: {f.text}" for f in findings if f.severity == "error"]
    if errors:
        raise MigrationError("\n".join(errors))


def _explained(migration: Migration, error: asyncpg.PostgresError) -> str:
    """Say which file and line failed; asyncpg puts PostgreSQL's detail and hint below."""
    where = f"{migration}.sql"
    if isinstance(position := getattr(error, "position", None), str):
        where += f", line {migration.sql.count(chr(10), 0, int(position) - 1) + 1}"
    return f"{where}: {error}"


def write_new(track: Track, name: str) -> Path:
    """Create the next empty file of *track* and return its path."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", ascii_name.lower()).strip("_")
    if not slug:
        raise MigrationError(f"{name!r} gives no file name; use letters and digits")
    track.folder.mkdir(parents=True, exist_ok=True)
    last = max((int(m.version) for m in read_track(track)), default=0)
    path = track.folder / f"{last + 1:04}_{slug}.sql"
    path.write_text(f"-- {name}\n\n")
    return path
