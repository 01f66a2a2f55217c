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

from worker.actors import expansion, refusing, replies, requests
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
    settle_in,
    tell,
)
from worker.actors.refusing import Result
from worker.errors import QueryFailed, ReaderKilled, ReaderMissing, StoreLost
from worker.mail.envelope import split_detail
from worker.mail.return_address import Purpose
from worker.policy.admission import Action, unwanted
from worker.policy.outcome import ArrivalKind, ArrivalOutcome
from worker.store import arrivals, lists
from worker.store.database import borrowed
from worker.store.views import Views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.actors.admission import Decision
    from worker.actors.office import Office
    from worker.actors.signals import Signals
    from worker.mail.examination import Examination
    from worker.mail.return_address import ServiceAddress
    from worker.policy.admission import MessageFacts
    from worker.policy.expansion import ListAddress
    from worker.store.arrivals import Arrival
    from worker.store.authors import Evidence

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
        # We never ask for an answer to two at once: the last one counts, and was read.
        await _take_answer(arrival, seen, next(iter(services.values())), office=office)
    else:
        await _mediate_posting(arrival, seen, office=office)


async def _take_answer(
    arrival: Arrival, seen: Examination, request: ServiceAddress, *, office: Office
) -> None:
    """Act on what a person answers to a question or a receipt of ours.

    A program never confirms and never approves: an out-of-office reply to "answer
    this mail to confirm" would let a forged message out.
    """
    rule = seen.automatic or seen.loop
    if rule is not None:
        dropped = Verdict(ArrivalKind.AUTOMATIC, ArrivalOutcome.DROPPED_AUTOMATIC, rule)
        await settle(arrival, dropped, office=office)
    elif request.purpose is Purpose.POSTING:
        await replies.take_reply(arrival, seen, request, office=office)
    else:
        await requests.take_answer(arrival, seen, request, office=office)


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
        await settle(arrival, Verdict(ArrivalKind.AUTOMATIC, *dropped), office=office)
        refusing.count_unanswered(seen, facts, office=office)
    elif not seen.local_parts:
        nowhere = quarantined(
            ArrivalOutcome.HELD_NO_RECIPIENT_HEADER, "no header field names an address of ours"
        )
        await settle(arrival, nowhere, office=office)
    else:
        try:
            await _post_and_answer(arrival, seen, facts, office=office)
        except QueryFailed as failure:
            await _wait_for_query(arrival, seen, failure, office=office)


async def _post_and_answer(
    arrival: Arrival, seen: Examination, facts: MessageFacts, *, office: Office
) -> None:
    """Post to every list that the message is for; its author hears where it was refused."""
    authentication, evidence = await authenticated(arrival, seen, office=office)
    facts = replace(facts, authenticity=authentication.verdict, method=authentication.method)
    results = await _post_to_all(arrival, seen, facts, evidence, office=office)
    verdict = _told([result.verdict for result in results])
    answer = await refusing.answer_to(arrival, seen, facts, results, office=office)
    async with borrowed(office.pool) as db, db.transaction():
        if await settle_in(db, arrival, verdict, office=office) and answer is not None:
            await refusing.send(db, answer, seen, office=office)
    tell(arrival, verdict, office=office)


async def _post_to_all(
    arrival: Arrival,
    seen: Examination,
    facts: MessageFacts,
    evidence: Evidence,
    *,
    office: Office,
) -> list[Result]:
    """Post to every list that the message is for."""
    found, titles = await lists_named(seen.local_parts, seen, office=office)
    results: list[Result] = []
    for local_part in found:
        address = found[local_part]
        if address is not None:
            candidate = Candidate(arrival, seen, facts, evidence, address, titles)
            results.append(await _post(candidate, local_part, office=office))
        elif (left := await _list_to_leave(seen, local_part, office=office)) is not None:
            candidate = Candidate(arrival, seen, facts, evidence, left, titles)
            verdict = await tell_how_to_leave(candidate, office=office)
            results.append(Result(local_part, verdict))
        else:
            verdict = await _no_list(arrival, seen, local_part, office=office)
            results.append(Result(local_part, verdict))
    return results


def _told(verdicts: Sequence[Verdict]) -> Verdict:
    """Return what is told of a message to several lists: the first verdict that posts it."""
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
        return await _refuse_unknown(local_part, office=office)
    owned = None
    if role[0]:
        found, _ = await lists_named([role[0]], seen, office=office)
        owned = found[role[0]]
        if owned is None:
            return refused(ArrivalOutcome.REFUSED_UNKNOWN_LIST, "no list has this address")
    return await requests.forward(arrival, seen, local_part, owned, office=office)


async def _refuse_unknown(local_part: str, *, office: Office) -> Verdict:
    async with borrowed(office.pool) as db:
        vacant = await lists.vacant(Views(db), split_detail(local_part)[0])
    if vacant is not None:
        return refused(ArrivalOutcome.REFUSED_EMPTY_LIST, "nobody has this role now")
    return refused(ArrivalOutcome.REFUSED_UNKNOWN_LIST, "no list has this address")


async def _post(candidate: Candidate, local_part: str, *, office: Office) -> Result:
    """Ask the chain about one list, and post if it lets the message in."""
    while True:
        decision = await decide(candidate, office=office)
        # Nothing, if another message of theirs came in between.
        verdict = await _follow(candidate, decision, office=office)
        if verdict is not None:
            return Result(local_part, verdict, candidate.address, decision.standing)


async def _follow(candidate: Candidate, decision: Decision, *, office: Office) -> Verdict | None:
    admission = decision.admission
    match admission.action, admission.outcome:
        case Action.DROP, ArrivalOutcome() as outcome:
            return Verdict(ArrivalKind.POSTING, outcome, admission.rule)
        case Action.REFUSE, ArrivalOutcome.ASKED_TO_LEAVE:
            return await tell_how_to_leave(candidate, office=office)
        case Action.REFUSE, ArrivalOutcome() as outcome:
            return refused(outcome, admission.rule)
        case _:
            return await expansion.post(candidate, decision, office=office)


async def _wait_for_query(
    arrival: Arrival, seen: Examination, failure: QueryFailed, *, office: Office
) -> None:
    """Let the arrival wait, and tell its author after an hour, once."""
    log.error("list.query_failed", local_parts=seen.local_parts, why=str(failure))
    async with borrowed(office.pool) as db, db.transaction():
        await arrivals.postpone(
            db, arrival, office.worker_id, delay=_QUERY_RETRY, reason=str(failure)
        )
        if not await arrivals.is_to_be_told(db, arrival.arrival_id, after=_TOLD_AFTER):
            return
    authentication, _ = await authenticated(arrival, seen, office=office)
    facts = replace(message_facts(arrival, seen), authenticity=authentication.verdict)
    answer = await refusing.answer_about_delay(
        arrival, seen, facts, failed=failure.name, office=office
    )
    async with borrowed(office.pool) as db, db.transaction():
        # Whoever comes second, after a crash between the two, finds it told.
        if await arrivals.told(db, arrival.arrival_id) and answer is not None:
            await refusing.send(db, answer, seen, office=office)
