"""``relais migrate``: our migrations, then the site's."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Annotated

import typer

from worker.cli import findings
from worker.cli.reading import served, writing
from worker.cli.show import counted, print_json, visible
from worker.cli.verb import (
    PROBLEM,
    ConfigOption,
    JsonOption,
    VerbError,
    find_config,
    refuse_options_before,
    told,
)
from worker.config import Config, Database
from worker.policy.effect import Effect, Group, OptionChange
from worker.store import limits, migrations
from worker.store.checks import Finding
from worker.store.migrations import Care, Migration, Outcome, Step, Track, shrink_warning, unmeant

_SHOWN = 10  # Changed sizes of one definition; the rest is counted.

ShrinkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--yes-shrink",
        metavar="NAME",
        help="The definition NAME may lose more than half of its people. May be given again.",
    ),
]

verbs = typer.Typer(help="Bring the database up to date.", invoke_without_command=True)


@verbs.callback()
def up_by_default(
    context: typer.Context,
    *,
    yes_shrink: ShrinkOption = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the database up to date; `up` is meant when nothing is said."""
    refuse_options_before(context, yes_shrink, config_file, as_json)
    if context.invoked_subcommand is None:
        up(yes_shrink=yes_shrink, config_file=config_file, as_json=as_json)


@verbs.command()
def up(
    *,
    yes_shrink: ShrinkOption = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Apply what is pending, each file in one transaction."""
    with told(as_json=as_json):
        config = find_config(config_file)
        with served(config.database) as database:
            outcome = asyncio.run(
                migrations.up(
                    database.admin_url,
                    _tracks(config),
                    care=Care(may_shrink=yes_shrink or ()),
                    on_applied=None if as_json else lambda step: print(f"applied {step.migration}"),
                )
            )
            asyncio.run(_take_starting_limits(config, database))
        if as_json:
            print_json({"applied": _named(outcome.applied), **_answer(outcome)})
        else:
            print(f"{counted(len(outcome.applied), 'migration')} applied; nothing is pending.")
        _show(outcome.findings, as_json=as_json)
        if findings.any_error(outcome.findings):
            raise typer.Exit(PROBLEM)


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
def dry_run(
    *,
    yes_shrink: ShrinkOption = None,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Apply what is pending, show what becomes of the lists, and roll everything back."""
    with told(as_json=as_json):
        config = find_config(config_file)
        may_shrink = yes_shrink or ()
        with served(config.database) as database:
            outcome = asyncio.run(
                migrations.up(
                    database.admin_url,
                    _tracks(config),
                    dry_run=True,
                    care=Care(may_shrink=may_shrink),
                    on_applied=None if as_json else lambda step: _print_step(step, may_shrink),
                )
            )
        if as_json:
            print_json({"would_apply": _named(outcome.applied), **_answer(outcome)})
        else:
            print("Nothing was changed.")
        _show(outcome.findings, as_json=as_json)
        losses = [loss for step in outcome.steps for loss in unmeant(step.effect, may_shrink)]
        if losses or findings.any_error(outcome.findings):
            raise typer.Exit(PROBLEM)


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


def _answer(outcome: Outcome) -> dict[str, object]:
    return {
        "files": [
            {
                "migration": str(step.migration),
                "milliseconds": round(step.seconds * 1000),
                "added": [_group(group) for group in step.effect.added],
                "removed": [_group(group) for group in step.effect.removed],
                "resized": [
                    {
                        "definition": change.definition,
                        "address": change.address,
                        "before": change.before,
                        "after": change.after,
                    }
                    for change in step.effect.resized
                ],
                "shrunk": [
                    {"definition": loss.definition, "before": loss.before, "after": loss.after}
                    for loss in step.effect.shrunk
                ],
                "options": [asdict(change) for change in step.changes],
            }
            for step in outcome.steps
        ],
        "findings": findings.listed(outcome.findings),
    }


def _group(group: Group) -> dict[str, object]:
    address, people = group.example
    return {
        "definition": group.definition,
        "template": group.template,
        "addresses": len(group.people),
        "example": address,
        "people": people,
    }


def _print_step(step: Step, may_shrink: Sequence[str]) -> None:
    print(f"{step.migration}  ok ({step.seconds * 1000:.0f} ms, rolled back)")
    for line in (*map(_changed, step.changes), *_effect_lines(step.effect, may_shrink)):
        print(visible(f"  {line}"))


def _changed(change: OptionChange) -> str:
    was, now = (f"'{value}'" if value else "nothing" for value in (change.before, change.after))
    return f"~ {change.definition}  {change.option}: {was} \N{RIGHTWARDS ARROW} {now}"


def _effect_lines(effect: Effect, may_shrink: Sequence[str]) -> Iterator[str]:
    yield from (f"+ {_told(group)}" for group in effect.added)
    yield from (f"- {_told(group)}" for group in effect.removed)
    for name, changes in groupby(effect.resized, lambda change: change.definition):
        several = list(changes)
        for change in several[:_SHOWN]:
            sizes = _sizes(change.before, change.after)
            yield f"~ {name}  {change.address}  {sizes}"
        if len(several) > _SHOWN:
            yield f"~ {name}  and {len(several) - _SHOWN} more"
    refused = unmeant(effect, may_shrink)
    for loss in effect.shrunk:
        if loss in refused:
            yield f"! {shrink_warning(loss)}"
        else:
            yield f"! list {loss.definition}: {_sizes(loss.before, loss.after)}, as you said"


def _told(group: Group) -> str:
    address, people = group.example
    addresses = counted(len(group.people), "address", "addresses")
    return f"{addresses}  {group.template}  e.g. {address} ({counted(people, 'person', 'people')})"


def _sizes(before: int, after: int) -> str:
    return f"{before} \N{RIGHTWARDS ARROW} {counted(after, 'person', 'people')}"


def _show(found: Sequence[Finding], *, as_json: bool) -> None:
    if not as_json:
        for line in findings.lines(found):
            print(line, file=sys.stderr)
