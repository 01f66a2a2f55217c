"""The reporter: tells authors when their message will have left, that it takes longer, and the end.

A message has one receipt, whichever lists it is for. Each step is one transaction
of one moment: what is told, and that it was told. A crash repeats a step that was
not committed, and no other; three of them put the receipt off for an hour.

What is told and when is worker/policy/telling.py's to say, when all will have
left the plan's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from worker.actors.author_letters import (
    PLAN_AGE,
    Message,
    Planner,
    write_delay,
    write_receipt,
    write_report,
)
from worker.errors import StoreLost
from worker.policy.telling import Course, Figures, Habit, Step, next_step
from worker.store import lists, overview, progress, receipts, wishes
from worker.store.database import CONFLICTS, borrowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.actors.office import Office
    from worker.actors.signals import Signals
    from worker.store.database import Connection
    from worker.store.receipts import Begun

log = structlog.get_logger()

_LOOK_SECONDS = 5.0  # NOTIFY is a hint; this is the guarantee.
_CRASHES_ALLOWED, _STUCK_RETRY = 3, timedelta(hours=1)
_CAPPED_RETRY = timedelta(hours=1)  # Of an author who has had answers enough today.
# Until then the exchanges of new domains are looked up, and copies change providers.
_DOMAINS_WITHIN, _DOMAINS_RETRY = timedelta(seconds=45), timedelta(seconds=5)
# A host that delivers a copy for each list does so within that time.
_FIRST_LOOK = timedelta(seconds=5)


async def run_reporter(office: Office, *, accounts: Sequence[str], signals: Signals) -> None:
    """Tell authors what is due, until the worker stops; *accounts* are those that submit."""
    planner = Planner(accounts)
    while not signals.stopping:
        try:
            if await tell_next(planner, office=office):
                continue
            async with borrowed(office.pool) as db:
                due = await receipts.seconds_until_due(db)
            office.metrics.actor_succeeded("reporter")
            wait = _LOOK_SECONDS if due is None else min(max(due, 0.1), _LOOK_SECONDS)
            await signals.wait("receipt", wait)
        except StoreLost as lost:
            log.warning("reporter.interrupted", why=str(lost))
            await signals.sleep(1.0)


async def tell_next(planner: Planner, *, office: Office) -> bool:
    """Do what is due for one message; False if nothing is."""
    async with borrowed(office.pool) as db:
        while await receipts.open_next(db, first_look=_FIRST_LOOK):
            pass
        begun = await receipts.begin_next(db)
        if begun is None:
            return False
        try:
            async with db.transaction(isolation="repeatable_read"):
                await _attend(db, begun, planner, office=office)
        except CONFLICTS:
            # Something has become of it meanwhile, which is no crash; what is left is seen next.
            await receipts.postpone(db, begun.receipt_id, timedelta())
    return True


async def _attend(db: Connection, begun: Begun, planner: Planner, *, office: Office) -> None:
    locked = await receipts.lock(db, begun)
    if locked is None:
        return
    if begun.attempts > _CRASHES_ALLOWED:
        log.error("receipt.put_off", receipt_id=begun.receipt_id)
        await receipts.postpone(db, begun.receipt_id, _STUCK_RETRY)
        return
    message = Message(
        locked,
        await receipts.postings(db, begun.receipt_id),
        {definition.name: definition for definition in await lists.definitions(db)},
        await overview.moment(db),
    )
    if not message.postings:  # Whoever is forgotten is told nothing.
        await receipts.closed(db, begun.receipt_id)
    elif _is_asking_for_domains(message):
        await receipts.look_again(db, begun.receipt_id, message.now + _DOMAINS_RETRY)
    else:
        await _take_step(db, message, planner, office=office)


def _is_asking_for_domains(message: Message) -> bool:
    is_new = message.now < message.receipt.accepted_at + _DOMAINS_WITHIN
    return is_new and any(posting.asks_for_domains for posting in message.postings)


async def _take_step(db: Connection, message: Message, planner: Planner, *, office: Office) -> None:
    told, figures = message.receipt, await progress.figures(db, message.numbers)
    habit = await _habit(db, message)
    is_new = told.written_at is None
    course = await _course(db, message, figures, planner, age=timedelta() if is_new else PLAN_AGE)
    step = next_step(course, habit)
    if step.step is Step.DELAY:  # There is one such letter: not by a plan that may be old.
        course = await _course(db, message, figures, planner, age=timedelta())
        step = next_step(course, habit)
    is_told = True
    match step.step:
        case Step.RECEIPT:
            is_told = await write_receipt(db, message, course, planner, office=office)
        case Step.DELAY:
            is_told = await write_delay(db, message, course, planner, office=office)
        case Step.REPORT:
            is_told = await write_report(db, message, figures, office=office)
        case _:
            pass
    if step.step in (Step.REPORT, Step.CLOSE) and is_told:
        await receipts.closed(db, told.receipt_id)
    else:
        look_at = step.look_at if is_told else message.now + _CAPPED_RETRY
        await receipts.look_again(db, told.receipt_id, look_at)
    if step.step is not Step.WAIT:
        log.info("author.told", receipt_id=told.receipt_id, step=step.step.value, written=is_told)


async def _course(
    db: Connection, message: Message, figures: Figures, planner: Planner, *, age: timedelta
) -> Course:
    """Return how it fares, by a plan that is no older than *age*."""
    told, states = message.receipt, {posting.state for posting in message.postings}
    finish_at = None
    if message.ended_at is None:
        situation, plan = await planner.plan(db, not_before=message.now - age)
        finish_at = situation.finish_of(plan, message.numbers)
    return Course(
        now=message.now,
        accepted_at=told.accepted_at,
        recipients=sum(posting.recipients for posting in message.postings),
        finish_at=finish_at,
        ended_at=message.ended_at,
        missed=figures.missed if message.ended_at is not None else 0,
        is_waiting="held" in states,
        is_stopped="stopped" in states,
        has_grace=message.opens_at is not None,
        written_at=told.written_at,
        promised_at=told.promised_at,
        report_promised=told.report_promised,
        delayed_at=told.delayed_at,
    )


async def _habit(db: Connection, message: Message) -> Habit:
    """Return how all of its lists together want to be told; a list that is gone wants nothing."""
    found = [message.definition_of(posting) for posting in message.postings]
    wanted = [definition for definition in found if definition is not None]
    ways = {definition.receipt for definition in wanted}
    return Habit(
        notify_above=min((d.notify_above for d in wanted), default=Habit().notify_above),
        notify_delay=min((d.notify_delay for d in wanted), default=Habit().notify_delay),
        receipt=next((way for way in ("always", "auto", "never") if way in ways), "auto"),
        fewer=await wishes.fewer(db, message.receipt.author),
    )
