"""What tests of mending start from: a club's lists, and addresses that fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.mail.reason import Reason
    from worker.store.database import Connection

# Anne is in two clubs and among all; Paul and Zoé share an address; who is in no club has no
# secretary, and the list of all has an owner.
CLUBS = """
    create schema club;
    create table club.member (person text, email text, name text, club text, secretary text);
    insert into club.member values
        ('1', ' Anne@Orange.fr', 'Anne Martin', 'judo', 'judo@club.fr'),
        ('1', 'anne@orange.fr', 'Anne Martin', 'aikido', 'Aikido@club.fr'),
        ('2', 'famille@free.fr', 'Paul Le Goff', 'judo', 'judo@club.fr'),
        ('3', 'famille@free.fr', 'Zoé Le Goff', 'judo', 'judo@club.fr'),
        ('4', 'seul@sfr.fr', 'Marc Seul', null, null),
        ('5', 'bien@gmail.com', 'Jean Bien', 'judo', 'judo@club.fr');
    create view lists.club as select club, email, name, 'fr'::text as lang, person, secretary
      from club.member where club is not null;
    select lists.define('lists.club', address => 'club.{club}', title => 'Club de {club}');
    create view lists.tous as select distinct lower(btrim(email)) as email, person
      from club.member;
    select lists.define('lists.tous', address => 'tous', title => 'Tous',
                        owner => 'Bureau@example.fr');
"""
SINCE = datetime(2026, 1, 2, 9, tzinfo=UTC)


async def ail(
    db: Connection,
    address: str,
    reason: Reason,
    *,
    state: str = "held",
    since: datetime = SINCE,
    failures: int = 2,
) -> None:
    """Let *address* have failed once a day until *since*, when it got into *state*."""
    await db.execute(
        """
        insert into relais.address_health (address, state, since, due_at, reason, status, evidence)
        values ($1, $2, $3, $4, $5, '5.1.1', '550 5.1.1 no such user')
            on conflict (address) do update set state = excluded.state, since = excluded.since
        """,
        address,
        state,
        since,
        since + timedelta(days=90),
        reason.value,
    )
    await db.execute(
        """
        insert into relais.address_failure (address, delivery_id, posting_id, provider, failed_at,
                                            is_permanent, reason, status, evidence, words)
        select $1, coalesce((select max(delivery_id) from relais.address_failure), 0) + n, null,
               'other', $2::timestamptz - (n - 1) * interval '1 day', true, $3, '5.1.1',
               '550 5.1.1 no such user', ''
          from generate_series(1, $4) n
        """,
        address,
        since,
        reason.value,
        failures,
    )


async def let_in(db: Connection, address: str) -> None:
    """Let *address* be well again."""
    await db.execute("delete from relais.address_health where address = $1", address)
