"""Following: the postings of one message, as their author's page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.policy.following import FollowedPosting

if TYPE_CHECKING:
    from worker.store.database import Connection


# All that share its receipt; it alone as long as it has none.
POSTINGS = """
    WITH asked AS (SELECT posting_id, receipt_id FROM relais.posting WHERE posting_id = $1)
    SELECT o.posting_id, o.author, o.subject,
           coalesce(nullif(l.title, ''), l.address) AS list_title,
           coalesce(o.author_lang, '') AS author_lang, coalesce(o.lang, '') AS list_lang,
           o.state, o.awaits, o.ended_because, o.recipients, o.not_before AS opens_at,
           relais.may_resume(o, 'author') AS can_be_resumed,
           relais.may_resume(o, 'operator') AND NOT relais.may_resume(o, 'author')
               AS waits_for_operator
      FROM asked
      JOIN relais.posting o ON o.posting_id = asked.posting_id OR o.receipt_id = asked.receipt_id
      JOIN relais.list l USING (list_id)
     ORDER BY o.posting_id
"""


async def followed(db: Connection, posting_id: int) -> list[FollowedPosting]:
    """Return the postings of the message that a posting is of; none if it is unknown."""
    return [FollowedPosting(**row) for row in await db.fetch(POSTINGS, posting_id)]


NUMBERS = """
    SELECT o.posting_id FROM relais.posting asked
      JOIN relais.posting o ON o.posting_id = asked.posting_id OR o.receipt_id = asked.receipt_id
     WHERE asked.posting_id = $1 ORDER BY 1
"""


async def numbers(db: Connection, posting_id: int) -> list[int]:
    """Return the numbers of the postings of that message."""
    return [row["posting_id"] for row in await db.fetch(NUMBERS, posting_id)]
