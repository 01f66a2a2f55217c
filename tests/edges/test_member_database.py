"""A member database on another server, through postgres_fdw, as docs/member-database.md has it.

The SQL is taken out of that page, so that what a reader copies is what was run.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from tests.conftest import lacking
from worker.errors import QueryFailed, StoreLost
from worker.store import expansion, lists
from worker.store.database import connect, failed_query
from worker.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from worker.store.embedded_binaries import find_programs
from worker.store.migrations import shipped_track, up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from worker.policy.expansion import ListAddress
    from worker.store.database import Connection

PAGE = Path(__file__).parents[2] / "docs" / "member-database.md"
PASSWORD = "vault-horse"

# What the page's member database has.
MEMBERS = """
    create table club (id integer primary key, number text not null);
    create table member (id bigint primary key, first_name text, last_name text, email text,
                         lang text, active boolean not null default true, born date);
    create table licence (member_id bigint references member, club_id integer references club,
                          season text, primary key (member_id, season));
    insert into club values (1, '0440012'), (2, '0350001');
    insert into member select n, 'Zoé', 'Martin ' || n, 'm' || n || '@orange.example', 'fr', n <> 3
      from generate_series(1, 6) n;
    insert into licence select n, 1 + n % 2, '2026-2027' from generate_series(1, 6) n;
"""


class Sites:
    """Our server and the member database's."""

    def __init__(self, ours: EmbeddedPostgres, theirs: EmbeddedPostgres) -> None:
        self.ours = ours
        self.theirs = theirs

    def page(self, heading: str) -> str:
        """Return the SQL below *heading*, with this test's server in it."""
        _, _, below = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
        blocks = re.findall(r"```sql\n(.*?)```", below.partition("\n## ")[0], re.DOTALL)
        assert blocks, heading
        text = "\n".join(blocks)
        for there, here in {
            "host 'members.example.org', port '5432'": f"host '{self._socket()}', port '5432'",
            "sslmode 'verify-full', sslrootcert '/etc/relais/members-ca.pem', ": "",
            "'the password'": f"'{PASSWORD}'",
        }.items():
            text = text.replace(there, here)
        return text

    def _socket(self) -> str:
        return self.theirs._facts()[4]


def debian_programs() -> Path:
    """Return programs that have postgres_fdw, which the wheel lacks."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        has_it = folder.parent.joinpath("lib", "postgres_fdw.so").exists()
        if has_it and int(folder.parent.name) >= 15:
            return folder
    lacking("PostgreSQL with postgres_fdw (Debian's; the wheel has none)")
    raise AssertionError("lacking() does not return")


@contextmanager
def running() -> Iterator[Sites]:
    """Start two servers."""
    programs = debian_programs()
    with (
        EmbeddedPostgres(in_memory=True, bin_dir=programs) as theirs,
        EmbeddedPostgres(in_memory=True, bin_dir=programs) as ours,
    ):
        yield Sites(ours, theirs)


@pytest.fixture(scope="module")
def servers() -> Iterator[Sites]:
    """Two servers that the tests of this file share."""
    with running() as sites:
        yield sites


async def settle(sites: Sites, name: str) -> None:
    """Make a member database and a migrated site, each of that *name*, and connect them."""
    for server in (sites.theirs, sites.ours):
        db = await connect(server.url())
        await db.execute(f"create database {name}")
        await db.close()
    theirs = await connect(sites.theirs.url(name))
    await theirs.execute(MEMBERS)
    await theirs.execute("drop role if exists relais_reader")
    await theirs.execute(sites.page("On the member database").replace("members_db", name))
    await theirs.close()
    await up(sites.ours.url(name), [shipped_track()])
    ours = await connect(sites.ours.url(name))
    for heading in ("Once, by hand", "As migrations"):
        await ours.execute(sites.page(heading).replace("members_db", name))
    await ours.close()


@pytest_asyncio.fixture
async def site(servers: Sites) -> AsyncIterator[Sites]:
    """A site whose lists are on the member database of another server."""
    await settle(servers, "members")
    yield servers
    for server in (servers.ours, servers.theirs):
        db = await connect(server.url())
        await db.execute("drop database members with (force)")
        if server is servers.theirs:
            await db.execute("drop role relais_reader")
        await db.close()


@pytest_asyncio.fixture
async def worker(site: Sites) -> AsyncIterator[Connection]:
    """The worker's connection to our server."""
    db = await connect(site.ours.url("members", "relais_worker"))
    yield db
    db.terminate()


async def resolved(db: Connection, local_part: str) -> ListAddress:
    """Return a list that must exist."""
    found = await lists.resolve(db, local_part)
    assert found is not None
    return found


async def judged(db: Connection, address: ListAddress) -> expansion.Roll:
    """Judge as the mediator does."""
    async with db.transaction(isolation="repeatable_read"):
        return await expansion.judge(
            db,
            address,
            list_id=await lists.remember(db, address),
            fingerprint=b"f",
            domain="listes.example.fr",
            patience=timedelta(seconds=10),
        )


def test_the_wheel_lacks_postgres_fdw() -> None:
    """Why an embedded database is not enough; should the wheel change, so must the page."""
    try:
        programs = find_programs(None)
    except EmbeddedPostgresError:
        pytest.skip("no wheel here")
    if "pginstall" not in str(programs):
        pytest.skip("no wheel here")
    assert not list(programs.parent.rglob("postgres_fdw*"))


async def test_a_list_is_expanded_over_the_wire(worker: Connection) -> None:
    """Addresses, directory and recipients are those of the other server."""
    address = await resolved(worker, "club.0350001")
    roll = await judged(worker, address)

    assert {entry.address: entry.recipients for entry in await lists.directory(worker)} == {
        "club.0350001": 2,
        "club.0440012": 3,
    }
    assert (roll.listed, roll.recipients) == (2, 2)


async def test_what_changes_there_is_seen_here(site: Sites, worker: Connection) -> None:
    """Nothing is copied: who leaves a club there has left the list."""
    address = await resolved(worker, "club.0440012")
    theirs = await connect(site.theirs.url("members"))
    await theirs.execute("update member set active = false where id = 2")
    await theirs.close()

    assert (await judged(worker, address)).recipients == 2


async def test_the_worker_reads_lists_and_nothing_else(site: Sites, worker: Connection) -> None:
    """The views run with their owner's rights, the foreign tables are closed to the worker."""
    assert await worker.fetchval("select count(*) from lists.club") == 5
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker.fetchval("select count(*) from members.member")
    assert PASSWORD not in str(
        await worker.fetch("select srvname, umoptions from pg_user_mappings")
    )
    theirs = await connect(site.theirs.url("members", "relais_reader"))
    refusals = (asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError)
    for statement in ("update member set active = false", "select born from member"):
        with pytest.raises(refusals):
            await theirs.execute(statement)
    await theirs.close()


async def test_a_column_renamed_there(site: Sites, worker: Connection) -> None:
    """PostgreSQL cannot follow it here; the list's query fails and says which column."""
    address = await resolved(worker, "club.0440012")
    theirs = await connect(site.theirs.url("members"))
    await theirs.execute("alter table member rename column email to mail")
    await theirs.close()

    with pytest.raises(asyncpg.UndefinedColumnError, match='column "email" does not exist') as e:
        await judged(worker, address)
    assert isinstance(failed_query("club.0440012", e.value), QueryFailed)


async def test_lists_check_finds_a_column_renamed_there(site: Sites) -> None:
    """What dependencies no longer protect, `relais migrate` still looks at."""
    theirs = await connect(site.theirs.url("members"))
    await theirs.execute("alter table member rename column email to mail")
    await theirs.close()
    ours = await connect(site.ours.url("members"))
    try:
        findings = await ours.fetch("select definition, severity, finding from lists.check()")
    finally:
        await ours.close()

    errors = [(f["definition"], f["finding"]) for f in findings if f["severity"] == "error"]
    assert [definition for definition, _ in errors] == ["club"]
    assert 'column "email" does not exist' in errors[0][1]


async def test_a_server_that_is_stopped_is_not_ours() -> None:
    """The list's query fails; the worker's own database is well, and so are other lists."""
    with running() as sites:
        await settle(sites, "members")
        db = await connect(sites.ours.url("members", "relais_worker"))
        address = await resolved(db, "club.0440012")
        sites.theirs.stop()

        with pytest.raises(asyncpg.PostgresConnectionError) as lost:  # In mid-session.
            await judged(db, address)
        with pytest.raises(asyncpg.PostgresConnectionError) as down:
            await judged(db, address)
        for error in (lost.value, down.value):
            told = failed_query("club.0440012", error)
            assert isinstance(told, QueryFailed), told
        assert 'could not connect to server "members"' in str(told)
        assert PASSWORD not in str(told)
        assert await db.fetchval("select count(*) from lists.manual") == 0
        db.terminate()


async def test_a_server_that_hangs_is_given_up(site: Sites, worker: Connection) -> None:
    """The list's patience holds over the wire, and the session goes on."""
    theirs = await connect(site.theirs.url("members"))
    await theirs.execute("alter table member rename to real_member")
    await theirs.execute(
        "create function slowly() returns boolean language sql volatile as"
        " 'select pg_sleep(20)::text is not null';"
        "create view member as select * from real_member where slowly();"
        "grant select on member to relais_reader"
    )
    await theirs.close()

    async with worker.transaction():
        await worker.execute("set local statement_timeout = '300ms'")
        with pytest.raises(asyncpg.QueryCanceledError) as late:
            async with worker.transaction():
                await worker.fetch("select * from lists.club")
    assert isinstance(failed_query("club", late.value), QueryFailed)
    assert await worker.fetchval("select 1") == 1


async def test_our_own_server_that_goes_away_is_lost(site: Sites) -> None:
    """The same SQLSTATEs, when the session itself ends."""
    ours = await connect(site.ours.url("members"))
    victim = await connect(site.ours.url("members"))
    waiting = asyncio.create_task(victim.fetchval("select pg_sleep(20)"))
    terminate = (
        "select bool_or(pg_terminate_backend(pid)) from pg_stat_activity"
        " where wait_event = 'PgSleep'"
    )
    while not await ours.fetchval(terminate):
        await asyncio.sleep(0.01)
    await ours.close()

    with pytest.raises(asyncpg.PostgresConnectionError) as lost:
        await waiting
    assert isinstance(failed_query("club", lost.value), StoreLost)
    victim.terminate()
