"""The return handler: reports and complaints, matched to what we submitted.

A report is believed if it names a delivery by something that only its copy
carried: the return address it was sent to, the reference in the returned part,
or the Message-ID together with the recipient. Anything else is counted and
changes nothing: everybody can write a report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from worker.errors import StoreLost
from worker.mail.dsn import Kind, read_return
from worker.mail.envelope import envelope_recipients
from worker.mail.header import read_message
from worker.mail.return_address import Purpose, read_service_address
from worker.policy.outcome import ArrivalKind, ArrivalOutcome, DeliveryResult
from worker.store import arrivals, deliveries
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.office import Office
    from worker.actors.signals import Signals
    from worker.mail.dsn import RecipientReport, Return
    from worker.store.arrivals import Arrival
    from worker.store.database import Connection

log = structlog.get_logger()

_LOOK_SECONDS = 5.0


async def run_return_handler(office: Office, *, signals: Signals) -> None:
    """Settle returns, until the worker stops."""
    arrival: Arrival | None = None
    while not signals.stopping:
        try:
            if arrival is None:
                async with borrowed(office.pool) as db:
                    arrival = await arrivals.claim(db, "sorted", office.worker_id)
                office.metrics.actor_succeeded("return_handler")
            if arrival is None:
                await signals.wait("report", _LOOK_SECONDS)
                continue
            await handle_return(arrival, office=office)
        except StoreLost as lost:
            log.warning("return_handler.interrupted", why=str(lost))
            await signals.sleep(1.0)
            continue
        arrival = None


async def handle_return(arrival: Arrival, *, office: Office) -> None:
    """Match one return to its delivery and settle both in one transaction."""
    if arrival.attempts > 3:  # noqa: PLR2004 - three crashes, as in the mediator
        await _settle_crashing(arrival, office=office)
        return
    found = read_return(arrival.raw)
    async with borrowed(office.pool) as db, db.transaction():
        named = await _delivery_named(db, arrival, found, office=office)
        kind, outcome = await _act(db, found, named, office=office)
        await arrivals.settle(db, arrival, office.worker_id, kind=kind, outcome=outcome)
    office.metrics.received(kind)
    log.info(
        "return.settled",
        arrival_id=arrival.arrival_id,
        kind=kind.value,
        outcome=outcome.value,
        delivery_id=named,
    )


async def _settle_crashing(arrival: Arrival, *, office: Office) -> None:
    async with borrowed(office.pool) as db:
        await arrivals.settle(
            db,
            arrival,
            office.worker_id,
            kind=ArrivalKind.UNKNOWN,
            outcome=ArrivalOutcome.QUARANTINED,
            reason="the worker ended three times over it",
            wanted_in=arrivals.QUARANTINE,
        )


async def _delivery_named(
    db: Connection, arrival: Arrival, found: Return | None, *, office: Office
) -> int | None:
    """Return the delivery that a return speaks of, by the strongest evidence it has."""
    tokens = [*_return_tokens(arrival, office=office), *(found.references if found else ())]
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


def _return_tokens(arrival: Arrival, *, office: Office) -> list[str]:
    local_parts = envelope_recipients(
        read_message(arrival.raw),
        host=office.mailbox.recipe,
        domain=office.site.domain,
        account=office.mailbox.endpoint.user,
    )
    services = map(read_service_address, local_parts)
    return [s.token for s in services if s is not None and s.purpose is Purpose.RETURN]


async def _act(
    db: Connection, found: Return | None, delivery_id: int | None, *, office: Office
) -> tuple[ArrivalKind, ArrivalOutcome]:
    """Do what the return asks for; say what it was and what became of it."""
    if found is None:
        # Not a report, but it came to a return address: the copy had arrived.
        if delivery_id is not None:
            await deliveries.confirm(db, delivery_id)
        return ArrivalKind.AUTOMATIC, ArrivalOutcome.DROPPED_AUTOMATIC
    if found.kind is Kind.COMPLAINT:
        return ArrivalKind.COMPLAINT, ArrivalOutcome.UNMATCHED_REPORT
    if delivery_id is None:
        return ArrivalKind.REPORT, ArrivalOutcome.UNMATCHED_REPORT
    failed = [report for report in found.recipients if report.action == "failed"]
    if found.kind is not Kind.REPORT or not failed:
        return ArrivalKind.REPORT, ArrivalOutcome.DELAYED
    await _bounce(db, delivery_id, failed[0], office=office)
    return ArrivalKind.REPORT, ArrivalOutcome.BOUNCED


async def _bounce(
    db: Connection, delivery_id: int, report: RecipientReport, *, office: Office
) -> None:
    provider = await deliveries.bounce(
        db, delivery_id, status=_kept(report.status), diagnostic=_kept(report.diagnostic)
    )
    if provider is not None:
        office.metrics.bounced(report.status)
        office.metrics.finished(DeliveryResult.BOUNCED)


def _kept(text: str) -> str:
    """Return what a row can keep of a stranger's words: PostgreSQL has no NUL in a text."""
    return text.replace("\0", "")
