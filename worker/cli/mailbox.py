"""``relais mailbox`` and ``relais mailbox resume``."""

import asyncio

from worker.cli.reading import reading, writing
from worker.cli.show import Rows, print_json
from worker.cli.verb import (
    ConfigOption,
    JsonOption,
    Listing,
    ReasonOption,
    VerbError,
    find_config,
    operator,
    reason_given,
    showing,
    told,
)
from worker.config import Config
from worker.store import arrivals, audit
from worker.store.arrivals import MailboxFolder


def _look(config: Config) -> Listing:
    folders = asyncio.run(_read(config))
    table = Rows(
        ("account", "folder", "last seen", "state"),
        [
            (f.account, f.folder, f"{f.seen_at.astimezone():%Y-%m-%d %H:%M}", _state(f))
            for f in folders
        ],
    )
    return Listing(
        {"folders": [_answer(folder) for folder in folders]},
        [table if folders else "No mailbox has been read yet."],
    )


verbs = showing(
    "Show each folder that is read, and whether messages are taken from it; or take them again.",
    _look,
)


@verbs.command()
def resume(
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take messages again after the host has renumbered them (UIDVALIDITY).

    Look into INBOX first: what lies there is taken. What was posted before is
    known and does not go out again, and what is older than a week is held.
    """
    with told(as_json=as_json):
        why = reason_given(reason)
        resumed = asyncio.run(_resume(find_config(config_file), why))
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
