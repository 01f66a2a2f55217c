"""Migrations: plain SQL files in numbered order, forward only.

A track is a folder: ours first, then the admin's own. Each file is applied in
one transaction together with its row in relais.migration, so a crash leaves it
applied or not begun. A file that was edited after it was applied, is missing,
or is numbered below an applied one is refused before anything runs.

After each file the lists are counted: one that lost more than half of its
people is refused with its file, unless that is meant. After the last one the
definitions are checked, in its transaction too.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from worker.errors import MigrationError
from worker.policy.effect import effect, option_changes, updated
from worker.store import checks
from worker.store.checks import Inspection, Severity
from worker.store.database import connect
from worker.store.mistakes import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import timedelta

    from worker.policy.effect import Effect, OptionChange, Shrunk, Sizes
    from worker.store.checks import Finding
    from worker.store.database import Connection

# Any fixed number that no other program in the database uses: "relais" in ASCII.
_LOCK_KEY = 0x72656C616973
_LOCK_POLL_SECONDS = 0.2
# None would mean the connection's own minute; an index on a large table takes longer.
_PATIENCE_SECONDS = 86_400.0
_LOCK_PATIENCE_SECONDS = 120.0
# Comments, strings and bodies of functions; END ends bodies, too, so it is not looked for.
_NOT_CODE = re.compile(
    r"--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'|\"[^\"]*\"", re.DOTALL
)
_OWN_TRANSACTION = re.compile(
    r"(?:\A|;)\s*(begin(?!\s+atomic)|start\s+transaction|commit|rollback|savepoint|abort)\b",
    re.IGNORECASE,
)
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
class Step:
    """One file that was applied, and what it did to the lists."""

    migration: Migration
    seconds: float
    effect: Effect
    changes: tuple[OptionChange, ...] = ()  # Of lists that were defined before.


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `up` did or, in a dry run, would do."""

    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]

    @property
    def applied(self) -> tuple[Migration, ...]:
        """The files, in order."""
        return tuple(step.migration for step in self.steps)


@dataclass(frozen=True, slots=True)
class Care:
    """What `up` puts up with: definitions that may shrink, and how slow a query may be."""

    may_shrink: Collection[str] = ()
    patience: timedelta = checks.PATIENCE


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
        migrations[version] = Migration(track.name, version, name, _decoded(path, source), digest)
    return list(migrations.values())


def _decoded(path: Path, source: bytes) -> str:
    """Return the text of a file that may be one transaction. MigrationError if it is none."""
    try:
        sql = source.decode()
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise MigrationError(
            f"{path}, line {line}: byte 0x{source[error.start]:02x} is no UTF-8; save it as UTF-8"
        ) from error
    if found := _OWN_TRANSACTION.search(_NOT_CODE.sub(_blanked, sql)):
        line = sql.count("\n", 0, found.start(1)) + 1
        raise MigrationError(
            f"{path}, line {line}: leave out {found[1].upper()}: relais makes the transaction of"
            " each file, and could roll back no dry run"
        )
    return sql


def _blanked(match: re.Match[str]) -> str:
    """Return as many lines as what is no code has."""
    return "\n" * match[0].count("\n") or " "


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
    care: Care = Care(),
    on_applied: Callable[[Step], None] | None = None,
) -> Outcome:
    """Apply what is pending; in a dry run, roll everything back in the end.

    MigrationError names the file and what PostgreSQL said; the files before it
    stay applied. Several processes may call this at once: one applies. A dry
    run goes on where `up` would refuse what it did to the lists.
    """
    db = await connect(admin_url)
    try:
        await _lock(db)
        plan = await _plan(db, tracks)
        if not dry_run:
            await _create_book(db)
            return await _apply_all(db, plan, care, on_applied, refuse=True)
        rehearsal = db.transaction()
        await rehearsal.start()
        try:
            await _create_book(db)
            return await _apply_all(db, plan, care, on_applied, refuse=False)
        finally:
            if not db.is_closed():
                await rehearsal.rollback()
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


async def _create_book(db: Connection) -> None:
    try:
        await db.execute(CREATE_BOOK)
    except asyncpg.InsufficientPrivilegeError as error:
        who, where = await db.fetchrow("SELECT current_user, current_database()") or ("", "")
        raise MigrationError(
            f"{error}: as a superuser, once: grant create on database {where} to {who};"
            f" alter role {who} createrole;"
        ) from error


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


async def _apply_all(
    db: Connection,
    plan: Plan,
    care: Care,
    on_applied: Callable[[Step], None] | None,
    *,
    refuse: bool,
) -> Outcome:
    if not plan.pending:
        async with db.transaction():
            return Outcome((), (await checks.inspect(db, patience=care.patience)).findings)
    async with db.transaction():
        sizes = await checks.measure(db, patience=care.patience)
    if unknown := set(care.may_shrink) - sizes.keys():
        raise MigrationError(
            f"--yes-shrink {min(unknown)}: no list is defined under this name;"
            f" the names are {', '.join(sizes) or 'still to come'}"
        )
    steps: list[Step] = []
    findings: tuple[Finding, ...] = ()
    for migration in plan.pending:
        last = migration == plan.pending[-1]
        step, sizes, findings = await _apply(db, migration, sizes, care, refuse=refuse, last=last)
        steps.append(step)
        if on_applied is not None:
            on_applied(step)
    return Outcome(tuple(steps), findings)


async def _apply(
    db: Connection, migration: Migration, before: Sizes, care: Care, *, refuse: bool, last: bool
) -> tuple[Step, Sizes, tuple[Finding, ...]]:
    try:
        async with db.transaction():
            options = await checks.options(db)
            began = time.monotonic()
            await db.execute(migration.sql, timeout=_PATIENCE_SECONDS)
            seconds = time.monotonic() - began
            await db.execute(
                RECORD, migration.track, migration.version, migration.name, migration.sha256
            )
            seen = await (checks.inspect if last else _glance)(db, patience=care.patience)
            changes = option_changes(options, await checks.options(db))
            step = Step(migration, seconds, effect(before, seen.sizes), changes)
            if refuse:
                _refuse(step, seen.findings, care)
    except asyncpg.PostgresError as error:
        where = _place(migration, error)
        raise MigrationError(f"{where}: {await explained(db, error)}") from error
    return step, updated(before, seen.sizes), seen.findings


async def _glance(db: Connection, *, patience: timedelta) -> Inspection:
    """Only count: the next file may mend what is wrong with a definition now."""
    return Inspection((), await checks.measure(db, patience=patience))


def _refuse(step: Step, findings: Sequence[Finding], care: Care) -> None:
    errors = [str(finding) for finding in findings if finding.severity is Severity.ERROR]
    errors += [shrink_warning(loss) for loss in unmeant(step.effect, care.may_shrink)]
    if errors:
        raise MigrationError("\n".join(f"{step.migration}.sql: {error}" for error in errors))


def unmeant(change: Effect, may_shrink: Collection[str]) -> list[Shrunk]:
    """Return the losses that nobody has said are meant."""
    return [loss for loss in change.shrunk if loss.definition not in may_shrink]


def shrink_warning(loss: Shrunk) -> str:
    """Say what looks wrong, and how to mean it."""
    what = "people in its largest list" if loss.only_largest else "people"
    name = loss.definition
    return (
        f"list {name}: {loss.before} \N{RIGHTWARDS ARROW} {loss.after} {what}"
        f" looks wrong; use --yes-shrink {name} if you mean it"
    )


def _place(migration: Migration, error: asyncpg.PostgresError) -> str:
    """Name the file and, where PostgreSQL tells a position, the line."""
    where = f"{migration}.sql"
    if isinstance(position := getattr(error, "position", None), str):
        where += f", line {migration.sql.count(chr(10), 0, int(position) - 1) + 1}"
    return where


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
