"""The invented federation: the same each time, nobody real, and lists that work on it."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from tests.edges.store.ailments import ail
from worker.demo import federation
from worker.demo.federation import PROVIDERS, Mailbox, invent
from worker.demo.stage import SEED, tracks
from worker.mail.address import usable_address
from worker.mail.reason import Reason
from worker.store import authors, lists
from worker.store.database import connect
from worker.store.migrations import up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.postgres import Database
    from worker.store.database import Connection

PEOPLE = invent(random.Random(SEED))
PROVIDER_OF = {domain: provider for _, provider, domains in PROVIDERS for domain in domains}


@pytest_asyncio.fixture
async def db(database: Database) -> AsyncIterator[Connection]:
    """The admin's connection to a database where the federation has settled."""
    await up(database.admin_url, tracks())
    db = await connect(database.admin_url)
    await federation.settle(db, PEOPLE)
    yield db
    await db.close()


def test_the_same_seed_invents_the_same_people() -> None:
    """A demo that fails can be played again."""
    assert invent(random.Random(SEED)) == PEOPLE
    assert invent(random.Random(SEED + 1)) != PEOPLE


def test_nobody_can_be_reached() -> None:
    """Every domain is reserved (RFC 2606), also in addresses that are none."""
    domains = {member.email.rpartition("@")[2].strip() for member in PEOPLE.members if member.email}

    assert domains - {"wanadoo"} <= set(PROVIDER_OF)
    assert all(domain.endswith(".example") for domain in PROVIDER_OF)
    assert federation.DOMAIN.endswith(".example")


def test_providers_have_their_shares() -> None:
    """More than Orange takes in a day, or there would be nothing to see."""
    counts = Counter(PROVIDER_OF[address.partition("@")[2]] for address in PEOPLE.everybody())

    assert counts["orange"] > 100
    assert 0.25 < counts["orange"] / counts.total() < 0.30
    assert 0.14 < counts["outlook"] / counts.total() < 0.18


def test_the_file_has_what_every_file_has() -> None:
    """Missing, broken, shared, gone, greylisted and full."""
    members = PEOPLE.members
    usable = [member.usable.lower() for member in members if member.usable]

    assert sum(not member.email for member in members) == 5
    assert sum(bool(member.email) and not member.usable for member in members) == 5
    assert len(usable) - len(set(usable)) == 2
    assert Counter(PEOPLE.mailboxes().values()) == {
        Mailbox.GONE: 5,
        Mailbox.GREYLISTED: 6,
        Mailbox.FULL: 1,
    }


def test_every_seed_gives_usable_addresses_to_those_who_write() -> None:
    """Authors must be able to post, whatever the names are."""
    for seed in range(20):
        people = invent(random.Random(seed))
        for role in ("president", "secretaire", "tresorier", "communication"):
            author = people.holder(role)
            assert author.active
            assert usable_address(author.email or "")


async def test_lists_of_the_site_find_their_people(db: Connection) -> None:
    """The views, as an admin would write them, on the member file."""
    sizes = {entry.address: entry.recipients for entry in await lists.directory(db)}

    assert sizes["tous"] == sum(member.active for member in PEOPLE.members)
    assert sizes["comite_directeur.comite"] == 14
    assert sizes["secretaire.comite"] == 1
    assert sizes["presidents.44"] == 5
    assert sizes["club.4400012"] == sum(m.active and m.club == 5 for m in PEOPLE.members)


async def test_only_those_who_speak_for_everybody_may_write_to_all(db: Connection) -> None:
    """``post`` names a view of authors."""
    tous = await lists.resolve(db, "tous")
    assert tous is not None

    assert (await authors.standing(db, tous, PEOPLE.holder("communication").email or "")).may_post
    assert not (await authors.standing(db, tous, PEOPLE.holder("tresorier").email or "")).may_post


async def test_the_board_may_write_to_the_presidents(db: Connection) -> None:
    """The view of authors has the parts of the address, as the list has."""
    presidents = await lists.resolve(db, "presidents.85")
    assert presidents is not None

    assert (await authors.standing(db, presidents, PEOPLE.holder("tresorier").email or "")).may_post
    outsider = PEOPLE.holder("president", "medical").email or ""
    assert not (await authors.standing(db, presidents, outsider)).may_post


async def test_the_lists_have_no_errors(db: Connection) -> None:
    """Five members have no address, five a wrong one, and some share theirs."""
    findings = await db.fetch("SELECT severity, finding FROM lists.check()")

    assert {(row["severity"], row["finding"]) for row in findings} == {
        ("warning", "rows without an address: 5"),
        ("warning", "rows without a usable address: 5"),
        ("remark", "rows that repeat an address of the same list: 2"),
    }


async def test_the_secretary_of_the_club_mends(db: Connection, database: Database) -> None:
    """A mailbox that is gone has somebody who knows its member."""
    gone = [m for m in PEOPLE.members if m.mailbox is Mailbox.GONE and m.active]
    for member in gone:
        await ail(db, (member.usable or "").lower(), Reason.UNKNOWN_USER)
    worker = await connect(database.url)
    try:
        rows = await worker.fetch(
            "SELECT address, name, lists, secretary FROM relais.v_dead_addresses"
        )
    finally:
        await worker.close()

    secretaries = {
        role.club: PEOPLE.members[role.member].email
        for role in PEOPLE.roles
        if role.role == "secretaire" and role.club is not None
    }
    assert {row["address"]: (row["name"], row["secretary"]) for row in rows} == {
        (member.usable or "").lower(): (member.full_name, secretaries[member.club])
        for member in gone
    }
    assert all("tous" in row["lists"] and len(row["lists"]) == 2 for row in rows)


async def test_the_worker_cannot_read_the_member_file(db: Connection, database: Database) -> None:
    """It sees what the views show."""
    worker = await connect(database.url)
    try:
        assert await worker.fetchval("SELECT count(*) FROM lists.tous") == 409
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.fetchval("SELECT count(*) FROM club.member")
    finally:
        await worker.close()
    assert await db.fetchval("SELECT relais.provider_of('someone@wanadoo.example')") == "orange"
