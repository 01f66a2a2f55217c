"""Imports of a member file, as the database keeps them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from worker.policy.member_row import HeldRole, MemberRow, Problem, Remark
from worker.store import members
from worker.store.database import connect
from worker.store.migrations import Track, shipped_track, up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from tests.servers.postgres import Database
    from worker.store.database import Connection
    from worker.store.members import Comparison

SITE = Path(__file__).parents[3] / "migrations" / "site"
TODAY = date(2026, 11, 12)
LATER = date(2026, 11, 19)
PRESIDENT = HeldRole("president", None, "0440001", None)
EVERYTHING = """
    select m.xmin::text, m.*, l.*, h.xmin::text, h.* from club.member m
      left join club.licence l on l.member_id = m.id
      left join club.role_held h on h.member_id = m.id order by m.id, h.id
"""
BOARD = HeldRole("membre", "comite", None, date(2024, 9, 1))


@pytest_asyncio.fixture
async def db(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The role that migrates, in a site with member tables and a committee."""
    await up(database.admin_url, [shipped_track(), Track("site", SITE)])
    db = await connect(database.admin_url)
    await db.execute("insert into club.committee (slug, name) values ('comite', 'Comité')")
    yield db
    await db.close()


def row(line: int, key: str, **fields: Any) -> MemberRow:
    """Return a member of one club, with *fields* that are otherwise."""
    usual: dict[str, Any] = {
        "first_name": "Zoé",
        "last_name": f"Martin {key}",
        "email": f"{key}@orange.example",
        "lang": None,
        "active": True,
        "club": "0440001",
        "club_name": "Étoile",
        "departement": "44",
        "season": "2026-2027",
        "kind": "loisir",
    }
    return MemberRow(line, key, **(usual | fields))


async def imported(
    db: Connection,
    rows: Sequence[MemberRow],
    *,
    day: date = TODAY,
    problems: Sequence[Problem] = (),
    with_roles: bool = True,
) -> tuple[Comparison, list[Problem]]:
    """Import *rows*, beside *problems* that others had."""
    async with db.transaction():
        await members.stage(db, rows)
        await members.hold_back(db, problems)
        found = await members.contradictions(db)
        comparison = await members.compare(db, names={}, with_roles=with_roles)
        await members.apply(db, exported_on=day)
    return comparison, found


async def keys(db: Connection, where: str = "active") -> dict[str, int]:
    """Return the ids of the members that *where* is true of, by their licence numbers."""
    found = await db.fetch(f"select licence_number, id from club.member where {where} order by 1")
    return {record["licence_number"]: record["id"] for record in found}


async def roles(db: Connection) -> list[tuple[Any, ...]]:
    """Return all roles: of whom, which, where, since and until."""
    return [
        tuple(record)
        for record in await db.fetch(
            """
            select m.licence_number, h.role, coalesce(c.slug, k.number), h.since, h.until
              from club.role_held h join club.member m on m.id = h.member_id
              left join club.committee c on c.id = h.committee_id
              left join club.club k on k.id = h.club_id
             order by h.role desc, h.since, m.id
            """
        )
    ]


async def test_the_same_again_changes_nothing(db: Connection) -> None:
    """Not a row, not a date."""
    rows = [row(2, "1", roles=(PRESIDENT, BOARD)), row(3, "2", email=None), row(4, "3")]
    first, _ = await imported(db, rows)
    before = await db.fetch(EVERYTHING)
    again, _ = await imported(db, rows, day=LATER)

    assert (first.added, first.clubs_added) == (3, 1)
    assert (again.added, again.changed, again.gone, again.unchanged) == (0, 0, 0, 3)
    assert before == await db.fetch(EVERYTHING)


async def test_who_is_gone_and_comes_back(db: Connection) -> None:
    """Is inactive, keeps the id that opt-outs are bound to, and is the same person again."""
    await imported(db, [row(n, str(n)) for n in range(5)])
    before = await keys(db)
    gone, _ = await imported(db, [row(n, str(n)) for n in range(3)])

    assert (gone.gone, gone.unchanged, [e.change for e in gone.examples]) == (2, 3, ["gone"] * 2)
    assert await keys(db, "not active") == {"3": before["3"], "4": before["4"]}

    back, _ = await imported(db, [row(n, str(n), last_name="Noël") for n in range(5)])
    assert (back.added, back.back, back.changed, back.fields) == (0, 2, 3, {"name": 3})
    assert await keys(db) == before


CHANGES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "email": ({"email": "new@free.example"}, {"email": 1}),
    "email emptied": ({"email": None}, {"email": 1}),
    "name": ({"last_name": "Noël", "first_name": "Zoé"}, {"name": 1}),
    "language": ({"lang": "en"}, {"lang": 1}),
    "language not said": ({"lang": None}, {}),
    "first name not in the map": ({"first_name": None}, {}),
    "club": ({"club": "0440002", "club_name": "Avenir"}, {"club": 1}),
    "left the club": ({"club": None, "season": None, "kind": None}, {}),
    "kind": ({"kind": "competition"}, {"kind": 1}),
    "another season instead": ({"season": "2027-2028"}, {"club": 1, "season": 1}),
    "role": ({"roles": (PRESIDENT,)}, {"role": 1}),
    "several": ({"email": "x@y.example", "roles": (BOARD,)}, {"email": 1, "role": 1}),
}


@pytest.mark.parametrize(("fields", "told"), CHANGES.values(), ids=CHANGES)
async def test_changes(db: Connection, fields: dict[str, Any], told: dict[str, int]) -> None:
    """People are counted once, and each field that changes for them."""
    await imported(db, [row(2, "1"), row(3, "2")])
    comparison, _ = await imported(db, [row(2, "1", **fields), row(3, "2")])

    expected = told if fields.get("club", "") is not None else {"club": 1}
    assert comparison.fields == expected
    assert comparison.changed == (1 if expected else 0)
    again, _ = await imported(db, [row(2, "1", **fields), row(3, "2")])
    assert again.changed == 0


async def test_clubs(db: Connection) -> None:
    """Are created and renamed; the commonest name is taken, and that is told."""
    await imported(db, [row(2, "1"), row(3, "2", club="0440002", departement="988")])
    rows = [row(n, str(n), club_name="Étoile !" if n else "Etoile") for n in range(3)]
    async with db.transaction():
        await members.stage(db, rows)
        noticed = await members.disagreements(db)
    comparison, _ = await imported(db, rows)

    assert [(n.line, n.remark, n.text) for n in noticed] == [(0, Remark.CLUB_NAME, "0440001")]
    assert (comparison.clubs_added, comparison.clubs_changed) == (0, 1)
    found = await db.fetch("select number, name, departement from club.club order by 1")
    assert [tuple(club) for club in found] == [
        ("0440001", "Étoile !", "44"),
        ("0440002", "Étoile", "988"),
    ]


async def test_a_club_that_nobody_knows(db: Connection) -> None:
    """Has no département to be created with: its members' rows are wrong."""
    rows = [row(2, "1"), row(3, "2", club="0490001", departement=None)]
    comparison, found = await imported(db, rows)

    assert [(p.line, p.key) for p in found] == [(3, "2")]
    assert found[0].text.startswith("unknown club 0490001: it is not here")
    assert comparison.added == 1


async def test_two_clubs_in_a_season(db: Connection) -> None:
    """A member may have a licence in each; who has left one has none there."""
    both = [row(2, "1"), row(3, "1", club="0440002", club_name="Avenir")]
    await imported(db, both)
    licences = "select c.number from club.licence l join club.club c on c.id = l.club_id order by 1"
    assert [r["number"] for r in await db.fetch(licences)] == ["0440001", "0440002"]

    await imported(db, both[1:])
    assert [r["number"] for r in await db.fetch(licences)] == ["0440002"]


async def test_a_file_says_nothing_of_other_seasons(db: Connection) -> None:
    """Last year's licences stay when this year's file comes."""
    await imported(db, [row(2, "1", season="2025-2026")])
    comparison, _ = await imported(db, [row(2, "1")])

    assert comparison.fields == {"season": 1}
    assert await db.fetchval("select count(*) from club.licence") == 2


async def test_two_names_under_one_key(db: Connection) -> None:
    """Nobody knows who it is: neither row is taken, and the member stays as they are."""
    await imported(db, [row(2, "1"), row(3, "2", roles=(PRESIDENT,))])
    rows = [row(2, "1"), row(3, "2", last_name="Noël"), row(4, "2", last_name="Petit")]
    comparison, found = await imported(db, rows)

    assert [(p.line, p.text) for p in found] == [
        (3, "duplicate key 2: line 4 has it with another name"),
        (4, "duplicate key 2: line 3 has it with another name"),
    ]
    assert (comparison.changed, comparison.gone) == (0, 0)
    assert await keys(db) == {"1": 1, "2": 2}
    assert [role[4] for role in await roles(db)] == [None]


async def test_a_member_with_a_wrong_row_stays_as_they_are(db: Connection) -> None:
    """With what their other rows say left out, too; and they are not gone."""
    await imported(db, [row(2, "1"), row(3, "2", roles=(PRESIDENT,)), row(4, "3")])
    comparison, found = await imported(
        db,
        [row(2, "1"), row(3, "2", email="new@free.example")],
        problems=[Problem(4, "unknown season", "2"), Problem(5, "unknown season", "3")],
    )

    assert [(p.line, p.text) for p in found] == [(3, "left out with line 4 of the same member")]
    assert (comparison.changed, comparison.gone) == (0, 0)
    assert await db.fetchval("select email from club.member where id = 2") == "2@orange.example"
    assert [role[4] for role in await roles(db)] == [None]


async def test_repeated_rows(db: Connection) -> None:
    """Those that bring nothing are counted; those that bring a role or a club are taken."""
    rows = [
        row(2, "1"),
        row(3, "1"),
        row(4, "1", roles=(PRESIDENT,)),
        row(5, "1", roles=(PRESIDENT,)),
        row(6, "1", email="second@free.example", kind="competition"),
        row(7, "2"),
    ]
    async with db.transaction():
        await members.stage(db, rows)
        assert await members.repeated(db) == 3
        noticed = await members.disagreements(db)
    await imported(db, rows)

    assert {(n.line, n.remark) for n in noticed} == {(2, Remark.SEVERAL), (2, Remark.KIND)}
    assert await db.fetchval("select email from club.member where id = 1") == "1@orange.example"
    assert await db.fetchval("select kind from club.licence where member_id = 1") == "loisir"
    assert len(await roles(db)) == 1


async def test_roles(db: Connection) -> None:
    """Begin, end on the day of the file, and begin again; a mandate keeps its date."""
    held = [row(2, "1", roles=(PRESIDENT, BOARD))]
    await imported(db, held)
    await imported(db, [row(2, "1", roles=(BOARD,))], day=LATER)
    assert await roles(db) == [
        ("1", "president", "0440001", TODAY, LATER),
        ("1", "membre", "comite", date(2024, 9, 1), None),
    ]

    await imported(db, held, day=LATER)
    await imported(db, [row(2, "1")], day=LATER)
    await imported(db, held, day=LATER)
    assert await roles(db) == [
        ("1", "president", "0440001", TODAY, LATER),
        ("1", "president", "0440001", LATER, None),
        ("1", "membre", "comite", date(2024, 9, 1), None),
    ]


async def test_what_was_entered_by_hand_stays(db: Connection) -> None:
    """Members without a licence number, roles that no import began, and all if none are mapped."""
    await imported(db, [row(2, "1", roles=(PRESIDENT,))])
    await db.execute(
        "insert into club.member (first_name, last_name) values ('Ana', 'Petit');"
        "insert into club.role_held (member_id, role, committee_id, since)"
        " values (1, 'secretaire', 1, '2020-01-01'), (2, 'tresorier', 1, '2020-01-01')"
    )
    comparison, _ = await imported(db, [row(2, "1")], with_roles=False)
    assert (comparison.by_hand, comparison.gone, comparison.changed) == (1, 0, 0)
    comparison, _ = await imported(db, [row(2, "1")])

    assert comparison.fields == {"role": 1}
    assert [(key, role, until is None) for key, role, _, _, until in await roles(db)] == [
        (None, "tresorier", True),
        ("1", "secretaire", True),
        ("1", "president", False),
    ]


async def test_what_the_file_marks_inactive(db: Connection) -> None:
    """Is no longer active, and gone for the lists; a new one is kept, but not active."""
    await imported(db, [row(2, "1"), row(3, "2")])
    rows = [row(2, "1", active=False), row(3, "2"), row(4, "3", active=False)]
    comparison, _ = await imported(db, rows)

    assert (comparison.gone, comparison.marked_inactive) == (1, 1)
    assert (comparison.added, comparison.added_inactive) == (1, 1)
    assert list(await keys(db)) == ["2"]


SHRINKS = {
    "half": (range(20, 40), {}, []),
    "more than half": (range(21, 40), {}, ["21 of 40 active members would be gone"]),
    "one club": (
        [*range(9), *range(20, 40)],
        {},
        ["11 of 20 members of club 0440001 (Étoile) would be gone"],
    ),
    "addresses": (
        range(40),
        {"email": None},
        ["40 of 40 addresses would be emptied"],
    ),
}


@pytest.mark.parametrize(("numbers", "fields", "told"), SHRINKS.values(), ids=SHRINKS)
async def test_shrinks(
    db: Connection, numbers: Sequence[int], fields: dict[str, Any], told: list[str]
) -> None:
    """Half a file looks like this: in all, in a club of twenty, or in the addresses."""

    def of(number: int, **other: Any) -> MemberRow:
        # Nineteen are too few for a rail of their own.
        club = "0440001" if number < 20 else "0440002" if number < 39 else "0440003"
        return row(number, str(number), club=club, **other)

    await imported(db, [of(n) for n in range(40)])
    comparison, _ = await imported(db, [of(n, **fields) for n in numbers])

    shrinks = comparison.shrinks()
    if len(numbers) == 20:
        assert shrinks == ["20 of 20 members of club 0440001 (Étoile) would be gone"]
    else:
        assert shrinks[: len(told)] == told


async def test_a_first_import_shrinks_nothing(db: Connection) -> None:
    """Nor does one into an empty site."""
    comparison, _ = await imported(db, [row(2, "1")])
    assert comparison.shrinks() == []


async def test_the_date_of_the_file(db: Connection, database: Database) -> None:
    """Texts may tell it; the worker's role reads it, and nothing else of an import."""
    worker = await connect(database.url)
    try:
        assert await members.member_file_date(worker) is None
        comparison, _ = await imported(db, [row(2, "1")])
        for day in (LATER, TODAY):
            await members.record(
                db, comparison, who="ana", file_name="x.csv", sha256=b"s", exported_on=day,
                rows=1, left_out=0,
            )  # fmt: skip
        assert await members.member_file_date(worker) == TODAY
    finally:
        await worker.close()
    last = await members.last_import(db, b"s")
    assert last is not None
    assert (last.file_name, last.exported_on, last.same_file) == ("x.csv", TODAY, True)


async def test_a_site_without_a_member_file(database_url: str) -> None:
    """Has no date, and that is no error."""
    db = await connect(database_url)
    try:
        assert await members.member_file_date(db) is None
        assert not await members.has_member_file(db)
    finally:
        await db.close()


async def test_one_import_at_a_time(db: Connection, database: Database) -> None:
    """The lock is that of the transaction."""
    other = await connect(database.admin_url)
    try:
        async with db.transaction():
            assert await members.lock(db)
            async with other.transaction():
                assert not await members.lock(other)
        async with other.transaction():
            assert await members.lock(other)
    finally:
        await other.close()
