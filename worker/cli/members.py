"""``relais members``: the member file of a site that has no member database."""

import asyncio
import getpass
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from worker.cli.member_report import Report, print_report, print_report_json
from worker.cli.reading import served, writing
from worker.cli.verb import PROBLEM, USAGE, ConfigOption, JsonOption, VerbError, find_config, told
from worker.config import Config
from worker.members.opening import opened, read_map_file, sha256_of
from worker.members.table import MemberFileError, Record, Table
from worker.policy.member_map import MemberMap
from worker.policy.member_row import MemberRow, Noticed, Problem, Remark, RowJudge, date_in_name
from worker.store import members

if TYPE_CHECKING:
    from worker.store.database import Connection

verbs = typer.Typer(help="Fill the member tables from a file.", no_args_is_help=True)

_LOCK_POLL_SECONDS = 0.5
_LOCK_PATIENCE_SECONDS = 600.0
_PROGRESS_AFTER_SECONDS = 1.0
_ROWS_PER_LOOK = 500
_SHRINKS_SHOWN = 3
# Every cell of a file may be worth a remark; they are all counted.
_REMARKS_KEPT = 10_000


class _Undone(Exception):
    """Nothing is to be kept of the import that *report* is of."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


@verbs.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file or an .xlsx workbook.")],
    *,
    map_file: Annotated[
        Path, typer.Option("--map", metavar="MAP", help="Which column is what; a TOML file.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    yes_shrink: Annotated[
        bool, typer.Option("--yes-shrink", help="More than half of the members may go.")
    ] = False,
    day: Annotated[
        str | None,
        typer.Option("--date", metavar="DAY", help="Of which day the file is: 2026-11-12."),
    ] = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the members to what FILE says. Nobody is deleted: who is gone becomes inactive."""
    with told(as_json=as_json):
        config = find_config(config_file)
        if not file.is_file():
            raise VerbError(f"{file} is no file", code=USAGE)
        member_map = read_map_file(map_file)
        report = Report(file.name, *_day_of(file, day), dry_run=dry_run)
        try:
            report = asyncio.run(
                _import(config, file, member_map, report, may_shrink=yes_shrink, quiet=as_json)
            )
        except MemberFileError as error:
            raise VerbError(f"{file.name}: {error}") from error
        except asyncpg.PostgresError as error:
            raise VerbError(f"the member tables do not take {file.name}: {error}") from error
        except _Undone as undone:
            report = undone.report
        if as_json:
            print_report_json(report)
        else:
            print_report(report)
        if report.refused:
            raise typer.Exit(PROBLEM)


def _day_of(file: Path, said: str | None) -> tuple[date, str]:
    """Return of which day the file is, and where that is from."""
    today = datetime.now().astimezone().date()
    if said is not None:
        try:
            day = date.fromisoformat(said)
        except ValueError as error:
            raise VerbError(f"--date {said}: write it as in 2026-11-12", code=USAGE) from error
        if day > today:
            raise VerbError(f"--date {said} is not over yet", code=USAGE)
        return day, "--date"
    named = date_in_name(file.name)
    if named is not None and named <= today:
        return named, "the file's name"
    changed = datetime.fromtimestamp(file.stat().st_mtime, UTC).astimezone().date()
    return min(changed, today), "when the file was last changed"


async def _import(
    config: Config,
    file: Path,
    member_map: MemberMap,
    report: Report,
    *,
    may_shrink: bool,
    quiet: bool,
) -> Report:
    """Import in one transaction. _Undone leaves when nothing is to be kept."""
    with (
        opened(file, member_map.file, member_map.columns()) as table,
        served(config.database) as servers,
        _bar(quiet=quiet) as bar,
    ):
        sha256 = sha256_of(file)
        async with writing(replace(servers, url=servers.admin_url)) as db:
            if not await members.has_member_file(db):
                raise VerbError(
                    "this database has no tables for a member file: put 0001_club.sql of"
                    " migrations/site into the folder of [site] migrations, and run relais migrate"
                )
            await _wait_for_lock(db)
            report = replace(
                report,
                form=table.form,
                sample=table.sample,
                header_line=table.header_line,
                last=await members.last_import(db, sha256),
            )
            report = await _read(db, table, member_map, report, bar)
            if report.refused:
                raise _Undone(report)
            report = await _change(db, member_map, report, may_shrink=may_shrink)
            if report.refused or report.dry_run or report.comparison is None:
                raise _Undone(report)
            await members.record(
                db,
                report.comparison,
                who=_operator(),
                file_name=file.name,
                sha256=sha256,
                exported_on=report.day,
                rows=report.rows,
                left_out=len(report.problems),
            )
            await members.refresh(db)
    return report


async def _wait_for_lock(db: "Connection") -> None:
    """Let another import end first."""
    deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
    is_told = False
    while not await members.lock(db):
        if not is_told:
            print("Another import is running; this one waits for its end.", file=sys.stderr)
            is_told = True
        if time.monotonic() > deadline:
            raise VerbError("another import has been running for ten minutes; try again later")
        await asyncio.sleep(_LOCK_POLL_SECONDS)


@dataclass(slots=True)
class _Sink:
    """What rows are counted into while they stream by."""

    rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    noticed: list[Noticed] = field(default_factory=list)
    remarks: Counter[Remark] = field(default_factory=Counter)

    def judged(self, judge: RowJudge, records: Iterator[Record]) -> Iterator[MemberRow]:
        """Give the rows that can be taken."""
        for record in records:
            self.rows += 1
            verdict = judge.judge(record.line, record.cells)
            for noticed in verdict.noticed:
                self.notice(noticed)
            if verdict.problem is not None:
                self.problems.append(verdict.problem)
            elif verdict.row is not None:
                yield verdict.row

    def notice(self, noticed: Noticed) -> None:
        self.remarks[noticed.remark] += 1
        if len(self.noticed) < _REMARKS_KEPT:
            self.noticed.append(noticed)


async def _read(
    db: "Connection", table: Table, member_map: MemberMap, report: Report, bar: "_Bar"
) -> Report:
    """Stage the rows of *table*; refuse a file with too much wrong in it."""
    judge = RowJudge(
        member_map,
        table.columns,
        exported_on=report.day,
        season=await members.season(db, report.day),
        committees=await members.committees(db),
    )
    sink = _Sink()
    await members.stage(db, sink.judged(judge, bar.watched(table)))
    bar.next("comparing")
    await members.hold_back(db, sink.problems)
    sink.problems += await members.contradictions(db)
    for noticed in await members.disagreements(db):
        sink.notice(noticed)
    bad, refused = len(sink.problems), None
    if not sink.rows:
        refused = f"the file has no row below its header on line {table.header_line}"
    elif not member_map.max_bad.allows(bad, sink.rows):
        refused = (
            f"{bad} of {sink.rows} rows are wrong, and at most {member_map.max_bad} may be:"
            " mend the file or the map, or raise max_bad in it"
        )
    return replace(
        report,
        rows=sink.rows,
        repeated=await members.repeated(db),
        problems=tuple(sorted(sink.problems, key=lambda problem: problem.line)),
        noticed=tuple(sorted(sink.noticed, key=lambda noticed: noticed.line)),
        remarks=sink.remarks,
        refused=refused,
    )


async def _change(
    db: "Connection", member_map: MemberMap, report: Report, *, may_shrink: bool
) -> Report:
    comparison = await members.compare(
        db, names=member_map.committees, with_roles=bool(member_map.roles)
    )
    report = replace(report, comparison=comparison)
    if (shrinks := comparison.shrinks()) and not may_shrink:
        told = "; ".join(shrinks[:_SHRINKS_SHOWN])
        if len(shrinks) > _SHRINKS_SHOWN:
            told += f"; and so in {len(shrinks) - _SHRINKS_SHOWN} more clubs"
        return replace(report, refused=f"{told}. If that is what is meant, add --yes-shrink")
    await members.apply(db, exported_on=report.day)
    return report


class _Bar:
    """A bar on a terminal's stderr, once there was work for a second."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task = progress.add_task("reading", total=1.0) if progress is not None else None
        self._began = time.monotonic()

    def watched(self, table: Table) -> Iterator[Record]:
        """Give the rows of *table*, and show how far that is."""
        for number, record in enumerate(table.rows):
            if number % _ROWS_PER_LOOK == 0:
                self._look(table.progress())
            yield record

    def next(self, what: str) -> None:
        """Show that the work is another now, of unknown length."""
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)
            self._task = self._progress.add_task(what, total=None)

    def _look(self, done: float) -> None:
        if self._progress is None or self._task is None:
            return
        self._progress.update(self._task, completed=done)
        if time.monotonic() - self._began > _PROGRESS_AFTER_SECONDS:
            self._progress.start()  # A second call does nothing.


@contextmanager
def _bar(*, quiet: bool) -> Iterator[_Bar]:
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield _Bar(None)
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    try:
        yield _Bar(progress)
    finally:
        progress.stop()


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # In a container, a user may have no name.
        return f"uid {os.getuid()}"
