"""Refusing: whether an author is told that their message was not posted, and what they read.

What is asked of the views comes before the transaction that writes the answer and
settles the arrival, so a crash between the two answers later, and never twice. A
message that its host delivers several times is answered once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from worker.actors.answers import allowance, answer, asking, withhold
from worker.actors.outbox import Unposted, attached_or_its_header
from worker.actors.requests import list_to_leave, role_of
from worker.config import LOCALES
from worker.mail.envelope import split_detail
from worker.notices import letters, refusals
from worker.notices.refusals import Elsewhere, Enclosed, Places, Proposal, Refusal
from worker.policy.admission import Standing
from worker.policy.answering import Allowance, Withheld, withheld
from worker.policy.expansion import candidates
from worker.policy.likeness import nearest
from worker.policy.outcome import ArrivalOutcome, NoticeKind
from worker.policy.refusal import FOR_MEMBERS, Why, why_refused
from worker.store import authors, lists, overview, postings
from worker.store.authors import Acquaintance
from worker.store.database import borrowed
from worker.store.views import Views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.actors.office import Office, Verdict
    from worker.mail.examination import Examination
    from worker.mail.notice import Attachment, Letter
    from worker.policy.admission import MessageFacts
    from worker.policy.expansion import ListAddress
    from worker.store.arrivals import Arrival
    from worker.store.database import Connection

_PROPOSED, _LOOKED_AT = 3, 10  # Of what is alike, not everything may be written to.
_SENT = frozenset({ArrivalOutcome.POSTED, ArrivalOutcome.FORWARDED})
_WAITING = frozenset({ArrivalOutcome.HELD, ArrivalOutcome.TO_CONFIRM, ArrivalOutcome.REPEATED})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a message at one of its addresses."""

    local_part: str
    verdict: Verdict
    address: ListAddress | None = None
    standing: Standing = field(default_factory=Standing)  # Of its author.


@dataclass(frozen=True, slots=True)
class Answer:
    """A letter that is ready to be sent when the arrival is settled."""

    kind: NoticeKind
    letter: Letter
    author: str
    about: Unposted
    refused_at: tuple[str, ...] = ()
    attach: Attachment | None = None


async def answer_to(
    arrival: Arrival,
    seen: Examination,
    facts: MessageFacts,
    results: Sequence[Result],
    *,
    office: Office,
) -> Answer | None:
    """Return what the author of a message is answered about *results*; None: nothing."""
    refused = [(result, why) for result in results if (why := _why(result)) is not None]
    if not refused:
        return None
    kind = NoticeKind.NOT_POSTED
    async with borrowed(office.pool) as db:
        views = Views(db)
        only_members = all(why in FOR_MEMBERS for _, why in refused)
        met = next((result.standing for result in results if result.standing.known), None)
        known = await _answered(
            views, facts, seen, kind, for_members=only_members, met=met, office=office
        )
        if known is None or facts.author is None:
            return None
        told = [
            await _refusal(views, result, why, known, facts, office=office)
            for result, why in refused
            if known.is_known or why not in FOR_MEMBERS
        ]
        posted = await postings.stands(db, seen.fingerprint)
    attach, is_whole = await attached_or_its_header(arrival.raw, office=office)
    enclosed = Enclosed.WHOLE if is_whole else Enclosed.HEADER
    lang = _lang(known, results, office=office)
    letter = refusals.not_posted(
        _about(seen, facts.author, lang, seen.local_parts[0], office=office),
        told,
        size=facts.size,
        places=Places(office.site.member_space, office.site.share),
        elsewhere=_elsewhere(results, posted, office=office),
        enclosed=enclosed if attach is not None else Enclosed.NOTHING,
    )
    refused_at = tuple(result.local_part for result, _ in refused)
    about = Unposted(arrival, seen.message_id, seen.thread)
    return Answer(kind, letter, facts.author, about, refused_at, attach)


async def answer_about_delay(
    arrival: Arrival, seen: Examination, facts: MessageFacts, *, failed: str, office: Office
) -> Answer | None:
    """Return what the author of a message is told whose list *failed* to be worked out now."""
    kind = NoticeKind.QUERY_FAILS
    async with borrowed(office.pool) as db:
        known = await _answered(Views(db), facts, seen, kind, office=office)
    if known is None or facts.author is None:
        return None
    about = _about(seen, facts.author, _lang(known, (), office=office), failed, office=office)
    thread = Unposted(arrival, seen.message_id, seen.thread)
    return Answer(kind, letters.query_fails(about), facts.author, thread)


async def send(db: Connection, ready: Answer, seen: Examination, *, office: Office) -> None:
    """Queue *ready* in the caller's transaction, if it was not said of this message before."""
    if ready.refused_at and not await postings.refuse(db, seen.fingerprint, ready.refused_at):
        return
    await answer(
        db,
        ready.kind,
        ready.letter,
        ready.author,
        office=office,
        about=ready.about,
        attach=ready.attach,
    )


def count_unanswered(seen: Examination, facts: MessageFacts, *, office: Office) -> None:
    """Count mail that is no posting at all, by what keeps it from an answer."""
    why = withheld(asking(seen, facts, office=office))
    if why is not None:
        withhold(why, NoticeKind.NOT_POSTED, office=office)


def _why(result: Result) -> Why | None:
    definition = result.address.definition if result.address is not None else None
    return why_refused(result.verdict.outcome, definition, result.standing)


async def _answered(
    views: Views,
    facts: MessageFacts,
    seen: Examination,
    kind: NoticeKind,
    *,
    for_members: bool = False,
    met: Standing | None = None,
    office: Office,
) -> Acquaintance | None:
    """Return what the views know of an author who is to be answered; None: they are not.

    Where a view has *met* them already, the others are not asked.
    """
    question = replace(asking(seen, facts, office=office), for_members=for_members)
    # What the message says of itself costs nothing to ask, the views do.
    why = withheld(replace(question, is_known=True))
    if why is None and facts.author is not None:
        if await allowance(views.db, facts.author) is Allowance.SILENCE:
            why = Withheld.CAP
        else:
            known = (
                Acquaintance(is_known=True, lang=met.lang)
                if met is not None
                else await _acquaintance(views, facts.author, office=office)
            )
            why = withheld(replace(question, is_known=known.is_known))
            if why is None:
                return known
    withhold(why or Withheld.NO_AUTHOR, kind, office=office)
    return None


async def _acquaintance(views: Views, author: str, *, office: Office) -> Acquaintance:
    """Return what the views know of *author*, as far as they may be asked of one more."""
    strangers, now = office.strangers, await overview.moment(views.db)
    if strangers.has(author, now):
        return Acquaintance(is_known=False)
    if not strangers.may_ask(now):
        return Acquaintance(is_known=None)
    known = await authors.acquaintance(views, author)
    if known.is_known is False:
        strangers.add(author, now)
    return known


async def _refusal(
    views: Views,
    result: Result,
    why: Why,
    known: Acquaintance,
    facts: MessageFacts,
    *,
    office: Office,
) -> Refusal:
    """Return what is told of one address; how large a list is, only to members who write to it."""
    refusal = Refusal(
        f"{result.local_part}@{office.site.domain}", why, is_known=bool(known.is_known)
    )
    address = result.address
    if why is Why.TOO_BIG and address is not None:
        people = None
        if known.is_known and result.standing.may_post:
            query = partial(lists.people, views.db, address)
            people = await views.ask(address.definition.name, query)
        return replace(refusal, limit=address.definition.max_size, people=people)
    # The owner of a list is not to be reached by writing to everybody.
    if why is Why.UNKNOWN_LIST and facts.author is not None and not _is_role(result):
        found = await _alike(views, result.local_part, facts.author, office=office)
        return replace(refusal, proposals=found)
    return refusal


def _is_role(result: Result) -> bool:
    return role_of(result.local_part) is not None or list_to_leave(result.local_part) is not None


async def _alike(
    views: Views, local_part: str, author: str, *, office: Office
) -> tuple[Proposal, ...]:
    """Return the addresses that *author* may have meant, of those that they may write to."""
    base, _ = split_detail(local_part)
    known = {entry.address: entry for entry in await lists.directory_that_answers(views)}
    # Of ten thousand addresses it takes more than half a second.
    near = await asyncio.to_thread(nearest, base, known, at_most=_LOOKED_AT)
    definitions = {definition.name: definition for definition in await lists.definitions(views.db)}
    found: list[Proposal] = []
    for entry in map(known.__getitem__, near):
        # An address may be split into parts in several ways.
        defined = filter(None, [definitions.get(entry.definition)])  # Dropped meanwhile.
        meant = candidates(defined, entry.address)
        if any([await _may_post(views, address, author) for address in meant]):
            found.append(Proposal(f"{entry.address}@{office.site.domain}", entry.recipients))
    return tuple(found[:_PROPOSED])


async def _may_post(views: Views, address: ListAddress, author: str) -> bool:
    name = address.definition.name
    if await authors.is_banned(views.db, author, name):
        return False
    standing = await views.ask(name, partial(authors.standing, views.db, address, author))
    return standing is not None and standing.may_post


def _elsewhere(
    results: Sequence[Result], posted: Mapping[str, str], *, office: Office
) -> Elsewhere:
    """Return where else a message goes; *posted* is how it stands where it was posted before."""
    sent: list[str] = []
    waiting: list[str] = []
    for result in results:
        outcome, address = result.verdict.outcome, f"{result.local_part}@{office.site.domain}"
        stands = None
        if outcome is ArrivalOutcome.DUPLICATE and result.address is not None:
            stands = posted.get(result.address.local_part)
        if outcome in _SENT or stands in ("open", "finished"):
            sent.append(address)
        elif outcome in _WAITING or stands == "held":
            waiting.append(address)
    return Elsewhere(tuple(sent), tuple(waiting))


def _lang(known: Acquaintance, results: Sequence[Result], *, office: Office) -> str:
    """Return the author's language, else that of the first list, else the site's."""
    of_lists = [r.address.definition.lang for r in results if r.address is not None]
    wanted = (known.lang, *of_lists, office.site.locale)
    return next(lang for lang in wanted if lang in LOCALES)


def _about(
    seen: Examination, author: str, lang: str, local_part: str, *, office: Office
) -> letters.About:
    return letters.About(
        lang=lang,
        author=author,
        subject=seen.subject,
        list_address=f"{local_part}@{office.site.domain}",
        number=None,
        help_address=office.site.help_address,
    )
