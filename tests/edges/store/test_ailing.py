"""Dead addresses: who has them, where, and who can mend them, as the views tell it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.edges.store.ailments import CLUBS, SINCE, ail, let_in
from worker.mail.reason import Reason
from worker.policy.mending import Bearer, secretaries
from worker.store import ailing
from worker.store.views import Views

if TYPE_CHECKING:
    import asyncpg

    from worker.store.database import Connection

BROKEN = """
    create view lists.broken as select email, club from club.member;
    select lists.define('lists.broken', address => 'casse.{club}', title => 'Casse');
    create or replace view lists.broken as
        select email, case when email ~ 'sfr' then (1 / (length(email) * 0))::text end as club
          from club.member;
"""


@pytest.fixture
async def club(owner: Connection) -> Connection:
    """Two clubs and all; everybody but Jean has an address that is dead."""
    await owner.execute(CLUBS)
    for address in ("anne@orange.fr", "famille@free.fr", "seul@sfr.fr"):
        await ail(owner, address, Reason.UNKNOWN_USER)
    return owner


async def dead(db: Connection) -> dict[str, asyncpg.Record]:
    """Return the rows of the view by their address."""
    rows = await db.fetch("select * from relais.v_dead_addresses")
    found = {row["address"]: row for row in rows}
    assert len(found) == len(rows), "one row for each address"
    return found


async def test_each_address_once(club: Connection, db: Connection) -> None:
    """With all its lists, whoever has it, and the secretaries of its clubs alone."""
    found = await dead(db)

    assert dict(found["anne@orange.fr"]) == {
        "address": "anne@orange.fr",
        "name": "Anne Martin",
        "person": "1",
        "lang": "fr",
        "lists": ["club.aikido", "club.judo", "tous"],
        "reason": "unknown_user",
        "status": "5.1.1",
        "evidence": "550 5.1.1 no such user",
        "since": SINCE,
        "failures": 2,
        "retry_at": found["anne@orange.fr"]["retry_at"],
        "secretary": "aikido@club.fr, judo@club.fr",
    }
    family = found["famille@free.fr"]
    assert (family["name"], family["person"]) == ("Paul Le Goff, Zoé Le Goff", "2, 3")
    assert family["lists"] == ["club.judo", "tous"]
    alone = found["seul@sfr.fr"]
    assert (alone["lists"], alone["secretary"], alone["name"]) == (
        ["tous"],
        "bureau@example.fr",
        None,
    )
    assert len(found) == 3
    assert [dict(row) for row in (await dead(club)).values()] == [dict(r) for r in found.values()]


async def test_only_what_is_held(club: Connection, db: Connection) -> None:
    """Who is asked or tried once more is not dead; what was excused does not count."""
    await ail(club, "bien@gmail.com", Reason.FULL, state="suspect", failures=0)
    await ail(club, "seul@sfr.fr", Reason.FULL, state="trial", failures=0)
    await club.execute(
        "update relais.address_failure set is_excused = address = 'anne@orange.fr',"
        " is_over = address = 'famille@free.fr' where failed_at < $1",
        SINCE,
    )

    found = await dead(db)

    assert sorted(found) == ["anne@orange.fr", "famille@free.fr"]
    assert [row["failures"] for row in found.values()] == [1, 1]
    assert [one.failures for one in await ailing.ailing(db, ["held"])] == [1, 1]


async def test_a_corrected_address_is_gone(club: Connection, db: Connection) -> None:
    """At once; and so is who is in no list any more."""
    await club.execute("update club.member set email = 'anne@gmail.com' where person = '1'")
    await club.execute("delete from club.member where person = '4'")

    assert sorted(await dead(db)) == ["famille@free.fr"]


async def test_a_broken_query_costs_its_own_rows(club: Connection, db: Connection) -> None:
    """The others are told; and it is said which one is missing, and why."""
    await club.execute(BROKEN)

    for reader in (db, club):
        assert sorted(await dead(reader)) == ["anne@orange.fr", "famille@free.fr", "seul@sfr.fr"]
        unknown = await reader.fetch("select * from relais.v_dead_addresses_unknown")
        assert [tuple(row) for row in unknown] == [("broken", "division by zero")]

    views = Views(db)
    found = await ailing.bearers(views, ["held"])
    assert {row.list for row in found} == {"club.aikido", "club.judo", "tous"}
    assert views.problems == {"broken": "division by zero"}


async def test_a_dropped_view_is_told(club: Connection, db: Connection) -> None:
    """Its definition is still there."""
    await club.execute("drop view lists.tous")

    assert sorted(await dead(db)) == ["anne@orange.fr", "famille@free.fr"]
    [unknown] = await db.fetch("select definition from relais.v_dead_addresses_unknown")
    assert unknown["definition"] == "tous"


async def test_a_query_writes_nothing(club: Connection, db: Connection) -> None:
    """Whoever reads the view, and though its function could."""
    await club.execute(
        """
        create table club.seen (n integer);
        create function club.noted() returns boolean language sql security definer
            as 'insert into club.seen values (1) returning true';
        create view lists.writes as select email from club.member;
        select lists.define('lists.writes', address => 'ecrit', title => 'Ecrit');
        grant usage on schema club to relais_worker;
        create or replace view lists.writes as select email from club.member where club.noted();
        """
    )

    for reader in (db, club):
        assert len(await dead(reader)) == 3
    assert await club.fetchval("select count(*) from club.seen") == 0
    assert await club.fetchval("select current_user") != "relais_worker"


async def test_each_view_is_asked_once(club: Connection) -> None:
    """Not once for each address."""
    await club.execute(
        """
        create sequence club.asked;
        grant usage on schema club to relais_worker;
        grant usage on sequence club.asked to relais_worker;
        create view lists.counts as
            select email, person from (select nextval('club.asked') as n offset 0) once
             join club.member on once.n > 0;
        select lists.define('lists.counts', address => 'compte', title => 'Compte');
        """
    )

    # The worker asks read-only, where no sequence counts: so here as the owner.
    rows = await club.fetch("select * from relais.bearers('counts', '{held}')")

    assert {row["address"] for row in rows} == {"anne@orange.fr", "famille@free.fr", "seul@sfr.fr"}
    assert await club.fetchval("select last_value from club.asked") == 1


async def test_the_view_and_the_letters_agree(club: Connection, db: Connection) -> None:
    """Who can mend an address is the same for whoever asks."""
    await club.execute("update club.member set secretary = 'no address' where club = 'aikido'")
    bearers = await ailing.bearers(Views(db), ["held"])

    for address, row in (await dead(db)).items():
        theirs = [bearer for bearer in bearers if bearer.address == address]
        assert ", ".join(secretaries(theirs)) == row["secretary"]
        assert sorted({bearer.list for bearer in theirs}) == row["lists"]


async def test_rows_have_titles(club: Connection, db: Connection) -> None:
    """As people know the lists."""
    await let_in(club, "famille@free.fr")
    asked: list[tuple[str, int, int]] = []

    found = await ailing.bearers(
        Views(db), ["held"], on_ask=lambda name, nth, of: asked.append((name, nth, of))
    )

    assert asked == [("club", 1, 3), ("manual", 2, 3), ("tous", 3, 3)]
    assert Bearer(
        "anne@orange.fr", "Anne Martin", "1", "club.judo", "Club de judo", "fr",
        secretary="judo@club.fr",
    ) in found  # fmt: skip


async def test_how_an_address_fares(club: Connection, db: Connection) -> None:
    """What counts of what came back, and what another version wrote."""
    await ail(club, "bien@gmail.com", Reason.FULL, state="suspect", failures=0)
    await club.execute(
        "update relais.address_health set reason = 'of tomorrow' where address = 'seul@sfr.fr'"
    )

    found = {one.address: one for one in await ailing.ailing(db)}

    assert (found["anne@orange.fr"].failures, found["bien@gmail.com"].failures) == (2, 0)
    assert found["anne@orange.fr"].failing_since < SINCE == found["bien@gmail.com"].failing_since
    assert found["seul@sfr.fr"].reason is Reason.UNKNOWN
    assert [one.address for one in await ailing.ailing(db, address="seul@sfr.fr")] == [
        "seul@sfr.fr"
    ]
    assert await ailing.held(db) == {"anne@orange.fr", "famille@free.fr", "seul@sfr.fr"}
