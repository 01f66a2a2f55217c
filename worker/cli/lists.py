"""``relais lists`` and ``relais list``."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer

from worker.cli import findings
from worker.cli.known import print_problems, problems_listed
from worker.cli.moments import length
from worker.cli.reading import reading
from worker.cli.show import counted, print_facts, print_json, print_table, visible
from worker.cli.size import octets
from worker.cli.verb import PROBLEM, ConfigOption, JsonOption, VerbError, find_config, told
from worker.config import Config
from worker.mail.envelope import split_detail
from worker.policy.expansion import Definition, ListAddress
from worker.policy.likeness import nearest
from worker.policy.telling import GRACE_ABOVE
from worker.store import checks, lists, overview
from worker.store.checks import Inspection
from worker.store.database import LOST, failed_query
from worker.store.lists import DirectoryEntry
from worker.store.overview import ListFacts
from worker.store.views import Views

if TYPE_CHECKING:
    from worker.store.database import Connection

_PATIENCE = timedelta(seconds=20)  # The mediator's: what is too slow here is so there.

_FORMS = {
    "discussion": "a discussion: From their author via the list",
    "announcement": "an announcement: From the list, To each recipient",
    "anonymous": "anonymous: From the list; nothing in their header tells readers who wrote",
}
_LEAVING = {"yes": "by a link", "contact": "on the page only, not by one click"}
_IN_DOUBT = {"resend": "resent once", "park": "kept for a person"}

AddressArgument = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="A list's address; its domain may be left out.")
]


def show_lists(
    *,
    grep: Annotated[
        str, typer.Option("--grep", metavar="X", help="Only addresses with X in them.")
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Try the query of every list, and show what is wrong.")
    ] = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every address that exists now, with its size and definition."""
    with told(as_json=as_json):
        config = find_config(config_file)
        if check:
            _check_lists(config, as_json=as_json)
            return
        found, problems = asyncio.run(_read_directory(config))
        entries = [entry for entry in found if grep.lower() in entry.address.lower()]
        if as_json:
            print_json(
                {
                    "lists": [_answer(entry, config) for entry in entries],
                    "problems": problems_listed(problems),
                }
            )
        else:
            _print_directory(
                entries,
                config,
                nothing="No list has such an address." if grep else "There is no list yet.",
            )
            print_problems(problems)
        if problems:
            raise typer.Exit(PROBLEM)


def _print_directory(entries: Sequence[DirectoryEntry], config: Config, *, nothing: str) -> None:
    if entries:
        print_table(
            ("address", "definition", "recipients"),
            [(_full(e.address, config), e.definition, e.recipients) for e in entries],
        )
    else:
        print(nothing)


def _check_lists(config: Config, *, as_json: bool) -> None:
    inspection = asyncio.run(_read_inspection(config))
    found = inspection.findings
    addresses = sum(len(size.people) for size in inspection.sizes.values() if size)
    definitions = len(inspection.sizes)
    if as_json:
        print_json(
            {
                "definitions": definitions,
                "addresses": addresses,
                "findings": findings.listed(found),
            }
        )
    else:
        for line in findings.lines(found):
            print(line)
        print(
            f"{counted(definitions, 'definition')}, {counted(addresses, 'address', 'addresses')};"
            f" {counted(len(found), 'finding') if found else 'nothing is wrong'}."
        )
    if findings.any_error(found):
        raise typer.Exit(PROBLEM)


def show_list(
    address: AddressArgument, *, config_file: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show one list: its rules, its size and its history."""
    with told(as_json=as_json):
        config = find_config(config_file)
        found, facts = asyncio.run(_read_list(config, address))
        definition = found.definition
        full = _full(found.local_part, config)
        if as_json:
            print_json(
                {
                    "address": full,
                    "definition": definition.name,
                    "parts": dict(found.parts),
                    "title": found.title,
                    "why": definition.why,
                    "post": definition.post,
                    "post_view": definition.post_view,
                    "authenticate": definition.authenticate,
                    "moderate": definition.moderate,
                    "form": definition.form,
                    "reply_to": definition.reply_to,
                    "subject_prefix": found.filled(definition.subject_prefix),
                    "merge_fields": list(definition.merge_fields),
                    "max_size": definition.max_size,
                    "max_recipients": definition.max_recipients,
                    "unsubscribe": definition.unsubscribe,
                    "footer": definition.footer,
                    "lang": definition.lang,
                    "notify_above": definition.notify_above,
                    "notify_delay_seconds": int(definition.notify_delay.total_seconds()),
                    "receipt": definition.receipt,
                    "grace_seconds": int(definition.grace.total_seconds()),
                    "report_addresses": definition.report_addresses,
                    "in_doubt": definition.in_doubt,
                    "priority": definition.priority,
                    "finish_within_seconds": definition.finish_within
                    and int(definition.finish_within.total_seconds()),
                    "owner": definition.owner,
                    "recipients": facts.recipients,
                    "suppressed": facts.suppressed,
                    "held": facts.held,
                    "postings": facts.postings,
                    "last_posting_at": facts.last_posting_at,
                }
            )
            return
        last = facts.last_posting_at
        print_facts(
            {
                "List": f"{full}  (definition {definition.name})",
                "Title": found.title,
                **({"Reason": found.filled(definition.why)} if definition.why else {}),
                **_rules(definition, config),
                "Recipients": f"{facts.recipients} now; {facts.suppressed} have left,"
                f" {facts.held} held",
                "Postings": str(facts.postings)
                + (f", the last {last.astimezone():%d %b %Y, %H:%M %Z}" if last else ""),
            }
        )


def _rules(definition: Definition, config: Config) -> dict[str, str]:
    return {
        "May post": definition.post_view or definition.post,
        "Authors": f"authenticate: {definition.authenticate}, moderate: {definition.moderate}",
        "Language": definition.lang,
        "Copies": _FORMS[definition.form],
        **({"Subject": f"{definition.subject_prefix} ..."} if definition.subject_prefix else {}),
        "Replies": f"to the {definition.reply_to}",
        "At most": f"{counted(definition.max_recipients, 'recipient')},"
        f" {octets(definition.max_size)}",
        **({"Footer": definition.footer} if definition.footer else {}),
        "Turns": f"{definition.priority} priority"
        + (f"; ended after {definition.finish_within}" if definition.finish_within else ""),
        "Leaving": _LEAVING[definition.unsubscribe],
        "In doubt": _IN_DOUBT[definition.in_doubt],
        "Letters": _letters(definition),
        "Owner": definition.owner or f"{config.site.help_address} (the site's help address)",
    }


def _letters(definition: Definition) -> str:
    """Tell what authors hear of their messages."""
    above = f"above {counted(definition.notify_above, 'recipient')}"
    receipts = {
        "auto": f"a receipt {above}, or if it takes longer than {length(definition.notify_delay)}",
        "always": "always a receipt",
        "never": "no receipt",
    }[definition.receipt]
    grace = f"{length(definition.grace)} above {counted(GRACE_ABOVE, 'recipient')}"
    return (
        f"{receipts}; grace: {grace if definition.grace else 'none'};"
        f" refused addresses are shown to: {definition.report_addresses}"
    )


async def _read_inspection(config: Config) -> Inspection:
    async with reading(config.database) as db:
        return await checks.inspect(db)


async def _read_directory(config: Config) -> tuple[list[DirectoryEntry], Mapping[str, str]]:
    """Return every address, and which queries gave no answer."""
    async with reading(config.database) as db:
        views = Views(db, _PATIENCE)
        return await lists.directory_that_answers(views), views.problems


async def _read_list(config: Config, address: str) -> tuple[ListAddress, ListFacts]:
    async with reading(config.database) as db:
        found = await find_list(db, config, address)
        try:
            return found, await overview.list_facts(db, found)
        except asyncpg.PostgresError as error:
            raise failed_query(found.local_part, error) from error


async def find_list(db: "Connection", config: Config, address: str) -> ListAddress:
    """Return the list that *address* names, as it would for the mediator.

    Else a VerbError with what is like it.
    """
    local_part, _, domain = address.strip().lower().partition("@")
    base, detail = split_detail(local_part)
    try:
        if domain in ("", config.site.domain):
            async with lists.asking_views(db, _PATIENCE):
                found = await lists.resolve(db, local_part)
                if found is None and detail:
                    found = await lists.resolve(db, base)
            if found is not None:
                return found
    except asyncpg.PostgresError as error:
        raise failed_query(local_part, error) from error
    raise VerbError(
        f"no list has the address {visible(local_part)}@{visible(domain or config.site.domain)}",
        did_you_mean=[_full(near, config) for near in await _like(db, base)],
    )


async def _like(db: "Connection", local_part: str) -> list[str]:
    """Return what is like *local_part*; nothing if a view that we need not ask fails."""
    try:
        async with lists.asking_views(db, _PATIENCE):
            known = [entry.address for entry in await lists.directory(db)]
    except LOST:
        raise
    except asyncpg.PostgresError:
        return []
    return nearest(local_part, known, at_most=3)


def _answer(entry: DirectoryEntry, config: Config) -> dict[str, object]:
    return {
        "address": _full(entry.address, config),
        "definition": entry.definition,
        "recipients": entry.recipients,
    }


def _full(local_part: str, config: Config) -> str:
    return f"{local_part}@{config.site.domain}"
