"""The mediator: what is an arrival, and what becomes of it?

The order of the questions matters (reference: deliverability, section 6).
Returns come before everything else, since they reach posting addresses too;
unsubscribing comes before the filter of automatic mail, since mail programs
send it by themselves; then answers of people, roles, and postings.

The posting with its deliveries is one transaction, the opt-out or the answer
another, with the arrival's outcome. A crash repeats the work, which changes
nothing that is done: a posting is known by its fingerprint, a forwarded message
by its arrival. Three crashes, of the worker or of what reads for it, put the
arrival into quarantine.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from worker.actors import expansion, requests
from worker.actors.admission import Candidate, decide, lists_named, message_facts
from worker.actors.authentication import authenticated
from worker.actors.farewell import tell_how_to_leave
from worker.actors.office import (
    ATTEMPTS_ALLOWED,
    Verdict,
    examined,
    quarantined,
    refused,
    set_aside,
    settle,
)
from worker.actors.outbox import Outbox
from worker.errors import QueryFailed, ReaderKilled, ReaderMissing, StoreLost
from worker.mail.authentication import Authenticity
from worker.mail.return_address import Purpose
from worker.notices import letters
from worker.policy.admission import Action, unwanted
from worker.policy.outcome import ArrivalKind, ArrivalOutcome, NoticeKind
from worker.store import arrivals
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.office import Office
    from worker.actors.signals import Signals
    from worker.mail.examination import Examination
    from worker.policy.admission import MessageFacts
    from worker.policy.expansion import ListAddress
    from worker.store.arrivals import Arrival

log = structlog.get_logger()

_LOOK_SECONDS = 5.0  # NOTIFY is a hint; this is the guarantee.
_QUERY_RETRY = timedelta(minutes=5)
_TOLD_AFTER = timedelta(hours=1)


async def run_mediator(office: Office, *, signals: Signals) -> None:
    """Settle arrivals, until the worker stops."""
    arrival: Arrival | None = None
    while not signals.stopping:
        try:
            if arrival is None:
                async with borrowed(office.pool) as db:
                    arrival = await arrivals.claim(db, "received", office.worker_id)
                    due = await arrivals.seconds_until_due(db, "received")
                office.metrics.actor_succeeded("mediator")
            if arrival is None:
                await signals.wait("arrival", min(due or _LOOK_SECONDS, _LOOK_SECONDS))
                continue
            await mediate(arrival, office=office)
        except (StoreLost, ReaderMissing) as lost:
            # It is still ours: the next round goes on with it.
            log.warning("mediator.interrupted", why=str(lost))
            await signals.sleep(1.0)
            continue
        arrival = None


async def mediate(arrival: Arrival, *, office: Office) -> None:
    """Decide what *arrival* is, act, and settle it."""
    if arrival.attempts > ATTEMPTS_ALLOWED:
        given_up = quarantined(ArrivalOutcome.QUARANTINED, "the worker ended three times over it")
        await settle(arrival, given_up, office=office)
        return
    try:
        await _mediate_examined(arrival, await examined(arrival, office=office), office=office)
    except ReaderKilled as killed:
        await set_aside(arrival, killed, office=office)


async def _mediate_examined(arrival: Arrival, seen: Examination, *, office: Office) -> None:
    services = {service.purpose: service for service in reversed(seen.services)}
    if Purpose.UNSUBSCRIBE in services:
        await requests.unsubscribe(arrival, services[Purpose.UNSUBSCRIBE], office=office)
    elif Purpose.RETURN in services or _is_return(seen):
        await _hand_to_return_handler(arrival, office=office)
    elif services:
        # We never ask for an answer to two at once: one of them counts.
        await requests.take_answer(arrival, seen, next(iter(services.values())), office=office)
    else:
        await _mediate_posting(arrival, seen, office=office)


def _is_return(seen: Examination) -> bool:
    """Whether it is a return, wherever it came to.

    A member who lists dead addresses writes all that a notice says; mail systems
    leave a mark besides.
    """
    found = seen.returned
    return found is not None and (found.is_certain or seen.automatic is not None)


async def _hand_to_return_handler(arrival: Arrival, *, office: Office) -> None:
    async with borrowed(office.pool) as db:
        await arrivals.sort(db, arrival, office.worker_id, ArrivalKind.REPORT)


async def _mediate_posting(arrival: Arrival, seen: Examination, *, office: Office) -> None:
    """Settle what is no return and no answer: a posting, if anything."""
    facts = message_facts(arrival, seen)
    if (dropped := unwanted(facts)) is not None:
        verdict = Verdict(ArrivalKind.AUTOMATIC, *dropped)
    elif not seen.local_parts:
        verdict = quarantined(
            ArrivalOutcome.HELD_NO_RECIPIENT_HEADER, "no header field names an address of ours"
        )
    else:
        try:
            verdict = await _post_to_all(arrival, seen, facts, office=office)
        except QueryFailed as failure:
            await _wait_for_query(arrival, seen, failure, office=office)
            return
    await settle(arrival, verdict, office=office)


async def _post_to_all(
    arrival: Arrival, seen: Examination, facts: MessageFacts, *, office: Office
) -> Verdict:
    """Post to every list that the message is for; the first verdict that posts is told."""
    found, titles = await lists_named(seen.local_parts, seen, office=office)
    authentication, evidence = await authenticated(arrival, seen, office=office)
    facts = replace(facts, authenticity=authentication.verdict, method=authentication.method)
    verdicts: list[Verdict] = []
    for local_part in found:
        address = found[local_part]
        if address is not None:
            candidate = Candidate(arrival, seen, facts, evidence, address, titles)
            verdicts.append(await _post(candidate, office=office))
        elif (left := await _list_to_leave(seen, local_part, office=office)) is not None:
            candidate = Candidate(arrival, seen, facts, evidence, left, titles)
            verdicts.append(await tell_how_to_leave(candidate, office=office))
        else:
            verdicts.append(await _no_list(arrival, seen, local_part, office=office))
    posted = [verdict for verdict in verdicts if verdict.wanted_in is None]
    told, *others = sorted(verdicts, key=lambda verdict: verdict not in posted)
    # What became of it at the other lists is kept as well, if it is not the same.
    more = [f"{v.outcome.value}: {v.reason}" for v in others if v.outcome is not told.outcome]
    return replace(told, reason="; ".join([*filter(None, [told.reason]), *more]) or None)


async def _list_to_leave(
    seen: Examination, local_part: str, *, office: Office
) -> ListAddress | None:
    """Return the list that somebody wants to leave by writing to ``LIST-unsubscribe``."""
    name = requests.list_to_leave(local_part)
    if name is None:
        return None
    found, _ = await lists_named([name], seen, office=office)
    return found[name]


async def _no_list(
    arrival: Arrival, seen: Examination, local_part: str, *, office: Office
) -> Verdict:
    """Forward what is for the human behind a role; say no to the rest."""
    role = requests.role_of(local_part)
    if role is None:
        return refused(ArrivalOutcome.REFUSED_UNKNOWN_LIST, "no list has this address")
    owned = None
    if role[0]:
        found, _ = await lists_named([role[0]], seen, office=office)
        owned = found[role[0]]
        if owned is None:
            return refused(ArrivalOutcome.REFUSED_UNKNOWN_LIST, "no list has this address")
    return await requests.forward(arrival, seen, local_part, owned, office=office)


async def _post(candidate: Candidate, *, office: Office) -> Verdict:
    admission, proof = await decide(candidate, office=office)
    match admission.action, admission.outcome:
        case Action.DROP, ArrivalOutcome() as outcome:
            return Verdict(ArrivalKind.POSTING, outcome, admission.rule)
        case Action.REFUSE, ArrivalOutcome.ASKED_TO_LEAVE:
            return await tell_how_to_leave(candidate, office=office)
        case Action.REFUSE, ArrivalOutcome() as outcome:
            return refused(outcome, admission.rule)
        case _:
            return await expansion.post(candidate, admission, proof, office=office)


async def _wait_for_query(
    arrival: Arrival, seen: Examination, failure: QueryFailed, *, office: Office
) -> None:
    """Let the arrival wait, and tell its author after an hour: once, and if proven."""
    log.error("list.query_failed", local_parts=seen.local_parts, why=str(failure))
    async with borrowed(office.pool) as db, db.transaction():
        await arrivals.postpone(
            db, arrival, office.worker_id, delay=_QUERY_RETRY, reason=str(failure)
        )
        if seen.author is None or not await arrivals.is_to_be_told(
            db, arrival.arrival_id, after=_TOLD_AFTER
        ):
            return
    authentication, _ = await authenticated(arrival, seen, office=office)
    async with borrowed(office.pool) as db, db.transaction():
        # Whoever comes second, after a crash between the two, finds it told.
        if (
            not await arrivals.told(db, arrival.arrival_id)
            or authentication.verdict is not Authenticity.PROVEN
        ):
            return
        about = letters.About(
            lang=office.site.locale,
            author=seen.author,
            subject=seen.subject,
            list_address=f"{seen.local_parts[0]}@{office.site.domain}",
            number=None,
            help_address=office.site.help_address,
        )
        outbox = Outbox(office.site, office.tokens)
        await outbox.send(
            db, NoticeKind.QUERY_FAILS, letters.query_fails(about), seen.author, about=arrival
        )
