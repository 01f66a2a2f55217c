"""``relais person erase``: whatever is ours to erase of one person goes, in one transaction."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer

from worker.cli.known import names, problems_listed, unasked
from worker.cli.reading import served, writing
from worker.cli.show import counted, print_facts, print_json, visible
from worker.cli.stored import (
    MANUAL,
    Message,
    find_views,
    messages_of,
    subject_of,
)
from worker.cli.verb import (
    PROBLEM,
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
from worker.cli.whose import Whose, read_whole_address
from worker.config import Config
from worker.store import audit, erasure, personal
from worker.store.erasure import Erased

if TYPE_CHECKING:
    from worker.store.database import Connection
    from worker.store.erasure import UnderWay
    from worker.store.personal import Subject

_OUT_OF_REACH = (
    "the mailbox at the host: what lies in its folders relais/... until it is deleted there",
    "copies in the mailboxes of those who got them, and backups of the database",
    "what others wrote that names them, until its retention ends",
)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What was erased of whom, or would be, and what is left."""

    whose: Whose
    erased: Erased
    left: list[str]
    problems: Mapping[str, str]


class _Rehearsed(Exception):
    """Nothing is to be kept of the erasure that *outcome* is of."""

    def __init__(self, outcome: _Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def erase_person(
    address: AddressArgument,
    *,
    reason: ReasonOption,
    yes: Annotated[bool, typer.Option("--yes", help="Erase, and do not ask.")] = False,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase one person: shows what would go, and asks. Opt-outs stay, as a hash."""
    with told(as_json=as_json):
        config, why = find_config(config_file), reason_given(reason)
        theirs = read_whole_address(address)
        if not yes:
            outcome = _erase(config, theirs, why, rehearse=True)
            if as_json or not sys.stdin.isatty():
                _tell(outcome, done=False, as_json=as_json)
                raise typer.Exit(PROBLEM)
            _tell(outcome, done=False, as_json=False)
            if not typer.confirm("Erase this for good?"):
                raise typer.Exit(PROBLEM)
        _tell(_erase(config, theirs, why, rehearse=False), done=True, as_json=as_json)


def _erase(config: Config, address: str, reason: str, *, rehearse: bool) -> _Outcome:
    """Erase, or do the same and roll it back."""
    try:
        return asyncio.run(_erased(config, address, reason, rehearse=rehearse))
    except _Rehearsed as rehearsed:
        return rehearsed.outcome
    except asyncpg.DeadlockDetectedError as error:
        raise VerbError("a worker was in the way, so nothing was erased: try again") from error


async def _erased(config: Config, address: str, reason: str, *, rehearse: bool) -> _Outcome:
    with served(config.database) as servers:
        whose, problems = await find_views(servers, address)
        async with writing(replace(servers, url=servers.admin_url)) as db:
            subject = await subject_of(db, whose)
            found = await messages_of(db, subject)
            await _refuse_under_way(db, subject, found)
            left = await _left(db, whose)
            # Before it, so that an address or a name in the reason goes as well.
            await audit.record(db, who=operator(), what="person erased", reason=reason)
            erased = await erasure.erase(
                db,
                subject,
                arrivals=[message.arrival.arrival_id for message in found],
                names=await _names(db, subject, found),
            )
            if erased is None:
                raise VerbError(
                    "a copy or a notice of theirs is leaving just now, so nothing was erased:"
                    " try again in a minute"
                )
            if not any(asdict(erased).values()):
                raise VerbError(f"nothing of {whose.address} is ours to erase{unasked(problems)}")
            outcome = _Outcome(whose, erased, left, problems)
            if rehearse:
                raise _Rehearsed(outcome)
            return outcome


def _hindrance(posting: "UnderWay") -> str:
    number = posting.posting
    way_out = {
        "held": f"relais posting refuse {number} --reason ...",
        "paused": f"relais posting stop {number} --reason ...",
        "open": f"wait for its end, or relais posting stop {number} --reason ...",
    }.get(posting.state, "wait until what is in hand or in doubt of it has ended")
    return f"posting {number} of theirs is {posting.state}, so nothing was erased: {way_out}"


async def _refuse_under_way(db: "Connection", subject: "Subject", found: Sequence[Message]) -> None:
    hindrances = [_hindrance(posting) for posting in await erasure.under_way(db, subject)]
    if hindrances:
        raise VerbError("\n".join(hindrances))
    for message in found:
        if message.arrival.state != "settled":
            raise VerbError(
                "a message that names them has just arrived, so nothing was erased:"
                " try again when a worker has read it"
            )


async def _names(db: "Connection", subject: "Subject", found: Sequence[Message]) -> list[str]:
    """Return their full names; a word alone may be anybody's, or anything."""
    names = {message.name for message in found}
    names |= {entry.name or "" for entry in await personal.entries(db, subject)}
    names |= set(await personal.member_names(db, subject))
    return sorted(name for name in names if len(name.split()) > 1)


async def _left(db: "Connection", whose: Whose) -> list[str]:
    """Return what is not ours to erase."""
    listed = sorted(name for name, rows in whose.rows.items() if rows and name != MANUAL)
    owned = await personal.owned(db, [whose.address, *whose.other_addresses])
    left = []
    if listed:
        left.append(
            f"the member database: they are still in {', '.join(listed)}, and will be written to"
            " unless they have left"
        )
    if owned:
        left.append(f"the definitions of which they are the owner: {', '.join(owned)}")
    return [*left, *_OUT_OF_REACH]


_WORDS = {
    "cancelled": ("copy cancelled", "copies cancelled"),
    "deliveries": ("delivery made nameless", "deliveries made nameless"),
    "notices": ("notice to them or about them", "notices to them or about them"),
    "decisions": ("decision", "decisions"),
    "postings": ("posting of theirs", "postings of theirs"),
    "messages": ("message as it came", "messages as they came"),
    "entries": ("entry by hand", "entries by hand"),
    "addresses": ("known address", "known addresses"),
    "authentications": ("remembered authentication", "remembered authentications"),
    "wishes": ("wish for fewer letters", "wishes for fewer letters"),
    "failures": ("copy that came back", "copies that came back"),
    "bans": ("ban kept as a hash", "bans kept as a hash"),
    "suppressions": ("opt-out kept as a hash", "opt-outs kept as a hash"),
    "keys": ("key of their links", "keys of their links"),
    "mentions": ("mention in words of others", "mentions in words of others"),
}


def _tell(outcome: _Outcome, *, done: bool, as_json: bool) -> None:
    counts = asdict(outcome.erased)
    if as_json:
        print_json(
            {
                "erased": done,
                "addresses": [outcome.whose.address, *outcome.whose.other_addresses],
                "people": outcome.whose.keys,
                "counts": counts,
                "left": outcome.left,
                "problems": problems_listed(outcome.problems),
            }
        )
        return
    whose = outcome.whose
    print_facts(names(whose.address, whose.keys, whose.other_addresses))
    print("Erased:" if done else "Would be erased:")
    said = [counted(counts[name], *words) for name, words in _WORDS.items() if counts[name]]
    print("\n".join(f"  {line}" for line in said or ["nothing"]))
    print("Not ours to erase:")
    print("\n".join(f"  {line}" for line in outcome.left))
    for name, error in outcome.problems.items():
        print(visible(f"{name} could not be asked ({error}): erase again when it answers"))
    if not done:
        print("Nothing has been erased yet. To erase: --yes")
