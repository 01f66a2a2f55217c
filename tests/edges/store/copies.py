"""Copies that have left: a posting, and deliveries in the state that a test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.store.database import Connection

POSTING = """
    with l as (insert into relais.list (definition, parts, address)
               values ('everybody', '{}', 'tous')
                   on conflict (definition, parts) do update set address = 'tous'
               returning list_id)
    insert into relais.posting (list_id, fingerprint, author, accepted_at, template, key_id, state)
    select list_id, decode(md5(random()::text), 'hex'), 'a@b.fr', relais.now(), '', '', $1 from l
    returning posting_id
"""

PERSON = """
    insert into relais.person (key) values ('person:' || $1)
        on conflict (key) do update set key = excluded.key returning person_id
"""

COPY = """
    insert into relais.delivery (posting_id, person_id, address, provider, state, due_at, account,
                                 attempts, tried_since, marked_at, settled_at, returned, failed_at)
    values ($1, $2, $3, $4, $5::text::relais.delivery_state, relais.now(), $6, 1, relais.now(),
            relais.now(), relais.now(), $7,
            case when $5 in ('bounced', 'refused') then relais.now() end)
    returning delivery_id
"""


async def a_posting(db: Connection, state: str = "open") -> int:
    """Make a posting to ``tous``."""
    posting_id: int = await db.fetchval(POSTING, state)
    return posting_id


async def a_copy(
    db: Connection,
    posting_id: int,
    name: str = "jean",
    *,
    provider: str = "orange",
    state: str = "handed_over",
    account: str = "main",
    returned: int = 0,
) -> int:
    """Make a delivery of it to a person called *name*."""
    person_id = await db.fetchval(PERSON, name)
    delivery_id: int = await db.fetchval(
        COPY, posting_id, person_id, f"{name}@x.test", provider, state, account, returned
    )
    return delivery_id
