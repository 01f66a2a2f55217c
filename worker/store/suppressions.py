"""Suppressions: who gets nothing, from one list or from all.

An opt-out names the person and the address that the link was sent to: the
person may change the address, and two people may share it. It takes effect in
the transaction that writes it: queued copies of that person are cancelled
there, and a copy being submitted fails at the fence of its mark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.mail.return_address import subscription

if TYPE_CHECKING:
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class SubscriberRow:
    """What the page of an unsubscription link shows."""

    subscription: bytes  # What the token stands for.
    title: str
    list_address: str
    address: str
    lang: str
    list_lang: str
    is_official: bool
    out_of_list: bool
    out_of_all: bool
    other_lists: int  # That have written to them and that they have not left.
    official_lists: list[str]  # Titles of those of them that are official mail.


# The address is the one last written to; a person whose deliveries have been
# purged is shown by the key alone, when that is an address.
SUBSCRIBER = """
    SELECT l.definition, l.parts, p.key AS person,
           coalesce(nullif(l.title, ''), l.address) AS title, l.address AS list_address,
           coalesce(last.address,
                    CASE WHEN p.key LIKE 'address:%' THEN substr(p.key, 9) ELSE '' END) AS address,
           coalesce(last.lang, '') AS lang, coalesce(f.lang, '') AS list_lang,
           coalesce(f.unsubscribe = 'contact', false) AS is_official,
           EXISTS (SELECT FROM relais.suppression s
                    WHERE s.person_id = p.person_id AND s.list_id = l.list_id) AS out_of_list,
           EXISTS (SELECT FROM relais.suppression s
                    WHERE s.person_id = p.person_id AND s.list_id IS NULL) AS out_of_all,
           others.count AS other_lists, others.official AS official_lists
      FROM relais.person p
     CROSS JOIN relais.list l
      LEFT JOIN lists.definition f ON f.name = l.definition
      LEFT JOIN LATERAL (
           SELECT d.address, d.lang
             FROM relais.delivery d JOIN relais.posting o USING (posting_id)
            WHERE d.person_id = p.person_id
            ORDER BY (o.list_id = l.list_id) DESC, d.delivery_id DESC LIMIT 1) last ON true
     CROSS JOIN LATERAL (
           SELECT count(*)::integer AS count,
                  coalesce(array_agg(DISTINCT coalesce(nullif(x.title, ''), x.address))
                               FILTER (WHERE def.unsubscribe = 'contact'), '{}') AS official
             FROM relais.list x
             LEFT JOIN lists.definition def ON def.name = x.definition
            WHERE x.list_id <> l.list_id
              AND x.list_id IN (SELECT o.list_id
                                  FROM relais.delivery d JOIN relais.posting o USING (posting_id)
                                 WHERE d.person_id = p.person_id)
              AND NOT EXISTS (SELECT FROM relais.suppression s
                               WHERE s.person_id = p.person_id
                                 AND s.list_id = x.list_id)) others
     WHERE p.person_id = $2 AND l.list_id = $1
"""


async def subscriber(db: Connection, list_id: int, person_id: int) -> SubscriberRow | None:
    """Return what we know of a person on a list, or None if either is unknown."""
    row = await db.fetchrow(SUBSCRIBER, list_id, person_id)
    if row is None:
        return None
    shown = dict(row)
    names = shown.pop("definition"), json.loads(shown.pop("parts")), shown.pop("person")
    return SubscriberRow(subscription=subscription(*names), **shown)


PERSON_AT = """
    SELECT d.person_id
      FROM relais.posting o JOIN relais.delivery d USING (posting_id)
     WHERE o.list_id = $1 AND lower(d.address) = lower($2)
     ORDER BY d.delivery_id DESC LIMIT 1
"""


async def person_at(db: Connection, list_id: int, address: str) -> int | None:
    """Return who got the last copy of this list at *address*, None if nobody did."""
    number: int | None = await db.fetchval(PERSON_AT, list_id, address)
    return number


SUPPRESS = """
    INSERT INTO relais.suppression (list_id, person_id, address, reason, source, since)
    SELECT $1, $2, lower((SELECT d.address
                            FROM relais.delivery d JOIN relais.posting o USING (posting_id)
                           WHERE d.person_id = $2 AND ($1::integer IS NULL OR o.list_id = $1)
                             AND position('@' IN d.address) > 0   -- Else it was erased.
                           ORDER BY d.delivery_id DESC LIMIT 1)),
           $4::relais.suppression_reason, $3, relais.now()
     WHERE NOT EXISTS (SELECT FROM relais.suppression s
                        WHERE s.person_id = $2 AND s.list_id IS NOT DISTINCT FROM $1)
        ON CONFLICT DO NOTHING
 RETURNING true
"""

CANCEL = """
    UPDATE relais.delivery d
       SET state = 'cancelled', settled_at = relais.now(), reply = 'unsubscribed', worker_id = NULL
      FROM relais.posting o
     WHERE o.posting_id = d.posting_id
       AND d.person_id = $2
       AND d.state IN ('queued', 'deferred', 'claimed')
       AND ($1::integer IS NULL OR o.list_id = $1)
 RETURNING d.delivery_id
"""


async def opt_out(
    db: Connection,
    list_id: int | None,
    person_id: int,
    *,
    source: str,
    reason: str = "unsubscribed",
) -> int | None:
    """Suppress a person on a list (None: on all) and cancel what waits.

    Returns how many copies were cancelled; None if the person was out already.
    Call it in a transaction.
    """
    new = await db.fetchval(SUPPRESS, list_id, person_id, source, reason)
    cancelled = await db.fetch(CANCEL, list_id, person_id)
    return len(cancelled) if new else None


OPT_IN = """
    DELETE FROM relais.suppression
     WHERE person_id = $2 AND reason IN ('unsubscribed', 'complained')
       AND (list_id = $1 OR list_id IS NULL)
"""


async def opt_in(db: Connection, list_id: int, person_id: int) -> None:
    """Undo a person's own opt-outs that keep this list away; nobody else's."""
    await db.execute(OPT_IN, list_id, person_id)


COUNTS = "SELECT reason::text, count(*)::integer AS count FROM relais.suppression GROUP BY reason"


async def counts(db: Connection) -> dict[str, int]:
    """Count suppressions by reason, for the metrics."""
    return {row["reason"]: row["count"] for row in await db.fetch(COUNTS)}
