"""The mediator: what is an arrival, and what becomes of it?

The order of the questions matters (reference: deliverability, section 6).
Returns come before everything else, since they reach posting addresses too;
unsubscribing comes before the filter of automatic mail, since mail programs
send it by themselves.

Each arrival ends in one transaction: the posting with its deliveries, or the
opt-out, together with the arrival's outcome. A crash before it repeats the
work; three crashes put the arrival into quarantine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import structlog
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from worker.errors import QueryFailed, StoreLost
from worker.mail.address import local_part_of, read_author
from worker.mail.dsn import read_return
from worker.mail.footer import Footer
from worker.mail.header import read_message
from worker.mail.list_headers import ListIdentity
from worker.mail.preparation import fingerprint, message_id, prepare
from worker.mail.return_address import (
    Purpose,
    Tokens,
    list_and_person,
    read_service_address,
)
from worker.mail.trace import (
    envelope_recipient,
    is_automatic,
    is_loop,
    recipients_of_our_domain,
)
from worker.notices.footer import footer_words
from worker.policy.expansion import reason_to_hold
from worker.policy.outcome import ArrivalKind, ArrivalOutcome, DeliveryResult, OptOutMethod
from worker.store import arrivals, expansion, lists, postings, suppressions
from worker.store.database import borrowed, failed_query

if TYPE_CHECKING:
    from worker.actors.signals import Signals
    from worker.config import Mailbox, Site
    from worker.mail.header import Message
    from worker.mail.return_address import ServiceAddress
    from worker.policy.expansion import ListAddress
    from worker.store.arrivals import Arrival
    from worker.store.database import Connection, Pool
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

_LOOK_SECONDS = 5.0  # NOTIFY is a hint; this is the guarantee.
_CRASHES_ALLOWED = 3
_QUERY_PATIENCE = timedelta(seconds=60)
_QUERY_RETRY = timedelta(minutes=5)

# Two postings that meet the same new person at once: one is run again.
_CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


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


@dataclass(frozen=True, slots=True)
class Office:
    """What a mediator works with."""

    pool: Pool
    worker_id: str
    site: Site
    mailbox: Mailbox
    tokens: Tokens
    metrics: Metrics


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
        except StoreLost as lost:
            # It is still ours: the next round goes on with it.
            log.warning("mediator.interrupted", why=str(lost))
            await signals.sleep(1.0)
            continue
        arrival = None


async def mediate(arrival: Arrival, *, office: Office) -> None:
    """Decide what *arrival* is, act, and settle it."""
    if arrival.attempts > _CRASHES_ALLOWED:
        await _settle(arrival, _quarantined("the worker ended three times over it"), office=office)
        return
    message = read_message(arrival.raw)
    recipients = _recipients(message, office=office)
    services = [
        service
        for recipient in recipients
        if (service := read_service_address(recipient)) is not None
    ]
    requests = [service for service in services if service.purpose is Purpose.UNSUBSCRIBE]
    if requests:
        await _unsubscribe(arrival, requests[0], office=office)
    elif read_return(arrival.raw) is not None or services:
        await _hand_to_return_handler(arrival, office=office)
    elif (rule := is_automatic(message)) is not None:
        dropped = Verdict(ArrivalKind.AUTOMATIC, ArrivalOutcome.DROPPED_AUTOMATIC, rule)
        await _settle(arrival, dropped, office=office)
    elif (rule := is_loop(message, domain=office.site.domain)) is not None:
        looped = Verdict(ArrivalKind.AUTOMATIC, ArrivalOutcome.DROPPED_LOOP, rule)
        await _settle(arrival, looped, office=office)
    elif not recipients:
        unknown = Verdict(
            ArrivalKind.UNKNOWN,
            ArrivalOutcome.HELD_NO_RECIPIENT_HEADER,
            "no header field names an address of ours",
            arrivals.QUARANTINE,
        )
        await _settle(arrival, unknown, office=office)
    else:
        await _mediate_posting(arrival, message, recipients, office=office)


def _recipients(message: Message, *, office: Office) -> list[str]:
    """Return the local parts that the message is for: the envelope's, else To and Cc."""
    domain = office.site.domain
    named = envelope_recipient(message, headers=office.mailbox.recipient_headers, domain=domain)
    addresses = [named] if named else recipients_of_our_domain(message, domain)
    return [
        local_part
        for address in addresses
        if (local_part := local_part_of(address, domain)) is not None
    ]


def _quarantined(reason: str) -> Verdict:
    return Verdict(ArrivalKind.UNKNOWN, ArrivalOutcome.QUARANTINED, reason, arrivals.QUARANTINE)


async def _settle(arrival: Arrival, verdict: Verdict, *, office: Office) -> None:
    async with borrowed(office.pool) as db:
        await _settle_in(db, arrival, verdict, office=office)
    _tell(arrival, verdict, office=office)


async def _settle_in(db: Connection, arrival: Arrival, verdict: Verdict, *, office: Office) -> None:
    await arrivals.settle(
        db,
        arrival,
        office.worker_id,
        kind=verdict.kind,
        outcome=verdict.outcome,
        reason=verdict.reason,
        wanted_in=verdict.wanted_in,
    )


def _tell(arrival: Arrival, verdict: Verdict, *, office: Office, **more: object) -> None:
    office.metrics.received(verdict.kind)
    if verdict.kind is ArrivalKind.POSTING:
        office.metrics.mediated(verdict.outcome)
    log.info(
        "arrival.settled",
        arrival_id=arrival.arrival_id,
        kind=verdict.kind.value,
        outcome=verdict.outcome.value,
        reason=verdict.reason,
        **more,
    )


async def _hand_to_return_handler(arrival: Arrival, *, office: Office) -> None:
    async with borrowed(office.pool) as db:
        await arrivals.sort(db, arrival, office.worker_id, ArrivalKind.REPORT)


async def _unsubscribe(arrival: Arrival, request: ServiceAddress, *, office: Office) -> None:
    """Act on mail to ``unsubscribe-TOKEN``. The token is the proof, not the From."""
    number = office.tokens.read(Purpose.UNSUBSCRIBE, request.token)
    if number is None:
        forged = Verdict(ArrivalKind.REQUEST, ArrivalOutcome.REFUSED_STRANGER, "a token not ours")
        await _settle(arrival, forged, office=office)
        return
    list_id, person_id = list_and_person(number)
    done = Verdict(ArrivalKind.REQUEST, ArrivalOutcome.UNSUBSCRIBED)
    async with borrowed(office.pool) as db, db.transaction():
        new = await suppressions.opt_out(db, list_id, person_id, source=OptOutMethod.MAIL.value)
        await _settle_in(db, arrival, done, office=office)
    if new is not None:
        office.metrics.unsubscribed(OptOutMethod.MAIL)
        office.metrics.finished(DeliveryResult.CANCELLED, new)
    _tell(arrival, done, office=office)


async def _mediate_posting(
    arrival: Arrival, message: Message, local_parts: list[str], *, office: Office
) -> None:
    """Post *arrival* to every list it is for; the first verdict that posts is told."""
    verdicts: list[Verdict] = []
    for local_part in local_parts:
        try:
            verdicts.append(await _post(arrival, message, local_part, office=office))
        except QueryFailed as failure:
            async with borrowed(office.pool) as db:
                await arrivals.postpone(
                    db, arrival, office.worker_id, delay=_QUERY_RETRY, reason=str(failure)
                )
            log.exception("list.query_failed", local_part=local_part, why=str(failure))
            return
    posted = [v for v in verdicts if v.wanted_in is None]
    await _settle(arrival, (posted or verdicts)[0], office=office)


async def _post(arrival: Arrival, message: Message, local_part: str, *, office: Office) -> Verdict:
    """Make one posting, if the list exists and the author may write to it."""
    async with borrowed(office.pool) as db:
        try:
            address = await lists.resolve(db, local_part)
            if address is None:
                return refused(ArrivalOutcome.REFUSED_UNKNOWN_LIST, "no list has this address")
            author = read_author(message)
            verdict = await _refusal(db, arrival, address, author)
        except asyncpg.PostgresError as error:
            raise failed_query(local_part, error) from error
    if verdict is not None or author is None:
        return verdict or refused(ArrivalOutcome.REFUSED_STRANGER, "not exactly one author")
    return await _expand(arrival, message, address, author, office=office)


async def _refusal(
    db: Connection, arrival: Arrival, address: ListAddress, author: str | None
) -> Verdict | None:
    if address.definition.post == "nobody":
        return refused(ArrivalOutcome.REFUSED_NOBODY, "nobody may post to this list")
    if len(arrival.raw) > address.definition.max_size:
        size = f"{len(arrival.raw)} octets, {address.definition.max_size} allowed"
        return refused(ArrivalOutcome.REFUSED_OVERSIZE, size)
    if author is None or not await lists.may_post(db, address, author):
        return refused(ArrivalOutcome.REFUSED_STRANGER, "the author may not post to this list")
    return None


async def _expand(
    arrival: Arrival, message: Message, address: ListAddress, author: str, *, office: Office
) -> Verdict:
    """Write the posting and its deliveries in one transaction, run again on a conflict."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(_CONFLICTS),
        stop=stop_after_attempt(10),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        reraise=True,
    ):
        with attempt:
            async with borrowed(office.pool) as db:
                return await _expand_once(db, arrival, message, address, author, office=office)
    raise AssertionError("tenacity ends by returning or raising")  # pragma: no cover


async def _expand_once(
    db: Connection,
    arrival: Arrival,
    message: Message,
    address: ListAddress,
    author: str,
    *,
    office: Office,
) -> Verdict:
    mark = fingerprint(message)
    list_id = await lists.remember(db, address)
    async with db.transaction(isolation="repeatable_read"):
        if await postings.exists(db, list_id, mark):
            return Verdict(ArrivalKind.POSTING, ArrivalOutcome.DUPLICATE, "posted before")
        try:
            roll = await expansion.judge(
                db,
                address,
                list_id=list_id,
                fingerprint=mark,
                domain=office.site.domain,
                patience=_QUERY_PATIENCE,
            )
        except _CONFLICTS:
            raise
        except asyncpg.PostgresError as error:
            raise failed_query(address.local_part, error) from error
        held = reason_to_hold(address.definition, listed=roll.listed, recipients=roll.recipients)
        posting = postings.NewPosting(
            list_id=list_id,
            arrival_id=arrival.arrival_id,
            fingerprint=mark,
            author=author,
            subject=(field.text if (field := message.first("subject")) else "")[:500],
            message_id=message_id(message, domain=office.site.domain),
            template=_template(arrival, address, author, office=office),
            key_id=office.tokens.key_id,
            held_because=held,
        )
        posting_id = await postings.add(db, posting, roll)
        if posting_id is None:
            return Verdict(ArrivalKind.POSTING, ArrivalOutcome.DUPLICATE, "posted before")
        if held is None:
            await expansion.deliver(db, posting_id)
            await db.execute("SELECT pg_notify('relais', 'delivery')")
    log.info(
        "posting.expanded",
        posting_id=posting_id,
        definition=address.definition.name,
        held=held,
        listed=roll.listed,
        recipients=roll.recipients,
        suppressed=roll.suppressed,
        unusable=roll.unusable,
        duplicates=roll.duplicates,
    )
    outcome = ArrivalOutcome.POSTED if held is None else ArrivalOutcome.HELD
    return Verdict(ArrivalKind.POSTING, outcome, held)


def _template(arrival: Arrival, address: ListAddress, author: str, *, office: Office) -> bytes:
    site, definition = office.site, address.definition
    identity = ListIdentity(
        local_part=address.local_part,
        domain=site.domain,
        title=address.title,
        definition=definition.name,
        public_url=site.public_url,
        help_address=site.help_address,
        replies_to_list=definition.reply_to == "list",
    )
    words = footer_words(
        definition.lang, title=address.title, replies_to_list=identity.replies_to_list
    )
    footer = Footer(words.lines, words.link_label, identity.unsubscribe_url)
    return prepare(
        arrival.raw, identity=identity, author=author, footer=footer, now=arrival.arrived_at
    )
