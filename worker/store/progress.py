"""Progress: how far messages have come, counted from their deliveries.

A message has several postings when it is for several lists; who asks names them
all. Whose rows were purged are counted from the figures that were kept: of those
that were cancelled nobody knows why, so they count as stopped, and their
providers are forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.policy.telling import Figures, Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.store.database import Connection

# An end without a reply is in doubt until it is settled; so is what is just leaving.
FIGURES = """
    SELECT coalesce(sum(n) FILTER (WHERE state = 'handed_over'), 0)::bigint AS handed_over,
           coalesce(sum(n) FILTER (WHERE state IN ('bounced', 'refused') OR because = 'refused'),
                    0)::bigint AS refused,
           coalesce(sum(n) FILTER (WHERE state = 'expired' OR because = 'expired'), 0)::bigint
               AS expired,
           coalesce(sum(n) FILTER (WHERE state IN ('dotting', 'in_doubt')), 0)::bigint
               AS in_doubt,
           coalesce(sum(n) FILTER (WHERE because = 'unsubscribed'), 0)::bigint AS unsubscribed,
           coalesce(sum(n) FILTER (WHERE because = 'left'), 0)::bigint AS left,
           coalesce(sum(n) FILTER (WHERE because = 'held'), 0)::bigint AS held,
           coalesce(sum(n) FILTER (WHERE because = 'stopped'), 0)::bigint AS stopped,
           coalesce(sum(n) FILTER (WHERE state IN ('queued', 'claimed', 'deferred')), 0)::bigint
               AS waiting
      FROM (SELECT d.state, b.because, count(*) AS n
              FROM relais.delivery d
             CROSS JOIN LATERAL (
                   SELECT CASE WHEN d.state = 'cancelled'
                               THEN relais.cancelled_because(d.reply) END) b(because)
             WHERE d.posting_id = ANY($1) GROUP BY 1, 2
             UNION ALL
            SELECT f.state, CASE WHEN f.state = 'cancelled' THEN 'stopped' END, f.deliveries
              FROM relais.posting_figure f WHERE f.posting_id = ANY($1)) counted
"""


async def figures(db: Connection, posting_ids: Sequence[int]) -> Figures:
    """Count what became of everybody whom these postings are for."""
    row = await db.fetchrow(FIGURES, posting_ids)
    if row is None:
        raise AssertionError("an aggregate always has its one row")
    return Figures(**row)


SHARES = """
    SELECT d.provider, CASE WHEN d.provider = 'other' THEN '' ELSE p.display END AS display,
           count(*) AS recipients,
           count(*) FILTER (WHERE d.state NOT IN ('queued', 'claimed', 'deferred', 'cancelled'))
               AS handed_over,
           count(*) FILTER (WHERE d.state IN ('queued', 'claimed', 'deferred')) AS waiting
      FROM relais.delivery d JOIN relais.provider p USING (provider)
     WHERE d.posting_id = ANY($1)
     GROUP BY d.provider, p.display
     ORDER BY d.provider = 'other', count(*) DESC, d.provider
"""


async def shares(db: Connection, posting_ids: Sequence[int]) -> list[Share]:
    """Return what of these postings is for each provider, the largest first.

    When the last copies leave is for the plan to say: here it is None.
    """
    rows = await db.fetch(SHARES, posting_ids)
    return [Share(**row, finish_at=None) for row in rows]
