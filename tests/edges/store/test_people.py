"""What is known of one person: each read, and the search through the views."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest

from tests.edges.store.given import NOON, frozen_clock, members, posted
from worker.store import lists, people
from worker.store.people import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.store.database import Connection

# Two more definitions: one with parts, one that knows no people.
VIEWS = """
    create table club.seat (role text, committee text, email text, person text);
    insert into club.seat values
        ('chef', 'judo', ' Ana@B.fr ', '1'), ('chef', 'judo', 'ana@b.fr', '1'),
        ('membre', 'aikido', 'ana@travail.fr', '1'), (null, 'boxe', 'ana@b.fr', '1'),
        ('membre', 'judo', 'bob@b.fr', '2');
    create view lists.seat as select role, committee, email, person from club.seat;
    select lists.define(view => 'lists.seat', address => '{role}.{committee}', title => '{role}');
    create view lists.plain as select 'ana@b.fr'::text as email;
    select lists.define(view => 'lists.plain', address => 'plain', title => 'Plain');
"""


class Searched(NamedTuple):
    """Whom is asked for, and the rows of a definition that are theirs."""

    definition: str
    address: str
    keys: Sequence[str]
    rows: Sequence[Row]


CHEF, MEMBRE = {"role": "chef", "committee": "judo"}, {"role": "membre", "committee": "aikido"}

SEARCHED = {
    "by address": Searched(
        "seat", "ana@b.fr", (), [Row("Ana@B.fr", "1", CHEF), Row("ana@b.fr", "1", CHEF)]
    ),
    "by person": Searched(
        "seat",
        "x@y.fr",
        ("1", "9"),
        [
            Row("Ana@B.fr", "1", CHEF),
            Row("ana@b.fr", "1", CHEF),
            Row("ana@travail.fr", "1", MEMBRE),
        ],
    ),
    "without a column for people": Searched(
        "plain", "ana@b.fr", ("1",), [Row("ana@b.fr", None, {})]
    ),
    "a stranger": Searched("seat", "x@y.fr", (), []),
    "hostile": Searched("seat", "' or '1'='1", ("'", '"', "%s"), []),
}


@pytest.mark.parametrize("case", SEARCHED.values(), ids=SEARCHED)
async def test_searching_a_view(owner: Connection, db: Connection, case: Searched) -> None:
    """Rows by address or person, with the parts of their list; what has no list is left out."""
    await members(owner, [("ana@b.fr", "1")])
    await owner.execute(VIEWS)
    searches = {search.definition: search for search in await people.searches(db)}

    rows = await people.rows(db, searches[case.definition], case.address, case.keys)

    assert sorted(rows, key=lambda row: row.address) == list(case.rows)
    assert [s.definition for s in searches.values() if s.knows_people] == ["everybody", "seat"]


async def test_a_view_that_is_gone(owner: Connection, db: Connection) -> None:
    """It fails when it is asked, and not when the statements are written."""
    await members(owner, [("ana@b.fr", "1")])
    await owner.execute("drop view lists.everybody")
    search = next(s for s in await people.searches(db) if s.definition == "everybody")

    with pytest.raises(asyncpg.PostgresError):
        async with lists.asking_views(db, timedelta(seconds=5)):
            await people.rows(db, search, "ana@b.fr", [])


async def test_known_addresses(owner: Connection, db: Connection) -> None:
    """From either side: whose an address is, and what else a person has."""
    await owner.execute(
        "insert into relais.known_address (person, email) values"
        " ('1', 'Ana@Travail.fr'), ('1', 'ana@club.fr'), ('2', 'bob@b.fr')"
    )

    assert await people.known_addresses(db, "ana@travail.fr", []) == [("1", "ana@travail.fr")]
    assert await people.known_addresses(db, "x@y.fr", ["1"]) == [
        ("1", "ana@club.fr"),
        ("1", "ana@travail.fr"),
    ]


async def test_who_has_left_is_known_by_what_they_got(owner: Connection, db: Connection) -> None:
    """Deliveries and opt-outs tell whose an address was when no view does any more."""
    await members(owner, [("Ana@b.fr", "1"), ("bob@b.fr", None)])
    await posted(db)
    await owner.execute(
        "insert into relais.person (key) values ('person:7');"
        "insert into relais.suppression (person_id, address, reason, source, since)"
        " select person_id, 'old@b.fr', 'unsubscribed', 'page', relais.now() from relais.person"
        "  where key = 'person:7'"
    )

    assert await people.written_to(db, "ana@b.fr") == ["1"]
    assert await people.written_to(db, "bob@b.fr") == []  # Without a key there is only the address.
    assert await people.written_to(db, "old@b.fr") == ["7"]
    met = await people.met(db, "bob@b.fr", ["1", "7"])
    assert len(met) == 3
    assert await people.other_addresses(db, "bob@b.fr", met) == ["ana@b.fr"]


async def test_deliveries(owner: Connection, db: Connection) -> None:
    """By address, without a person too, and by person, whatever the address was; no notices."""
    await members(owner, [("Ana@b.fr", "1"), ("bob@b.fr", None)])
    posting, _ = await posted(db)
    later, _ = await posted(db, fingerprint=b"g" * 32)
    await owner.execute(
        "update relais.delivery set address = 'ana@travail.fr' where posting_id = $1"
        " and address = 'Ana@b.fr'",
        later,
    )
    await owner.execute(
        "update relais.delivery set state = 'bounced', settled_at = $2, reply = '550 no'"
        " where posting_id = $1 and address = 'Ana@b.fr'",
        posting,
        NOON,
    )
    await owner.execute(
        "with n as (insert into relais.notice (kind, address, template, key_id, made_at)"
        "           values ('held', 'ana@b.fr', '', 'k', relais.now()) returning notice_id)"
        " insert into relais.delivery (notice_id, address, provider, due_at)"
        " select notice_id, 'ana@b.fr', 'other', relais.now() from n"
    )
    met = await people.met(db, "ana@b.fr", ["1"])

    by_person = await people.deliveries(db, "ana@b.fr", met)
    by_address = await people.deliveries(db, "ana@b.fr", [])

    assert [(d.posting, d.address, d.state) for d in by_person] == [
        (later, "tous", "queued"),
        (posting, "tous", "bounced"),
    ]
    assert by_address == [people.Delivered(posting, "tous", "bounced", NOON, "550 no")]
    assert await people.deliveries(db, "x@y.fr", []) == []
    notices = await people.notices(db, "ana@b.fr")
    assert [(n.kind, n.posting, n.state) for n in notices] == [("held", None, "queued")]


async def test_only_the_last_deliveries(owner: Connection, db: Connection) -> None:
    """Ten, the newest first."""
    await members(owner, [("Ana@b.fr", "1")])
    numbers = [(await posted(db, fingerprint=bytes([n]) * 32))[0] for n in range(12)]

    found = await people.deliveries(db, "ana@b.fr", [])

    assert [d.posting for d in found] == numbers[:1:-1]


async def test_suppressions_and_bans(owner: Connection, db: Connection) -> None:
    """By address and by person, from a list and from all; a ban may be of the domain."""
    await frozen_clock(owner)
    await owner.execute(
        "insert into relais.list (definition, parts, address) values ('everybody', '{}', 'tous');"
        "insert into relais.person (key) values ('person:1');"
        "insert into relais.suppression (list_id, person_id, address, reason, source, since) values"
        "  (1, 1, null, 'unsubscribed', 'page', relais.now()),"
        "  (null, null, 'ana@b.fr', 'operator', 'operator', relais.now() - interval '1 day'),"
        "  (null, null, 'bob@b.fr', 'operator', 'operator', relais.now());"
        "select lists.ban('@B.fr', 'spam', 'everybody'), lists.ban('ana@b.fr', 'rude'),"
        "       lists.ban('bob@b.fr', 'rude')"
    )
    met = await people.met(db, "ana@b.fr", ["1"])

    found = await people.suppressions(db, "ana@b.fr", ["1"], met)
    bans = await people.bans(db, "ana@b.fr")

    assert [(s.scope, s.reason, s.source) for s in found] == [
        ("tous", "unsubscribed", "page"),
        (None, "operator", "operator"),
    ]
    assert {(b.author, b.definition, b.reason) for b in bans} == {
        ("@b.fr", "everybody", "spam"),
        ("ana@b.fr", None, "rude"),
    }


async def test_what_an_author_did_and_was_asked(owner: Connection, db: Connection) -> None:
    """Postings, decisions and what is remembered, however the address is written."""
    await members(owner, [("ana@b.fr", "1")])
    posting, _ = await posted(db)
    await owner.execute(
        "update relais.posting set author = 'Ana@b.fr';"
        "insert into relais.decision (posting_id, kind, address, asked_at, expires_at, answer,"
        "                             answered_at)"
        " select posting_id, 'confirm', 'ANA@b.fr', relais.now(), relais.now(), 'yes', relais.now()"
        "   from relais.posting;"
        "insert into relais.proven_author (author, signed_by, until) values"
        " ('ana@b.fr', 'b.fr', relais.now() + interval '1 day'),"
        " ('ana@b.fr', 'c.fr', relais.now() - interval '1 day')"
    )

    wrote = await people.postings(db, "ana@b.fr")
    asked = await people.decisions(db, "ana@b.fr")
    remembered = await people.authentications(db, "ana@b.fr")

    assert [(p.posting, p.address, p.subject) for p in wrote] == [(posting, "tous", "Bonjour")]
    assert [(d.posting, d.kind, d.answer) for d in asked] == [(posting, "confirm", "yes")]
    assert [one.signed_by for one in remembered] == ["b.fr"]
    for read in (people.postings, people.decisions, people.authentications, people.bans):
        assert await read(db, "x@y.fr") == []
