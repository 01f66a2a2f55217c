"""Whose a domain is, in the database: the table, the answers, and the copies that wait for one."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import pytest

from tests.edges.store.given import (
    DOMAIN,
    NOON,
    PATIENCE,
    alive,
    claim_due,
    frozen_clock,
    members,
    posted,
    resolved,
)
from worker.policy.provider import RESERVED, is_looked_up
from worker.store import domains, expansion, lists
from worker.store.database import connect
from worker.store.domains import Answer
from worker.store.migrations import Track, shipped_track, up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.servers.postgres import Database

Db: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CLUB = "club-nantes.fr"


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Db]:
    """Another process of the same worker."""
    db = await connect(database_url)
    yield db
    await db.close()


async def club(owner: Db, *more: str) -> None:
    """Make a list of two at a club's own domain, and of *more*."""
    addresses = [f"a@{CLUB}", f"B@{CLUB.upper()}", *more]
    await members(owner, [(address, str(n)) for n, address in enumerate(addresses)])
    await frozen_clock(owner)


async def waiting(db: Db) -> dict[str, tuple[str, str, timedelta]]:
    """Return provider, state and when it is due, by address."""
    rows = await db.fetch("select address, provider, state::text, due_at from relais.delivery")
    return {
        row["address"]: (
            row["provider"],
            row["state"],
            timedelta(seconds=round((row["due_at"] - NOON).total_seconds())),
        )
        for row in rows
    }


async def told(db: Db, *said: Answer) -> tuple[int, int]:
    """Write what the DNS *said*."""
    async with db.transaction():
        return await domains.answer(db, said)


NOW, PATIENTLY = timedelta(), timedelta(seconds=20)


async def test_every_provider_has_one_limit(db: Db) -> None:
    """Also those that have no name: an hour's worth, or a day's of those that began this."""
    rows = await db.fetch(
        "select provider, amount, set_by, reason,"
        " extract(hour from period) + 24 * extract(day from period) as hours"
        " from relais.limit_rule where account is null"
    )
    shipped = {row["provider"]: (row["amount"], int(row["hours"])) for row in rows}

    providers = await db.fetch("select provider from relais.provider")
    assert len(rows) == len(shipped)
    assert shipped.keys() == {row["provider"] for row in providers}
    assert shipped["orange"] == (100, 24)
    assert shipped["outlook"] == (300, 24)
    assert shipped["other"] == (300, 1)
    assert all(row["set_by"] == "shipped" and row["reason"] for row in rows)


async def test_no_limit_where_somebody_has_set_one(
    empty_database: Database, tmp_path: Path
) -> None:
    """Of an older installation: whatever the rule is, it stays the only one."""
    track = Track("relais", tmp_path)
    for path in shipped_track().folder.glob("*.sql"):
        if path.name < "0009":
            shutil.copy(path, tmp_path)
    await up(empty_database.admin_url, [track])
    db = await connect(empty_database.admin_url)
    await db.execute(
        "insert into relais.limit_rule (provider, amount, period, set_at, set_by, reason)"
        " values ('free', 50, '1 day', now(), 'marie', 'as agreed')"
    )
    for path in shipped_track().folder.glob("0009_*.sql"):
        shutil.copy(path, tmp_path)

    await up(empty_database.admin_url, [track])

    rows = await db.fetch("select amount from relais.limit_rule where provider = 'free'")
    assert [row["amount"] for row in rows] == [50]
    await db.close()


RESERVED_OR_NOT = ("club.test", "example.org", "a.example.com", "myexample.com", "contest.fr", CLUB)


@pytest.mark.parametrize("domain", RESERVED_OR_NOT)
async def test_the_database_reads_the_same_expression(db: Db, domain: str) -> None:
    """What is never looked up is one expression for both."""
    assert await db.fetchval("select $1 !~ $2", domain, RESERVED) == is_looked_up(domain)


async def test_provider_of_a_domain(owner: Db, db: Db) -> None:
    """The table first, then the answer, else other; one row per domain."""
    await owner.execute(
        "insert into relais.mx_answer (domain, provider, asked_at, answered_at, ask_again_at)"
        " values ('orange.fr', 'google', now(), now(), now()),"
        " ($1, 'outlook', now(), now(), now()),"
        " ('asked.fr', null, now(), null, now())",
        CLUB,
    )

    async def provider_of(address: str) -> str | None:
        found: str | None = await db.fetchval("select relais.provider_of($1)", address)
        return found

    assert await provider_of("a@Orange.FR") == "orange"
    assert await provider_of(f"a@{CLUB}") == "outlook"
    assert await provider_of("a@asked.fr") == "other"
    assert await provider_of("a@unknown.fr") == "other"
    assert await provider_of("nothing") == "other"
    assert not await db.fetch(
        "select domain from relais.domain_provider group by 1 having count(*) > 1"
    )


async def test_who_waits_for_an_answer(owner: Db, db: Db) -> None:
    """Those at domains that nobody knows; not those in the table, nor at reserved names."""
    await club(owner, "c@orange.fr", "d@club.example")

    await posted(db, look_up=True)

    assert await waiting(db) == {
        f"a@{CLUB}": ("other", "deferred", PATIENTLY),
        f"B@{CLUB.upper()}": ("other", "deferred", PATIENTLY),
        "c@orange.fr": ("orange", "queued", NOW),
        "d@club.example": ("other", "queued", NOW),
    }
    assert await domains.due(db, at_most=10) == [CLUB]


async def test_nobody_waits_without_look_up(owner: Db, db: Db) -> None:
    """And nothing is asked; nor where it was asked for before it was switched off."""
    await club(owner)
    await posted(db)
    assert await db.fetchval("select count(*) from relais.mx_answer") == 0

    await posted(db, look_up=True, fingerprint=b"g" * 32)
    await posted(db, fingerprint=b"h" * 32)
    rows = await db.fetch(
        "select posting_id, state::text from relais.delivery where state = 'queued'"
    )
    assert len(rows) == 4


async def test_nobody_answers(owner: Db, db: Db) -> None:
    """After 20 seconds the copies leave as those to other."""
    await club(owner)
    await alive(db, "w1")
    await posted(db, look_up=True)

    await frozen_clock(owner, NOON + timedelta(seconds=19))
    assert await claim_due(db, "w1", at_most=10) == []
    await frozen_clock(owner, NOON + timedelta(seconds=21))
    claims = await claim_due(db, "w1", at_most=10)

    assert [claim.provider for claim in claims] == ["other", "other"]


async def test_an_answer(owner: Db, db: Db) -> None:
    """Who waited is due now, at their provider, where the posting takes part in the turns."""
    await club(owner, "d@club.example")
    await alive(db, "w1")
    await posted(db, look_up=True)

    assert await told(db, Answer(CLUB, "outlook", DAY)) == (1, 2)

    assert {place[:2] for place in (await waiting(db)).values()} == {
        ("outlook", "queued"),
        ("other", "queued"),
    }
    turns = await db.fetch("select provider from relais.turn order by 1")
    assert [row["provider"] for row in turns] == ["other", "outlook"]
    assert len(await claim_due(db, "w1", at_most=10)) == 3
    await posted(db, look_up=True, fingerprint=b"g" * 32)
    assert await db.fetchval("select count(*) from relais.delivery where state = 'deferred'") == 0


async def test_an_answer_of_nobody(owner: Db, db: Db) -> None:
    """They need not wait any longer for what nobody knows."""
    await club(owner)
    await posted(db, look_up=True)

    assert await told(db, Answer(CLUB, None, HOUR)) == (1, 2)

    assert set((await waiting(db)).values()) == {("other", "queued", NOW)}
    assert await told(db, Answer(CLUB, "outlook", DAY)) == (0, 0), "for an hour"


async def test_a_domain_that_moves(owner: Db, db: Db) -> None:
    """What waits follows; a copy in hand does not, and one put off stays put off."""
    await club(owner, f"c@{CLUB}")
    await alive(db, "w1")
    await posted(db, look_up=True)
    await told(db, Answer(CLUB, "google", DAY))
    [claimed] = await claim_due(db, "w1", at_most=1)
    [put_off] = await claim_due(db, "w1", at_most=1)
    await db.execute(
        "update relais.delivery set state = 'deferred', due_at = due_at + interval '2 days'"
        " where delivery_id = $1",
        put_off.delivery_id,
    )

    await frozen_clock(owner, NOON + DAY + HOUR)
    assert await domains.due(db, at_most=10) == [CLUB]
    assert await told(db, Answer(CLUB, "outlook", DAY)) == (1, 2)

    places = await waiting(db)
    assert places.pop(claimed.address)[:2] == ("google", "claimed")
    assert places.pop(put_off.address) == ("outlook", "deferred", 2 * DAY)
    assert set(places.values()) == {("outlook", "queued", NOW)}


async def test_what_is_known_outlives_a_silence(owner: Db, db: Db) -> None:
    """A name server that is away has not moved anybody."""
    await club(owner)
    await posted(db, look_up=True)
    await told(db, Answer(CLUB, "outlook", DAY))
    await frozen_clock(owner, NOON + 2 * DAY)

    assert await told(db, Answer(CLUB, None, HOUR)) == (1, 0)

    assert await db.fetchval("select relais.provider_of($1)", f"a@{CLUB}") == "outlook"
    assert await domains.due(db, at_most=10) == []


async def test_a_notice_follows(owner: Db, db: Db) -> None:
    """It does not wait, and it takes no turns."""
    await club(owner)
    await posted(db, look_up=True)
    await db.execute(
        "with made as (insert into relais.notice (kind, address, template, key_id, made_at)"
        " values ('refused', $1, '', '', relais.now()) returning notice_id)"
        " insert into relais.delivery (notice_id, address, provider, due_at)"
        " select notice_id, $1, 'other', relais.now() from made",
        f"chef@{CLUB}",
    )

    assert await told(db, Answer(CLUB, "outlook", DAY)) == (1, 3)
    assert (await waiting(db))[f"chef@{CLUB}"][0] == "outlook"


async def test_only_what_is_used_is_asked_again(owner: Db, db: Db) -> None:
    """Until somebody is written to there; a month later it is forgotten."""
    await club(owner)
    await posted(db, look_up=True)
    await told(db, Answer(CLUB, "outlook", DAY))
    await db.execute("update relais.delivery set state = 'handed_over'")

    await frozen_clock(owner, NOON + 29 * DAY)
    assert await domains.due(db, at_most=10) == []
    await domains.forget_unused(db)
    assert await db.fetchval("select count(*) from relais.mx_answer") == 1
    await frozen_clock(owner, NOON + 31 * DAY)
    await domains.forget_unused(db)
    assert await db.fetchval("select count(*) from relais.mx_answer") == 0


async def test_a_domain_of_the_table_is_not_asked_for(owner: Db, db: Db) -> None:
    """Also one that an admin adds after its answer: the table wins, and who waits follows it."""
    await club(owner)
    await posted(db, look_up=True)
    await owner.execute("insert into relais.provider_domain values ($1, 'google')", CLUB)

    await told(db, Answer(CLUB, "outlook", DAY))

    assert {place[0] for place in (await waiting(db)).values()} == {"google"}


class Expanding:
    """An expansion that another process has begun, and that sees the lists as they are now."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._transaction = db.transaction(isolation="repeatable_read")

    async def begin(self) -> None:
        """Judge the list."""
        address = await resolved(self._db, "tous")
        list_id = await lists.remember(self._db, address)
        await self._transaction.start()
        await expansion.judge(
            self._db,
            address,
            list_id=list_id,
            fingerprint=b"x" * 32,
            domain=DOMAIN,
            patience=PATIENCE,
        )

    async def ask(self) -> None:
        """Ask for the domains that it does not know."""
        await domains.ask_for_listed(self._db)

    async def end(self) -> None:
        """Give up."""
        await self._transaction.rollback()


async def test_an_answer_during_an_expansion(owner: Db, db: Db, other: Db) -> None:
    """It would not be seen, and its deliveries not moved: so the expansion is run again."""
    await club(owner)
    await posted(db, look_up=True)
    expanding = Expanding(other)
    await expanding.begin()
    assert await told(db, Answer(CLUB, "outlook", DAY)) == (1, 2)

    with pytest.raises(asyncpg.SerializationError):
        await expanding.ask()
    await expanding.end()


async def test_an_expansion_before_an_answer(owner: Db, db: Db, other: Db) -> None:
    """Nobody waits for it to end: the answer is written in the next round."""
    await club(owner)
    await posted(db, look_up=True)
    expanding = Expanding(other)
    await expanding.begin()
    await expanding.ask()

    assert await told(db, Answer(CLUB, "outlook", DAY)) == (0, 0)
    await expanding.end()
    assert await told(db, Answer(CLUB, "outlook", DAY)) == (1, 2)


async def test_two_expansions_ask_at_once(owner: Db, db: Db, other: Db) -> None:
    """For what is asked for already, neither waits for the other."""
    await club(owner)
    await posted(db, look_up=True)
    expanding = Expanding(other)
    await expanding.begin()
    await expanding.ask()

    await posted(db, look_up=True, fingerprint=b"g" * 32)
    await expanding.end()
    assert await db.fetchval("select count(*) from relais.mx_answer") == 1
