"""``relais posting stop``, ``hold`` and ``resume``: what people may do with copies that wait."""

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.reading import connected
from worker.cli.show import counted, print_json
from worker.cli.verb import (
    ConfigOption,
    JsonOption,
    ReasonOption,
    VerbError,
    find_config,
    operator,
    reason_given,
    told,
)
from worker.config import Config
from worker.policy.following import FollowedPosting
from worker.store import audit, following, stopping
from worker.store.stopping import Action, Effect

if TYPE_CHECKING:
    from worker.store.database import Connection

_LARGEST = 2**63 - 1  # A bigint.

Number = Annotated[int, typer.Argument(metavar="N", help="Its number.", max=_LARGEST)]


@dataclass(frozen=True, slots=True)
class _Verb:
    """What one of the verbs does, and how it is told."""

    action: Action
    done: str  # In the audit.
    now: str  # The state after it.
    copies: str  # What they do after it, in JSON.
    told: str
    undo: str


_STOP = _Verb(
    stopping.stop,
    done="stopped",
    now="stopped",
    copies="cancelled",
    told="{counted} cancelled, {left} had left",
    undo="resume",
)
_HOLD = _Verb(
    stopping.hold,
    done="paused",
    now="paused",
    copies="waiting",
    told="{copies} wait, {left} have left",
    undo="resume",
)
_RESUME = replace(_HOLD, action=stopping.resume, done="resumed", now="open", undo="hold")

_AWAITED = {
    "confirmation": "until its author confirms it",
    "moderation": "for a moderator",
    "release": "until its list answers",
}


def stop_posting(
    number: Number,
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel what has not left of a posting; its author is told how many have it."""
    with told(as_json=as_json):
        _act(find_config(config_file), number, _STOP, reason=reason, as_json=as_json)


def hold_posting(
    number: Number,
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let what has not left of a posting wait until it is resumed."""
    with told(as_json=as_json):
        _act(find_config(config_file), number, _HOLD, reason=reason, as_json=as_json)


def resume_posting(
    number: Number,
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a posting go on that was held, or stopped by its author or an operator."""
    with told(as_json=as_json):
        _act(find_config(config_file), number, _RESUME, reason=reason, as_json=as_json)


def no_posting(number: int) -> VerbError:
    """Return the error that no posting has the *number*."""
    return VerbError(f"there is no posting {number}; see relais postings")


def _act(config: Config, number: int, verb: _Verb, *, reason: str, as_json: bool) -> None:
    """Do something to one posting, and say what; VerbError if it changes nothing."""
    effect = asyncio.run(_acted(config, number, verb, reason=reason_given(reason)))
    if as_json:
        copies = {verb.copies: effect.copies}
        print_json({"posting": number, "now": verb.now, **copies, "left": effect.left})
        return
    words = verb.told.format(
        counted=counted(effect.copies, "copy", "copies"), copies=effect.copies, left=effect.left
    )
    print(f"posting {number}: {verb.now}; {words}")
    print(f"Undo: relais posting {verb.undo} {number} --reason ...")


async def _acted(config: Config, number: int, verb: _Verb, *, reason: str) -> Effect:
    async with connected(config.database) as db:
        async with db.transaction():
            before = await _find(db, number)
            change = await verb.action(db, [number], by=operator())
            if not change.is_nothing:
                what = f"posting {number} {verb.done}"
                await audit.record(db, who=operator(), what=what, reason=reason)
        effect = await stopping.count(db, [number], change)
    if change.is_nothing:
        raise VerbError(_hindrance(before, verb, effect))
    return effect


async def _find(db: "Connection", number: int) -> FollowedPosting:
    """Return how a posting stands; VerbError if there is none, or it awaits somebody."""
    before = {p.posting_id: p for p in await following.followed(db, number)}.get(number)
    if before is None:
        raise no_posting(number)
    if before.awaits is not None:
        raise VerbError(
            f"posting {number} is held {_AWAITED[before.awaits]}, so nothing of it leaves:"
            f" relais posting approve {number} or refuse {number}"
        )
    return before


def _hindrance(posting: FollowedPosting, verb: _Verb, effect: Effect) -> str:
    """Say why nothing has changed."""
    called, why = f"posting {posting.posting_id}", posting.ended_because
    if posting.state == "stopped" and verb is _RESUME:
        if why != "stopped":
            return f"{called} cannot be resumed, for nobody has stopped it: it was ended as {why}"
        return (
            f"{called} cannot be resumed: its bytes are purged, its date has passed,"
            " or nobody is left who would get it"
        )
    if posting.state == "stopped":
        return f"{called} has ended already: {why}; {effect.left} had left"
    if verb is _RESUME:
        return f"{called} is neither held nor stopped: it is {posting.state}"
    if posting.state == "held":
        return (
            f"{called} is paused already; relais posting resume {posting.posting_id} lets it go on"
        )
    return f"nothing of {called} waits any more: {effect.left} have left"
