"""Definitions: what lists.define accepts, says and refuses; what an address means."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest

from tests.edges.store.given import MEMBER_TABLE, resolved
from tests.unit.mail.addresses import ADDRESSES
from worker.mail.address import usable_address
from worker.store import lists

if TYPE_CHECKING:
    from worker.store.database import Connection

SECTIONS = """
    create view lists.section as select section, email, name, person, may_post, moderator
      from club.member where section is not null;
"""
DEFINE = "select lists.define(view => 'lists.section', {})"


@pytest.fixture
async def club(owner: Connection) -> Connection:
    """A member table with sections, and the views on it."""
    await owner.execute(MEMBER_TABLE + SECTIONS)
    await owner.execute(
        "insert into club.member (email, person, section, may_post, moderator) values "
        "('a@b.fr', '1', 'judo', null, true), ('c@d.fr', '2', 'judo', false, false),"
        "('e@f.fr', '3', 'aikido', true, null)"
    )
    return owner


class Mistake(NamedTuple):
    """Arguments of lists.define, and what must be said."""

    arguments: str
    said: str


MISTAKES = {
    "no such column": Mistake(
        "address => '{sektion}', title => 't'",
        "uses {sektion}, but lists.section has no such column; its columns are: section, email",
    ),
    "no such option": Mistake("address => '{section}', titel => 't'", "titel"),
    "reserved": Mistake("address => 'postmaster', title => 't'", "is reserved"),
    "service prefix": Mistake("address => 'return-x', title => 't'", "is reserved"),
    "capitals": Mistake("address => 'Judo', title => 't'", "cannot be a local part"),
    "parts that touch": Mistake("address => '{section}{email}', title => 't'", "two parts touch"),
    "post": Mistake(
        "address => '{section}', title => 't', post => 'member'",
        "post must be members, anyone, moderators, nobody or a view, not 'member'",
    ),
    "reply_to": Mistake(
        "address => '{section}', title => 't', reply_to => 'all'",
        "reply_to must be author or list, not 'all'",
    ),
    "lang": Mistake("address => '{section}', title => 't', lang => 'de'", "lang must be fr or en"),
    "size": Mistake("address => '{section}', title => 't', max_size => 'big'", "big"),
    "another's address": Mistake("address => 'tous', title => 't'", "tous"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_mistakes_are_named(club: Connection, mistake: Mistake) -> None:
    """A wrong definition fails when it is made, and says what is wrong."""
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await club.execute(DEFINE.format(mistake.arguments))

    assert mistake.said in f"{refusal.value} {getattr(refusal.value, 'detail', '')}"


async def test_a_view_without_email_is_refused(club: Connection) -> None:
    """Email is the one column that a list needs."""
    await club.execute("create view lists.poor as select name from club.member")

    with pytest.raises(asyncpg.RaiseError, match="has no column email"):
        await club.execute("select lists.define('lists.poor', 'poor', 'Poor')")


async def test_addresses_are_resolved_by_what_exists(club: Connection, db: Connection) -> None:
    """An address with parts exists while its view has a row for it."""
    await club.execute(
        DEFINE.format("address => 'section.{section}', title => 'Section {section}'")
    )

    judo = await resolved(db, "section.judo")

    assert (judo.definition.name, judo.parts, judo.title) == (
        "section",
        {"section": "judo"},
        "Section judo",
    )
    assert await lists.resolve(db, "section.rugby") is None
    assert await lists.resolve(db, "nothing") is None
    assert (await resolved(db, "SECTION.Judo")).parts == {"section": "judo"}


async def test_a_local_part_is_data(club: Connection, db: Connection) -> None:
    """Hostile local parts find nothing and break nothing."""
    await club.execute(DEFINE.format("address => '{section}', title => 't'"))
    for hostile in ("judo' or '1'='1", "{section}", "%", '"; drop table x; --', "", "jud_"):
        assert await lists.resolve(db, hostile) is None


async def test_exact_comes_before_pattern(club: Connection, db: Connection) -> None:
    """Tous is the list of all, although {section} could mean it."""
    await club.execute("update club.member set section = 'tous' where person = '3'")
    await club.execute(DEFINE.format("address => '{section}', title => 't'"))

    assert (await resolved(db, "tous")).definition.name == "everybody"


class Right(NamedTuple):
    """Who may post under a rule."""

    post: str
    may: str
    may_not: str


RIGHTS = {
    "members": Right("members", "A@B.fr", "x@y.fr"),
    "members, but not this one": Right("members", "a@b.fr", "c@d.fr"),
    "moderators": Right("moderators", "a@b.fr", "c@d.fr"),
    "anyone": Right("anyone", "x@y.fr", ""),
    "nobody": Right("nobody", "", "a@b.fr"),
    "a view": Right("lists.section_authors", "chef@b.fr", "a@b.fr"),
}


@pytest.mark.parametrize("right", RIGHTS.values(), ids=RIGHTS)
async def test_who_may_post(club: Connection, db: Connection, right: Right) -> None:
    """The view says who may post."""
    await club.execute(
        "create view lists.section_authors as select 'judo'::text as section, 'chef@b.fr' as email"
    )
    await club.execute(
        DEFINE.format(f"address => '{{section}}', title => 't', post => '{right.post}'")
    )
    judo = await resolved(db, "judo")

    assert not right.may or await lists.may_post(db, judo, right.may)
    assert not right.may_not or not await lists.may_post(db, judo, right.may_not)


async def test_the_directory_counts_what_exists(club: Connection, db: Connection) -> None:
    """Every address that exists now, for free."""
    await club.execute(DEFINE.format("address => '{section}', title => 't'"))
    await club.execute("insert into lists.manual (list, email) values ('bureau', 'a@b.fr')")

    found = {entry.address: entry.recipients for entry in await lists.directory(db)}

    assert found == {"aikido": 1, "bureau": 1, "judo": 2, "tous": 3}


async def test_check_finds_what_define_could_not(club: Connection) -> None:
    """Addresses that cannot exist, rows without an address, two lists with one address."""
    await club.execute(DEFINE.format("address => '{section}', title => 't'"))
    await club.execute(
        "insert into club.member (email, section) values ('no address', 'Judo Club');"
        "insert into lists.manual (list, email) values ('judo', 'x@y.fr')"
    )

    found = {
        (row["definition"], row["severity"]): row["finding"]
        for row in await club.fetch("select * from lists.check()")
    }

    assert found["everybody", "warning"] == "rows without a usable address: 1"
    assert "Judo Club is no address" in found["section", "warning"]
    assert "judo is also an address of section" in found["manual", "error"]


async def test_check_names_a_view_that_is_gone(club: Connection) -> None:
    """A dropped view is an error with its repair."""
    await club.execute("drop view lists.everybody")

    [finding] = [
        r for r in await club.fetch("select * from lists.check()") if r["severity"] == "error"
    ]
    assert "lists.drop" in finding["finding"]


async def test_the_worker_reads_lists_and_nothing_behind_them(
    club: Connection, db: Connection
) -> None:
    """Views run with their owner's rights."""
    assert club is not db
    assert await db.fetchval("select count(*) from lists.everybody") == 3
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.fetchval("select count(*) from club.member")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.execute("update relais.clock set rate = 2")


async def test_sql_and_python_agree_on_addresses(db: Connection) -> None:
    """One table, both rules (worker/mail/address.py)."""
    judged = {
        name: await db.fetchval("select relais.usable_address($1)", case.address)
        for name, case in ADDRESSES.items()
    }

    assert judged == {name: usable_address(case.address) for name, case in ADDRESSES.items()}
