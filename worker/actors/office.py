"""What the actors that decide share: where they look, with what they sign, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from worker.actors.feedback import Rulebook
from worker.mail.examination import examine
from worker.policy.outcome import ArrivalKind, ArrivalOutcome
from worker.policy.strangers import Strangers
from worker.store import arrivals
from worker.store.database import borrowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.config import Mailbox, Site
    from worker.errors import ReaderKilled
    from worker.lookup.dns import Lookup
    from worker.mail.examination import Examination
    from worker.mail.return_address import Tokens
    from worker.policy.limit import Limit
    from worker.reading.reader import Reader
    from worker.store.arrivals import Arrival
    from worker.store.database import Connection, Pool
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

ATTEMPTS_ALLOWED = 3
_KILLED_RETRY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Office:
    """What a mediator works with."""

    pool: Pool
    worker_id: str
    site: Site
    mailbox: Mailbox
    tokens: Tokens
    metrics: Metrics
    lookup: Lookup
    reader: Reader
    look_up_mx: bool  # Whether copies wait until it is known whose a domain is.
    rulebook: Rulebook = field(default_factory=Rulebook)
    failures: Mapping[str, Limit] = field(default_factory=dict)  # By account: its breaker.
    accounts: Sequence[str] = ()  # That submit, for the plan.
    strangers: Strangers = field(default_factory=Strangers)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an arrival, and the folder where it belongs if not with the taken."""

    kind: ArrivalKind
    outcome: ArrivalOutcome
    reason: str | None = None
    wanted_in: str | None = None


def quarantined(outcome: ArrivalOutcome, reason: str) -> Verdict:
    """Give up on an arrival, and keep it where an operator can find it."""
    return Verdict(ArrivalKind.UNKNOWN, outcome, reason, arrivals.QUARANTINE)


def refused(outcome: ArrivalOutcome, reason: str) -> Verdict:
    """Say no to a posting, and keep it where a person can find it."""
    return Verdict(ArrivalKind.POSTING, outcome, reason, arrivals.REFUSED)


async def settle(arrival: Arrival, verdict: Verdict, *, office: Office) -> None:
    """Write down what became of *arrival*, and tell it."""
    async with borrowed(office.pool) as db:
        await settle_in(db, arrival, verdict, office=office)
    tell(arrival, verdict, office=office)


async def settle_in(db: Connection, arrival: Arrival, verdict: Verdict, *, office: Office) -> bool:
    """Write down what became of *arrival*, in the caller's transaction.

    False if it was no longer ours.
    """
    return await arrivals.settle(
        db,
        arrival,
        office.worker_id,
        kind=verdict.kind,
        outcome=verdict.outcome,
        reason=verdict.reason,
        wanted_in=verdict.wanted_in,
    )


def tell(arrival: Arrival, verdict: Verdict, *, office: Office) -> None:
    """Count and log what became of *arrival*, once it is committed."""
    office.metrics.received(verdict.kind)
    if verdict.kind is ArrivalKind.POSTING:
        office.metrics.mediated(verdict.outcome)
    log.info(
        "arrival.settled",
        arrival_id=arrival.arrival_id,
        kind=verdict.kind.value,
        outcome=verdict.outcome.value,
        reason=verdict.reason,
    )


async def examined(arrival: Arrival, *, office: Office) -> Examination:
    """Return what the bytes of *arrival* tell."""
    return await office.reader.run(
        examine,
        arrival.raw,
        host=office.mailbox.recipe,
        domain=office.site.domain,
        account=office.mailbox.endpoint.user,
    )


async def set_aside(arrival: Arrival, killed: ReaderKilled, *, office: Office) -> None:
    """Let an arrival wait that could not be read; the third time, give up on it."""
    office.metrics.reader_killed(killed.why)
    log.error(
        "reader.killed",
        arrival_id=arrival.arrival_id,
        size_bytes=len(arrival.raw),
        attempts=arrival.attempts,
        why=str(killed),
    )
    if arrival.attempts >= ATTEMPTS_ALLOWED:
        given_up = quarantined(ArrivalOutcome.QUARANTINED, f"could not be read: {killed}")
        await settle(arrival, given_up, office=office)
        return
    async with borrowed(office.pool) as db:
        await arrivals.set_aside(
            db,
            arrival,
            office.worker_id,
            delay=_KILLED_RETRY,
            reason=f"could not be read: {killed}",
        )
