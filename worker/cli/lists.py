"""``relais lists``, ``relais list`` and ``relais preview``."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer

from worker.cli.reading import reading
from worker.cli.show import counted, print_facts, print_json, print_table, visible, when
from worker.cli.traffic import read_traffic
from worker.cli.verb import ConfigOption, JsonOption, VerbError, find_config, told
from worker.config import Config
from worker.policy.expansion import ListAddress
from worker.policy.plan import Place
from worker.store import expansion, lists, overview
from worker.store.database import failed_query
from worker.store.expansion import Roll, Verdict
from worker.store.lists import DirectoryEntry
from worker.store.overview import ListFacts

if TYPE_CHECKING:
    from worker.store.database import Connection

_QUERY_PATIENCE = timedelta(seconds=60)  # The mediator's: what is too slow here is so there.

AddressArgument = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="A list's address; its domain may be left out.")
]


def show_lists(
    *,
    grep: Annotated[
        str, typer.Option("--grep", metavar="X", help="Only addresses with X in them.")
    ] = "",
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every address that exists now, with its size and definition."""
    with told(as_json=as_json):
        config = find_config(config_file)
        entries = [
            entry
            for entry in asyncio.run(_read_directory(config))
            if grep.lower() in entry.address.lower()
        ]
        if as_json:
            print_json({"lists": [_answer(entry, config) for entry in entries]})
        elif entries:
            print_table(
                ("address", "definition", "recipients"),
                [(_full(e.address, config), e.definition, e.recipients) for e in entries],
            )
        else:
            print("No list has such an address." if grep else "There is no list yet.")


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
                    "post": definition.post,
                    "post_view": definition.post_view,
                    "reply_to": definition.reply_to,
                    "max_size": definition.max_size,
                    "max_recipients": definition.max_recipients,
                    "lang": definition.lang,
                    "recipients": facts.recipients,
                    "suppressed": facts.suppressed,
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
                "May post": _who_may_post(found),
                "Replies": f"to the {definition.reply_to}",
                "At most": f"{counted(definition.max_recipients, 'recipient')},"
                f" {definition.max_size // 1000} kB",
                "Recipients": f"{facts.recipients} now; {facts.suppressed} suppressed here",
                "Postings": str(facts.postings)
                + (f", the last {last.astimezone():%d %b %Y, %H:%M %Z}" if last else ""),
            }
        )


@dataclass(frozen=True, slots=True)
class _Preview:
    """What a message to *address* would do now."""

    address: ListAddress
    roll: Roll
    may_post: bool | None  # None if nobody was asked about.
    by_provider: dict[str, int]
    finish: dict[str, datetime | None]
    finish_at: datetime | None
    verdicts: list[Verdict]
    now: datetime


def preview(
    address: AddressArgument,
    *,
    author: Annotated[
        str | None, typer.Option("--from", metavar="A", help="Who would write: may they post?")
    ] = None,
    who: Annotated[bool, typer.Option("--who", help="Show the addresses.")] = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who would get a message to ADDRESS now, and when. Nothing is sent."""
    with told(as_json=as_json):
        config = find_config(config_file)
        seen = asyncio.run(_read_preview(config, address, author=author, who=who))
        if as_json:
            _print_preview_json(seen, config, who=who)
        else:
            _print_preview(seen, config, author=author, who=who)


def _print_preview_json(seen: _Preview, config: Config, *, who: bool) -> None:
    people = [
        {"address": v.address, "provider": v.provider, "verdict": v.verdict} for v in seen.verdicts
    ]
    print_json(
        {
            "address": _full(seen.address.local_part, config),
            "definition": seen.address.definition.name,
            "parts": dict(seen.address.parts),
            "recipients": seen.roll.listed,
            "would_receive": seen.roll.recipients,
            "suppressed": seen.roll.suppressed,
            "unusable": seen.roll.unusable,
            "duplicates": seen.roll.duplicates,
            "may_post": seen.may_post,
            "finish_at": seen.finish_at,
            "providers": [
                {"provider": provider, "recipients": count, "finish_at": seen.finish[provider]}
                for provider, count in seen.by_provider.items()
            ],
            **({"who": people} if who else {}),
        }
    )


def _print_preview(seen: _Preview, config: Config, *, author: str | None, who: bool) -> None:
    found, roll = seen.address, seen.roll
    rights = f"post: {_who_may_post(found)}"
    if author is not None:
        rights = f"{author} {'may' if seen.may_post else 'may NOT'} post  ({rights})"
    finished = when(seen.finish_at, seen.now)
    times = {provider: when(seen.finish[provider], seen.now) for provider in seen.by_provider}
    by_provider = ", ".join(
        f"{provider} {count}" + (f" {times[provider]}" if times[provider] != finished else "")
        for provider, count in seen.by_provider.items()
    )
    parts = ", ".join(f"{name} = {value}" for name, value in found.parts.items())
    print_facts(
        {
            "List": f"{_full(found.local_part, config)}  (definition {found.definition.name})",
            **({"Parts": parts} if parts else {}),
            "Rights": rights,
            "Who": f"{counted(roll.listed, 'row')} now: {roll.suppressed} suppressed,"
            f" {roll.unusable} unusable, {counted(roll.duplicates, 'duplicate')};"
            f" {roll.recipients} would receive it",
            **({"Finished": f"{finished}  ({by_provider})"} if by_provider else {}),
        }
    )
    if who:
        print_table(
            ("address", "provider", "verdict"),
            [(v.address, v.provider, v.verdict) for v in seen.verdicts],
        )
    print("Nothing was sent." if who else "Nothing was sent. --who shows the addresses.")


async def _read_directory(config: Config) -> list[DirectoryEntry]:
    async with reading(config.database) as db:
        try:
            return await lists.directory(db)
        except asyncpg.PostgresError as error:
            raise failed_query("a list", error) from error


async def _read_list(config: Config, address: str) -> tuple[ListAddress, ListFacts]:
    async with reading(config.database) as db:
        found = await _resolve(db, config, address)
        try:
            return found, await overview.list_facts(db, found)
        except asyncpg.PostgresError as error:
            raise failed_query(found.local_part, error) from error


async def _read_preview(config: Config, address: str, *, author: str | None, who: bool) -> _Preview:
    """Judge the list as the mediator would; reading() rolls it back."""
    async with reading(config.database) as db:
        found = await _resolve(db, config, address)
        traffic = await read_traffic(db, config)
        try:
            may_post = None if author is None else await lists.may_post(db, found, author)
            roll = await expansion.judge(
                db,
                found,
                list_id=await overview.list_number(db, found),
                fingerprint=b"",  # No posting has it.
                domain=config.site.domain,
                patience=_QUERY_PATIENCE,
            )
        except asyncpg.PostgresError as error:
            raise failed_query(found.local_part, error) from error
        by_provider = await expansion.by_provider(db)
        verdicts = await expansion.verdicts(db, at_most=roll.listed) if who else []
    plan = traffic.plan(by_provider)
    queue = Counter(traffic.waiting) + Counter(by_provider)
    places = {provider: Place(queue[provider], traffic.now) for provider in by_provider}
    return _Preview(
        address=found,
        roll=roll,
        may_post=may_post,
        by_provider=by_provider,
        finish={provider: plan.leaves_at(provider, place) for provider, place in places.items()},
        finish_at=plan.finish_at(places),
        verdicts=verdicts,
        now=traffic.now,
    )


async def _resolve(db: "Connection", config: Config, address: str) -> ListAddress:
    """Return the list that *address* names; else a VerbError with what is like it."""
    local_part, _, domain = address.strip().lower().partition("@")
    try:
        found = None
        if domain in ("", config.site.domain):
            found = await lists.resolve(db, local_part)
        if found is not None:
            return found
        known = [entry.address for entry in await lists.directory(db)]
    except asyncpg.PostgresError as error:
        raise failed_query(local_part, error) from error
    raise VerbError(
        f"no list has the address {visible(local_part)}@{visible(domain or config.site.domain)}",
        did_you_mean=[
            _full(near, config) for near in get_close_matches(local_part, known, n=3, cutoff=0.6)
        ],
    )


def _answer(entry: DirectoryEntry, config: Config) -> dict[str, object]:
    return {
        "address": _full(entry.address, config),
        "definition": entry.definition,
        "recipients": entry.recipients,
    }


def _full(local_part: str, config: Config) -> str:
    return f"{local_part}@{config.site.domain}"


def _who_may_post(address: ListAddress) -> str:
    definition = address.definition
    return definition.post_view or definition.post
