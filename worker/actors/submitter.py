"""The submitter: one connection to a host; copies in, settlements out.

What is in the database if the process dies while a copy is
    rendered, or in MAIL, RCPT, DATA, body   claimed: queued when the lease ends
    marked, dotted, or answered              dotting: in doubt when the lease ends
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from worker.errors import ProviderSilent, StoreLost
from worker.mail.reply import Disposition, Reply
from worker.policy.feedback import refusal_delay
from worker.policy.outcome import DeliveryOutcome, DeliveryResult
from worker.policy.schedule import is_expired, retry_delay
from worker.store.deliveries import DeliveryState, Settlement

if TYPE_CHECKING:
    from worker.actors.desk import Copy, Desk
    from worker.actors.ledger import Ledger
    from worker.actors.mailbox import Mailbox
    from worker.store.deliveries import Claim
    from worker.submission.session import Session

log = structlog.get_logger()

# Hosts close idle sessions after a few minutes; we go first.
_IDLE_SECONDS = 30.0


async def run_submitter(claims: Mailbox[Claim], *, desk: Desk, ledger: Ledger) -> None:
    """Submit every claim, until the mailbox is closed."""
    session: Session | None = None
    try:
        copy = await _next_copy(claims, desk=desk, ledger=ledger)
        while copy is not None:
            if session is None or not session.is_open:
                session = await desk.open_session()
            if session is None:
                _put_back(copy.claim, desk=desk, ledger=ledger)
                copy = await _next_copy(claims, desk=desk, ledger=ledger)
                continue
            following = await _copy_at_hand(claims, desk=desk, ledger=ledger)
            with desk.metrics.session_in_use():
                await _submit(session, copy, following, desk=desk, ledger=ledger)
            desk.heed(session)
            copy = following or await _copy_while_idle(claims, session, desk=desk, ledger=ledger)
    finally:
        if session is not None:
            await session.quit()


async def _copy_at_hand(claims: Mailbox[Claim], *, desk: Desk, ledger: Ledger) -> Copy | None:
    """Return the next copy if there is one now, so that it can be pipelined."""
    while (claim := claims.take_now()) is not None:
        copy = await _rendered(claim, desk=desk, ledger=ledger)
        if copy is not None:
            return copy
    return None


async def _next_copy(claims: Mailbox[Claim], *, desk: Desk, ledger: Ledger) -> Copy | None:
    """Wait for the next copy; None when the mailbox is closed."""
    while (claim := await claims.take()) is not None:
        copy = await _rendered(claim, desk=desk, ledger=ledger)
        if copy is not None:
            return copy
    return None


async def _copy_while_idle(
    claims: Mailbox[Claim], session: Session, *, desk: Desk, ledger: Ledger
) -> Copy | None:
    """Wait for the next copy, and end the session if that takes long."""
    if not claims:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await claims.wait_for_item()
        except TimeoutError:
            await session.quit()
    return await _next_copy(claims, desk=desk, ledger=ledger)


async def _rendered(claim: Claim, *, desk: Desk, ledger: Ledger) -> Copy | None:
    try:
        return await desk.copy_of(claim)
    except StoreLost:
        _put_back(claim, desk=desk, ledger=ledger)
        return None


async def _submit(
    session: Session, copy: Copy, following: Copy | None, *, desk: Desk, ledger: Ledger
) -> None:
    claim = copy.claim
    try:
        reply = await session.submit(
            copy.envelope,
            copy.body,
            mark=partial(ledger.mark, claim.key),
            following=following.envelope if following else None,
        )
    except ProviderSilent as silence:
        _settle_silence(claim, silence, desk=desk, ledger=ledger)
        return
    except StoreLost:
        # The mark may be committed, but its dot was not sent: that we know.
        _put_back(claim, desk=desk, ledger=ledger)
        return
    if reply is None:
        desk.metrics.attempted(DeliveryOutcome.FENCED)
        log.warning("delivery.fenced", delivery_id=claim.delivery_id)
    elif reply.disposition is Disposition.ACCOUNT_TROUBLE:
        await desk.pause(reply, str(reply))
        await session.quit()
        _put_back(claim, desk=desk, ledger=ledger)
    else:
        _settle(claim, reply, desk=desk, ledger=ledger)


def _settle(claim: Claim, reply: Reply, *, desk: Desk, ledger: Ledger) -> None:
    delay: timedelta | None = None
    heard = None
    if reply.disposition is not Disposition.HANDED_OVER:
        heard = desk.feedback.read(claim, reply)
    match reply.disposition:
        case Disposition.HANDED_OVER:
            state, outcome = DeliveryState.HANDED_OVER, DeliveryOutcome.HANDED_OVER
        case Disposition.REFUSED if heard is None or not heard.goes_back:
            state, outcome = DeliveryState.REFUSED, DeliveryOutcome.REFUSED
        case _ if is_expired(claim.tried_for):
            state, outcome = DeliveryState.EXPIRED, DeliveryOutcome.REFUSED
        case _:
            state, outcome = DeliveryState.DEFERRED, DeliveryOutcome.DEFERRED
            delay = retry_delay(claim.attempts, desk.chance)
            if heard is not None and heard.goes_back:
                delay = max(delay, refusal_delay(heard.verdict))
    if heard is not None:
        is_refused = state is DeliveryState.REFUSED
        desk.feedback.bring(heard, refused=claim if is_refused else None)
    verdict = heard.verdict.action.value if heard else None
    ledger.settle(
        Settlement(
            claim.key,
            state,
            reply.code,
            str(reply),
            delay,
            verdict=verdict,
            is_returned=state is DeliveryState.DEFERRED and heard is not None and heard.goes_back,
        )
    )
    desk.metrics.attempted(outcome)
    if state is not DeliveryState.DEFERRED:
        desk.metrics.finished(DeliveryResult(state.value))
    level = log.debug if state is DeliveryState.HANDED_OVER else log.info
    level(
        "delivery.settled",
        delivery_id=claim.delivery_id,
        posting_id=claim.posting_id,
        state=state.value,
        stage=reply.stage.value,
        code=reply.code,
        text=reply.text if state is not DeliveryState.HANDED_OVER else None,
        verdict=verdict,
    )


def _settle_silence(claim: Claim, silence: ProviderSilent, *, desk: Desk, ledger: Ledger) -> None:
    if silence.in_doubt:
        settlement = Settlement(claim.key, DeliveryState.IN_DOUBT, reply=silence.why)
        outcome = DeliveryOutcome.IN_DOUBT
    else:
        # Safe to try again, but not at once: a host that always hangs up on
        # this copy must not be dialled in a loop.
        settlement = Settlement(
            claim.key,
            DeliveryState.DEFERRED,
            reply=silence.why,
            delay=timedelta(minutes=min(claim.attempts, 15)),
        )
        outcome = DeliveryOutcome.DEFERRED
    ledger.settle(settlement)
    desk.metrics.attempted(outcome)
    log.warning(
        "delivery.unanswered",
        delivery_id=claim.delivery_id,
        posting_id=claim.posting_id,
        in_doubt=silence.in_doubt,
        why=silence.why,
    )


def _put_back(claim: Claim, *, desk: Desk, ledger: Ledger) -> None:
    ledger.settle(Settlement(claim.key, DeliveryState.QUEUED))
    desk.metrics.attempted(DeliveryOutcome.PUT_BACK)
