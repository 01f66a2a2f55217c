"""``relais migrate``: our migrations, then the site's."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from worker.cli.reading import served, writing
from worker.cli.show import counted, print_json, visible
from worker.cli.verb import PROBLEM, ConfigOption, JsonOption, VerbError, find_config, told
from worker.config import Config, Database
from worker.store import limits, migrations
from worker.store.migrations import Finding, Migration, Track

verbs = typer.Typer(help="Bring the database up to date.", invoke_without_command=True)


@verbs.callback()
def up_by_default(
    context: typer.Context, *, config_file: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Bring the database up to date; `up` is meant when nothing is said."""
    if context.invoked_subcommand is None:
        up(config_file=config_file, as_json=as_json)


@verbs.command()
def up(*, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Apply what is pending, each file in one transaction."""
    with told(as_json=as_json):
        config = find_config(config_file)
        with served(config.database) as database:
            outcome = asyncio.run(
                migrations.up(
                    database.admin_url,
                    _tracks(config),
                    on_applied=None if as_json else lambda migration: print(f"applied {migration}"),
                )
            )
            asyncio.run(_take_starting_limits(config, database))
        if as_json:
            print_json({"applied": _named(outcome.applied), "findings": _listed(outcome.findings)})
        else:
            print(f"{counted(len(outcome.applied), 'migration')} applied; nothing is pending.")
        _end_with(outcome.findings, as_json=as_json)


@verbs.command()
def status(*, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what is applied and what is pending."""
    with told(as_json=as_json):
        config = find_config(config_file)
        with served(config.database) as database:
            plan = asyncio.run(migrations.status(database.admin_url, _tracks(config)))
        if as_json:
            print_json({"applied": _named(plan.applied), "pending": _named(plan.pending)})
            return
        for migration in plan.applied:
            print(f"applied {migration}")
        for migration in plan.pending:
            print(f"pending {migration}")
        print(f"{len(plan.applied)} applied, {len(plan.pending)} pending.")


@verbs.command("dry-run")
def dry_run(*, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Apply what is pending, look at the lists, and roll everything back."""
    with told(as_json=as_json):
        config = find_config(config_file)
        with served(config.database) as database:
            outcome = asyncio.run(migrations.up(database.admin_url, _tracks(config), dry_run=True))
        if as_json:
            findings = _listed(outcome.findings)
            print_json({"would_apply": _named(outcome.applied), "findings": findings})
        else:
            for migration in outcome.applied:
                print(f"would apply {migration}")
            print("Nothing was changed.")
        _end_with(outcome.findings, as_json=as_json)


@verbs.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it does, in a few words.")],
    *,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a migration of the site's own."""
    with told(as_json=as_json):
        folders = _site_tracks(find_config(config_file))
        if not folders:
            raise VerbError('no folder for it: write migrations = ["migrations/site"] in [site]')
        path = migrations.write_new(folders[0], name)
        if as_json:
            print_json({"created": str(path)})
        else:
            print(path)


async def _take_starting_limits(config: Config, database: Database) -> None:
    """Let `preview` tell the truth before the first `run`."""
    async with writing(replace(database, url=database.admin_url)) as db:
        await limits.take_starting_values(
            db,
            providers=config.limits,
            accounts={account.name: account.limits for account in config.accounts},
        )


def _tracks(config: Config) -> list[Track]:
    return [migrations.shipped_track(), *_site_tracks(config)]


def _site_tracks(config: Config) -> list[Track]:
    return [
        Track("site" if number == 1 else f"site{number}", folder)
        for number, folder in enumerate(config.site.migrations, start=1)
    ]


def _named(several: Sequence[Migration]) -> list[str]:
    return [str(migration) for migration in several]


def _listed(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [
        {"definition": f.definition, "severity": f.severity, "finding": f.text} for f in findings
    ]


def _end_with(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Show what is wrong with the lists; an error is a problem, a warning none."""
    if not as_json:
        for finding in findings:
            line = f"{finding.severity}: list {finding.definition}: {finding.text}"
            print(visible(line), file=sys.stderr)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(PROBLEM)
