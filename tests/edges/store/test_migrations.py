"""Migrations: applied once, in order, whole or not at all."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest

from worker.errors import MigrationError
from worker.policy.effect import Group, Resized, Shrunk
from worker.store.database import connect
from worker.store.migrations import Care, Track, shipped_track, status, up, write_new

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgres import Database
    from worker.policy.effect import Effect

MEMBERS = """
create schema club;
create table club.member (email text, role text, committee text, until date);
insert into club.member
select 'm' || n || '@b.fr', case when n = 1 then 'president' else 'membre' end, 'comite', null
  from generate_series(1, 20) n;
create view lists.role as select email, role, committee from club.member where until is null;
select lists.define('lists.role', '{role}.{committee}', '{role}, {committee}');
create view lists.everybody as select email from club.member where until is null;
select lists.define('lists.everybody', 'tous', 'Tous');
"""
EMPTIED = """
create or replace view lists.everybody as select email from club.member where until is not null;
"""


@pytest.fixture
def track(tmp_path: Path) -> Track:
    """A track with two migrations."""
    (tmp_path / "0001_first.sql").write_text("create table first (n int);\n")
    (tmp_path / "0002_second.sql").write_text("create table second (n int);\n")
    return Track("site", tmp_path)


async def tables(url: str) -> set[str]:
    """Return which of the tests' tables exist."""
    db = await connect(url)
    try:
        rows = await db.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await db.close()


async def test_each_file_is_applied_once(admin_url: str, track: Track) -> None:
    """A second run finds nothing to do."""
    first = await up(admin_url, [track])
    second = await up(admin_url, [track])

    assert [str(m) for m in first.applied] == ["site/0001_first", "site/0002_second"]
    assert second.applied == ()
    assert await tables(admin_url) == {"first", "second"}


async def test_five_at_once_apply_once(admin_url: str, track: Track) -> None:
    """One of them does it, the others wait."""
    outcomes = await asyncio.gather(*(up(admin_url, [track]) for _ in range(5)))

    assert sorted(len(outcome.applied) for outcome in outcomes) == [0, 0, 0, 0, 2]


async def test_a_failing_file_leaves_nothing(admin_url: str, track: Track) -> None:
    """What came before stays; the file that failed is as if never begun."""
    (track.folder / "0003_third.sql").write_text(
        "create table third (n int);\n\nselect lists.define('lists.nothing', 'x', 'X');\n"
    )

    with pytest.raises(
        MigrationError, match=r'site/0003_third.sql.*"lists.nothing" does not exist'
    ):
        await up(admin_url, [track])

    assert await tables(admin_url) == {"first", "second"}
    assert [str(m) for m in (await status(admin_url, [track])).pending] == ["site/0003_third"]


async def test_the_line_of_a_mistake_is_told(admin_url: str, track: Track) -> None:
    """PostgreSQL's position becomes a line of the file."""
    (track.folder / "0003_third.sql").write_text("select 1;\nselect 2;\nselekt 3;\n")

    with pytest.raises(MigrationError, match=r"0003_third.sql, line 3: syntax error"):
        await up(admin_url, [track])


async def test_a_dry_run_changes_nothing(admin_url: str, track: Track) -> None:
    """It runs everything, and rolls everything back."""
    outcome = await up(admin_url, [track], dry_run=True)

    assert len(outcome.applied) == 2
    assert await tables(admin_url) == set()


async def test_a_definition_error_rolls_the_migration_back(admin_url: str, track: Track) -> None:
    """lists.check() runs in the transaction of the last file."""
    (track.folder / "0003_clash.sql").write_text(
        "create view lists.one as select 'x@y.fr'::text as email, 'a'::text as part;\n"
        "select lists.define('lists.one', 'club.{part}', 'One');\n"
        "create view lists.two as select 'x@y.fr'::text as email, 'club'::text as part;\n"
        "select lists.define('lists.two', '{part}.a', 'Two');\n"
    )

    with pytest.raises(MigrationError, match=r"list one: club.a is also an address of two"):
        await up(admin_url, [track])

    db = await connect(admin_url)
    with pytest.raises(asyncpg.UndefinedTableError):
        await db.fetch("select * from lists.one")
    await db.close()


class TestEffect:
    """What a file does to the lists is counted, and a great loss must be meant."""

    @pytest.fixture
    async def track(self, admin_url: str, tmp_path: Path) -> Track:
        """A track whose lists are in use."""
        (tmp_path / "0001_members.sql").write_text(MEMBERS)
        track = Track("site", tmp_path)
        await up(admin_url, [track])
        return track

    @staticmethod
    async def of(admin_url: str, track: Track, *files: str) -> list[Effect]:
        """Return what *files* would do."""
        for number, text in enumerate(files, start=2):
            (track.folder / f"{number:04}_file.sql").write_text(text)
        outcome = await up(admin_url, [track], dry_run=True)
        return [step.effect for step in outcome.steps]

    async def test_addresses_come_go_and_grow(self, admin_url: str, track: Track) -> None:
        """Each with its people, under the file that did it."""
        insert = "insert into club.member values ('{}@b.fr', '{}', 'comite', null);"

        [first, second] = await self.of(
            admin_url,
            track,
            insert.format("x", "tresorier") + insert.format("y", "president"),
            "delete from club.member where role = 'tresorier'",
        )

        template = "{role}.{committee}"
        assert first.added == (Group("role", template, {"tresorier.comite": 1}),)
        assert first.resized == (
            Resized("everybody", "tous", 20, 22),
            Resized("role", "president.comite", 1, 2),
        )
        assert (first.removed, first.shrunk) == ((), ())
        assert second.removed == (Group("role", template, {"tresorier.comite": 1}),)
        assert second.resized == (Resized("everybody", "tous", 22, 21),)

    async def test_a_first_migration(self, empty_database: Database, track: Track) -> None:
        """An empty database has no list to compare with."""
        outcome = await up(empty_database.admin_url, [shipped_track(), track], dry_run=True)

        assert [len(group.people) for group in outcome.steps[-1].effect.added] == [1, 2]
        assert not any(step.effect.shrunk for step in outcome.steps)

    async def test_a_great_loss_is_refused(self, admin_url: str, track: Track) -> None:
        """With its whole file; the file before it stays."""
        (track.folder / "0002_fine.sql").write_text("create table first (n int);")
        (track.folder / "0003_emptied.sql").write_text("create table second (n int);" + EMPTIED)
        said = r"site/0003_emptied.sql: list everybody: 20 → 0 people looks wrong; use --yes-shrink"

        rehearsed = await up(admin_url, [track], dry_run=True)
        for _ in range(2):  # Trying again does not make it right.
            with pytest.raises(MigrationError, match=said):
                await up(admin_url, [track])

        assert await tables(admin_url) == {"first"}
        assert rehearsed.steps[1].effect.shrunk == (Shrunk("everybody", 20, 0, only_largest=False),)

    async def test_not_even_in_a_file_before_the_last(self, admin_url: str, track: Track) -> None:
        """Else a second attempt would find the loss done, and go on."""
        (track.folder / "0002_emptied.sql").write_text(EMPTIED)
        (track.folder / "0003_fine.sql").write_text("create table first (n int);")

        with pytest.raises(MigrationError, match=r"0002_emptied\.sql: list everybody: 20 → 0"):
            await up(admin_url, [track])

    async def test_a_loss_can_be_meant(self, admin_url: str, track: Track) -> None:
        """By its name, which must be one."""
        (track.folder / "0002_emptied.sql").write_text(EMPTIED)

        with pytest.raises(MigrationError, match="--yes-shrink everybodi: no list is defined"):
            await up(admin_url, [track], care=Care(may_shrink=["everybodi"]))
        await up(admin_url, [track], care=Care(may_shrink=["everybody"]))

        assert (await status(admin_url, [track])).pending == ()

    async def test_a_list_may_be_dropped(self, admin_url: str, track: Track) -> None:
        """Nobody writes lists.drop by mistake."""
        [gone] = await self.of(
            admin_url, track, "select lists.drop('lists.everybody'); drop view lists.everybody;"
        )

        assert gone.removed == (Group("everybody", "tous", {"tous": 20}),)
        assert gone.shrunk == ()

    async def test_a_view_between_two_files(self, admin_url: str, track: Track) -> None:
        """What one file breaks and the next one mends is compared with before."""
        [broken, mended] = await self.of(
            admin_url,
            track,
            "drop view lists.everybody;",
            "create view lists.everybody as select email from club.member limit 3;"
            "select lists.define('lists.everybody', 'tous', 'Tous');",
        )

        assert (broken.shrunk, broken.removed) == ((), ())
        assert mended.shrunk == (Shrunk("everybody", 20, 3, only_largest=False),)

    async def test_a_slow_query(self, admin_url: str, track: Track) -> None:
        """It is cut, and its file refused."""
        (track.folder / "0002_slow.sql").write_text(
            "create or replace view lists.everybody as select email from club.member"
            " where pg_sleep(60) is not null;"
        )
        care = Care(patience=timedelta(seconds=0.3))

        with pytest.raises(MigrationError, match=r"everybody: its query takes longer than 0\.3 s"):
            await up(admin_url, [track], care=care)

    async def test_a_disappointment(self, admin_url: str, track: Track) -> None:
        """An expectation is an assertion: the file that breaks it is refused."""
        (track.folder / "0002_expected.sql").write_text(
            "select lists.expect('president.comite', people => int4range(1, 3));"
        )
        await up(admin_url, [track])
        (track.folder / "0003_more.sql").write_text("update club.member set role = 'president';")

        with pytest.raises(
            MigrationError, match=r"president\.comite has 20 people, expected 1 to 2"
        ):
            await up(admin_url, [track])


class Slip(NamedTuple):
    """A file with a mistake, and all that is said of it."""

    text: str
    said: str


DEFINE_OPTIONS = (
    "Its options are: view, address, title, why, post, authenticate, moderate, reply_to, max_size,"
    " max_recipients, unsubscribe, footer, lang, notify_above, in_doubt, owner, priority,"
    " finish_within, form, subject_prefix, receipt, notify_delay, grace, report_addresses"
)
SLIPS = {
    "a misspelt option": Slip(
        "select lists.define(view => 'lists.role', address => 'x', titel => 'X');",
        "site/0002_slip.sql, line 1: function lists.define(view => unknown, address => unknown,"
        " titel => unknown) does not exist\n"
        f"lists.define has no option titel: did you mean title?\n{DEFINE_OPTIONS}",
    ),
    "an option like no other": Slip(
        "select lists.define('lists.role', 'x', 'X', colour => 'blue');",
        "site/0002_slip.sql, line 1: function lists.define(unknown, unknown, unknown,"
        " colour => unknown) does not exist\n"
        f"lists.define has no option colour.\n{DEFINE_OPTIONS}",
    ),
    "an option that lacks": Slip(
        "select lists.define('lists.role', title => 'X');",
        "site/0002_slip.sql, line 1: function lists.define(unknown, title => unknown) does not"
        f" exist\nlists.define needs address.\n{DEFINE_OPTIONS}",
    ),
    "an option of another type": Slip(
        "select lists.define('lists.role', 'x', 'X', max_size => 5);",
        "site/0002_slip.sql, line 1: function lists.define(unknown, unknown, unknown,"
        " max_size => integer) does not exist\n"
        f"lists.define: max_size must be text, not integer\n{DEFINE_OPTIONS}",
    ),
    "a misspelt function": Slip(
        "select lists.defin('lists.role', 'x', 'X');",
        "site/0002_slip.sql, line 1: function lists.defin(unknown, unknown, unknown) does not"
        " exist\nDid you mean lists.define?",
    ),
    "a misspelt value": Slip(
        "select lists.define('lists.role', 'x', 'X', post => 'member');",
        "site/0002_slip.sql: list role: post must be members, anyone, moderators, nobody or a"
        " view, not 'member': did you mean members?",
    ),
    "a typo in a column": Slip(
        "create view lists.x as\nselect emial from club.member;",
        'site/0002_slip.sql, line 2: column "emial" does not exist\n'
        'HINT:  Perhaps you meant to reference the column "member.email".',
    ),
    "a dropped column": Slip(
        "alter table club.member drop column committee;",
        "site/0002_slip.sql: cannot drop column committee of table club.member because other"
        " objects depend on it\n"
        "DETAIL:  view lists.role depends on column committee of table club.member\n"
        "HINT:  Lists read it: first write lists.role without it, in the same file.",
    ),
    "somebody else's dependency": Slip(
        "create view x as select email from club.member; drop view lists.everybody;"
        "alter table club.member add column n int; create view y as select n from club.member;"
        "alter table club.member drop column n;",
        "site/0002_slip.sql: cannot drop column n of table club.member because other objects"
        " depend on it\nDETAIL:  view y depends on column n of table club.member\n"
        "HINT:  Use DROP ... CASCADE to drop the dependent objects too.",
    ),
    "a column of a view renamed": Slip(
        "alter view lists.role rename column role to office;",
        "site/0002_slip.sql: list role: the address uses {role}, but lists.role has no such"
        " column; its columns are: email, office, committee",
    ),
    "a renamed column of the table": Slip(
        "alter table club.member rename column role to office;", ""
    ),
    "an address of two lists": Slip(
        "insert into lists.manual (list, email) values ('x', 'a@b.fr');"
        "create view lists.x as select 'a@b.fr'::text as email, 'x'::text as y;"
        "select lists.define('lists.x', '{y}', 'X');",
        "site/0002_slip.sql: list manual: x is also an address of x",
    ),
    "nothing to do with lists": Slip(
        "select no.such(1);",
        'site/0002_slip.sql, line 1: schema "no" does not exist',
    ),
    "a check at the commit": Slip(
        "create table parent (n int primary key); create table child (n int references parent"
        " deferrable initially deferred); insert into child values (1);",
        'site/0002_slip.sql: insert or update on table "child" violates foreign key constraint'
        ' "child_n_fkey"\nDETAIL:  Key (n)=(1) is not present in table "parent".',
    ),
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
async def test_slips_are_explained(admin_url: str, tmp_path: Path, slip: Slip) -> None:
    """What PostgreSQL says, and what it cannot know of lists; in a dry run the same."""
    track = Track("site", tmp_path)
    (tmp_path / "0001_members.sql").write_text(MEMBERS)
    await up(admin_url, [track])
    (tmp_path / "0002_slip.sql").write_text(slip.text)

    said = ""
    try:
        await up(admin_url, [track])
    except MigrationError as error:
        said = str(error)

    assert said == slip.said


async def test_an_owner_that_is_no_superuser(empty_database: Database, tmp_path: Path) -> None:
    """It tries queries as the worker where it may, else as itself, and says so."""
    (tmp_path / "0001_members.sql").write_text(MEMBERS)
    tracks = [shipped_track(), Track("site", tmp_path)]
    owner_url = empty_database.url.replace("relais_worker@", "hosted@")
    admin = await connect(empty_database.admin_url)
    try:
        await admin.execute(
            "create role hosted login createrole;"
            f"alter database {empty_database.name} owner to hosted"
        )
        before = (await up(owner_url, tracks)).findings
        await admin.execute("grant relais_worker to hosted")
        after = (await up(owner_url, tracks)).findings
    finally:
        await admin.execute(
            f"reassign owned by hosted to current_user; drop owned by hosted; drop role hosted;"
            f"alter database {empty_database.name} owner to current_user"
        )
        await admin.close()

    said = (
        "the queries were tried with the rights of hosted, not of the worker;"
        " as a superuser: grant relais_worker to hosted;"
    )
    # Before PostgreSQL 16 whoever may create roles may grant this one to himself.
    assert [str(finding) for finding in before] in ([said], [])
    assert after == ()


class TestDrift:
    """What was applied and what lies in the folder must agree before anything runs."""

    async def test_edited(self, admin_url: str, track: Track) -> None:
        """An applied file is history."""
        await up(admin_url, [track])
        (track.folder / "0001_first.sql").write_text("create table other (n int);\n")

        with pytest.raises(MigrationError, match="0001_first was edited after it was applied"):
            await up(admin_url, [track])

    async def test_gone(self, admin_url: str, track: Track) -> None:
        """A missing file is named."""
        await up(admin_url, [track])
        (track.folder / "0001_first.sql").unlink()

        with pytest.raises(MigrationError, match="0001_first is applied but its file is gone"):
            await status(admin_url, [track])

    async def test_out_of_order(self, admin_url: str, track: Track) -> None:
        """A number below an applied one would run in another order elsewhere."""
        (track.folder / "0001_first.sql").rename(track.folder / "0003_first.sql")
        await up(admin_url, [track])
        (track.folder / "0001_late.sql").write_text("select 1;\n")

        with pytest.raises(MigrationError, match="0001_late is numbered below"):
            await up(admin_url, [track])

    async def test_line_ends_are_no_drift(self, admin_url: str, track: Track) -> None:
        """Git may check out the same file with CRLF."""
        await up(admin_url, [track])
        file = track.folder / "0001_first.sql"
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

        assert (await status(admin_url, [track])).pending == ()


async def test_bad_names_are_refused(admin_url: str, track: Track) -> None:
    """The number decides the order, so it must be there."""
    (track.folder / "committees.sql").write_text("select 1;\n")

    with pytest.raises(MigrationError, match=r"name it like 0007_committees\.sql"):
        await status(admin_url, [track])


def test_new_takes_the_next_number(track: Track) -> None:
    """The name becomes a slug."""
    path = write_new(track, "Regional lists (2027)")

    assert path.name == "0003_regional_lists_2027.sql"
    with pytest.raises(MigrationError, match="gives no file name"):
        write_new(track, "???")


TRANSACTIONS = {
    "whole": "begin;\ncreate table third (n int);\ncommit;\n",
    "ended": "create table third (n int);\ncommit;\n",
    "capitals": "create table third (n int); ROLLBACK TO here;",
    "begun": "start transaction; create table third (n int);",
}


@pytest.mark.parametrize("sql", TRANSACTIONS.values(), ids=TRANSACTIONS)
async def test_a_file_makes_no_transaction_of_its_own(
    admin_url: str, track: Track, sql: str
) -> None:
    """Its COMMIT would make a dry run real; it is refused before anything runs."""
    (track.folder / "0003_third.sql").write_text(sql)

    for dry_run in (True, False):
        with pytest.raises(MigrationError, match=r"0003_third\.sql, line \d: leave out"):
            await up(admin_url, [track], dry_run=dry_run)

    assert await tables(admin_url) == set()


async def test_begin_in_a_body_is_none(admin_url: str, track: Track) -> None:
    """Functions, strings and comments may hold the words."""
    (track.folder / "0003_third.sql").write_text(
        "-- begin; commit;\n/* ; rollback; */\n"
        "create function f() returns void language plpgsql as $$ begin perform 1; end; $$;\n"
        "create function g() returns integer language sql begin atomic select 1; end;\n"
        "comment on function f() is '; commit; it''s fine';\n"
    )

    outcome = await up(admin_url, [track])

    assert [str(m) for m in outcome.applied][-1] == "site/0003_third"


async def test_a_file_in_another_charset(admin_url: str, track: Track) -> None:
    """Its place is told; a traceback would name no file."""
    (track.folder / "0003_third.sql").write_bytes(b"select 1;\n-- pr\xe9sident\n")

    with pytest.raises(MigrationError, match=r"0003_third\.sql, line 2: byte 0xe9 is no UTF-8"):
        await up(admin_url, [track])
