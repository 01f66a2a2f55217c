"""The return handler: reports and complaints, matched to what we submitted.

A report is believed if it names a delivery by something that only its copy
carried: the return address it was sent to, the reference in the returned part,
or the Message-ID together with the recipient. Anything else is counted and
changes nothing: everybody can write a report. A complaint takes who complains
off the list.

What a report means is for the rules (worker/policy/feedback.py): a copy that was
refused for rate or policy leaves again. A report of a delay is a signal about
the provider, once per copy, and changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from worker.actors.feedback import Heard, act, open_breakers, tell
from worker.actors.office import ATTEMPTS_ALLOWED, examined, quarantined, set_aside, settle
from worker.errors import ReaderKilled, ReaderMissing, StoreLost
from worker.mail.dsn import Kind
from worker.mail.return_address import Purpose
from worker.policy.outcome import ArrivalKind, ArrivalOutcome, DeliveryResult, OptOutMethod
from worker.store import arrivals, deliveries, returns, suppressions
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.feedback import Felt
    from worker.actors.office import Office
    from worker.actors.signals import Signals
    from worker.mail.dsn import RecipientReport, Return
    from worker.mail.examination import Examination
    from worker.store.arrivals import Arrival
    from worker.store.database import Connection
    from worker.store.returns import Returned

log = structlog.get_logger()

_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Settled:
    """What a return was, what became of it, and what was felt by it."""

    kind: ArrivalKind
    outcome: ArrivalOutcome
    felt: Felt | None = None


async def run_return_handler(office: Office, *, signals: Signals) -> None:
    """Settle returns, until the worker stops."""
    arrival: Arrival | None = None
    while not signals.stopping:
        try:
            if arrival is None:
                async with borrowed(office.pool) as db:
                    await office.rulebook.refresh(db)
                    arrival = await arrivals.claim(db, "sorted", office.worker_id)
                office.metrics.actor_succeeded("return_handler")
            if arrival is None:
                await signals.wait("report", _LOOK_SECONDS)
                continue
            await handle_return(arrival, office=office)
        except (StoreLost, ReaderMissing) as lost:
            log.warning("return_handler.interrupted", why=str(lost))
            await signals.sleep(1.0)
            continue
        arrival = None


async def handle_return(arrival: Arrival, *, office: Office) -> None:
    """Match one return to its delivery and settle both in one transaction."""
    if arrival.attempts > ATTEMPTS_ALLOWED:
        given_up = quarantined(ArrivalOutcome.QUARANTINED, "the worker ended three times over it")
        await settle(arrival, given_up, office=office)
        return
    try:
        seen = await examined(arrival, office=office)
    except ReaderKilled as killed:
        await set_aside(arrival, killed, office=office)
        return
    await _handle_examined(arrival, seen, office=office)


async def _handle_examined(arrival: Arrival, seen: Examination, *, office: Office) -> None:
    async with borrowed(office.pool) as db:
        async with db.transaction():
            named = await _delivery_named(db, seen, office=office)
            done = await _act(db, seen.returned, named, office=office)
            await arrivals.settle(
                db, arrival, office.worker_id, kind=done.kind, outcome=done.outcome
            )
        if done.outcome is ArrivalOutcome.BOUNCED:
            await open_breakers(db, office.failures)
    _tell(arrival, done, named, office=office)


def _tell(arrival: Arrival, done: _Settled, named: int | None, *, office: Office) -> None:
    office.metrics.received(done.kind)
    if done.felt is not None:
        tell(done.felt, metrics=office.metrics)
    log.info(
        "return.settled",
        arrival_id=arrival.arrival_id,
        kind=done.kind.value,
        outcome=done.outcome.value,
        delivery_id=named,
        verdict=done.felt.heard.verdict.action.value if done.felt else None,
        rule_id=done.felt.heard.verdict.rule_id if done.felt else None,
    )


async def _delivery_named(db: Connection, seen: Examination, *, office: Office) -> int | None:
    """Return the delivery that a return speaks of, by the strongest evidence it has."""
    found = seen.returned
    tokens = [s.token for s in seen.services if s.purpose is Purpose.RETURN]
    tokens += found.references if found else ()
    for token in tokens:
        delivery_id = office.tokens.read(Purpose.RETURN, token)
        if delivery_id is not None and await deliveries.exists(db, delivery_id):
            return delivery_id
    if found is None or not found.message_id:
        return None
    for report in found.recipients:
        for address in (report.original_recipient, report.final_recipient):
            delivery_id = await deliveries.find(
                db, message_id=found.message_id, recipient=address or ""
            )
            if delivery_id is not None:
                return delivery_id
    return None


async def _act(
    db: Connection, found: Return | None, delivery_id: int | None, *, office: Office
) -> _Settled:
    """Do what the return asks for; say what it was and what became of it."""
    if found is None:
        # Not a report, but it came to a return address: the copy had arrived.
        if delivery_id is not None:
            await deliveries.confirm(db, delivery_id)
        return _Settled(ArrivalKind.AUTOMATIC, ArrivalOutcome.DROPPED_AUTOMATIC)
    if found.kind is Kind.COMPLAINT:
        return await _heed_complaint(db, found, office=office)
    if delivery_id is None:
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.UNMATCHED_REPORT)
    copy = await returns.open_for_report(db, delivery_id)
    failed = [report for report in found.recipients if report.action == "failed"]
    if found.kind is not Kind.REPORT or not failed:
        delayed = [report for report in found.recipients if report.action == "delayed"]
        felt = await _heed_delay(db, copy, delayed[0], office=office) if delayed else None
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.DELAYED, felt)
    if copy is None:  # An earlier report has said it.
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.BOUNCED)
    return await _take_back(db, copy, failed[0], office=office)


async def _heed_complaint(db: Connection, found: Return, *, office: Office) -> _Settled:
    """Take who complains off the list; only the token of their own copy says who it is.

    Everybody on the list knows the Message-ID, and could complain in another's name.
    """
    numbers = [office.tokens.read(Purpose.RETURN, token) for token in found.references]
    named = next((number for number in numbers if number is not None), None)
    person = None
    if named is not None and found.complains:
        person = await returns.recipient_of(db, named)
    if person is None:
        return _Settled(ArrivalKind.COMPLAINT, ArrivalOutcome.UNMATCHED_REPORT)
    method = OptOutMethod.COMPLAINT
    cancelled = await suppressions.opt_out(
        db, person.list_id, person.person_id, source=method.value, reason="complained"
    )
    if cancelled is not None:
        office.metrics.unsubscribed(method)
        office.metrics.finished(DeliveryResult.CANCELLED, cancelled)
    return _Settled(ArrivalKind.COMPLAINT, ArrivalOutcome.UNSUBSCRIBED)


def _heard(copy: Returned, report: RecipientReport, *, office: Office) -> Heard:
    text = _kept(report.diagnostic)
    verdict = office.rulebook.verdict(text, provider=copy.provider, status=report.status)
    return Heard(
        copy.delivery_id,
        copy.provider,
        copy.account,
        copy.posting_id,
        verdict,
        text or report.status,
        returned=copy.returned,
    )


async def _heed_delay(
    db: Connection, copy: Returned | None, report: RecipientReport, *, office: Office
) -> Felt | None:
    """Take a delay as a signal of the provider; once, since anybody may repeat a report."""
    if copy is None or copy.is_told:
        return None
    heard = _heard(copy, report, office=office)
    if not heard.verdict.concerns_us:
        return None
    felt = await act(db, heard)
    await returns.note(db, copy.delivery_id, heard.verdict.action)
    return felt


async def _take_back(
    db: Connection, copy: Returned, report: RecipientReport, *, office: Office
) -> _Settled:
    """Queue the copy again if the refusal was not about it or the person; else it has bounced."""
    heard = _heard(copy, report, office=office)
    felt = await act(db, heard)
    if felt.reaction.requeue and await returns.requeue(
        db,
        copy.delivery_id,
        due_at=felt.due_at,
        verdict=heard.verdict.action,
        status=_kept(report.status),
        reply=heard.text,
    ):
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.REQUEUED, felt)
    await deliveries.bounce(
        db, copy.delivery_id, status=_kept(report.status), diagnostic=heard.text
    )
    await returns.note(db, copy.delivery_id, heard.verdict.action)
    office.metrics.bounced(report.status)
    office.metrics.finished(DeliveryResult.BOUNCED)
    return _Settled(ArrivalKind.REPORT, ArrivalOutcome.BOUNCED, felt)


def _kept(text: str) -> str:
    """Return what a row can keep of a stranger's words: PostgreSQL has no NUL in a text."""
    return text.replace("\0", "")
