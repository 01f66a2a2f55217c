"""``relais mailbox`` and ``relais mailbox resume``."""

import asyncio
from typing import Annotated

import typer

from worker.cli.reading import reading, writing
from worker.cli.show import print_json, print_table
from worker.cli.verb import (
    USAGE,
    ConfigOption,
    JsonOption,
    VerbError,
    find_config,
    operator,
    refuse_options_before,
    told,
)
from worker.config import Config
from worker.store import arrivals, audit
from worker.store.arrivals import MailboxFolder

verbs = typer.Typer(help="Show the mailbox, or take from it again.", invoke_without_command=True)


@verbs.callback()
def show_mailbox(
    context: typer.Context, *, config_file: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show each folder that is read, and whether messages are taken from it."""
    refuse_options_before(context, config_file, as_json)
    if context.invoked_subcommand is not None:
        return
    with told(as_json=as_json):
        folders = asyncio.run(_read(find_config(config_file)))
        if as_json:
            print_json({"folders": [_answer(folder) for folder in folders]})
        elif folders:
            print_table(
                ("account", "folder", "last seen", "state"),
                [
                    (f.account, f.folder, f"{f.seen_at.astimezone():%Y-%m-%d %H:%M}", _state(f))
                    for f in folders
                ],
            )
        else:
            print("No mailbox has been read yet.")


@verbs.command()
def resume(
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="R", help="Why; it is kept.")],
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take messages again after the host has renumbered them (UIDVALIDITY).

    Look into INBOX first: what lies there is taken. What was posted before is
    known and does not go out again, and what is older than a week is held.
    """
    with told(as_json=as_json):
        if not reason.strip():
            raise VerbError("--reason must say why", code=USAGE)
        resumed = asyncio.run(_resume(find_config(config_file), reason.strip()))
        if not resumed:
            raise VerbError("nothing is halted")
        if as_json:
            print_json({"resumed": resumed})
        else:
            for name in resumed:
                print(f"{name}: messages are taken again")


async def _read(config: Config) -> list[MailboxFolder]:
    async with reading(config.database) as db:
        return await arrivals.mailboxes(db)


async def _resume(config: Config, reason: str) -> list[str]:
    async with writing(config.database) as db:
        resumed = await arrivals.resume(db)
        for name in resumed:
            await audit.record(db, who=operator(), what=f"mailbox {name} resumed", reason=reason)
    return resumed


def _state(folder: MailboxFolder) -> str:
    if not folder.halted:
        return "read"
    return "HALTED: the host has renumbered its messages; look, then relais mailbox resume"


def _answer(folder: MailboxFolder) -> dict[str, object]:
    return {
        "account": folder.account,
        "folder": folder.folder,
        "uidvalidity": folder.uidvalidity,
        "found_uidvalidity": folder.found_uidvalidity,
        "halted": folder.halted,
        "seen_at": folder.seen_at,
    }
