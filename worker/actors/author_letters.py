"""The letters of the reporter: what each is made of, and to whom it goes.

Each is written in the caller's transaction, which is of one moment, and answers the
author's message in its thread. An answer to it comes to the page of the message.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from babel.lists import format_list

from worker.actors.answers import answer
from worker.actors.outbox import Outbox
from worker.mail.address import local_part_of
from worker.mail.diagnosis import reason_of
from worker.mail.return_address import Purpose
from worker.notices.receipt import (
    Ending,
    LeftOut,
    Outlook,
    Slip,
    delay,
    receipt,
    report,
    report_to_owner,
)
from worker.policy.outcome import NoticeKind
from worker.policy.provider_state import StateKind
from worker.policy.telling import Course, DelayReason, Figures, Unreached, is_report_due
from worker.store import decisions, progress, receipts
from worker.store.situation import read_situation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from worker.actors.office import Office
    from worker.mail.notice import Letter
    from worker.notices.letters import About
    from worker.policy.expansion import Definition
    from worker.policy.plan import Plan
    from worker.policy.situation import Situation
    from worker.store.database import Connection
    from worker.store.decisions import HeldPosting
    from worker.store.receipts import Receipt, ToldPosting

PLAN_AGE = timedelta(minutes=5)  # A plan so old still tells whether one has slipped.
_SHOWN_AT_MOST = 100  # Addresses in a letter.


class Planner:
    """Plans what waits, and keeps the plan for who can do with an older one."""

    def __init__(self, accounts: Sequence[str]) -> None:
        self._accounts = accounts
        self._last: tuple[Situation, Plan] | None = None

    async def plan(self, db: Connection, *, not_before: datetime) -> tuple[Situation, Plan]:
        """Return a situation and its plan; the caller's transaction is REPEATABLE READ."""
        if self._last is None or not not_before <= self._last[0].now:
            situation = await read_situation(db, self._accounts)
            # A thousand queues take a fifth of a second of CPU, for which nobody else can wait.
            self._last = situation, await asyncio.to_thread(situation.plan)
        return self._last


@dataclass(frozen=True, slots=True)
class Message:
    """What a receipt is about, at one moment."""

    receipt: Receipt
    postings: Sequence[ToldPosting]
    definitions: Mapping[str, Definition]
    now: datetime

    @property
    def numbers(self) -> list[int]:
        """The numbers of its postings."""
        return [posting.posting_id for posting in self.postings]

    @property
    def ended_at(self) -> datetime | None:
        """When the last of it ended; None if something has not."""
        ends = [p.finished_at for p in self.postings if p.state in ("finished", "stopped")]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(self.postings) else None

    @property
    def opens_at(self) -> datetime | None:
        """When the grace of it ends, if it has one still."""
        opens = [p.opens_at for p in self.postings if p.opens_at is not None]
        return max((moment for moment in opens if moment > self.now), default=None)

    @property
    def stopped(self) -> ToldPosting | None:
        """The first of its postings that somebody ended, if any."""
        return next((p for p in self.postings if p.state == "stopped"), None)

    @property
    def left_out(self) -> LeftOut:
        """Who is on its lists, and gets nothing."""
        return LeftOut(
            suppressed=sum(posting.suppressed for posting in self.postings),
            held=sum(posting.held for posting in self.postings),
            unusable=sum(posting.unusable for posting in self.postings),
        )

    def definition_of(self, posting: ToldPosting) -> Definition | None:
        """Return what its list is now; None if it is gone."""
        return self.definitions.get(posting.definition)


def _stopped_by(posting: ToldPosting) -> str:
    match posting.ended_because:
        case "finish_by":
            return "deadline"
        case "refused":
            return "moderator"
        case "expired":
            return "nobody"
        case _:
            return "author" if posting.decided_by in (None, "author") else "operator"


async def _about(db: Connection, message: Message, outbox: Outbox) -> tuple[HeldPosting, About]:
    """Return the first of its postings, which stands for all, and what letters say of it."""
    first, lang = await decisions.held(db, message.numbers[0]), message.receipt.lang
    addresses = [f"{p.list_address}@{outbox.site.domain}" for p in message.postings]
    shown = format_list(addresses, locale=lang)
    return first, replace(outbox.about(first), lang=lang, list_address=shown)


async def _write(
    db: Connection, kind: NoticeKind, letter: Letter, first: HeldPosting, *, office: Office
) -> bool:
    return await answer(
        db,
        kind,
        letter,
        first.author,
        office=office,
        about=first,
        reply=(Purpose.POSTING, first.posting_id),
    )


async def write_receipt(
    db: Connection, message: Message, course: Course, planner: Planner, *, office: Office
) -> bool:
    """Tell the author when it will have left; False if they have had answers enough today."""
    outbox = Outbox(office.site, office.tokens, office.metrics)
    first, about = await _about(db, message, outbox)
    situation, plan = await planner.plan(db, not_before=message.now)
    numbers = message.numbers
    shares = situation.planned(plan, await progress.shares(db, numbers), numbers)
    outlook = Outlook(
        recipients=course.recipients,
        shares=[
            replace(share, finish_at=share.finish_at and outbox.local(share.finish_at))
            for share in shares
        ],
        finish_at=course.finish_at and outbox.local(course.finish_at),
        suppressed=message.left_out.suppressed,
        held=message.left_out.held,
        unusable=message.left_out.unusable,
        link=outbox.link(Purpose.POSTING, numbers[0]),
        now=outbox.local(message.now),
        first_copy_at=message.opens_at and outbox.local(message.opens_at),
        report_promised=is_report_due(course),
    )
    if not await _write(db, NoticeKind.RECEIPT, receipt(about, outlook), first, office=office):
        return False
    await receipts.written(
        db,
        message.receipt.receipt_id,
        promised_at=course.finish_at,
        report_promised=outlook.report_promised,
    )
    return True


async def write_delay(
    db: Connection,
    message: Message,
    course: Course,
    planner: Planner,
    *,
    office: Office,
) -> bool:
    """Tell the author once that it takes longer, and why."""
    outbox = Outbox(office.site, office.tokens, office.metrics)
    first, about = await _about(db, message, outbox)
    situation, plan = await planner.plan(db, not_before=message.now)
    shares = situation.planned(plan, await progress.shares(db, message.numbers), message.numbers)
    waiting = [share for share in shares if share.waiting]
    # What is not in sight comes last of all.
    last = max(waiting, key=lambda s: (s.finish_at is None, s.finish_at or s.waiting), default=None)
    slip = Slip(
        promised_at=outbox.local(course.promised_at or message.now),
        told_at=outbox.local(course.written_at or message.now),
        finish_at=course.finish_at and outbox.local(course.finish_at),
        figures=await progress.figures(db, message.numbers),
        why=_why_delayed(situation, last.provider if last else ""),
        display=last.display if last else "",
        link=outbox.link(Purpose.POSTING, message.numbers[0]),
        now=outbox.local(message.now),
    )
    letter = delay(about, slip)
    is_told = await _write(db, NoticeKind.DELAY, letter, first, office=office)
    # Twelve hours later than it was promised, nobody wants to hear of it a day later still.
    await receipts.delayed(db, message.receipt.receipt_id)
    return is_told


def _why_delayed(situation: Situation, provider: str) -> DelayReason:
    if situation.provider_paused_until(provider) is not None:
        return DelayReason.PAUSED
    slowed = any(s.kind is StateKind.SLOW and s.provider == provider for s in situation.states)
    return DelayReason.SLOWED if slowed else DelayReason.BUSY


async def write_report(
    db: Connection, message: Message, figures: Figures, *, office: Office
) -> bool:
    """Tell the author how it ended, and owners which addresses were not reached."""
    outbox = Outbox(office.site, office.tokens, office.metrics)
    first, about = await _about(db, message, outbox)
    ending = await _ending(db, message, figures, outbox=outbox)
    by_owner = await _owners_to_tell(db, message, outbox) if figures.missed else {}
    shown = [p for p in message.postings if _author_may_see(message, p, outbox)]
    told = replace(
        ending,
        unreached=await _unreached(db, shown),
        hidden=len(shown) < len(message.postings),
        owner_told=bool(by_owner),
    )
    kind = NoticeKind.STOP_REPORT if ending.stopped_by == "author" else NoticeKind.REPORT
    if not await _write(db, kind, report(about, told), first, office=office):
        return False
    for posting, unreached in by_owner.items():
        await _tell_owner(db, replace(message, postings=[posting]), unreached, outbox=outbox)
    return True


async def _ending(db: Connection, message: Message, figures: Figures, *, outbox: Outbox) -> Ending:
    span = await receipts.span(db, message.numbers)
    given_up = await receipts.given_up(db, message.numbers, at_most=_SHOWN_AT_MOST)
    reasons = Counter(reason_of(said, status) for said, status in given_up)
    stopped = message.stopped
    return Ending(
        figures=figures,
        began_at=outbox.local(span[0]) if span else None,
        ended_at=outbox.local(span[1] if span else message.ended_at or message.now),
        why_expired=reasons.most_common(1)[0][0] if reasons else None,
        unreached=(),
        hidden=False,
        owner_told=False,
        stopped_by=_stopped_by(stopped) if stopped else "",
        why_stopped=stopped.why_refused if stopped else "",
        left_out=message.left_out if message.receipt.written_at is None else None,
        link=outbox.link(Purpose.POSTING, message.numbers[0]),
        now=outbox.local(message.now),
    )


async def _unreached(db: Connection, postings: Sequence[ToldPosting]) -> Sequence[Unreached]:
    numbers = [posting.posting_id for posting in postings]
    missed = await receipts.missed(db, numbers, at_most=_SHOWN_AT_MOST)
    return [Unreached(one.address, one.name, reason_of(one.said, one.status)) for one in missed]


def _owner_of(definition: Definition, outbox: Outbox) -> str:
    return (definition.owner or outbox.site.help_address).lower()


def _author_may_see(message: Message, posting: ToldPosting, outbox: Outbox) -> bool:
    definition = message.definition_of(posting)
    if definition is None:
        return False
    is_owner = _owner_of(definition, outbox) == message.receipt.author.lower()
    return definition.report_addresses == "author" or (
        definition.report_addresses == "owner" and is_owner
    )


async def _owners_to_tell(
    db: Connection, message: Message, outbox: Outbox
) -> dict[ToldPosting, Sequence[Unreached]]:
    """Return whom each posting has not reached, where somebody besides the author is to know."""
    found = {}
    for posting in message.postings:
        definition = message.definition_of(posting)
        if definition is None or definition.report_addresses != "owner":
            continue
        owner = _owner_of(definition, outbox)
        # Ours would come back to us.
        is_foreign = local_part_of(owner, outbox.site.domain) is None
        if owner != message.receipt.author.lower() and is_foreign:
            found[posting] = await _unreached(db, [posting])
    return {posting: unreached for posting, unreached in found.items() if unreached}


async def _tell_owner(
    db: Connection, message: Message, unreached: Sequence[Unreached], *, outbox: Outbox
) -> None:
    """Write to the owner of the one list that *message* is narrowed to."""
    [posting] = message.postings
    definition = message.definitions[posting.definition]
    figures = await progress.figures(db, message.numbers)
    ending = await _ending(db, message, figures, outbox=outbox)
    about = outbox.about(await decisions.held(db, posting.posting_id))
    letter = report_to_owner(
        about,
        # The page is its author's, who alone decides what still waits.
        replace(ending, unreached=unreached, link=""),
        author=message.receipt.author,
        member_space=outbox.site.member_space,
    )
    owner = definition.owner or outbox.site.help_address
    await outbox.send(db, NoticeKind.REPORT_TO_OWNER, letter, owner, about=None)
