"""Admission: what is known of a message and its author, put before the chain of rules.

The admin's queries run read-only, each with a limit of time, in one transaction
that changes nothing. One that fails raises QueryFailed: the arrival waits, and
nobody is taken for a stranger because a view is broken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg

from worker.actors.answers import asking
from worker.errors import StoreLost
from worker.mail.authentication import Authenticity
from worker.mail.envelope import split_detail
from worker.policy.admission import (
    REPEATED_WITHIN,
    Admission,
    Facts,
    MessageFacts,
    Standing,
    admit,
)
from worker.policy.answering import withheld
from worker.store import authors, lists, postings
from worker.store.database import borrowed, failed_query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.actors.office import Office
    from worker.mail.examination import Examination
    from worker.policy.expansion import ListAddress
    from worker.store.arrivals import Arrival
    from worker.store.authors import Evidence
    from worker.store.database import Connection

# Less than the patience of a connection: an answer that is late is the query's
# fault, and must not be taken for a database that is gone.
_PATIENCE = timedelta(seconds=20)
_SHARED = 50  # Lists that one message may name; each costs a query.


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message and one list that it may go to."""

    arrival: Arrival
    seen: Examination
    facts: MessageFacts
    evidence: Evidence
    address: ListAddress
    titles: tuple[str, ...]  # Of all lists that the message names.


@dataclass(frozen=True, slots=True)
class Decision:
    """What the chain says of a candidate, and what was known when it was asked."""

    admission: Admission
    proof: str  # What proves the author; "" if nothing does.
    standing: Standing
    earlier: int | None  # The posting in which they said the same.
    repeats: int | None  # The same, if they are to be asked about it.
    answerable: bool  # A person wrote it, to us.


def message_facts(arrival: Arrival, seen: Examination) -> MessageFacts:
    """Return what a message tells of itself; its author is not authenticated yet."""
    moments = [arrival.internal_date, seen.written_at]
    oldest = min((m for m in moments if m is not None), default=arrival.arrived_at)
    return MessageFacts(
        author=seen.author,
        size=len(arrival.raw),
        age=max(timedelta(), arrival.arrived_at - oldest),
        automatic=seen.automatic,
        loop=seen.loop,
        other_list=seen.other_list,
        spam=seen.spam,
        asks_to_leave=seen.asks_to_leave,
    )


async def lists_named(
    local_parts: Iterable[str], seen: Examination, *, office: Office
) -> tuple[dict[str, ListAddress | None], tuple[str, ...]]:
    """Return the list of each of *local_parts*, and the titles of all that the message names.

    What only To and Cc name is not posted to, so a query that fails there is no
    reason to wait.
    """
    wanted = list(dict.fromkeys(local_parts))[:_SHARED]
    shown = [n for n in seen.named if n not in wanted]
    async with borrowed(office.pool) as db, db.transaction():
        found = {local_part: await _resolved(db, local_part) for local_part in wanted}
        others = [await _resolved_if_it_can(db, name) for name in shown[:_SHARED]]
    named = [address for address in (*found.values(), *others) if address is not None]
    return found, tuple(dict.fromkeys(address.title for address in named))


async def _resolved(db: Connection, local_part: str) -> ListAddress | None:
    base, detail = split_detail(local_part)
    try:
        async with lists.asking_views(db, _PATIENCE):
            exact = await lists.resolve(db, local_part)
            return exact or (await lists.resolve(db, base) if detail else None)
    except asyncpg.PostgresError as error:
        raise failed_query(local_part, error) from error


async def _resolved_if_it_can(db: Connection, local_part: str) -> ListAddress | None:
    try:
        async with lists.asking_views(db, _PATIENCE):
            return await lists.resolve(db, local_part)
    except asyncpg.PostgresError as error:
        failure = failed_query(local_part, error)
        if isinstance(failure, StoreLost):
            raise failure from error
        return None


async def decide(candidate: Candidate, *, office: Office) -> Decision:
    """Ask the chain."""
    address, author = candidate.address, candidate.facts.author
    earlier: int | None = None
    async with borrowed(office.pool) as db, db.transaction():
        list_id = await lists.remember(db, address)
        facts = Facts(
            message=candidate.facts,
            definition=address.definition,
            posted_before=await postings.exists(db, list_id, candidate.seen.fingerprint),
        )
        if author is not None and not facts.posted_before:
            facts = await _unless_passed_on(db, facts, author, list_id, candidate)
            earlier = await said_before(db, candidate.seen, list_id)
            facts = replace(facts, said_before=earlier is not None)
            facts = await _with_author(db, facts, author, list_id, candidate)
    repeats = earlier if facts.sent_again else None
    # What proves them, or knows them, is asked besides.
    question = asking(candidate.seen, facts.message, office=office)
    answerable = withheld(replace(question, is_known=True)) is None
    return Decision(admit(facts), _proof(facts), facts.standing, earlier, repeats, answerable)


async def _unless_passed_on(
    db: Connection, facts: Facts, author: str, list_id: int, candidate: Candidate
) -> Facts:
    """Know a copy of ours by its Message-ID, where a list keeps no other mark, not even its own."""
    seen = candidate.seen
    if facts.message.other_list is not None or not await postings.is_passed_on(
        db, list_id, seen.message_id, author
    ):
        return facts
    return replace(facts, message=replace(facts.message, other_list="message-id"))


async def said_before(db: Connection, seen: Examination, list_id: int) -> int | None:
    """Return the posting to this list in which the author of *seen* lately said the same."""
    if seen.author is None:
        return None
    return await postings.earlier(
        db,
        seen.author,
        list_id,
        content=seen.content,
        besides=seen.fingerprint,
        within=REPEATED_WITHIN,
    )


async def _with_author(
    db: Connection, facts: Facts, author: str, list_id: int, candidate: Candidate
) -> Facts:
    address = candidate.address
    if await authors.is_banned(db, author, address.definition.name):
        return replace(facts, banned=True, standing=Standing())
    pace = await authors.pace(db, author, list_id)
    try:
        async with lists.asking_views(db, _PATIENCE):
            standing = await authors.standing(db, address, author)
    except asyncpg.PostgresError as error:
        raise failed_query(address.local_part, error) from error
    return replace(
        facts,
        standing=standing,
        remembered=await authors.is_remembered(db, author, candidate.evidence),
        asked_today=pace.asked_today,
        posts_by_author=pace.by_author,
        posts_to_list=pace.to_list,
    )


def _proof(facts: Facts) -> str:
    """Name what proves the author, "" if nothing does."""
    if facts.message.authenticity is Authenticity.PROVEN:
        return facts.message.method
    return "remembered" if facts.remembered else ""
