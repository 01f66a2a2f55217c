"""``relais postings`` and ``relais posting show|approve|refuse|stop|hold|resume|finish-by``."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Annotated

import typer

from worker.cli.known import shown
from worker.cli.moments import read_moment, to_come
from worker.cli.reading import reading, writing
from worker.cli.show import age, counted, print_facts, print_json, print_table, when
from worker.cli.stopping import Number, hold_posting, no_posting, resume_posting, stop_posting
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
from worker.policy.outcome import NoticeKind
from worker.policy.plan import Plan
from worker.policy.situation import Situation
from worker.policy.telling import Share
from worker.store import (
    audit,
    decisions,
    following,
    notices,
    overview,
    postings,
    progress,
)
from worker.store.decisions import PostingStatus
from worker.store.notices import Told
from worker.store.postings import PostingSummary
from worker.store.situation import read_situation

verbs = typer.Typer(help="Look at one posting, or decide about it.", no_args_is_help=True)
verbs.command("stop")(stop_posting)
verbs.command("hold")(hold_posting)
verbs.command("resume")(resume_posting)

_WAYS_TO_END = ("bounced", "refused", "cancelled", "expired")
_TOLD = (NoticeKind.RECEIPT, NoticeKind.DELAY, NoticeKind.REPORT)


@dataclass(frozen=True, slots=True)
class _Course:
    """How far one posting has come, what was done with it, and what its author was told."""

    shares: Sequence[Share]
    told: list[Told]
    audit: list[audit.Entry]


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
        finish = _finish_times(summaries, situation, situation.plan())
        if as_json:
            answers = [_answer(summary, config, finish) for summary in summaries]
            print_json({"postings": answers})
        elif summaries:
            print_table(
                ("posting", "address", "subject", "state", "accepted", "handed over", "expected"),
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
        summary, situation, course = asyncio.run(_read_one(config, number))
        plan = situation.plan()
        finish = _finish_times([summary], situation, plan)
        course = replace(course, shares=situation.planned(plan, course.shares, [number]))
        if as_json:
            print_json({**_answer(summary, config, finish), **_course_answer(course)})
        else:
            _print_posting(summary, config, finish[number], situation.now)
            _print_course(course, situation.now)


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
        before = _decide(find_config(config_file), number, yes=True, reason=reason)
        result = (
            "a worker sends it if the list allows"
            if before.recipients
            else "but as its list was when it came, nobody would get it now:"
            f" see relais preview {before.address}"
        )
        _say(number, f"approved; {result}", as_json=as_json)


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
            raise no_posting(number)
        if before.state not in ("open", "held"):
            raise VerbError(f"nothing of posting {number} waits: it is {before.state}")
        await postings.set_deadline(db, number, end)
        told_end = end.isoformat(timespec="seconds") if end else "none"
        what = f"posting {number} finish-by = {told_end}"
        await audit.record(db, who=operator(), what=what, reason=reason)
    return before.finish_by, now


def _decide(config: Config, number: int, *, yes: bool, reason: str) -> PostingStatus:
    """Decide, and return how the posting stood before; VerbError if it waits for nobody."""
    return asyncio.run(_decided(config, number, yes=yes, reason=reason_given(reason)))


async def _decided(config: Config, number: int, *, yes: bool, reason: str) -> PostingStatus:
    async with writing(config.database) as db:
        before = await decisions.status(db, number)
        if before is None:
            raise no_posting(number)
        if before.state != "held":
            state = before.state
        elif before.awaits is None:
            state = f"paused; relais posting resume {number} or stop {number}"
        elif await decisions.decide(db, number, yes=yes, by=operator(), reason=reason):
            return before
        else:
            state = "decided already"
        raise VerbError(f"posting {number} waits for nobody: it is {state}")


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
    because = posting.ended_because
    ended_by = f": {because}" if because and because != posting.state else ""
    decided_by = (posting.paused_by if posting.state == "held" else None) or posting.decided_by
    ended_by += f", by {decided_by}" if decided_by else ""
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
    if posting.finished_at is not None:
        facts["Ended"] = shown(posting.finished_at)
    if posting.state == "held" and posting.awaits is None:
        facts["Go on"] = f"relais posting resume {posting.posting}, or stop {posting.posting}"
    elif posting.state == "held":
        facts["Decide"] = f"relais posting approve {posting.posting} or refuse {posting.posting}"
        if posting.held_until is not None:
            facts["Until"] = when(posting.held_until, now)
    if posting.waiting:
        facts["Waiting"] = f"{posting.waiting}, {posting.deferred} of them deferred"
        facts["Expected"] = when(finish_at, now)
    if posting.state == "open" and posting.opens_at is not None and posting.opens_at > now:
        is_new = posting.waiting == posting.recipients
        facts["Grace" if is_new else "Not before"] = (
            f"until {when(posting.opens_at, now)}; no copy leaves before"
        )
    if posting.finish_by is not None and posting.state in ("open", "held"):
        facts["Finish by"] = f"{when(posting.finish_by, now)}; what is left then is cancelled"
    if posting.in_hand:
        facts["In hand"] = f"{posting.in_hand}, being submitted just now"
    if posting.in_doubt > posting.in_hand:
        facts["In doubt"] = str(posting.in_doubt - posting.in_hand)
    print_facts(facts)


def _print_course(course: _Course, now: datetime) -> None:
    if course.audit:
        print()
        print_table(
            ("done", "by", "when", "why"),
            [(_done(e.what), e.who, shown(e.at), e.reason) for e in course.audit],
        )
    facts = {
        one.kind.capitalize(): f"{shown(one.at)}, {one.state.replace('_', ' ')}"
        + (f"; it named {shown(one.promised_at)}" if one.promised_at else "")
        for one in course.told
    }
    if facts:
        print()
        print_facts(facts)
    if course.shares:
        print()
        print_table(
            ("provider", "left", "waiting", "expected"),
            [
                (s.provider, s.handed_over, s.waiting, when(s.finish_at, now) if s.waiting else "")
                for s in course.shares
            ],
        )


def _done(what: str) -> str:
    """Return what the audit says of a posting, without its number."""
    return what.split(" ", 2)[2]


def _course_answer(course: _Course) -> dict[str, object]:
    return {
        "providers": [
            {
                "provider": share.provider,
                "recipients": share.recipients,
                "left": share.handed_over,
                "waiting": share.waiting,
                "finish_at": share.finish_at,
            }
            for share in course.shares
        ],
        "told": [asdict(one) for one in course.told],
        "audit": [{**asdict(one), "what": _done(one.what)} for one in course.audit],
    }


def _answer(
    posting: PostingSummary, config: Config, finish: dict[int, datetime | None]
) -> dict[str, object]:
    return {
        **asdict(posting),
        "address": f"{posting.address}@{config.site.domain}",
        "finish_at": finish[posting.posting],
    }


def _finish_times(
    summaries: list[PostingSummary], situation: Situation, plan: Plan
) -> dict[int, datetime | None]:
    """Return when each posting's last delivery leaves, or when it has left."""
    return {
        summary.posting: summary.finished_at
        or (situation.finish_of(plan, [summary.posting]) if summary.waiting else None)
        for summary in summaries
    }


async def _read_one(config: Config, number: int) -> tuple[PostingSummary, Situation, _Course]:
    async with reading(config.database) as db:
        summaries = await postings.summaries(db, at_most=1, posting_id=number)
        if not summaries:
            raise no_posting(number)
        course = _Course(
            shares=await progress.shares(db, [number]),
            told=await notices.told(db, await following.numbers(db, number), _TOLD),
            audit=await audit.of_posting(db, number),
        )
        situation = await read_situation(db, [a.name for a in config.accounts])
        return summaries[0], situation, course


async def _read(config: Config, *, at_most: int) -> tuple[list[PostingSummary], Situation]:
    async with reading(config.database) as db:
        summaries = await postings.summaries(db, at_most=at_most)
        return summaries, await read_situation(db, [a.name for a in config.accounts])
