"""Requests: mail to addresses of ours that are no lists.

    unsubscribe-TOKEN          the token is the proof, not the From
    confirm-TOKEN              an author's answer: did you write this?
    moderate-TOKEN             a moderator's answer: may it go out?
    posting-TOKEN              an author's answer to a receipt (worker/actors/replies)
    LIST-owner, postmaster ... a human is behind them, and gets it forwarded
    LIST-unsubscribe           without a token: answered with it

What a program writes to the second, third and fourth never comes here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from worker.actors.office import Verdict, settle_in, tell
from worker.actors.outbox import Outbox, Unposted, attached
from worker.mail.address import local_part_of
from worker.mail.answer import Answer, Meaning
from worker.mail.return_address import Purpose, alleged_number, list_and_person
from worker.notices import letters
from worker.policy.outcome import (
    ArrivalKind,
    ArrivalOutcome,
    DeliveryResult,
    NoticeKind,
    OptOutMethod,
)
from worker.store import arrivals, decisions, notices, suppressions
from worker.store.database import borrowed
from worker.store.decisions import Answered, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.actors.office import Office
    from worker.mail.examination import Examination
    from worker.mail.return_address import ServiceAddress
    from worker.policy.expansion import ListAddress
    from worker.store.arrivals import Arrival
    from worker.store.database import Connection
    from worker.store.decisions import AskedDecision

_KINDS = {Purpose.CONFIRM: Kind.CONFIRM, Purpose.MODERATE: Kind.MODERATE}
_PURPOSES = {kind: purpose for purpose, kind in _KINDS.items()}
# RFC 2142, sections 4 and 5, and what programs write to.
SITE_ROLES = ("postmaster", "abuse", "hostmaster", "webmaster", "mailer-daemon", "root", "bounces")
_LIST_ROLES = ("-owner", "-request", "-bounces")
# As Mailman, Sympa and ezmlm have them; whoever knows one guesses ours.
_WAYS_OUT = ("-unsubscribe", "-leave", "-off")
_FORWARDED_A_DAY = 50
_UNCLEAR_AN_HOUR = 3


async def unsubscribe(arrival: Arrival, request: ServiceAddress, *, office: Office) -> None:
    """Act on mail to ``unsubscribe-TOKEN``."""
    list_id, person_id = list_and_person(alleged_number(request.token))
    verdict, new = _not_ours(), None
    async with borrowed(office.pool) as db, db.transaction():
        subscriber = await suppressions.subscriber(db, list_id, person_id)
        if subscriber is not None and office.tokens.read(
            Purpose.UNSUBSCRIBE, request.token, stands_for=subscriber.subscription
        ):
            verdict = _request(ArrivalOutcome.UNSUBSCRIBED)
            new = await suppressions.opt_out(db, list_id, person_id, source=OptOutMethod.MAIL.value)
        await settle_in(db, arrival, verdict, office=office)
    if new is not None:
        office.metrics.unsubscribed(OptOutMethod.MAIL)
        office.metrics.finished(DeliveryResult.CANCELLED, new)
    tell(arrival, verdict, office=office)


async def take_answer(
    arrival: Arrival, seen: Examination, request: ServiceAddress, *, office: Office
) -> None:
    """Act on mail to ``confirm-TOKEN`` or ``moderate-TOKEN`` that a person wrote."""
    number = office.tokens.read(request.purpose, request.token)
    async with borrowed(office.pool) as db, db.transaction():
        asked = None
        if number is not None:
            asked = await decisions.asked(db, number, _KINDS[request.purpose])
        verdict = _not_ours() if asked is None else await _answer(db, seen, asked, office=office)
        await settle_in(db, arrival, verdict, office=office)
    tell(arrival, verdict, office=office)


async def _answer(
    db: Connection, seen: Examination, asked: AskedDecision, *, office: Office
) -> Verdict:
    answer = seen.answer or Answer(Meaning.UNCLEAR)
    # To answer our question at all is to confirm; a moderator has to say it. A
    # program that answers without marks may not even quote, but it makes no thread.
    says_yes = answer.meaning is Meaning.YES or (
        answer.meaning is Meaning.EMPTY and asked.kind is Kind.CONFIRM and seen.answers_us
    )
    if not says_yes and answer.meaning is not Meaning.NO:
        if asked.is_open:
            await _say_unclear(db, seen, asked, office=office)
        return _request(ArrivalOutcome.ANSWER_UNCLEAR, wanted_in=arrivals.REFUSED)
    answered = await decisions.answer(
        db, asked.decision_id, yes=says_yes, source="mail", reason=answer.reason or None
    )
    if answered is Answered.TOO_LATE:
        return _request(ArrivalOutcome.ANSWER_LATE, wanted_in=arrivals.REFUSED)
    if not says_yes:
        return _request(ArrivalOutcome.DECLINED)
    confirms = asked.kind is Kind.CONFIRM
    return _request(ArrivalOutcome.CONFIRMED if confirms else ArrivalOutcome.APPROVED)


async def _say_unclear(
    db: Connection, seen: Examination, asked: AskedDecision, *, office: Office
) -> None:
    """Write to whom we asked, never to whoever wrote: only the former is known to us."""
    kind = NoticeKind.ANSWER_UNCLEAR
    if await notices.sent_lately(db, asked.address, kind, timedelta(hours=1)) >= _UNCLEAR_AN_HOUR:
        return
    outbox = Outbox(office.site, office.tokens, office.metrics)
    posting = await decisions.held(db, asked.posting_id)
    about = outbox.about(posting, to_author=asked.kind is Kind.CONFIRM)
    purpose = _PURPOSES[asked.kind]
    letter = letters.answer_unclear(about, link=outbox.link(purpose, asked.decision_id))
    # In the thread of what was not understood.
    written = replace(posting, thread=seen.thread)
    await outbox.send(
        db, kind, letter, asked.address, about=written, reply=(purpose, asked.decision_id)
    )


def role_of(local_part: str) -> tuple[str, str] | None:
    """Return the list's part and the role of ``LIST-owner``, or ("", role) of the site's."""
    if local_part in SITE_ROLES:
        return "", local_part
    for role in _LIST_ROLES:
        if local_part.endswith(role) and local_part != role:
            return local_part.removesuffix(role), role[1:]
    return None


def list_to_leave(local_part: str) -> str | None:
    """Return the list's part of ``LIST-unsubscribe`` and its like, None of any other."""
    for way in _WAYS_OUT:
        if local_part.endswith(way) and local_part != way:
            return local_part.removesuffix(way)
    return None


async def forward(
    arrival: Arrival,
    seen: Examination,
    local_part: str,
    address: ListAddress | None,
    *,
    office: Office,
    replied_to: Sequence[tuple[int, str]] = (),
) -> Verdict:
    """Bring a message to the human behind a role: the list's owner, else the site's help.

    A reply to a receipt comes with the numbers and subjects of the postings.
    """
    owner = address.definition.owner if address is not None else None
    human = owner or office.site.help_address
    if local_part_of(human, office.site.domain) is not None:
        # It would come back to us, for ever.
        return _request(
            ArrivalOutcome.HELD_NO_RECIPIENT_HEADER,
            "the help address is in the lists' own domain",
            wanted_in=arrivals.QUARANTINE,
        )
    outbox, author = Outbox(office.site, office.tokens, office.metrics), seen.author
    message = await attached(arrival.raw, office=office)
    async with borrowed(office.pool) as db, db.transaction():
        if await notices.is_forwarded(db, arrival.arrival_id, human):
            return _request(ArrivalOutcome.FORWARDED)
        lately = await notices.sent_lately(db, human, NoticeKind.FORWARDED, timedelta(days=1))
        if lately >= _FORWARDED_A_DAY:
            return _request(
                ArrivalOutcome.REFUSED_FLOOD, "too many today", wanted_in=arrivals.REFUSED
            )
        about = letters.About(
            lang=address.definition.lang if address is not None else office.site.locale,
            author=author or "?",
            subject=seen.subject,
            list_address=f"{local_part}@{office.site.domain}",
            number=None,
            help_address=office.site.help_address,
            is_attached=message is not None,
        )
        letter = letters.forwarded(
            about,
            role=about.list_address,
            can_be_answered=author is not None,
            replied_to=replied_to,
        )
        await outbox.send(
            db,
            NoticeKind.FORWARDED,
            letter,
            human,
            about=Unposted(arrival, seen.message_id, seen.thread),
            attach=message,
            reply_to=author or "",
        )
    return _request(ArrivalOutcome.FORWARDED)


def _request(
    outcome: ArrivalOutcome, reason: str | None = None, *, wanted_in: str | None = None
) -> Verdict:
    return Verdict(ArrivalKind.REQUEST, outcome, reason, wanted_in)


def _not_ours() -> Verdict:
    return _request(ArrivalOutcome.REFUSED_STRANGER, "a token not ours", wanted_in=arrivals.REFUSED)
