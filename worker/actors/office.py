"""What the actors that decide share: where they look, with what they sign, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from worker.actors.feedback import Rulebook
from worker.policy.outcome import ArrivalKind
from worker.store import arrivals
from worker.store.database import borrowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.config import Mailbox, Site
    from worker.lookup.dns import Lookup
    from worker.mail.return_address import Tokens
    from worker.policy.limit import Limit
    from worker.policy.outcome import ArrivalOutcome
    from worker.store.arrivals import Arrival
    from worker.store.database import Connection, Pool
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()


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
    look_up_mx: bool  # Whether copies wait until it is known whose a domain is.
    rulebook: Rulebook = field(default_factory=Rulebook)
    failures: Mapping[str, Limit] = field(default_factory=dict)  # By account: its breaker.


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an arrival, and the folder where it belongs if not with the taken."""

    kind: ArrivalKind
    outcome: ArrivalOutcome
    reason: str | None = None
    wanted_in: str | None = None


def refused(outcome: ArrivalOutcome, reason: str) -> Verdict:
    """Say no to a posting, and keep it where a person can find it."""
    return Verdict(ArrivalKind.POSTING, outcome, reason, arrivals.REFUSED)


async def settle(arrival: Arrival, verdict: Verdict, *, office: Office) -> None:
    """Write down what became of *arrival*, and tell it."""
    async with borrowed(office.pool) as db:
        await settle_in(db, arrival, verdict, office=office)
    tell(arrival, verdict, office=office)


async def settle_in(db: Connection, arrival: Arrival, verdict: Verdict, *, office: Office) -> None:
    """Write down what became of *arrival*, in the caller's transaction."""
    await arrivals.settle(
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
