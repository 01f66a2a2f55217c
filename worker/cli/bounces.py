"""``relais bounces list|show|forgive``: addresses that fail, and how they start clean."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.health import (
    failure_answer,
    failure_table,
    health_answer,
    health_words,
    wrong,
)
from worker.cli.known import on_none, print_problems, problems_listed, shown
from worker.cli.reading import reading, writing
from worker.cli.show import counted, print_facts, print_json, print_table, visible
from worker.cli.verb import (
    USAGE,
    AddressArgument,
    ConfigOption,
    JsonOption,
    ReasonOption,
    VerbError,
    find_config,
    operator,
    reason_given,
    told,
)
from worker.cli.whose import find, read_whole_address
from worker.config import Config
from worker.policy.mending import Ailing, Bearer, recipients, secretaries
from worker.store import ailing, audit
from worker.store.ailing import STATES, Failure, Missed
from worker.store.forgiving import Forgiven, forgive
from worker.store.views import Views

if TYPE_CHECKING:
    from worker.store.database import Connection

_FAILURES, _LISTS_SHOWN = 50, 2
_QUIET_SECONDS = 2.0
_NOBODY = "nobody: the help address is held itself"

verbs = typer.Typer(
    help="Look at addresses whose mail comes back, or let one in again.", no_args_is_help=True
)


@dataclass(frozen=True, slots=True)
class _Sick:
    """An address that fails, and whose it is."""

    ailing: Ailing
    bearers: Sequence[Bearer]
    secretaries: Sequence[str]  # To whom letters about it go; of one that is on no list, to nobody.

    @property
    def names(self) -> list[str]:
        return sorted({bearer.name for bearer in self.bearers if bearer.name})

    @property
    def people(self) -> list[str]:
        """The keys by which the views know them."""
        return sorted({bearer.person for bearer in self.bearers if bearer.person})

    @property
    def lists(self) -> list[str]:
        return sorted({bearer.list for bearer in self.bearers})


@dataclass(slots=True)
class _Progress:
    """Tells on stderr which view is asked, once it takes long."""

    began: float = field(default_factory=time.monotonic)

    def tell(self, name: str, nth: int, of: int) -> None:
        """Say that the view *name* is asked now."""
        if time.monotonic() - self.began > _QUIET_SECONDS:
            print(f"asking {name}, {nth} of {of} ...", file=sys.stderr, flush=True)


@verbs.command("list")
def list_bounces(
    *,
    only_held: Annotated[
        bool, typer.Option("--held", help="Those who get nothing; this is what is shown anyway.")
    ] = False,
    only_suspect: Annotated[
        bool, typer.Option("--suspect", help="Those who failed once, and are asked.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="All of them, and those who are tried once more.")
    ] = False,
    secretary: Annotated[
        str, typer.Option("--secretary", metavar="A", help="Only those that A can mend.")
    ] = "",
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show addresses that fail: whose they are, on which lists, what is wrong, who can mend it."""
    with told(as_json=as_json):
        if only_held + only_suspect + every > 1:
            raise VerbError("write one of --held, --suspect and --all", code=USAGE)
        states = STATES if every else ("suspect",) if only_suspect else ("held",)
        config = find_config(config_file)
        found, problems = asyncio.run(_read(config, states))
        if secretary:
            asked = read_whole_address(secretary, option="--secretary")
            found = [one for one in found if asked in one.secretaries]
        if secretary and not found and not as_json:
            which = "fails" if every else "is asked" if only_suspect else "is held"
            print(f"No address that {which} is mended by {visible(asked)}.")
            print_problems(problems)
            return
        if as_json:
            print_json(
                {
                    "addresses": [_answer(one, config) for one in found],
                    "problems": problems_listed(problems),
                }
            )
            return
        _print(found, problems, with_state=every)


@verbs.command("show")
def show_bounces(
    address: AddressArgument, *, config_file: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show what came back from ADDRESS, with what words, and what it has missed."""
    with told(as_json=as_json):
        config = find_config(config_file)
        asked = read_whole_address(address)
        history = asyncio.run(_read_history(config, asked))
        if history is None:
            raise asyncio.run(_nothing_of(config, asked))
        if as_json:
            _print_history_json(history, config)
        else:
            _print_history(history)


@verbs.command("forgive")
def forgive_bounces(
    address: AddressArgument,
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget all failures of ADDRESS, so that it gets its copies again."""
    with told(as_json=as_json):
        why = reason_given(reason)
        asked = read_whole_address(address)
        config = find_config(config_file)
        forgiven = asyncio.run(_forgive(config, asked, why))
        if forgiven is None:
            raise asyncio.run(_nothing_of(config, asked))
        if as_json:
            print_json({"address": asked, "was": forgiven.state, "failures": forgiven.failures})
            return
        was = f"was {forgiven.state}; " if forgiven.state else ""
        print(f"{asked}: {was}{counted(forgiven.failures, 'failure')} forgotten.")
        print(
            "The next posting to its lists leaves for it again; what it has missed is not sent"
            " again. If it still does not work, it fails again and is counted from the start."
        )


@dataclass(frozen=True, slots=True)
class _History:
    """All that is known of how an address fares."""

    address: str
    sick: _Sick | None  # None: it gets its copies.
    failures: Sequence[Failure]
    missed: Sequence[Missed]
    problems: Mapping[str, str]  # By definition.


async def _read(config: Config, states: Sequence[str]) -> tuple[list[_Sick], Mapping[str, str]]:
    async with reading(config.database) as db:
        found = await ailing.ailing(db, states)
        return await _with_bearers(config, db, found, states)


async def _with_bearers(
    config: Config, db: "Connection", found: Sequence[Ailing], states: Sequence[str]
) -> tuple[list[_Sick], Mapping[str, str]]:
    """Ask the views whose these addresses are; none if there are none."""
    if not found:
        return [], {}
    views = Views(db)
    by_address: dict[str, list[Bearer]] = {one.address: [] for one in found}
    for bearer in await ailing.bearers(views, states, on_ask=_Progress().tell):
        by_address.get(bearer.address, []).append(bearer)
    held = await ailing.held(db)
    told_of = {address: _told_of(rows, held, config) for address, rows in by_address.items()}
    return [
        _Sick(one, by_address[one.address], told_of[one.address]) for one in found
    ], views.problems


def _told_of(bearers: Sequence[Bearer], held: set[str], config: Config) -> list[str]:
    """Return to whom letters about the address of all these rows go."""
    if not bearers:
        return []
    site = config.site
    return recipients(
        secretaries(bearers), held=held, domain=site.domain, help_address=site.help_address
    )


async def _read_history(config: Config, address: str) -> _History | None:
    """Return what is known; None if nothing has come back that counts."""
    async with reading(config.database) as db:
        failures = await ailing.failures(db, address, at_most=_FAILURES)
        found = await ailing.ailing(db, address=address)
        if not (failures or found):
            return None
        sick, problems = await _with_bearers(config, db, found, [one.state for one in found])
        if not sick:
            return _History(address, None, failures, [], problems)
        missed = await ailing.missed(db, address, sick[0].lists, sick[0].ailing.since)
        return _History(address, sick[0], failures, missed, problems)


async def _forgive(config: Config, address: str, reason: str) -> Forgiven | None:
    async with writing(config.database) as db:
        return await forgive(db, address, who=operator(), reason=reason)


async def _nothing_of(config: Config, address: str) -> VerbError:
    """Return the error that nothing is known, with what there is instead."""
    async with reading(config.database) as db:
        before = await audit.last(db, f"forgive {address}")
        if before is not None:
            return VerbError(
                f"{address} is not held; forgiven on {shown(before.at)} by {before.who}:"
                f" {before.reason}"
            )
        whose = await find(Views(db), address)
        if whose.met or any(whose.rows.values()):
            return VerbError(
                f"nothing that counts has come back from {address}; see relais who {address}"
            )
        return VerbError(
            f"nothing has come back from {address}",
            did_you_mean=get_close_matches(address, await ailing.known(db), n=3, cutoff=0.8),
        )


def _answer(sick: _Sick, config: Config) -> dict[str, object]:
    return {
        "address": sick.ailing.address,
        "names": sick.names,
        "people": sick.people,
        "lists": [f"{name}@{config.site.domain}" for name in sick.lists],
        **(health_answer(sick.ailing) or {}),
        "secretaries": sick.secretaries,
    }


def _print(found: Sequence[_Sick], problems: Mapping[str, str], *, with_state: bool) -> None:
    if found:
        columns = ("address", "name", "lists", "what is wrong", "since", "failures", "mended by")
        rows = [
            (
                *((one.ailing.address, one.ailing.state) if with_state else (one.ailing.address,)),
                ", ".join(one.names),
                _some(one.lists, problems),
                wrong(one.ailing),
                shown(one.ailing.since),
                one.ailing.failures,
                ", ".join(one.secretaries) or (_NOBODY if one.bearers else ""),
            )
            for one in found
        ]
        print_table((columns[0], "state", *columns[1:]) if with_state else columns, rows)
    else:
        print("No address is in such a state.")
    print_problems(problems)


def _some(lists: Sequence[str], problems: Mapping[str, str]) -> str:
    if not lists:
        return on_none(problems)
    more = f" and {len(lists) - _LISTS_SHOWN} more" if len(lists) > _LISTS_SHOWN else ""
    return ", ".join(lists[:_LISTS_SHOWN]) + more


def _print_history(history: _History) -> None:
    sick = history.sick
    facts = {"Address": history.address}
    if sick is not None and sick.names:
        facts["Name"] = ", ".join(sick.names)
    facts["State"] = health_words(sick.ailing if sick else None, history.failures)
    if sick is not None:
        facts["Wrong"] = wrong(sick.ailing)
        facts["Said"] = sick.ailing.evidence
        facts["Lists"] = ", ".join(sick.lists) or on_none(history.problems)
        if sick.bearers:
            facts["Mended by"] = ", ".join(sick.secretaries) or _NOBODY
        if sick.ailing.state == "held":
            facts["Let in"] = f"relais bounces forgive {history.address} --reason ..."
    print_facts(facts)
    if history.failures:
        print()
        print_table(*failure_table(history.failures))
    if history.missed:
        print()
        print_table(
            ("list", "postings missed since"), [(m.list, m.postings) for m in history.missed]
        )
    print_problems(history.problems)


def _print_history_json(history: _History, config: Config) -> None:
    sick = history.sick
    print_json(
        {
            "address": history.address,
            "names": sick.names if sick else [],
            "people": sick.people if sick else [],
            "lists": [f"{name}@{config.site.domain}" for name in sick.lists] if sick else [],
            "health": health_answer(sick.ailing if sick else None),
            "secretaries": sick.secretaries if sick else [],
            "failures": [failure_answer(failure, config) for failure in history.failures],
            "missed": [
                {"list": f"{m.list}@{config.site.domain}", "postings": m.postings}
                for m in history.missed
            ],
            "problems": problems_listed(history.problems),
        }
    )
