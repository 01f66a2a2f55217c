"""Lists: what an address means, who may post, and what the worker may read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest

from tests.edges.store.given import MEMBER_TABLE, resolved
from tests.unit.mail.addresses import ADDRESSES
from worker.mail.address import usable_address
from worker.policy.expansion import Definition
from worker.store import authors, lists

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


async def test_options_come_as_they_were_defined(club: Connection, db: Connection) -> None:
    """Every option of lists.define arrives in the Definition."""
    await club.execute(
        DEFINE.format(
            "address => '{section}', title => 'Section {section}', why => 'member of {section}',"
            "post => 'moderators', authenticate => 'auth_only', moderate => 'strangers',"
            "reply_to => 'list', max_size => '500 kB', max_recipients => 7,"
            "unsubscribe => 'contact', footer => 'For {name} of {section}, {email}.', lang => 'en',"
            "notify_above => 0, in_doubt => 'park', owner => 'chef@b.fr', priority => 'low',"
            "finish_within => '2 days', form => 'announcement', subject_prefix => '[{section}]'"
        )
    )

    found = (await resolved(db, "judo")).definition

    assert found == Definition(
        name="section",
        view="lists.section",
        address="{section}",
        title="Section {section}",
        post="moderators",
        post_view=None,
        reply_to="list",
        max_size=500 * 1024,
        max_recipients=7,
        lang="en",
        why="member of {section}",
        authenticate="auth_only",
        moderate="strangers",
        unsubscribe="contact",
        footer="For {name} of {section}, {email}.",
        notify_above=0,
        in_doubt="park",
        owner="chef@b.fr",
        priority="low",
        finish_within=timedelta(days=2),
        form="announcement",
        subject_prefix="[{section}]",
        merge_fields=("name", "email"),
    )


NAMED = {
    "a discussion": ("", ()),
    "an announcement": (", form => 'announcement'", ("name",)),
    "an announcement that names it": (
        ", form => 'announcement', footer => '{email}, {name}'", ("email", "name"),
    ),
    "parts are no merge fields": (", footer => '{section}: {person}'", ("person",)),
}  # fmt: skip


@pytest.mark.parametrize(("options", "fields"), NAMED.values(), ids=NAMED)
async def test_which_columns_copies_need(
    club: Connection, db: Connection, options: str, fields: tuple[str, ...]
) -> None:
    """Those that the words name, and who an announcement is for; no others are kept."""
    await club.execute(DEFINE.format(f"address => '{{section}}', title => 'Section'{options}"))

    assert (await resolved(db, "judo")).definition.merge_fields == fields


async def test_defaults_are_the_same_in_both(club: Connection, db: Connection) -> None:
    """A Definition that names no option is what lists.define makes of three arguments."""
    await club.execute("select lists.define('lists.section', '{section}', 'Section')")

    found = (await resolved(db, "judo")).definition

    assert found == Definition(
        name="section",
        view="lists.section",
        address="{section}",
        title="Section",
        post="members",
        post_view=None,
        reply_to="author",
        max_size=5 * 1024 * 1024,
        max_recipients=2000,
        lang="fr",
    )


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

    assert not right.may or (await authors.standing(db, judo, right.may)).may_post
    assert not right.may_not or not (await authors.standing(db, judo, right.may_not)).may_post


async def test_the_directory_counts_what_exists(club: Connection, db: Connection) -> None:
    """Every address that exists now, for free."""
    await club.execute(DEFINE.format("address => '{section}', title => 't'"))
    await club.execute("insert into lists.manual (list, email) values ('bureau', 'a@b.fr')")

    found = {entry.address: entry.recipients for entry in await lists.directory(db)}

    assert found == {"aikido": 1, "bureau": 1, "judo": 2, "tous": 3}


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
