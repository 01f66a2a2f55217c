"""Expansion: one message to one list becomes a posting, and each recipient a delivery.

One transaction, of which the view sees one moment. What it leaves behind is an
open posting with all its deliveries, or a held one with none; a crash before
its end leaves nothing.
"""

from __future__ import annotations

from dataclasses import replace
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

from worker.actors.admission import said_before
from worker.actors.office import Verdict
from worker.config import LOCALES
from worker.mail.footer import Footer
from worker.mail.list_headers import Author, Form, ListIdentity, ReplyTo
from worker.mail.preparation import own_message_id, prepare
from worker.notices.footer import footer_words
from worker.policy.admission import Action, RollFacts, rails
from worker.policy.outcome import ArrivalKind, ArrivalOutcome
from worker.policy.telling import grace_of
from worker.policy.turns import is_small, weight_of
from worker.store import expansion, lists, postings
from worker.store.database import CONFLICTS, borrowed, failed_query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.actors.admission import Candidate, Decision
    from worker.actors.office import Office
    from worker.mail.examination import Examination
    from worker.policy.admission import Reason
    from worker.policy.expansion import Definition, ListAddress
    from worker.store.database import Connection
    from worker.store.decisions import HeldPosting
    from worker.store.expansion import Roll

log = structlog.get_logger()

QUERY_PATIENCE = timedelta(seconds=60)

_POSTED_BEFORE = Verdict(ArrivalKind.POSTING, ArrivalOutcome.DUPLICATE, "posted before")


async def post(candidate: Candidate, decision: Decision, *, office: Office) -> Verdict | None:
    """Write the posting that the chain has let in, open or held; run again on a conflict.

    None if its author said the same meanwhile, so that the chain is to be asked again.
    """
    # Before the transaction, which holds locks: the reader may take minutes.
    template = await _template(candidate, office=office)
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(CONFLICTS),
        stop=stop_after_attempt(10),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        reraise=True,
    ):
        with attempt:
            async with borrowed(office.pool) as db:
                return await _post_once(db, candidate, decision, template=template, office=office)
    raise AssertionError("tenacity ends by returning or raising")  # pragma: no cover


async def _post_once(
    db: Connection,
    candidate: Candidate,
    decision: Decision,
    *,
    template: bytes,
    office: Office,
) -> Verdict | None:
    address, seen, mark = candidate.address, candidate.seen, candidate.seen.fingerprint
    admission = decision.admission
    list_id = await lists.remember(db, address)
    async with db.transaction(isolation="repeatable_read"):
        await postings.take_turn(db, mark)
        await postings.take_turn(db, seen.content)
        if await postings.exists(db, list_id, mark):
            return _POSTED_BEFORE
        if await said_before(db, seen, list_id) != decision.earlier:
            return None
        roll = await judged(db, address, list_id, mark, office=office)
        reasons = (*admission.reasons, *await _rails(db, address, list_id, roll))
        awaits = "confirmation" if admission.action is Action.CONFIRM else None
        awaits = awaits or ("moderation" if reasons else None)
        new = replace(
            _new_posting(candidate, list_id, decision, template=template, office=office),
            awaits=awaits,
            reasons=tuple(reason.value for reason in reasons),
            grace=grace_of(address.definition, roll.recipients) if awaits is None else None,
        )
        posting_id = await postings.add(db, new, roll)
        if posting_id is None:
            return _POSTED_BEFORE
        if awaits is None:
            await _deliver(db, posting_id, roll, office=office)
        topic = "delivery" if awaits is None else "decision"
        await db.execute("SELECT pg_notify('relais', $1)", topic)
    _tell(posting_id, address, roll, awaits=awaits, reasons=reasons)
    held = postings.held_because(awaits, reasons)
    outcome = _OUTCOMES[awaits]
    if outcome is ArrivalOutcome.TO_CONFIRM and decision.repeats is not None:
        outcome = ArrivalOutcome.REPEATED
    return Verdict(ArrivalKind.POSTING, outcome, held)


async def _deliver(db: Connection, posting_id: int, roll: Roll, *, office: Office) -> None:
    await expansion.deliver(
        db,
        posting_id,
        is_small=is_small(roll.recipients),
        look_up=office.look_up_mx,
        langs=LOCALES,
    )


_OUTCOMES = {
    None: ArrivalOutcome.POSTED,
    "confirmation": ArrivalOutcome.TO_CONFIRM,
    "moderation": ArrivalOutcome.HELD,
}


async def judged(
    db: Connection, address: ListAddress, list_id: int, mark: bytes, *, office: Office
) -> Roll:
    """Run the list's query, in the caller's transaction. QueryFailed says what is wrong."""
    try:
        return await expansion.judge(
            db,
            address,
            list_id=list_id,
            fingerprint=mark,
            domain=office.site.domain,
            patience=QUERY_PATIENCE,
        )
    except CONFLICTS:
        raise
    except asyncpg.PostgresError as error:
        raise failed_query(address.local_part, error) from error


async def _rails(
    db: Connection,
    address: ListAddress,
    list_id: int,
    roll: Roll,
    approved: Iterable[str] = (),
) -> tuple[Reason, ...]:
    last = await postings.listed_last(db, list_id)
    facts = RollFacts(
        roll.listed,
        roll.recipients,
        address.definition.max_recipients,
        listed_last=last,
        # Of nobody but duplicates, all are those of another list.
        elsewhere=0 if roll.recipients else roll.duplicates,
    )
    return rails(facts, approved=approved)


async def release(
    db: Connection, held: HeldPosting, address: ListAddress, *, office: Office
) -> tuple[Reason, ...]:
    """Open a held posting with a delivery for each recipient of this moment.

    Returns the rails that stop it now and that nobody has waved through; then
    nothing was changed. The caller's transaction is REPEATABLE READ and has
    locked the posting.
    """
    if await postings.resume(db, held.posting_id):
        return ()  # It was under way: its deliveries wait, and are checked before they leave.
    mark = await postings.fingerprint_of(db, held.posting_id)
    await postings.take_turn(db, mark)
    roll = await judged(db, address, held.list_id, mark, office=office)
    reasons = await _rails(db, address, held.list_id, roll, held.approved)
    if reasons:
        return reasons
    released = await postings.release(
        db,
        held.posting_id,
        roll,
        finish_within=address.definition.finish_within,
        grace=grace_of(address.definition, roll.recipients),
    )
    if released:
        await _deliver(db, held.posting_id, roll, office=office)
        await db.execute("SELECT pg_notify('relais', 'delivery')")
        _tell(held.posting_id, address, roll, awaits=None, reasons=())
    return ()


def _new_posting(
    candidate: Candidate, list_id: int, decision: Decision, *, template: bytes, office: Office
) -> postings.NewPosting:
    """Return what is frozen of a posting, whatever the rails say."""
    seen, definition = candidate.seen, candidate.address.definition
    return postings.NewPosting(
        list_id=list_id,
        arrival_id=candidate.arrival.arrival_id,
        fingerprint=seen.fingerprint,
        author=candidate.facts.author or "",
        subject=seen.subject[:500],
        message_id=_message_id(seen, definition, office=office),
        thread=seen.thread,
        template=template,
        key_id=office.tokens.key_id,
        size_bytes=candidate.facts.size,
        lang=definition.lang,
        proof=decision.proof,
        evidence=candidate.evidence,
        resend_doubtful=definition.in_doubt == "resend",
        weight=weight_of(definition.priority),
        finish_within=definition.finish_within,
        author_lang=decision.standing.lang,
        content=seen.content,
        repeats=decision.repeats,
        answerable=decision.answerable,
    )


async def _template(candidate: Candidate, *, office: Office) -> bytes:
    site, address = office.site, candidate.address
    definition = address.definition
    identity = ListIdentity(
        local_part=address.local_part,
        domain=site.domain,
        title=address.title,
        definition=definition.name,
        public_url=site.public_url,
        help_address=site.help_address,
        form=Form(definition.form),
        reply_to=ReplyTo(definition.reply_to),
        subject_tag=address.filled(definition.subject_prefix),
        has_one_click=definition.unsubscribe == "yes",
        name_field=_name_field(definition),
    )
    return await office.reader.run(
        prepare,
        candidate.arrival.raw,
        identity=identity,
        author=_author(candidate, identity),
        footers={lang: _footer(candidate, identity, lang) for lang in LOCALES},
        now=candidate.arrival.arrived_at,
        signer=site.signer,
    )


def _message_id(seen: Examination, definition: Definition, *, office: Office) -> str:
    """Return the Message-ID that the copies carry, and reports about them."""
    if definition.form == Form.ANONYMOUS:
        return own_message_id(seen.fingerprint, domain=office.site.domain)
    return seen.message_id


def _name_field(definition: Definition) -> int | None:
    fields = definition.merge_fields
    return fields.index("name") if "name" in fields else None


def _author(candidate: Candidate, identity: ListIdentity) -> Author:
    # Nobody can answer an author who is not one; then the list's owner is asked.
    address = candidate.facts.author or identity.owner_address
    return Author(address, candidate.seen.author_name)


def _footer(candidate: Candidate, identity: ListIdentity, lang: str) -> Footer:
    definition = candidate.address.definition
    # The list's own words are in the list's own language.
    is_own = lang == definition.lang
    words = footer_words(
        lang,
        title=identity.title,
        also=tuple(title for title in candidate.titles if title != identity.title),
        why=candidate.address.worded(definition.why or "") if is_own else "",
        more=candidate.address.worded(definition.footer or ""),
        reply_to=identity.reply_to,
        is_official=definition.unsubscribe == "contact",
    )
    return Footer(words.lines, words.link_label, identity.unsubscribe_url)


def _tell(
    posting_id: int,
    address: ListAddress,
    roll: Roll,
    *,
    awaits: str | None,
    reasons: tuple[Reason, ...],
) -> None:
    log.info(
        "posting.held" if awaits else "posting.expanded",
        posting_id=posting_id,
        definition=address.definition.name,
        awaits=awaits,
        reasons=[reason.value for reason in reasons],
        listed=roll.listed,
        recipients=roll.recipients,
        suppressed=roll.suppressed,
        held_addresses=roll.held,
        unusable=roll.unusable,
        duplicates=roll.duplicates,
    )
