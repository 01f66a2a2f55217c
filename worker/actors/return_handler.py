"""The return handler: reports and complaints, matched to what we submitted.

A report is believed if it names a delivery by something only its copy carried
(worker/actors/matching.py). It counts for or against the address, once per
delivery, and what it means is for the rules (worker/policy/feedback.py): a copy
that was refused for rate or policy leaves again, and a delay is a signal about
the provider, once per copy. One that names a delivery by its Message-ID ends the
copy at most, and anything else changes nothing: everybody can write a report. A
complaint takes who complains off the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from worker.actors import health
from worker.actors.feedback import Heard, act, open_breakers, tell
from worker.actors.matching import match
from worker.actors.office import ATTEMPTS_ALLOWED, examined, quarantined, set_aside, settle
from worker.errors import ReaderKilled, ReaderMissing, StoreLost
from worker.mail.dsn import DELIVERED, Kind
from worker.policy.outcome import ArrivalKind, ArrivalOutcome, DeliveryResult, OptOutMethod
from worker.store import arrivals, deliveries, returns, suppressions
from worker.store.database import CONFLICTS, borrowed

if TYPE_CHECKING:
    from worker.actors.feedback import Felt
    from worker.actors.health import Change
    from worker.actors.matching import Match
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
    """What a return was, what became of it, what was felt by it, and what of its address."""

    kind: ArrivalKind
    outcome: ArrivalOutcome
    felt: Felt | None = None
    change: Change | None = None


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
        except CONFLICTS as conflict:
            log.info("return_handler.postponed", why=repr(conflict))
            continue
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
            named = await match(db, seen, tokens=office.tokens)
            done = await _act(db, seen, named, office=office)
            await arrivals.settle(
                db, arrival, office.worker_id, kind=done.kind, outcome=done.outcome
            )
        if done.outcome is ArrivalOutcome.BOUNCED:
            await open_breakers(db, office.failures)
    _tell(arrival, done, named, office=office)


def _tell(arrival: Arrival, done: _Settled, named: Match, *, office: Office) -> None:
    office.metrics.received(done.kind)
    if done.kind is not ArrivalKind.AUTOMATIC and named.doubt is not None:
        office.metrics.doubted(named.doubt)
    if done.felt is not None:
        tell(done.felt, metrics=office.metrics)
    health.tell(done.change, delivery_id=named.delivery_id)
    log.info(
        "return.settled",
        arrival_id=arrival.arrival_id,
        kind=done.kind.value,
        outcome=done.outcome.value,
        delivery_id=named.delivery_id,
        doubt=named.doubt.value if named.doubt else None,
        verdict=done.felt.heard.verdict.action.value if done.felt else None,
        rule_id=done.felt.heard.verdict.rule_id if done.felt else None,
    )


async def _act(db: Connection, seen: Examination, named: Match, *, office: Office) -> _Settled:
    """Do what the return asks for; say what it was and what became of it."""
    found = seen.returned
    if found is None:
        change = await _take_as_arrived(db, seen, named, office=office)
        return _Settled(ArrivalKind.AUTOMATIC, ArrivalOutcome.DROPPED_AUTOMATIC, change=change)
    if found.kind is Kind.COMPLAINT:
        return await _heed_complaint(db, found, named, office=office)
    if named.delivery_id is None:
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.UNMATCHED_REPORT)
    copy = await returns.read_left(db, named.delivery_id)
    reports = _about(copy, found)
    failed = [report for report in reports if report.action == "failed"]
    if found.kind is not Kind.REPORT or not failed:
        return await _heed_progress(db, copy, found, reports, named, office=office)
    return await _heed_failure(db, copy, failed[0], named, office=office)


async def _heed_failure(
    db: Connection,
    copy: Returned | None,
    report: RecipientReport,
    named: Match,
    *,
    office: Office,
) -> _Settled:
    if copy is None:  # It waits to leave again, or it never left.
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.BOUNCED)
    if not named.is_proven:
        if not copy.has_bounced:
            await _settle_only(db, copy, report, office=office)
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.BOUNCED)
    if copy.has_bounced and copy.is_told:  # Said before, and acted on.
        heard = _heard(copy, report, office=office)
        change = await _score(db, copy, report, heard, office=office)
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.BOUNCED, change=change)
    return await _take_back(db, copy, report, office=office)


async def _settle_only(
    db: Connection, copy: Returned, report: RecipientReport, *, office: Office
) -> None:
    """End the copy, and nothing else: everybody on the list could have written the report.

    No provider rests for it, no account does, and nothing is tried again.
    """
    heard = _heard(copy, report, office=office)
    await deliveries.bounce(
        db, copy.delivery_id, status=_kept(report.status), diagnostic=heard.text, is_proven=False
    )
    office.metrics.bounced(copy.provider, heard.verdict.action, report.reason)
    office.metrics.finished(DeliveryResult.BOUNCED)


def _about(copy: Returned | None, found: Return) -> tuple[RecipientReport, ...]:
    """Return what is said of the recipient of *copy*, or of whom it was forwarded to."""
    if copy is None:
        return found.recipients
    address = copy.address.lower()
    own = tuple(
        report
        for report in found.recipients
        if address in (report.original_recipient.lower(), report.final_recipient.lower())
    )
    return own or found.recipients


async def _take_as_arrived(
    db: Connection, seen: Examination, named: Match, *, office: Office
) -> Change | None:
    """Take what is no report, but came to a return address, for proof that the copy had arrived.

    The address is well only if the answer is its own: it may be a report that
    nobody could read.
    """
    if named.delivery_id is None:
        return None
    await deliveries.confirm(db, named.delivery_id)
    address = await returns.address_of(db, named.delivery_id)
    if address is None or (seen.author or "").lower() != address.lower():
        return None
    return await health.heal(db, named.delivery_id, zone=office.site.zone)


async def _heed_progress(
    db: Connection,
    copy: Returned | None,
    found: Return,
    reports: tuple[RecipientReport, ...],
    named: Match,
    *,
    office: Office,
) -> _Settled:
    """Heed what tells of no failure: the copy is delayed, or has arrived."""
    if _has_arrived(found, reports):
        change = await _heed_arrival(db, copy, reports, office=office) if named.is_proven else None
        return _Settled(ArrivalKind.REPORT, ArrivalOutcome.ARRIVED, change=change)
    delayed = [report for report in reports if report.action == "delayed"]
    felt = None
    if delayed and named.is_proven and named.delivery_id is not None:
        status = _kept(delayed[0].status) or "4.0.0"
        await returns.note_delay(db, named.delivery_id, status)
        felt = await _heed_delay(db, copy, delayed[0], office=office)
    return _Settled(ArrivalKind.REPORT, ArrivalOutcome.DELAYED, felt)


def _has_arrived(found: Return, reports: tuple[RecipientReport, ...]) -> bool:
    """Tell whether it says so of the recipient, or of nobody by name."""
    actions = {report.action for report in reports}
    return "delivered" in actions or (
        actions <= DELIVERED and (bool(actions) or found.kind is Kind.DELIVERED)
    )


async def _heed_arrival(
    db: Connection,
    copy: Returned | None,
    reports: tuple[RecipientReport, ...],
    *,
    office: Office,
) -> Change | None:
    """Settle the copy; its address is well if it has it, and not another system or list."""
    if copy is None:
        return None
    await deliveries.confirm(db, copy.delivery_id)
    if reports and all(report.action != "delivered" for report in reports):
        return None
    return await health.heal(db, copy.delivery_id, zone=office.site.zone)


async def _heed_complaint(
    db: Connection, found: Return, named: Match, *, office: Office
) -> _Settled:
    """Take who complains off the list; only the token of their own copy says who it is.

    Everybody on the list knows the Message-ID, and could complain in another's name.
    """
    person = None
    if named.is_proven and named.delivery_id is not None and found.complains:
        person = await returns.recipient_of(db, named.delivery_id)
    if person is None or named.delivery_id is None:
        return _Settled(ArrivalKind.COMPLAINT, ArrivalOutcome.UNMATCHED_REPORT)
    method = OptOutMethod.COMPLAINT
    cancelled = await suppressions.opt_out(
        db, person.list_id, person.person_id, source=method.value, reason="complained"
    )
    if cancelled is not None:
        office.metrics.complained(person.definition, person.provider)
        office.metrics.unsubscribed(method)
        office.metrics.finished(DeliveryResult.CANCELLED, cancelled)
    # Whoever calls it spam has got it.
    change = await health.heal(db, named.delivery_id, zone=office.site.zone)
    return _Settled(ArrivalKind.COMPLAINT, ArrivalOutcome.UNSUBSCRIBED, change=change)


def _heard(copy: Returned, report: RecipientReport, *, office: Office) -> Heard:
    text = _kept(report.diagnostic)
    verdict = office.rulebook.verdict(
        text, provider=copy.provider, status=report.status, reason=report.reason
    )
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
    if copy is None or copy.has_bounced or copy.is_told:
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
        db, copy.delivery_id, status=_kept(report.status), diagnostic=heard.text, is_proven=True
    )
    await returns.note(db, copy.delivery_id, heard.verdict.action)
    change = await _score(db, copy, report, heard, office=office)
    if not copy.has_bounced:
        office.metrics.bounced(copy.provider, heard.verdict.action, report.reason)
        office.metrics.finished(DeliveryResult.BOUNCED)
    return _Settled(ArrivalKind.REPORT, ArrivalOutcome.BOUNCED, felt, change)


async def _score(
    db: Connection,
    copy: Returned,
    report: RecipientReport,
    heard: Heard,
    *,
    office: Office,
) -> Change | None:
    """Count against the address what only its own copy could tell."""
    return await health.fail(
        db,
        health.Copy(copy.delivery_id, copy.posting_id, copy.person_id, copy.provider),
        heard.verdict,
        reason=report.reason,
        status=_kept(report.status),
        text=heard.text,
        zone=office.site.zone,
    )


def _kept(text: str) -> str:
    """Return what a row can keep of a stranger's words: PostgreSQL has no NUL in a text."""
    return text.replace("\0", "")
