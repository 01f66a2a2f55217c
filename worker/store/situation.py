"""The situation, read at one moment: what waits and what limits it, for the plan.

The caller's transaction is REPEATABLE READ, so that all of it is of one moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from worker.policy.limit import Limit
from worker.policy.plan import Window
from worker.policy.situation import QueuePart, Situation
from worker.store import overview, provider_states

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.store.database import Connection


async def read_situation(db: Connection, accounts: Sequence[str]) -> Situation:
    """Read all that a plan is made of; *accounts* are those that submit."""
    now = await overview.moment(db)
    pauses = await _pauses(db)
    return Situation(
        now=now,
        parts=await _queue_parts(db),
        windows=await _windows(db),
        accounts={a: pauses[a].until if a in pauses else now for a in accounts},
        states=await provider_states.live(db),
        troubles={account: pause.why for account, pause in pauses.items()},
    )


# The windows and their bins exactly as relais.v_limits counts them.
WINDOWS = """
    SELECT v.account, v.provider, v.amount, v.period, v.burst, v.spacing, v.claimed,
           v.spent_small, v.claimed_small, v.owed, v.owed_as_of,
           coalesce(held.bins, '{}') AS bins, coalesce(held.marks, '{}') AS marks,
           coalesce(held.small, '{}') AS small
      FROM relais.v_limits v
     CROSS JOIN LATERAL (
           SELECT array_agg(s.bin) AS bins, array_agg(s.marks) AS marks,
                  array_agg(s.small) AS small
             FROM relais.limit_spent s
            WHERE s.limit_id = v.limit_id
              AND s.bin > (SELECT relais.now()) - v.period - relais.bin_width(v.period)) held
     ORDER BY v.account NULLS FIRST, v.provider NULLS FIRST, v.period
"""


async def _windows(db: Connection) -> list[Window]:
    return [
        Window(
            account=row["account"],
            provider=row["provider"],
            limit=Limit(row["amount"], row["period"], row["burst"], row["spacing"]),
            bins=dict(zip(row["bins"], row["marks"], strict=True)),
            claimed=row["claimed"],
            small=row["spent_small"] + row["claimed_small"],
            small_bins=dict(zip(row["bins"], row["small"], strict=True)),
            owed=row["owed"],
            owed_as_of=row["owed_as_of"],
        )
        for row in await db.fetch(WINDOWS)
    ]


class _Pause(NamedTuple):
    until: datetime
    why: str


PAUSES = """
    SELECT account, paused_until, why FROM relais.account_state
     WHERE paused_until > (SELECT relais.now())
"""


async def _pauses(db: Connection) -> dict[str, _Pause]:
    rows = await db.fetch(PAUSES)
    return {row["account"]: _Pause(row["paused_until"], row["why"]) for row in rows}


QUEUE_PARTS = """
    WITH live AS (
        SELECT d.posting_id, d.provider, min(n.made_at) AS noticed_at,
               count(*) FILTER (WHERE d.state = 'queued') AS queued,
               count(*) FILTER (WHERE d.state = 'claimed') AS claimed,
               count(*) FILTER (WHERE d.state = 'deferred') AS deferred,
               max(d.due_at) FILTER (WHERE d.state = 'deferred') AS deferred_until,
               count(*) FILTER (WHERE d.state = 'dotting') AS dotting,
               count(*) FILTER (WHERE d.state = 'in_doubt') AS in_doubt
          FROM relais.delivery d
          LEFT JOIN relais.notice n USING (notice_id)
         WHERE d.settled_at IS NULL
           AND d.state IN ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred')
         GROUP BY d.posting_id, d.provider
    )
    SELECT live.posting_id AS posting, live.provider, coalesce(l.address, '') AS address,
           coalesce(o.subject, 'notices') AS subject,
           coalesce(o.accepted_at, live.noticed_at) AS accepted_at,
           coalesce(o.recipients, 0) AS recipients, coalesce(o.weight, 1) AS weight,
           coalesce(t.passed, 0) AS passed, coalesce(o.state = 'open', true) AS is_open,
           o.not_before AS opens_at, o.finish_by,
           live.queued, live.claimed, live.deferred, live.deferred_until, live.dotting,
           live.in_doubt
      FROM live
      LEFT JOIN relais.posting o ON o.posting_id = live.posting_id
      LEFT JOIN relais.list l ON l.list_id = o.list_id
      LEFT JOIN relais.turn t ON t.posting_id = live.posting_id AND t.provider = live.provider
     ORDER BY live.posting_id NULLS FIRST, live.provider
"""


async def _queue_parts(db: Connection) -> list[QueuePart]:
    return [QueuePart(**row) for row in await db.fetch(QUEUE_PARTS)]
