"""Answers to authors: every one passes here, and nobody gets more than a few a day.

Two programs that answer each other would never end; neither would an author whose
mail program resends. The answer beyond the day's number says so, and is the last; then
there is silence, which is counted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from worker.actors.outbox import Outbox
from worker.mail.address import local_part_of, usable_address
from worker.notices import letters
from worker.policy.answering import Allowance, Asking, Withheld, allowance_of
from worker.policy.outcome import ASKED_FOR, NoticeKind
from worker.store import notices

if TYPE_CHECKING:
    from worker.actors.office import Office
    from worker.actors.outbox import Unposted
    from worker.mail.examination import Examination
    from worker.mail.notice import Attachment, Letter
    from worker.mail.return_address import Purpose
    from worker.policy.admission import MessageFacts
    from worker.store.database import Connection
    from worker.store.decisions import HeldPosting

log = structlog.get_logger()

_A_DAY = timedelta(days=1)


async def answer(
    db: Connection,
    kind: NoticeKind,
    letter: Letter,
    author: str,
    *,
    office: Office,
    about: HeldPosting | Unposted | None,
    attach: Attachment | None = None,
    reply: tuple[Purpose, int] | None = None,
) -> bool:
    """Queue *letter* in the caller's transaction; False if *author* has had enough today.

    What a person has brought about by a button or a word goes in any case. In a
    transaction that is REPEATABLE READ two answers to one author conflict (CONFLICTS), and
    the second one is run again.
    """
    await notices.follow_other_answers(db, author)
    left = Allowance.ANSWER if kind in ASKED_FOR else await allowance(db, author)
    if left is Allowance.SILENCE:
        withhold(Withheld.CAP, kind, office=office)
        return False
    if left is Allowance.NO_MORE:
        kind = NoticeKind.NO_MORE_TODAY
        letter = letters.last_today(letter, help_address=office.site.help_address)
    outbox = Outbox(office.site, office.tokens, office.metrics)
    await outbox.send(db, kind, letter, author, about=about, attach=attach, reply=reply)
    return True


async def allowance(db: Connection, author: str) -> Allowance:
    """Return what *author* may still have of us today."""
    return allowance_of(*await notices.answers_lately(db, author, _A_DAY))


def asking(seen: Examination, facts: MessageFacts, *, office: Office) -> Asking:
    """Return what *seen* says of whether its author may be answered; no view is asked."""
    author = facts.author
    return Asking(
        author=author if author is not None and usable_address(author) else None,
        automatic=facts.automatic,
        loop=facts.loop,
        other_list=facts.other_list,
        spam=facts.spam,
        unanswered=seen.unanswered,
        authenticity=facts.authenticity,
        is_ours=author is not None and local_part_of(author, office.site.domain) is not None,
    )


def withhold(why: Withheld, kind: NoticeKind, *, office: Office) -> None:
    """Count an answer that is not written, and tell it."""
    office.metrics.answer_withheld(why)
    log.info("answer.withheld", kind=kind.value, why=why.value)
