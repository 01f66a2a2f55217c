"""Replies to receipts: mail to ``posting-TOKEN``, from whoever a receipt was sent to.

    its own first line says stop   every posting of the message is stopped, as by the page
    a person wrote anything else   forwarded to the human behind the site

What a program wrote never comes here. The token is the proof, as it is on the page.
Stopping is answered by the report at the end, which says how many have the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from worker.actors.office import Verdict, settle, settle_in, tell
from worker.actors.requests import forward
from worker.mail.answer import Meaning
from worker.mail.return_address import Purpose
from worker.policy.outcome import ArrivalKind, ArrivalOutcome, DeliveryResult
from worker.store import arrivals, following, stopping
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.office import Office
    from worker.mail.examination import Examination
    from worker.mail.return_address import ServiceAddress
    from worker.store.arrivals import Arrival

log = structlog.get_logger()

_STOPPED = Verdict(ArrivalKind.REQUEST, ArrivalOutcome.STOPPED)
_LATE = Verdict(ArrivalKind.REQUEST, ArrivalOutcome.ANSWER_LATE, wanted_in=arrivals.REFUSED)
_NOT_OURS = Verdict(
    ArrivalKind.REQUEST,
    ArrivalOutcome.REFUSED_STRANGER,
    "a token not ours",
    wanted_in=arrivals.REFUSED,
)


async def take_reply(
    arrival: Arrival, seen: Examination, request: ServiceAddress, *, office: Office
) -> None:
    """Act on mail to ``posting-TOKEN`` that a person wrote."""
    number = office.tokens.read(Purpose.POSTING, request.token)
    if number is None:
        await settle(arrival, _NOT_OURS, office=office)
    elif seen.answer is not None and seen.answer.meaning is Meaning.STOP:
        await _stop(arrival, number, office=office)
    else:
        local_part = f"{request.purpose.value}-{request.token}"
        async with borrowed(office.pool) as db:
            about = [(p.posting_id, p.subject) for p in await following.followed(db, number)]
        verdict = await forward(arrival, seen, local_part, None, office=office, replied_to=about)
        await settle(arrival, verdict, office=office)


async def _stop(arrival: Arrival, posting_id: int, *, office: Office) -> None:
    async with borrowed(office.pool) as db:
        async with db.transaction():
            numbers = await following.numbers(db, posting_id)
            change = await stopping.stop(db, numbers, by="author")
            verdict = _LATE if change.is_nothing else _STOPPED
            await settle_in(db, arrival, verdict, office=office)
        effect = await stopping.count(db, numbers, change)
    office.metrics.finished(DeliveryResult.CANCELLED, change.cancelled)
    for stopped in change.postings:
        log.info("posting.stopped", posting_id=stopped, copies=effect.copies, left=effect.left)
    tell(arrival, verdict, office=office)
