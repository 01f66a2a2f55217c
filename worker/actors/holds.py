"""Holds: postings that wait for somebody are asked about, released, ended, and told of.

    a posting that                            becomes
    awaits somebody who was not asked         asked: decisions and notices in one transaction
    awaits somebody for too long              stopped: expired
    everybody has agreed to                   open, with the recipients of this moment
    ended by somebody else than its author    told to its author, if they are proven

Pages, replies and operators only write down an answer; all mail about it is
written here, once, in the transaction that changes the posting.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
import structlog

from worker.actors.answers import answer
from worker.actors.expansion import judged, release
from worker.actors.outbox import Outbox, attached
from worker.errors import QueryFailed, ReaderKilled, ReaderMissing, StoreLost
from worker.mail.answer import beginning_of
from worker.mail.return_address import Purpose
from worker.notices import letters, refusals
from worker.notices.letters import Crowd, LastTime
from worker.notices.moments import about_time
from worker.policy.admission import (
    CONFIRM_WITHIN,
    CONFIRMATIONS_A_DAY,
    FAULTS_OF_LISTS,
    MODERATE_WITHIN,
    Reason,
)
from worker.policy.expansion import ListAddress
from worker.policy.outcome import NoticeKind
from worker.store import authors, decisions, expansion, lists, notices, postings
from worker.store.database import CONFLICTS, borrowed, failed_query
from worker.store.decisions import Kind
from worker.store.members import member_file_date
from worker.store.situation import read_situation

if TYPE_CHECKING:
    from datetime import date

    from worker.actors.office import Office
    from worker.actors.signals import Signals
    from worker.mail.notice import Attachment
    from worker.store.database import Connection
    from worker.store.decisions import Begun, HeldPosting, Question

log = structlog.get_logger()

_LOOK_SECONDS = 5.0  # NOTIFY is a hint; this is the guarantee.
_QUERY_RETRY = timedelta(minutes=5)
_VIEW_PATIENCE = timedelta(seconds=20)
_FLOOD_RETRY = timedelta(hours=1)
_CRASHES_ALLOWED, _STUCK_RETRY = 3, timedelta(hours=1)
# A flood of forged messages must not become a flood of mail to the moderators.
_QUESTIONS_A_DAY = 20


async def run_holds(office: Office, *, signals: Signals) -> None:
    """Attend to what waits, until the worker stops."""
    while not signals.stopping:
        try:
            if await attend_next(office=office):
                continue
            async with borrowed(office.pool) as db:
                due = await decisions.seconds_until_due(db)
            office.metrics.actor_succeeded("holds")
            await signals.wait("decision", min(max(due or _LOOK_SECONDS, 0.1), _LOOK_SECONDS))
        except (StoreLost, ReaderMissing) as lost:
            log.warning("holds.interrupted", why=str(lost))
            await signals.sleep(1.0)


async def attend_next(*, office: Office) -> bool:
    """Do what is due for one posting; False if nothing is."""
    async with borrowed(office.pool) as db:
        begun = await decisions.begin_next(db)
        if begun is None:
            return False
        seen = await _seen(db, begun, office=office)
        try:
            async with db.transaction(isolation="repeatable_read"):
                await _attend_begun(db, begun, seen, office=office)
        except CONFLICTS:
            # Somebody was faster, which is no crash; what is left is seen next.
            await decisions.ended(db, begun.posting_id)
    return True


@dataclass(frozen=True, slots=True)
class _Seen:
    """What letters tell of a held message; read before the transaction that writes them."""

    message: Attachment | None = None
    beginning: str = ""


async def _seen(db: Connection, begun: Begun, *, office: Office) -> _Seen:
    held = await decisions.held(db, begun.posting_id)
    if held.awaits in ("release", "confirmation") or begun.attempts > _CRASHES_ALLOWED:
        return _Seen()
    return _Seen(await attached(held.raw, office=office), await _beginning(held, office=office))


async def _attend_begun(db: Connection, begun: Begun, seen: _Seen, *, office: Office) -> None:
    if not await decisions.lock(db, begun.posting_id):
        return
    if begun.attempts > _CRASHES_ALLOWED:
        log.error("posting.put_off", posting_id=begun.posting_id)
        await decisions.postpone(db, begun.posting_id, _STUCK_RETRY)
    else:
        await _attend(db, await decisions.held(db, begun.posting_id), seen, office=office)
    await decisions.ended(db, begun.posting_id)


async def _attend(db: Connection, held: HeldPosting, seen: _Seen, *, office: Office) -> None:
    match held.awaits:
        case "release":
            await _release(db, held, office=office)
        case "confirmation" | "moderation" if held.asked_at is not None:
            await decisions.end(db, held.posting_id, "expired")
            log.info("posting.expired", posting_id=held.posting_id, awaited=held.awaits)
        case "confirmation":
            await _ask_author(db, held, office=office)
        case "moderation":
            await _ask_moderators(db, held, seen, office=office)
        case _:
            await _tell_author(db, held, seen, office=office)


async def _release(db: Connection, held: HeldPosting, *, office: Office) -> None:
    """Open a posting; a list that is broken or gone makes it wait, and is told."""
    try:
        address = await _address_of(db, held)
        async with db.transaction():
            reasons = await release(db, held, address, office=office)
    except QueryFailed as failure:
        log.error("list.query_failed", definition=held.definition, why=str(failure))  # noqa: TRY400 - foreseen
        await decisions.postpone(db, held.posting_id, _QUERY_RETRY)
        return
    if reasons:
        await decisions.await_moderation(db, held.posting_id, [r.value for r in reasons])


async def _address_of(db: Connection, held: HeldPosting) -> ListAddress:
    for definition in await lists.definitions(db):
        if definition.name == held.definition:
            return ListAddress(definition, held.parts)
    raise QueryFailed(f"the list {held.definition} is defined no more", name=held.definition)


async def _ask_author(db: Connection, held: HeldPosting, *, office: Office) -> None:
    if await decisions.is_asked_elsewhere(db, held.posting_id):
        return
    pace = await authors.pace(db, held.author, held.list_id)
    # This one is among those that are about to be asked.
    if pace.asked_today > CONFIRMATIONS_A_DAY:
        why = Reason.ASKED_ENOUGH if held.repeats is None else Reason.REPEATED
        reasons = [*held.reasons, why.value]
        await decisions.await_moderation(db, held.posting_id, reasons)
        return
    [question] = await decisions.ask(
        db, held.posting_id, Kind.CONFIRM, [held.author], within=CONFIRM_WITHIN
    )
    if held.repeats is not None:
        await _ask_whether_again(db, held, held.repeats, question, office=office)
    else:
        await _ask_whether_theirs(db, held, question, office=office)
    log.info("author.asked", posting_id=held.posting_id)


async def _ask_whether_theirs(
    db: Connection, held: HeldPosting, question: Question, *, office: Office
) -> None:
    outbox = Outbox(office.site, office.tokens, office.metrics)
    letter = letters.confirmation(
        outbox.about(held, member_file=await _member_file(db), to_author=True),
        recipients=held.recipients,
        size=held.size_bytes,
        link=outbox.link(Purpose.CONFIRM, question.decision_id),
        until=outbox.local(question.expires_at),
    )
    reply = (Purpose.CONFIRM, question.decision_id)
    await outbox.send(db, NoticeKind.CONFIRM, letter, held.author, about=held, reply=reply)


async def _ask_whether_again(
    db: Connection, held: HeldPosting, repeats: int, question: Question, *, office: Office
) -> None:
    """Ask who has sent the same twice; who has had answers enough today has sent it once."""
    outbox = Outbox(office.site, office.tokens, office.metrics)
    earlier = await decisions.earlier(db, repeats)
    letter = refusals.sent_twice(
        outbox.about(held, to_author=True),
        recipients=earlier.recipients,
        awaits=earlier.awaits,
        is_waiting=earlier.state == "held",
        link=outbox.link(Purpose.CONFIRM, question.decision_id),
        until=outbox.local(question.expires_at),
    )
    kind, reply = NoticeKind.SENT_TWICE, (Purpose.CONFIRM, question.decision_id)
    if held.proof and _is_answered(held):
        await answer(db, kind, letter, held.author, office=office, about=held, reply=reply)
    elif not held.proof:  # They have to confirm it anyway, or it would wait for nothing.
        await outbox.send(db, kind, letter, held.author, about=held, reply=reply)


async def _ask_moderators(
    db: Connection, held: HeldPosting, seen: _Seen, *, office: Office
) -> None:
    """Write to each moderator; the first who answers decides."""
    asked = [
        address
        for address in await _moderators(db, held, office=office)
        if await notices.sent_lately(db, address, NoticeKind.MODERATE, timedelta(days=1))
        < _QUESTIONS_A_DAY
    ]
    if not asked:
        # The days to decide begin when somebody has been asked.
        log.warning("moderators.flooded", posting_id=held.posting_id)
        await decisions.postpone(db, held.posting_id, _FLOOD_RETRY)
        return
    questions = await decisions.ask(
        db, held.posting_id, Kind.MODERATE, asked, within=MODERATE_WITHIN
    )
    outbox = Outbox(office.site, office.tokens, office.metrics)
    about = outbox.about(
        held, member_file=await _member_file(db), is_attached=seen.message is not None
    )
    crowd = await _crowd(db, held, outbox)
    finish = await _finish(db, held, about.lang, office=office)
    for question in questions:
        letter = letters.moderation(
            about,
            crowd=crowd,
            size=held.size_bytes,
            reasons=held.reasons,
            link=outbox.link(Purpose.MODERATE, question.decision_id),
            until=outbox.local(question.expires_at),
            finish=finish,
            beginning=seen.beginning,
        )
        await outbox.send(
            db,
            NoticeKind.MODERATE,
            letter,
            question.address,
            about=held,
            reply=(Purpose.MODERATE, question.decision_id),
            attach=seen.message,
        )
    if held.proof and _is_answered(held):
        letter = letters.held(
            outbox.about(held, to_author=True),
            moderators=len(questions),
            link=outbox.link(Purpose.POSTING, held.posting_id),
            reasons=held.reasons,
            crowd=crowd,
        )
        await answer(db, NoticeKind.HELD, letter, held.author, office=office, about=held)
    log.info("moderators.asked", posting_id=held.posting_id, asked=len(questions))


async def _crowd(db: Connection, held: HeldPosting, outbox: Outbox) -> Crowd:
    """Return whom a posting is for, and whom the last one to its list was."""
    last = await postings.last_out(db, held.list_id)
    before = LastTime(last.listed, outbox.local(last.accepted_at).date()) if last else None
    return Crowd(held.recipients, held.listed, before)


async def _finish(db: Connection, held: HeldPosting, lang: str, *, office: Office) -> str:
    """Say when a posting would be finished if it began now; "" if that is not in sight."""
    if Reason.LOST_UNDER_WAY in held.reasons:
        return ""  # Its copies are made, and some have left.
    try:
        address = await _address_of(db, held)
        mark = await postings.fingerprint_of(db, held.posting_id)
        await judged(db, address, held.list_id, mark, office=office)
    except QueryFailed as failure:
        log.warning("list.query_failed", definition=held.definition, why=str(failure))
        return ""
    by_provider = await expansion.by_provider(db)
    situation = await read_situation(db, office.accounts)
    # A thousand queues take a fifth of a second of CPU, for which nobody else can wait.
    plan = partial(situation.finish_of_newcomer, by_provider, address.definition)
    finish_at = (await asyncio.to_thread(plan)).at
    local = Outbox(office.site, office.tokens, office.metrics).local
    return about_time(lang, local(finish_at), local(situation.now)) if finish_at else ""


async def _beginning(held: HeldPosting, *, office: Office) -> str:
    """Return the first lines of a posting; it is asked about even if they cannot be read."""
    if held.raw is None:
        return ""
    try:
        return await office.reader.run(beginning_of, held.raw)
    except ReaderKilled as killed:
        office.metrics.reader_killed(killed.why)
        log.warning("posting.unreadable", posting_id=held.posting_id, why=str(killed))
        return ""


async def _member_file(db: Connection) -> date | None:
    """Return of which day the member file is; a site's own view of it may fail."""
    try:
        async with lists.asking_views(db, _VIEW_PATIENCE):
            return await member_file_date(db)
    except asyncpg.PostgresError as error:
        failure = failed_query("the date of the member file", error)
        if isinstance(failure, StoreLost):
            raise failure from error
        log.warning("member_file.undated", why=str(failure))
        return None


async def _moderators(db: Connection, held: HeldPosting, *, office: Office) -> list[str]:
    """Return whom to ask: the list's moderators, its owner, or whoever helps at the site.

    A broken query must not keep a posting from being asked about.
    """
    asked: list[str] = []
    owner: str | None = None
    try:
        address = await _address_of(db, held)
        owner = address.definition.owner
        async with lists.asking_views(db, _VIEW_PATIENCE):
            asked = await authors.moderators(db, address)
    except QueryFailed:
        log.warning("list.undefined", definition=held.definition)
    except asyncpg.PostgresError as error:
        failure = failed_query(held.definition, error)
        if isinstance(failure, StoreLost):
            raise failure from error
        log.warning("list.query_failed", definition=held.definition, why=str(failure))
    keeper = owner or office.site.help_address
    if not asked or FAULTS_OF_LISTS & set(held.reasons):
        asked.append(keeper)
    return list({address.lower(): address for address in asked}.values())


def _is_answered(held: HeldPosting) -> bool:
    return bool(held.author) and held.answerable


async def _tell_author(db: Connection, held: HeldPosting, seen: _Seen, *, office: Office) -> None:
    outbox = Outbox(office.site, office.tokens, office.metrics)
    about = outbox.about(held, is_attached=seen.message is not None, to_author=True)
    match held.ended_because:
        case "refused":
            kind, letter = (
                NoticeKind.REFUSED,
                letters.refused(about, reason=held.held_because or ""),
            )
        case _:
            kind, letter = NoticeKind.EXPIRED, letters.expired(about)
    if _is_answered(held):
        await answer(db, kind, letter, held.author, office=office, about=held, attach=seen.message)
    await decisions.told(db, held.posting_id)
