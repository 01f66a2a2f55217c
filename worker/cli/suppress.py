"""``relais suppress list|add|remove``: who gets nothing, by their own wish or an operator's."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.known import because, problems_listed, shown, unasked
from worker.cli.lists import find_list
from worker.cli.reading import reading, served, writing
from worker.cli.show import counted, print_json, print_table
from worker.cli.verb import (
    AddressArgument,
    ConfigOption,
    JsonOption,
    ReasonOption,
    VerbError,
    find_config,
    one_of,
    operator,
    reason_given,
    told,
)
from worker.cli.whose import Whose, find, like, read_whole_address
from worker.config import Config
from worker.policy.mending import Ailing
from worker.store import ailing, audit, lists, suppressing
from worker.store.suppressing import Suppression
from worker.store.views import Views

if TYPE_CHECKING:
    from worker.store.database import Connection

verbs = typer.Typer(
    help="Look at who gets nothing; take an address out, or let it in again.",
    no_args_is_help=True,
)

ListOption = Annotated[
    str, typer.Option("--list", metavar="L", help="A list's address; without it, all lists.")
]

# As relais.suppression_reason has them.
_WHY = ("unsubscribed", "complained", "bounced", "operator")


@verbs.command("list")
def list_suppressions(
    *,
    place: Annotated[
        str, typer.Option("--list", metavar="L", help="Only what keeps this list away.")
    ] = "",
    why: Annotated[
        str, typer.Option("--why", metavar="|".join(_WHY), help="Only those for this reason.")
    ] = "",
    grep: Annotated[
        str, typer.Option("--grep", metavar="X", help="Only addresses with X in them.")
    ] = "",
    last: Annotated[int, typer.Option("--last", metavar="N", min=1, help="How many.")] = 100,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who gets nothing, from which list and why, the newest first."""
    with told(as_json=as_json):
        if why:
            one_of(_WHY, why, option="--why")
        config = find_config(config_file)
        found = asyncio.run(_read(config, place, why or None, grep, last))
        if as_json:
            print_json({"suppressions": [_answer(one, config) for one in found]})
        elif found:
            print_table(
                ("out of", "address", "person", "because", "by", "since"),
                [
                    (
                        one.list or "all lists",
                        one.address or "(erased)",
                        one.person,
                        because(one.reason, one.note),
                        one.source,
                        shown(one.since),
                    )
                    for one in found
                ],
            )
        else:
            print("No suppression matches.")


@verbs.command("add")
def add_suppression(
    address: AddressArgument,
    *,
    place: ListOption = "",
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send nothing more to ADDRESS, nor to the person whom the views know by it."""
    with told(as_json=as_json):
        why = reason_given(reason)
        whole = read_whole_address(address)
        config = find_config(config_file)
        added = asyncio.run(_add(config, whole, place, why))
        scope = _full(added.place, config)
        if as_json:
            print_json(
                {
                    "address": whole,
                    "scope": scope or "all",
                    "people": sorted(added.people),
                    "did_you_mean": added.alike,
                    "cancelled": added.cancelled,
                    "problems": problems_listed(added.problems),
                }
            )
            return
        print(
            f"{whole}: out of {scope or 'all lists'};"
            f" {counted(added.cancelled, 'waiting copy', 'waiting copies')} cancelled."
        )
        if added.people:
            people = ", ".join(
                f"{name} ({key})" if name else f"person {key}"
                for key, name in sorted(added.people.items())
            )
            print(f"It holds for {people} by any other address as well.")
        else:
            print("No view knows a person by it: it holds for this address alone.")
        if added.alike:
            print(f"No list has it. Did you mean {' or '.join(added.alike)}?")
        if added.problems:
            print(unasked(added.problems).removeprefix(". "))
        print(f"Undo: relais suppress remove {whole}{_list_option(added.place)} --reason ...")


@verbs.command("remove")
def remove_suppression(
    address: AddressArgument,
    *,
    place: ListOption = "",
    reason: ReasonOption,
    they_asked: Annotated[
        bool,
        typer.Option(
            "--yes-they-asked",
            help="They left by themselves, and have asked to come back.",
        ),
    ] = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let ADDRESS get again what its lists have for it.

    Also somebody who left, was erased and has joined again: what they left is
    found by what they are known by now.
    """
    with told(as_json=as_json):
        why = reason_given(reason)
        whole = read_whole_address(address)
        config = find_config(config_file)
        removed = asyncio.run(_remove(config, whole, place, why, they_asked=they_asked))
        scope = _full(removed.place, config)
        left = [_full(one.list, config) or "all" for one in removed.left]
        if as_json:
            print_json(
                {
                    "address": whole,
                    "scope": scope or "all",
                    "removed": [_answer(one, config) for one in removed.removed],
                    "still_out_of": left,
                    "held_since": removed.held and removed.held.since,
                }
            )
            return
        _tell_removed(whole, removed, config)


def _tell_removed(whole: str, removed: "_Removed", config: Config) -> None:
    scope = _full(removed.place, config) or "all its lists"
    places = [place for one in removed.left if (place := _full(one.list, config))]
    is_out = any(one.list is None for one in removed.left)
    if is_out or removed.held:
        print(f"{whole}: out of {scope} no more.")
    else:
        print(f"{whole}: gets the next posting of {scope} again.")
    if is_out:
        print(
            "It is still out of all lists, so it still gets nothing:"
            f" relais suppress remove {whole} --reason ... without --list."
        )
    if removed.held:
        print(
            f"It is held since {shown(removed.held.since)}, so it still gets nothing:"
            f" see relais bounces show {whole}."
        )
    if places:
        print(f"Still out of {', '.join(places)}: name one with --list.")


@dataclass(frozen=True, slots=True)
class _Added:
    """Who was taken out of what."""

    place: str | None  # None: all lists.
    people: Mapping[str, str]  # Their names, by what the views know them by.
    alike: Sequence[str]  # What may have been meant, if no view has the address.
    cancelled: int
    problems: Mapping[str, str]  # By definition.


@dataclass(frozen=True, slots=True)
class _Removed:
    """What keeps nothing away any more, and what still does."""

    place: str | None
    removed: Sequence[Suppression]
    left: Sequence[Suppression]
    held: Ailing | None  # None: mail to the address does not come back.


async def _read(
    config: Config, place: str, why: str | None, grep: str, last: int
) -> list[Suppression]:
    async with reading(config.database) as db:
        numbers = (await _named(db, config, place))[1] if place else None
        return await suppressing.listed(db, lists=numbers, reason=why, like=grep, at_most=last)


async def _named(db: "Connection", config: Config, place: str) -> tuple[str, list[int]]:
    """Return a list's address and numbers, also of one that is gone; a VerbError for none."""
    local_part, _, domain = place.strip().lower().partition("@")
    if domain in ("", config.site.domain):
        numbers = await suppressing.numbers_of(db, local_part)
        if numbers:
            return local_part, numbers
    return (await find_list(db, config, place)).local_part, []


async def _add(config: Config, address: str, place: str, reason: str) -> _Added:
    with served(config.database) as servers:
        async with reading(servers) as db:
            await _refuse_ours(db, config, address)
            views = Views(db)
            whose = await find(views, address)
            people = _who_have_it(whose)
            is_known = whose.met or any(whose.rows.values())
            alike = [] if is_known else await like(views, address)
        async with writing(servers) as db:
            found = await find_list(db, config, place) if place else None
            list_id = await lists.remember(db, found) if found else None
            local_part = found.local_part if found else None
            for known in await suppressing.of(db, address, list(people)):
                if known.list == local_part:
                    raise _out_already(address, known)
            cancelled = await suppressing.add(db, list_id, address, list(people))
            what = suppressing.suppress_what(address, local_part)
            await audit.record(db, who=operator(), what=what, reason=reason)
    return _Added(local_part, people, alike, cancelled, views.problems)


async def _refuse_ours(db: "Connection", config: Config, address: str) -> None:
    """Refuse what is no person's: the help address, and our lists."""
    if address == config.site.help_address.lower():
        raise VerbError(f"{address} is the help address of this site, and must get its mail")
    local_part, _, domain = address.rpartition("@")
    if domain != config.site.domain:
        return
    found = await Views(db).ask(local_part, partial(lists.resolve, db, local_part))
    if found is not None:
        raise VerbError(
            f"{address} is a list of this site, and nobody's address: no copy goes to it"
        )


def _who_have_it(whose: Whose) -> dict[str, str]:
    """Return the names of those who have the address now, by key, not of who had it before."""
    found: dict[str, str] = {}
    for row in (row for rows in whose.rows.values() for row in rows):
        if row.person is not None and row.address.lower() == whose.address:
            found[row.person] = found.get(row.person) or row.name
    return found


async def _find(config: Config, address: str) -> tuple[Whose, Mapping[str, str]]:
    async with reading(config.database) as db:
        views = Views(db)
        return await find(views, address), views.problems


async def _remove(
    config: Config, address: str, place: str, reason: str, *, they_asked: bool
) -> _Removed:
    with served(config.database) as servers:
        whose, problems = await _find(replace(config, database=servers), address)
        async with writing(servers) as db:
            local_part = (await _named(db, config, place))[0] if place else None
            found = await suppressing.of(db, address, list(_who_have_it(whose)) or whose.keys)
            theirs = [one for one in found if one.list == local_part]
            left = [one for one in found if one.list != local_part]
            if not theirs:
                raise await _not_out(db, address, local_part, left, problems)
            if not they_asked:
                _refuse_their_own(address, theirs)
            await suppressing.remove(db, theirs)
            asked = (
                " (they asked)" if they_asked and any(one.is_their_own for one in theirs) else ""
            )
            what = f"let {address} in again on {local_part or 'all lists'}{asked}"
            await audit.record(db, who=operator(), what=what, reason=reason)
            held = next(iter(await ailing.ailing(db, ["held"], address=address)), None)
    return _Removed(local_part, theirs, left, held)


async def _not_out(
    db: "Connection",
    address: str,
    local_part: str | None,
    left: Sequence[Suppression],
    problems: Mapping[str, str],
) -> VerbError:
    """Return the error that nothing is to be removed, with what there is instead."""
    if local_part is None and left:
        places = ", ".join(str(one.list) for one in left)
        return VerbError(f"{address} is out of {places}: name one with --list")
    if left:
        places = ", ".join(one.list or "all lists" for one in left)
        instead = ": leave --list out" if any(one.list is None for one in left) else ""
        return VerbError(f"{address} is not out of {local_part}, but of {places}{instead}")
    return VerbError(
        f"{address} is not suppressed{unasked(problems)}",
        did_you_mean=get_close_matches(address, await suppressing.addresses(db), n=3, cutoff=0.8),
    )


def _out_already(address: str, known: Suppression) -> VerbError:
    return VerbError(
        f"{address} is out of {known.list or 'all lists'} already:"
        f" {known.reason}, since {shown(known.since)}"
    )


def _refuse_their_own(address: str, theirs: Sequence[Suppression]) -> None:
    """Refuse to undo what somebody has said themselves."""
    own = next((one for one in theirs if one.is_their_own), None)
    if own is None:
        return
    raise VerbError(
        f"{address} has {own.reason} on {shown(own.since)} (by {own.source}): nobody else may"
        " undo that. The link in any copy that they have does; or, if they have asked you to,"
        " add --yes-they-asked and say in --reason how they did"
    )


def _answer(one: Suppression, config: Config) -> dict[str, object]:
    return {
        "scope": _full(one.list, config) or "all",
        "address": one.address,
        "person": one.person,
        "reason": one.reason,
        "source": one.source,
        "since": one.since,
        "note": one.note,
    }


def _full(local_part: str | None, config: Config) -> str | None:
    return None if local_part is None else f"{local_part}@{config.site.domain}"


def _list_option(local_part: str | None) -> str:
    return f" --list {local_part}" if local_part is not None else ""
