"""Letters to who leaves.

The farewell: who has left every list is told, with the way back. Their link may
have been in a mail that they forwarded: the one who pressed the button need not
be they (reference: reliability, A27).

The way out: who wrote "unsubscribe" to a list is sent their own link. It is for
the mailbox, so whoever forged the message gains nothing by it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from worker.actors.office import Verdict
from worker.actors.outbox import Outbox, Unposted
from worker.config import LOCALES
from worker.mail.address import usable_address
from worker.mail.authentication import Authenticity
from worker.mail.return_address import Purpose, subscriber_number
from worker.notices.letters import farewell, how_to_leave
from worker.policy.outcome import ArrivalKind, ArrivalOutcome, NoticeKind
from worker.store import arrivals, lists, notices, suppressions
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.admission import Candidate
    from worker.actors.office import Office
    from worker.config import Site
    from worker.store.database import Connection
    from worker.store.suppressions import SubscriberRow

# Leaving and coming back all day is no way to fill somebody's mailbox.
_AT_MOST_ONE_WITHIN = timedelta(days=1)


async def say_farewell(
    db: Connection, left: SubscriberRow | None, undo_link: str, *, outbox: Outbox
) -> None:
    """Write to who has *left*, in the transaction in which they did."""
    if left is None or not usable_address(left.address):
        return
    if await notices.sent_lately(db, left.address, NoticeKind.FAREWELL, _AT_MOST_ONE_WITHIN):
        return
    site = outbox.site
    letter = farewell(
        _lang(left, site), domain=site.called, link=undo_link, help_address=site.help_address
    )
    await outbox.send(db, NoticeKind.FAREWELL, letter, left.address, about=None)


async def tell_how_to_leave(candidate: Candidate, *, office: Office) -> Verdict:
    """Send the author of "unsubscribe" their own link; a list of readers is none of its business.

    Nobody is written to whom nothing proves, who never had a copy of this list, or who
    wrote it to another list.
    """
    verdict = Verdict(
        ArrivalKind.REQUEST, ArrivalOutcome.ASKED_TO_LEAVE, wanted_in=arrivals.REFUSED
    )
    facts = candidate.facts
    author = facts.author
    if author is None or facts.authenticity is not Authenticity.PROVEN or facts.other_list:
        return verdict
    async with borrowed(office.pool) as db, db.transaction():
        list_id = await lists.remember(db, candidate.address)
        person_id = await suppressions.person_at(db, list_id, author)
        if person_id is not None:
            await _send_the_way_out(db, list_id, person_id, candidate, office=office)
    return verdict


async def _send_the_way_out(
    db: Connection, list_id: int, person_id: int, candidate: Candidate, *, office: Office
) -> None:
    reader = await suppressions.subscriber(db, list_id, person_id)
    kind = NoticeKind.HOW_TO_LEAVE
    if reader is None or await notices.sent_lately(db, reader.address, kind, _AT_MOST_ONE_WITHIN):
        return
    site = office.site
    token = office.tokens.sign(
        Purpose.UNSUBSCRIBE,
        subscriber_number(list_id, person_id),
        stands_for=reader.subscription,
    )
    letter = how_to_leave(
        _lang(reader, site),
        title=reader.title,
        link=f"{site.public_url}/u/{token.decode('ascii')}",
        help_address=site.help_address,
    )
    outbox = Outbox(site, office.tokens, office.metrics)
    seen = candidate.seen
    about = Unposted(candidate.arrival, seen.message_id, seen.thread)
    await outbox.send(db, kind, letter, reader.address, about=about)


def _lang(reader: SubscriberRow, site: Site) -> str:
    return next(lang for lang in (reader.lang, reader.list_lang, site.locale) if lang in LOCALES)
