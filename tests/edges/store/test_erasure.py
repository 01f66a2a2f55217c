"""Erasing a person: what the verb's tests do not show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.edges.store.given import members, posted
from tests.edges.store.test_members import SITE
from worker.store import authors, erasure, personal, postings
from worker.store.migrations import Track, shipped_track, up

if TYPE_CHECKING:
    from tests.servers.postgres import Database
    from worker.store.database import Connection

THREE = [("ana@b.fr", "1"), ("family@b.fr", "2"), ("bob@b.fr", "3")]


async def erased(owner: Connection, address: str, *others: str, keys: list[str]) -> erasure.Erased:
    """Erase whoever has *address*."""
    async with owner.transaction():
        subject = await personal.subject(owner, address, other_addresses=others, keys=keys)
        found = await erasure.erase(owner, subject, arrivals=[], names=[])
    assert found is not None
    return found


async def opted_out(owner: Connection, columns: str, values: str) -> None:
    """Let somebody have left all lists."""
    await owner.execute(
        f"insert into relais.suppression ({columns}, reason, source, since)"
        f" values ({values}, 'unsubscribed', 'page', relais.now())"
    )


WAYS_OUT = {
    "by the person": ("person_id", "(select person_id from relais.person where key = 'person:1')"),
    "by the address": ("address", "'ana@b.fr'"),
}


@pytest.mark.parametrize(("columns", "values"), WAYS_OUT.values(), ids=WAYS_OUT)
async def test_an_opt_out_outlives_its_person(
    owner: Connection, db: Connection, columns: str, values: str
) -> None:
    """However it was known, as long as the view has the same key or address."""
    await members(owner, THREE)
    await posted(db)
    await owner.execute("update relais.delivery set state = 'handed_over'")
    await opted_out(owner, columns, values)

    await erased(owner, "ana@b.fr", keys=["1"])

    _, roll = await posted(db, fingerprint=b"g" * 32)
    assert (roll.recipients, roll.suppressed) == (2, 1)


async def test_receipts_are_locked_with_their_postings(owner: Connection, db: Connection) -> None:
    """Whoever stops a message locks its receipt first: two who do not would wait for each other."""
    await members(owner, THREE)
    posting_id, _ = await posted(db)
    await db.execute(
        "with receipt as (insert into relais.receipt (author, lang, accepted_at, look_at)"
        " select author, 'fr', accepted_at, accepted_at from relais.posting"
        " returning receipt_id)"
        " update relais.posting o set receipt_id = receipt.receipt_id from receipt"
    )
    author = await db.fetchval("select author from relais.posting")
    async with owner.transaction():
        subject = await personal.subject(owner, author, other_addresses=[], keys=[])
        found = await erasure.under_way(owner, subject)
        free = await db.fetch("select receipt_id from relais.receipt for update skip locked")

    assert [posting.posting for posting in found] == [posting_id]
    assert free == []


async def test_nobody_who_was_erased_costs_nothing(owner: Connection, db: Connection) -> None:
    """As long as no hash is in scope no row of a list is hashed."""
    await members(owner, THREE)
    await opted_out(owner, "address", "'ana@b.fr'")
    await owner.execute("""
        create or replace function relais.salted(value text, salt bytea) returns text
        language plpgsql stable as $$ begin raise exception 'hashed'; end $$
    """)

    _, roll = await posted(db)

    assert (roll.recipients, roll.suppressed) == (2, 1)


async def test_whoever_did_not_leave_is_written_to_again(owner: Connection, db: Connection) -> None:
    """Only the member database can end a membership; they are met as somebody new."""
    await members(owner, THREE)
    await posted(db)
    await owner.execute("update relais.delivery set state = 'handed_over'")

    await erased(owner, "ana@b.fr", keys=["1"])

    _, roll = await posted(db, fingerprint=b"g" * 32)
    assert roll.recipients == 3
    assert await db.fetchval("select count(*) from relais.person") == 4


async def test_a_hash_needs_the_salt(owner: Connection, db: Connection) -> None:
    """Another site has other hashes, so that a table of all addresses is of no use."""
    await owner.execute("select lists.ban('ana@b.fr', 'rude')")
    await erased(owner, "ana@b.fr", keys=[])

    assert await authors.is_banned(db, "Ana@b.fr", "everybody")
    assert not await authors.is_banned(db, "bob@b.fr", "everybody")
    await owner.execute("update relais.salt set salt = '\\x00'")
    assert not await authors.is_banned(db, "ana@b.fr", "everybody")


async def test_what_they_said_is_known_no_more(owner: Connection, db: Connection) -> None:
    """The hash of it goes, and where it was refused; what others said stays."""
    await members(owner, THREE)
    await posted(db)
    await posted(db, fingerprint=b"g" * 32)
    await owner.execute(
        "update relais.delivery set state = 'handed_over';"
        "update relais.posting set content = '\\x01', author = 'Ana@b.fr' where posting_id = 1;"
        "update relais.posting set content = '\\x02' where posting_id = 2"
    )
    for mark in (b"f" * 32, b"g" * 32, b"\x01", b"\x02"):
        await postings.take_turn(owner, mark)

    await erased(owner, "ana@b.fr", keys=[])

    kept = await owner.fetch("select fingerprint from relais.message")
    assert {row["fingerprint"] for row in kept} == {b"g" * 32, b"\x02"}
    assert await postings.exists(owner, 1, b"f" * 32)


async def test_a_shared_address(owner: Connection, db: Connection) -> None:
    """What was sent elsewhere to those who share another address of theirs is left alone."""
    await members(owner, [("ana@b.fr", "1"), ("family@b.fr", "2")])
    await posted(db)
    await owner.execute("update relais.delivery set state = 'handed_over'")

    await erased(owner, "ana@b.fr", "family@b.fr", keys=["1"])

    kept = await db.fetch("select address from relais.delivery where position('@' in address) > 0")
    assert [row["address"] for row in kept] == ["family@b.fr"]
    assert await db.fetchval("select count(*) from relais.person where key = 'person:2'") == 1


MENTIONS = {
    "alone": ("ana@b.fr", "(erased)"),
    "in brackets, in capitals": ("to <ANA@B.FR>: 550", "to <(erased)>: 550"),
    "at the end": ("asked by ana@b.fr.", "asked by (erased)."),
    "twice": ("ana@b.fr,ana@b.fr", "(erased),(erased)"),
    "in a longer address": ("diana@b.fr ana@b.fr.org x.ana@b.fr", None),
    "what an expression would match": ("ana@bxfr", None),
    "the name": ("letter of Ana Bé", "letter of (erased)"),
    "a longer name": ("Ana Bénard", None),
}


@pytest.mark.parametrize(("said", "left"), MENTIONS.values(), ids=MENTIONS)
async def test_mentions(owner: Connection, said: str, left: str | None) -> None:
    """In words of others their address is replaced, and nothing else."""
    await owner.execute(
        "insert into relais.audit (at, who, what, reason) values (relais.now(), 'root', '', $1)",
        said,
    )
    subject = await personal.subject(owner, "ana@b.fr", other_addresses=[], keys=[])

    await erasure.erase(owner, subject, arrivals=[], names=["Ana Bé"])

    assert await owner.fetchval("select reason from relais.audit") == (left or said)


async def test_the_member_file(database: Database, owner: Connection) -> None:
    """What an import keeps of a member is exported, and says how they are called."""
    await up(database.admin_url, [shipped_track(), Track("site", SITE)])
    await owner.execute("""
        insert into club.departement values ('44', 'Loire-Atlantique');
        insert into club.club (number, name, departement) values ('0440001', 'Étoile', '44');
        insert into club.member (id, first_name, last_name, email)
        values (7, 'Ana', 'Bé', 'Ana@b.fr'), (8, 'Bob', 'Cé', 'bob@b.fr');
        insert into club.licence (member_id, season, club_id, kind)
        select 7, '2026-2027', id, 'loisir' from club.club;
    """)
    by_address = await personal.subject(owner, "ana@b.fr", other_addresses=[], keys=[])
    by_key = await personal.subject(owner, "x@y.fr", other_addresses=[], keys=["7"])

    for subject in (by_address, by_key):
        [row] = await personal.member_rows(owner, subject)
        assert row["member"]["full_name"] == "Ana Bé"  # type: ignore[index]  # a row of any table
        assert [licence["kind"] for licence in row["licences"]] == ["loisir"]  # type: ignore[attr-defined]  # as above
        assert row["roles"] == []
        assert await personal.member_names(owner, subject) == ["Ana Bé"]
