"""``relais postings`` and ``relais posting show|approve|refuse|finish-by``."""

import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from worker.cli.moments import read_moment, to_come
from worker.cli.reading import reading, writing
from worker.cli.show import age, counted, print_facts, print_json, print_table, when
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
from worker.policy.situation import Situation
from worker.store import audit, decisions, overview, postings
from worker.store.postings import PostingSummary
from worker.store.situation import read_situation

verbs = typer.Typer(help="Look at one posting, or decide about it.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="N", help="Its number.")]

_WAYS_TO_END = ("bounced", "refused", "cancelled", "expired")


def show_postings(
    *,
    last: Annotated[int, typer.Option("--last", metavar="N", min=1, help="How many.")] = 20,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the newest postings, and how far each has come."""
    with told(as_json=as_json):
        config = find_config(config_file)
        summaries, situation = asyncio.run(_read(config, at_most=last))
        finish = _finish_times(summaries, situation)
        if as_json:
            answers = [_answer(summary, config, finish) for summary in summaries]
            print_json({"postings": answers})
        elif summaries:
            print_table(
                ("posting", "address", "subject", "state", "accepted", "handed over", "finished"),
                [
                    (
                        f"#{s.posting}",
                        s.address,
                        s.subject,
                        s.state,
                        f"{age(s.accepted_at, situation.now)} ago",
                        f"{s.handed_over}/{s.recipients}",
                        when(finish[s.posting], situation.now) if s.waiting else "",
                    )
                    for s in summaries
                ],
            )
        else:
            print("Nothing has been posted yet.")


@verbs.command("show")
def show_posting(
    number: Number,
    *,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one posting and what became of its deliveries."""
    with told(as_json=as_json):
        config = find_config(config_file)
        summaries, situation = asyncio.run(_read(config, at_most=1, number=number))
        if not summaries:
            raise VerbError(f"there is no posting {number}")
        finish = _finish_times(summaries, situation)
        if as_json:
            print_json(_answer(summaries[0], config, finish))
        else:
            _print_posting(summaries[0], config, finish[number], situation.now)


@verbs.command("approve")
def approve_posting(
    number: Number,
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a held posting go out, whatever it waits for."""
    with told(as_json=as_json):
        _decide(find_config(config_file), number, yes=True, reason=reason)
        _say(number, "approved; a worker sends it if the list allows", as_json=as_json)


@verbs.command("refuse")
def refuse_posting(
    number: Number,
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="R", help="Why; its author will read it.")
    ],
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do not send a held posting; its author is told, if it is known who wrote it."""
    with told(as_json=as_json):
        _decide(find_config(config_file), number, yes=False, reason=reason)
        _say(number, "refused", as_json=as_json)


@verbs.command("finish-by")
def finish_by(
    number: Number,
    moment: Annotated[
        str, typer.Argument(metavar="WHEN", help="As in '2026-11-27 08:00'; or none.")
    ],
    *,
    reason: ReasonOption,
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel at WHEN what has not left of a posting by then; with none, nothing is cancelled."""
    with told(as_json=as_json):
        end = None if moment == "none" else read_moment(moment)
        why, config = reason_given(reason), find_config(config_file)
        before, now = asyncio.run(_set_deadline(config, number, end, reason=why))
        if as_json:
            print_json({"posting": number, "finish_by": end, "before": before})
            return
        said = "has no end" if end is None else f"what has not left {_by(end, now)} is cancelled"
        print(f"posting {number}: {said}  (before: {_by(before, now) or 'no end'})")
        again = f"{before.astimezone().isoformat(timespec='seconds')}" if before else "none"
        print(f"Undo: relais posting finish-by {number} {again} --reason ...")


def _by(moment: datetime | None, now: datetime) -> str:
    return f"by {when(moment, now)}" if moment else ""


async def _set_deadline(
    config: Config, number: int, end: datetime | None, *, reason: str
) -> tuple[datetime | None, datetime]:
    """Set when a posting ends; return what was set before, and what time it is."""
    async with writing(config.database) as db:
        now = await overview.moment(db)
        if end is not None:
            to_come(end, now)
        before = await postings.deadline(db, number)
        if before is None:
            raise VerbError(f"there is no posting {number}")
        if before.state not in ("open", "held"):
            raise VerbError(f"nothing of posting {number} waits: it is {before.state}")
        await postings.set_deadline(db, number, end)
        told_end = end.isoformat(timespec="seconds") if end else "none"
        what = f"posting {number} finish-by = {told_end}"
        await audit.record(db, who=operator(), what=what, reason=reason)
    return before.finish_by, now


def _decide(config: Config, number: int, *, yes: bool, reason: str) -> None:
    state = asyncio.run(_decided(config, number, yes=yes, reason=reason_given(reason)))
    if state is None:
        raise VerbError(f"there is no posting {number}")
    if state != "held":
        raise VerbError(f"posting {number} waits for nobody: it is {state}")


async def _decided(config: Config, number: int, *, yes: bool, reason: str) -> str | None:
    """Decide, and return the state that the posting had before."""
    async with writing(config.database) as db:
        before = await decisions.status(db, number)
        if before is None or before.state != "held":
            return before.state if before else None
        done = await decisions.decide(db, number, yes=yes, by=operator(), reason=reason)
        return before.state if done else "decided already"


def _say(number: int, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"posting": number, "now": what.partition(";")[0]})
    else:
        print(f"posting {number}: {what}")


def _print_posting(
    posting: PostingSummary, config: Config, finish_at: datetime | None, now: datetime
) -> None:
    ends = {name: getattr(posting, name) for name in _WAYS_TO_END}
    ended = "".join(f", {count} {name}" for name, count in ends.items() if count)
    held = f": {posting.held_because}" if posting.held_because else ""
    ended_by = f": {posting.ended_because}" if posting.ended_because else ""
    ended_by += f", by {posting.decided_by}" if posting.decided_by else ""
    facts = {
        "Posting": f"#{posting.posting}  {posting.subject}",
        "List": f"{posting.address}@{config.site.domain}",
        "Author": f"{posting.author or '?'}  ({posting.proof or 'not proven'})",
        "State": f"{posting.state}{held}{ended_by}",
        "Who": f"{counted(posting.recipients, 'recipient')} of {counted(posting.listed, 'row')};"
        f" {posting.suppressed} suppressed, {posting.held} held, {posting.unusable} unusable,"
        f" {counted(posting.duplicates, 'duplicate')}",
        "Deliveries": f"{posting.handed_over} handed over{ended}",
    }
    if posting.state == "held":
        facts["Decide"] = f"relais posting approve {posting.posting} or refuse {posting.posting}"
        if posting.held_until is not None:
            facts["Until"] = when(posting.held_until, now)
    if posting.waiting:
        facts["Waiting"] = f"{posting.waiting}, {posting.deferred} of them deferred"
        facts["Finished"] = when(finish_at, now)
    if posting.finish_by is not None and posting.state in ("open", "held"):
        facts["Finish by"] = f"{when(posting.finish_by, now)}; what is left then is cancelled"
    if posting.in_doubt:
        facts["In doubt"] = str(posting.in_doubt)
    print_facts(facts)


def _answer(
    posting: PostingSummary, config: Config, finish: dict[int, datetime | None]
) -> dict[str, object]:
    return {
        **asdict(posting),
        "address": f"{posting.address}@{config.site.domain}",
        "finish_at": finish[posting.posting],
    }


def _finish_times(
    summaries: list[PostingSummary], situation: Situation
) -> dict[int, datetime | None]:
    """Return when each posting's last delivery leaves, or when it has left."""
    plan = situation.plan()
    return {
        summary.posting: summary.finished_at
        or situation.finish_at(
            plan, (part for part in situation.parts if part.posting == summary.posting)
        )
        for summary in summaries
    }


async def _read(
    config: Config, *, at_most: int, number: int | None = None
) -> tuple[list[PostingSummary], Situation]:
    async with reading(config.database) as db:
        summaries = await postings.summaries(db, at_most=at_most, posting_id=number)
        return summaries, await read_situation(db, [a.name for a in config.accounts])
