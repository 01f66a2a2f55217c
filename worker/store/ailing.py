"""Addresses that fail: how they fare, what came back from them, and whose they are now.

Whose they are is the views' to say: those are asked, each once (worker/store/views.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from worker.mail.reason import Reason
from worker.policy.expansion import ListAddress
from worker.policy.mending import Ailing, Bearer
from worker.store import lists

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import asyncpg

    from worker.policy.expansion import Definition
    from worker.store.database import Connection
    from worker.store.views import Views

STATES = ("suspect", "held", "trial")

AILING = """
    SELECT h.address, h.state, h.since, h.due_at, h.reason, h.status, h.evidence,
           count(f.failure_id)::integer AS failures,
           coalesce(min(f.failed_at), h.since) AS failing_since
      FROM relais.address_health h
      LEFT JOIN relais.address_failure f
        ON f.address = h.address AND NOT f.is_excused AND NOT f.is_over
     WHERE h.state = ANY ($1) AND ($2::text IS NULL OR h.address = $2)
     GROUP BY h.address ORDER BY h.address
"""


async def ailing(
    db: Connection, states: Sequence[str] = STATES, *, address: str | None = None
) -> list[Ailing]:
    """Return the addresses in *states*, or that one if it is in one of them."""
    rows = await db.fetch(AILING, states, address)
    return [Ailing(**{**row, "reason": reason_stored(row["reason"])}) for row in rows]


def reason_stored(text: str) -> Reason:
    """Return a reason as it was stored, perhaps by another version."""
    try:
        return Reason(text)
    except ValueError:
        return Reason.UNKNOWN


HELD = "SELECT address FROM relais.address_health WHERE state = 'held'"


async def held(db: Connection) -> set[str]:
    """Return every address that is written to no more."""
    return {row["address"] for row in await db.fetch(HELD)}


BEARERS = """
    SELECT address, coalesce(name, '') AS name, person, parts, secretary, owner
      FROM relais.bearers($1, $2)
"""


async def bearers(
    views: Views,
    states: Sequence[str],
    *,
    on_ask: Callable[[str, int, int], None] = lambda _name, _nth, _of: None,
) -> list[Bearer]:
    """Return every row of a list whose address is in *states*.

    Before each query *on_ask* is told its name, its number, and how many there are.
    """
    definitions = await lists.definitions(views.db)
    found: list[Bearer] = []
    for nth, definition in enumerate(definitions, start=1):
        on_ask(definition.name, nth, len(definitions))
        query = partial(views.db.fetch, BEARERS, definition.name, states)
        rows = await views.ask(definition.name, query) or []
        found += [_bearer(definition, row) for row in rows]
    return found


def _bearer(definition: Definition, row: asyncpg.Record) -> Bearer:
    told = dict(row)
    place = ListAddress(definition, json.loads(told.pop("parts")))
    return Bearer(list=place.local_part, title=place.title, list_lang=definition.lang, **told)


@dataclass(frozen=True, slots=True)
class Failure:
    """A copy that came back because of its address."""

    failed_at: datetime
    list: str | None  # Its address; None: a notice.
    posting: int | None
    provider: str
    is_permanent: bool
    reason: Reason
    status: str
    evidence: str
    is_excused: bool  # The posting or the provider is to blame.
    is_over: bool  # A later copy has arrived.

    @property
    def counts(self) -> bool:
        """Whether it counts against the address."""
        return not (self.is_excused or self.is_over)


FAILURES = """
    SELECT f.failed_at, l.address AS list, f.posting_id AS posting, f.provider, f.is_permanent,
           f.reason, f.status, f.evidence, f.is_excused, f.is_over
      FROM relais.address_failure f
      LEFT JOIN relais.posting o USING (posting_id)
      LEFT JOIN relais.list l USING (list_id)
     WHERE f.address = $1 ORDER BY f.failed_at DESC, f.failure_id DESC LIMIT $2
"""


async def failures(db: Connection, address: str, *, at_most: int) -> list[Failure]:
    """Return what came back from *address*, the newest first."""
    rows = await db.fetch(FAILURES, address, at_most)
    return [Failure(**{**row, "reason": reason_stored(row["reason"])}) for row in rows]


KNOWN = """
    SELECT address FROM relais.address_health
     UNION
    SELECT address FROM relais.address_failure
     ORDER BY 1 LIMIT 10000
"""


async def known(db: Connection) -> list[str]:
    """Return the addresses of which anything is known."""
    return [row["address"] for row in await db.fetch(KNOWN)]


@dataclass(frozen=True, slots=True)
class Missed:
    """How many postings to a list an address has not had."""

    list: str
    postings: int


# What was waiting when the address was held is missed, too, however old its posting is.
MISSED = """
    SELECT l.address AS list, count(*)::integer AS postings
      FROM relais.list l
      JOIN relais.posting o USING (list_id)
     WHERE l.address = ANY ($2) AND o.state IN ('open', 'finished')
       AND CASE WHEN EXISTS (SELECT FROM relais.delivery d
                              WHERE d.posting_id = o.posting_id AND lower(d.address) = $1)
                THEN EXISTS (SELECT FROM relais.delivery d
                              WHERE d.posting_id = o.posting_id AND lower(d.address) = $1
                                AND d.state = 'cancelled' AND d.settled_at >= $3
                                AND relais.cancelled_because(d.reply) = 'held')
                ELSE o.accepted_at >= $3 END
     GROUP BY 1 ORDER BY 1
"""


async def missed(
    db: Connection, address: str, local_parts: Sequence[str], since: datetime
) -> list[Missed]:
    """Return which postings to these lists did not go to *address* since then."""
    return [Missed(**row) for row in await db.fetch(MISSED, address, local_parts, since)]
