"""Definitions: what lists.define refuses, what lists.check finds, what lists.expect expects."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest

from tests.edges.store.given import MEMBER_TABLE, posted
from worker.store import checks
from worker.store.checks import Severity

if TYPE_CHECKING:
    from worker.store.checks import Inspection
    from worker.store.database import Connection

SECTIONS = """
    create view lists.section as select section, email, name, person, may_post, moderator
      from club.member where section is not null;
    create view lists.plain as select email, section from club.member;
    create view lists.codes as select email, 7 as code, 'x'::char(4) as short, 1 as may_post
      from club.member;
    create view lists.numbers as select email, 7 as person from club.member;
"""
DEFINE = "select lists.define(view => 'lists.section', {})"
SECTION = DEFINE.format("address => '{section}', title => 't'")
SHORT_PATIENCE = timedelta(seconds=0.3)


@pytest.fixture
async def club(owner: Connection) -> Connection:
    """A member table with sections, and the list ``tous``."""
    await owner.execute(MEMBER_TABLE + SECTIONS)
    await owner.execute(
        "insert into club.member (email, person, section, moderator) values "
        "('a@b.fr', '1', 'judo', true), ('c@d.fr', '2', 'judo', false),"
        "('e@f.fr', '3', 'aikido', true)"
    )
    return owner


async def inspected(db: Connection, patience: timedelta = checks.PATIENCE) -> Inspection:
    """Check everything, in a transaction that is rolled back."""
    transaction = db.transaction()
    await transaction.start()
    try:
        return await checks.inspect(db, patience=patience)
    finally:
        await transaction.rollback()


async def findings(
    db: Connection, patience: timedelta = checks.PATIENCE
) -> set[tuple[str | None, Severity, str]]:
    """Return what is wrong."""
    return {(f.definition, f.severity, f.text) for f in (await inspected(db, patience)).findings}


class Mistake(NamedTuple):
    """Arguments of lists.define after view and title, and what must be said."""

    arguments: str
    said: str
    hint: str = ""


MISTAKES = {
    "no such column": Mistake(
        "address => '{sektion}'",
        "list section: the address uses {sektion}, but lists.section has no such column;"
        " its columns are: section, email, name, person, may_post, moderator",
    ),
    "reserved": Mistake("address => 'postmaster'", "the address 'postmaster' is reserved"),
    "may order a certificate": Mistake("address => 'admin'", "'admin' is reserved"),
    "service prefix": Mistake("address => 'return-x'", "'return-x' is reserved"),
    "a pattern of ours": Mistake("address => 'confirm-{section}'", "is reserved"),
    "a role of each list": Mistake("address => '{section}-owner'", "is reserved"),
    "capitals": Mistake("address => 'Judo'", "address 'Judo' cannot be a local part"),
    "plus": Mistake("address => '{section}+x'", "cannot be a local part", "use a-z, 0-9"),
    "too long": Mistake(f"address => '{'x' * 65}'", "cannot be a local part", "at most 64"),
    "no address": Mistake("address => null", "address NULL cannot be a local part"),
    "parts that touch": Mistake(
        "address => '{section}{email}'",
        "in '{section}{email}' two parts touch, so an address could be split in two ways",
        "put a dot between them",
    ),
    "another's address": Mistake(
        "address => 'tous'",
        "list section: the list everybody has the address 'tous' already",
        "select lists.drop('lists.everybody');",
    ),
    "title of something else": Mistake(
        "address => '{section}', title => 'Section {sektion}'",
        "the title uses {sektion}, which is no part of the address",
        "its parts are: {section}",
    ),
    "title, but no parts": Mistake(
        "address => 'judo', title => '{section}'",
        "the title uses {section}, which is no part",
        "the address has no parts",
    ),
    "blank title": Mistake("address => 'judo', title => ' '", "title must say what the list is"),
    "title of two lines": Mistake("address => 'judo', title => E'a\\r\\nBcc: b'", "one line"),
    "title turned around": Mistake("address => 'judo', title => E'a\\u202Eb'", "one line"),
    "why": Mistake(
        "address => '{section}', why => 'member of {role}'",
        "the why uses {role}, which is no column of the view",
    ),
    "long why": Mistake(
        f"address => 'judo', why => '{'x' * 201}'", "why has 201 characters, and may have 200"
    ),
    "long footer": Mistake(f"address => 'judo', footer => '{'x' * 301}'", "and may have 300"),
    "footer of two lines": Mistake("address => 'judo', footer => E'a\\nb'", "footer must be one"),
    "post": Mistake(
        "address => '{section}', post => 'member'",
        "post must be members, anyone, moderators, nobody or a view, not 'member'",
    ),
    "post is no name": Mistake("address => 'judo', post => 'us \" them'", "post must be members"),
    "post is a table": Mistake(
        "address => 'judo', post => 'club.member'",
        "post names club.member, and authors are a view in the schema lists",
        "create view lists.section_authors as select email from club.member",
    ),
    "post lacks a part": Mistake(
        "address => '{section}', post => 'lists.everybody'",
        "the view of authors: the address uses {section}, but lists.everybody has no such column",
    ),
    "authenticate": Mistake(
        "address => 'judo', authenticate => 'none'",
        "authenticate must be auth_or_confirm, auth_only, confirm_always or moderate, not 'none'",
    ),
    "moderate": Mistake("address => 'judo', moderate => 'yes'", "must be no, strangers or all"),
    "moderate null": Mistake("address => 'judo', moderate => null", "strangers or all, not NULL"),
    "reply_to": Mistake(
        "address => 'judo', reply_to => 'all'", "reply_to must be author, list or owner, not 'all'"
    ),
    "form": Mistake(
        "address => 'judo', form => 'secret'",
        "form must be discussion, announcement or anonymous, not 'secret'",
    ),
    "replies to the author of an anonymous list": Mistake(
        "address => 'judo', form => 'anonymous', reply_to => 'author'",
        "a reply to its author would tell who wrote an anonymous posting",
        "write reply_to => 'list', or 'owner'",
    ),
    "a tag that answers": Mistake(
        "address => 'judo', subject_prefix => 'Re: '",
        "would make a reply of each message",
        "[Board]",
    ),
    "a tag of another list": Mistake(
        "address => '{section}', subject_prefix => '[{email}]'",
        "the subject_prefix uses {email}, which is no part of the address",
    ),
    "unsubscribe": Mistake("address => 'judo', unsubscribe => 'no'", "must be yes or contact"),
    "lang": Mistake("address => 'judo', lang => 'de'", "lang must be fr or en, not 'de'"),
    "in_doubt": Mistake("address => 'judo', in_doubt => 'drop'", "must be resend or park"),
    "size": Mistake(
        "address => 'judo', max_size => 'big'",
        "max_size must be a size from 10 kB to 50 MB, not 'big'",
        "write it as '500 kB' or '5 MB'",
    ),
    "size zero": Mistake("address => 'judo', max_size => '0'", "10 kB to 50 MB, not '0'"),
    "size negative": Mistake("address => 'judo', max_size => '-5 MB'", "10 kB to 50 MB"),
    "size without a unit": Mistake("address => 'judo', max_size => '5'", "10 kB to 50 MB, not '5'"),
    "size too large": Mistake("address => 'judo', max_size => '51 MB'", "not '51 MB'"),
    "size absurd": Mistake("address => 'judo', max_size => '9999999999999 TB'", "10 kB to 50 MB"),
    "size null": Mistake("address => 'judo', max_size => null", "10 kB to 50 MB, not NULL"),
    "recipients": Mistake("address => 'judo', max_recipients => 0", "must be 1 or more, not '0'"),
    "notify_above": Mistake("address => 'judo', notify_above => -1", "must be 0 or more"),
    "owner": Mistake("address => 'judo', owner => 'Jean'", "owner must be an e-mail address"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_mistakes_are_named(club: Connection, mistake: Mistake) -> None:
    """A wrong definition fails when it is made, says what is wrong, and what to write."""
    title = "" if "title =>" in mistake.arguments else ", title => 't'"

    with pytest.raises(asyncpg.RaiseError) as refusal:
        await club.execute(DEFINE.format(mistake.arguments + title))

    assert mistake.said in str(refusal.value)
    assert mistake.hint in (refusal.value.hint or "")


async def test_a_misspelt_option_is_no_option(club: Connection) -> None:
    """PostgreSQL refuses it; worker/store/mistakes.py says what was meant."""
    with pytest.raises(asyncpg.UndefinedFunctionError, match="titel => unknown"):
        await club.execute(DEFINE.format("address => 'judo', titel => 't'"))


NEEDS = {
    "moderate => 'strangers'": "list plain: moderate => 'strangers' needs somebody who moderates",
    "moderate => 'all'": "list plain: moderate => 'all' needs somebody who moderates",
    "post => 'moderators'": "list plain: post => 'moderators' needs somebody who moderates",
    "authenticate => 'moderate'": "list plain: authenticate => 'moderate' needs somebody",
}


@pytest.mark.parametrize("option", NEEDS)
async def test_who_moderates_must_be_known(club: Connection, option: str) -> None:
    """By a column of the view, or an owner."""
    define = f"select lists.define('lists.{{}}', 'judo', 't', {option}{{}})"

    with pytest.raises(asyncpg.RaiseError, match=NEEDS[option]) as refusal:
        await club.execute(define.format("plain", ""))
    await club.execute(define.format("plain", ", owner => 'a@b.fr'"))
    await club.execute("select lists.drop('lists.plain')")
    await club.execute(define.format("section", ""))

    assert "add a boolean column moderator to lists.plain" in (refusal.value.hint or "")


VIEWS = {
    "no email": (
        "select name from club.member",
        "lists.poor has no column email; its columns are: name",
    ),
    "a part that is a number": (
        "select email, 7 as x from club.member",
        "{x} is integer and must be text: write x::text as x in the view",
    ),
    "a part that is padded": (
        "select email, 'x'::char(4) as x from club.member",
        "{x} is character(4) and must be text: write x::text as x in the view",
    ),
    "a name to quote": (
        'select email, 7 as "x", 1 as "may_post", 2 as "Other" from club.member',
        "{x} is integer",
    ),
    "email that is none": ("select 7 as email, ''::text as x", "email is integer and must be text"),
    "person": (
        "select email, 7::bigint as person, ''::text as x from club.member",
        "person is bigint and must be text: write person::text as person in the view",
    ),
    "may_post": (
        "select email, 1 as may_post, ''::text as x from club.member",
        "may_post is integer and must be boolean: write may_post::boolean as may_post in the view",
    ),
    "secretary": (
        "select email, 1 as secretary, ''::text as x from club.member",
        "secretary is integer and must be text: write secretary::text as secretary in the view",
    ),
}


@pytest.mark.parametrize(("query", "said"), VIEWS.values(), ids=VIEWS)
async def test_columns_have_their_types(club: Connection, query: str, said: str) -> None:
    """Email is needed; what else has a meaning has a type."""
    await club.execute(f"create view lists.poor as {query}")

    with pytest.raises(asyncpg.RaiseError) as refusal:
        await club.execute("select lists.define('lists.poor', 'x.{x}', 'Poor')")

    assert f"list poor: {said}" in str(refusal.value)


async def test_who_mends_is_computed(club: Connection) -> None:
    """A copy needs no secretary: so it is the check that finds out what is wrong with it."""
    await club.execute(
        "create view lists.poor as select email, (1 / (length(email) * 0))::text as secretary"
        " from club.member; select lists.define('lists.poor', 'poor', 'Poor')"
    )

    found = await findings(club)
    assert ("poor", "error", "its query fails: division by zero") in found


async def test_domains_and_varchar_are_text(club: Connection) -> None:
    """Member files have types of their own."""
    await club.execute(
        "create domain club.address as varchar(200) check (value <> 'x');"
        "create domain club.yes as boolean;"
        "create view lists.fine as select email::club.address, 'x'::varchar(9) as x,"
        " true::club.yes as may_post from club.member;"
        "select lists.define('lists.fine', 'fine.{x}', 'Fine')"
    )

    assert not [f for f in await findings(club) if f[0] == "fine" and f[1] is Severity.ERROR]


async def test_only_a_view_of_the_schema_is_a_list(club: Connection) -> None:
    """Not a table, which would be opened to the worker."""
    with pytest.raises(asyncpg.RaiseError, match=r"club\.member: a list is a view in the schema"):
        await club.execute("select lists.define('club.member', 'x', 'X')")


async def test_defining_again_keeps_the_row(club: Connection) -> None:
    """A list that is defined anew is the same list."""
    await club.execute(DEFINE.format("address => '{section}', title => 't', footer => 'f'"))
    await club.execute(
        "drop view lists.section;"
        "create view lists.section as select email, section from club.member"
    )
    await club.execute(DEFINE.format("address => 's.{section}', title => 'u'"))

    rows = await club.fetch(
        "select address, title, footer from lists.definition where name = 'section'"
    )

    assert [tuple(row) for row in rows] == [("s.{section}", "u", None)]


async def test_a_renamed_view_is_told(club: Connection) -> None:
    """The name is what opt-outs hang on."""
    await club.execute(SECTION)
    await club.execute("alter view lists.section rename to part")

    with pytest.raises(
        asyncpg.RaiseError, match="its view was renamed: the list is called section"
    ):
        await club.execute("select lists.define('lists.part', '{section}', 't')")


async def test_a_list_whose_view_is_gone_can_be_dropped(club: Connection) -> None:
    """By its name, as lists.check says."""
    await club.execute(SECTION + "; drop view lists.section")
    assert await findings(club) == {
        (
            "section",
            Severity.ERROR,
            "its view has been dropped: first select lists.drop('lists.section');",
        )
    }

    await club.execute("select lists.drop('lists.section')")

    assert await findings(club) == set()
    with pytest.raises(asyncpg.RaiseError, match="is not defined, so it cannot be dropped"):
        await club.execute("select lists.drop('lists.section')")


async def test_a_row_from_before_is_valid(club: Connection) -> None:
    """The columns of 0005 have defaults."""
    await club.execute(
        "insert into lists.definition (name, view, address, parts, title, post, reply_to,"
        " max_size, max_recipients, lang) values ('plain', 'lists.plain', 'plain', '{}', 'Plain',"
        " 'members', 'author', 1000, 10, 'fr')"
    )

    assert await findings(club) == set()


async def test_secretaries_who_cannot_be_written_to(club: Connection) -> None:
    """They are counted: their letters would go to somebody else, and nobody would know."""
    await club.execute(
        """
        create view lists.mended as
            select 'a@b.fr' as email, who as secretary
              from unnest(array['judo@club.fr', ' Judo@club.fr ', 'judo', 'a@b', '', null]) who;
        select lists.define('lists.mended', address => 'nommes', title => 'Nommés');
        """
    )

    found = await findings(club)

    assert ("mended", "warning", "rows whose secretary cannot be written to: 2") in found


async def test_both_checks_find_the_same(club: Connection) -> None:
    """lists.check() is what an admin calls; relais calls its parts one by one."""
    await club.execute(SECTION)
    await club.execute(
        "insert into club.member (email, section) values ('no address', 'Judo Club'),"
        "(null, 'x'), (' ', 'x'), ('a@b.fr', 'tous'), ('A@B.FR', 'tous'), ('x@y.fr', 'return-x');"
        "insert into lists.manual (list, email) values ('judo', 'x@y.fr'), ('aikido', 'x@y.fr')"
    )

    found = await findings(club)

    assert found == {
        ("everybody", "warning", "rows without an address: 2"),
        ("everybody", "warning", "rows without a usable address: 1"),
        ("everybody", "remark", "rows that repeat an address of the same list: 2"),
        ("section", "warning", "rows without an address: 2"),
        ("section", "warning", "rows without a usable address: 1"),
        ("section", "remark", "rows that repeat an address of the same list: 1"),
        (
            "section",
            "warning",
            "Judo Club is no address: lower-case letters, digits, dot, - and _ only",
        ),
        ("section", "warning", "return-x is no address: the name is reserved"),
        ("manual", "error", "aikido and 1 more are also addresses of section"),
        ("section", "warning", "tous means the list everybody, which is more exact"),
    }
    rows = await club.fetch("select definition, severity, finding from lists.check()")
    assert {tuple(row) for row in rows} == found
    assert await club.fetchval("select current_setting('role')") == "none"


async def test_the_worker_can_check(club: Connection, db: Connection) -> None:
    """As relais lists --check does, on a live database and in a transaction that only reads."""
    await club.execute(SECTION)
    transaction = db.transaction(readonly=True)
    await transaction.start()
    inspection = await checks.inspect(db)
    await transaction.rollback()

    assert inspection.findings == ()
    size = inspection.sizes["section"]
    assert size is not None
    assert size.people == {"judo": 2, "aikido": 1}


ADDRESSES = {
    "null": None,
    "two": "a@b.fr,c@d.fr",
    "CRLF": "a@b.fr\r\nBcc: c@d.fr",
    "very long": "x" * 388 + "@example.fr",
    "IDN": "a@café.fr",
    "not mail": "06 12 34 56 78",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
async def test_bad_addresses_are_counted(club: Connection, db: Connection, address: str) -> None:
    """Neither the check nor the expansion stumbles over one, and nobody is left out for it."""
    await club.execute("insert into club.member (email) values ($1)", address)

    [(_, severity, text)] = await findings(club)
    _, roll = await posted(db)

    assert severity is Severity.WARNING
    assert text.endswith("address: 1")
    assert (roll.recipients, roll.unusable) == (3, 1)


async def test_our_own_list_is_no_member(club: Connection, db: Connection) -> None:
    """SQL does not know our domain, so the check is silent; the expansion leaves it out."""
    await club.execute("insert into club.member (email) values ('judo@listes.example.fr')")

    _, roll = await posted(db)

    assert await findings(club) == set()
    assert (roll.recipients, roll.unusable) == (3, 1)


class Query(NamedTuple):
    """A function that a view calls for each row, and what becomes of it."""

    body: str
    said: str


WRITES = "cannot execute INSERT in a read-only transaction"
QUERIES = {
    "writes": Query(
        "insert into club.member (email) values ('x'); return 'x'",
        "permission denied for schema club",
    ),
    "writes with its owner's rights": Query(
        "insert into club.member (email) values ('x'); return 'x'; end $$ security definer;"
        " do $$ begin null",
        WRITES,
    ),
    "takes its rights back": Query(
        "perform set_config('role', 'none', true);"
        " insert into club.member (email) values ('x'); return 'x'",
        WRITES,
    ),
    "wants to write again": Query(
        "perform set_config('transaction_read_only', 'off', true); return 'x'",
        "cannot set transaction read-write mode inside a read-only transaction",
    ),
    "takes its time": Query(
        "perform set_config('statement_timeout', '0', true); return 'x'",
        "it changes the setting statement_timeout",
    ),
    "reads what the worker may not": Query(
        "return (select email from club.member limit 1)", "permission denied for schema club"
    ),
    "makes a table": Query(
        "create table club.x (y int); return 'x'", "cannot execute CREATE TABLE"
    ),
    "makes a temporary table": Query("create temp table x (y int); return 'x'", "cannot execute"),
    "fails": Query("return 1 / 0", "division by zero"),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_a_query_only_reads(club: Connection, query: Query) -> None:
    """Whatever a view calls: it fails here, and nothing of it stays."""
    await club.execute(
        "create function public.mischief() returns text language plpgsql as"
        f" $$ begin {query.body}; end $$;"
        "create view lists.naughty as select email, public.mischief() as name from club.member;"
        "select lists.define('lists.naughty', 'naughty', 'Naughty')"
    )

    found = await findings(club)

    [(definition, severity, text)] = found
    assert (definition, severity) == ("naughty", Severity.ERROR)
    assert text.startswith(f"its query fails: {query.said}")
    assert await club.fetchval("select count(*) from club.member") == 3
    rows = await club.fetch("select definition, severity, finding from lists.check()")
    assert {tuple(row) for row in rows} == found
    assert await club.fetchval("select current_setting('statement_timeout')") == "0"
    await club.execute("create table club.still_writable (x int)")


SLOW = {
    "sleeps": "select email, pg_sleep(60)::text as name from club.member",
    "five million rows": "select 'a' || n || '@b.fr' as email from generate_series(1, 5000000) n",
    "five million addresses": (
        "select 'a@b.fr'::text as email, n::text as x from generate_series(1, 5000000) n"
    ),
    "a view of authors that sleeps": "select email from club.member",
}


@pytest.mark.parametrize("case", SLOW)
async def test_a_slow_query_is_cut(club: Connection, case: str) -> None:
    """The others are checked all the same."""
    await club.execute(f"create view lists.slow as {SLOW[case]}")
    await club.execute(
        "create view lists.sleepers as select email, pg_sleep(60)::text as name from club.member"
    )
    address = "slow.{x}" if "addresses" in case else "slow"
    post = "lists.sleepers" if "authors" in case else "members"
    await club.execute(f"select lists.define('lists.slow', '{address}', 'Slow', post => '{post}')")
    await club.execute(SECTION)

    inspection = await inspected(club, SHORT_PATIENCE)

    assert [str(f) for f in inspection.findings] == ["list slow: its query takes longer than 0.3 s"]
    assert inspection.sizes["slow"] is None
    assert inspection.sizes["section"] is not None


async def test_too_many_addresses_are_not_held(
    club: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is different for each row is a mistake, and takes no memory."""
    monkeypatch.setattr(checks, "_ADDRESSES_AT_MOST", 1)
    await club.execute(SECTION)

    assert await findings(club) == {
        ("section", "warning", "it has more than 1 addresses, which are not compared")
    }


async def test_a_view_that_was_altered_is_checked_again(club: Connection) -> None:
    """A renamed column of the table is followed; one of the view breaks the definition."""
    await club.execute(SECTION)
    await club.execute("alter table club.member rename column section to department")
    assert await findings(club) == set()

    await club.execute("alter view lists.section rename column section to department")

    [(definition, severity, text)] = await findings(club)
    assert (definition, severity) == ("section", Severity.ERROR)
    assert text.startswith("the address uses {section}, but lists.section has no such column;")


async def test_a_column_that_is_read_cannot_be_dropped(club: Connection) -> None:
    """PostgreSQL refuses it."""
    with pytest.raises(asyncpg.DependentObjectsStillExistError, match="cannot drop column email"):
        await club.execute("alter table club.member drop column email")


async def test_the_view_of_authors_is_checked_too(club: Connection) -> None:
    """It may lose a column, its rows, and its existence."""
    await club.execute(
        "create table club.author (section text, email text);"
        "create view lists.authors as select section, email from club.author"
    )
    await club.execute(
        DEFINE.format("address => '{section}', title => 't', post => 'lists.authors'")
    )

    empty = await findings(club)
    await club.execute("alter view lists.authors rename column section to part")
    altered = await findings(club)
    await club.execute("drop view lists.authors")
    gone = await findings(club)

    nobody = "the view of those who may post has no row, so nobody may"
    assert empty == {("section", "warning", nobody)}
    assert {text[:68] for _, _, text in altered} == {
        "the view of those who may post: the address uses {section}, but list"
    }
    assert gone == {
        (
            "section",
            "error",
            "the view of those who may post has been dropped: define the list again",
        )
    }


async def test_a_lost_moderator_is_missed(club: Connection) -> None:
    """The column may go, and an address may have nobody."""
    await club.execute(DEFINE.format("address => '{section}', title => 't', moderate => 'all'"))
    await club.execute("update club.member set moderator = false where section = 'judo'")
    nobody = await findings(club)
    await club.execute("alter view lists.section rename column moderator to chef")
    no_column = await findings(club)

    assert nobody == {("section", "warning", "judo has no moderator")}
    [(_, severity, text)] = no_column
    assert severity is Severity.ERROR
    assert text.startswith("moderate => 'all' needs somebody who moderates")


async def test_the_worker_must_be_able_to_read(club: Connection) -> None:
    """A view whose grant was taken away is named with its repair."""
    await club.execute(SECTION + "; revoke select on lists.section from relais_worker")

    said = "the worker may not read it: grant select on lists.section to relais_worker;"
    assert await findings(club) == {("section", "error", said)}


async def test_empty_lists(club: Connection) -> None:
    """A list that nobody is on is worth a look; the hand-kept one that came with us is not."""
    await club.execute(SECTION + "; delete from club.member")

    assert await findings(club) == {
        ("everybody", "warning", "its view has no row"),
        ("section", "warning", "its view has no row, so it has no address"),
    }


async def test_an_empty_list_hides_as_well(club: Connection) -> None:
    """A list without parts exists though nobody is on it."""
    await club.execute(
        "create view lists.nobody as select email from club.member where false;"
        "select lists.define('lists.nobody', 'judo', 'Nobody')"
    )
    await club.execute(SECTION)

    hidden = "judo means the list nobody, which is more exact"
    assert ("section", "warning", hidden) in await findings(club)


async def test_one_list_may_give_an_address_twice(club: Connection) -> None:
    """Where a part holds what stands between the parts, nobody knows which is meant."""
    await club.execute(
        "create view lists.twice as select 'a@b.fr'::text as email, a, b"
        " from (values ('x.y', 'z'), ('x', 'y.z'), ('x', 'y')) v(a, b);"
        "select lists.define('lists.twice', '{a}.{b}', 'Twice')"
    )

    said = "x.y.z is given twice, for a part has in it what stands between the parts"
    assert ("twice", "error", said) in await findings(club)


async def test_an_address_with_a_null_part_is_none(club: Connection) -> None:
    """It is no half of an address either."""
    await club.execute(
        "create view lists.half as select email, section, null::text as nothing from club.member;"
        "select lists.define('lists.half', '{section}.{nothing}', 'Half')"
    )

    said = "an address and 1 more are no addresses: a part of it is null"
    assert ("half", "warning", said) in await findings(club)


class TestExpectations:
    """What an admin counts on."""

    async def test_a_number_is_expected(self, club: Connection) -> None:
        """Within the bounds nothing is said; an upper bound is not in the range."""
        await club.execute(SECTION)
        for bounds, text in {
            "2,3": None,
            "null,3": None,
            "0,null": None,
            "3,5": "judo has 2 people, expected 3 to 4",
            "5,null": "judo has 2 people, expected 5 or more",
            "null,2": "judo has 2 people, expected at most 1",
            "7,8": "judo has 2 people, expected 7",
        }.items():
            await club.execute(f"select lists.expect('Judo', people => int4range({bounds}))")
            expected = set() if text is None else {("section", Severity.ERROR, text)}
            assert await findings(club) == expected, bounds
        await club.execute("select lists.expect('judo', null)")
        assert await findings(club) == set()

    async def test_the_list_that_is_meant_counts(self, club: Connection) -> None:
        """Not one that is hidden behind it."""
        await club.execute("update club.member set section = 'tous' where person = '3'")
        await club.execute(SECTION + "; select lists.expect('tous', int4range(3, 4))")

        assert {text for _, _, text in await findings(club)} == {
            "tous means the list everybody, which is more exact"
        }

    async def test_an_address_that_no_list_gives(self, club: Connection) -> None:
        """A typo, or a list that lost its last member."""
        await club.execute(SECTION + "; select lists.expect('aikibo', int4range(1, 4))")

        said = "no list gives aikibo, where 1 to 3 people are expected; did you mean aikido?"
        assert await findings(club) == {(None, Severity.ERROR, said)}

    async def test_a_query_that_fails_is_said_once(self, club: Connection) -> None:
        """Its addresses are not known, so they are not missed."""
        await club.execute(SECTION + "; select lists.expect('judo', int4range(1, 4))")
        await club.execute("revoke select on lists.section from relais_worker")

        [(definition, _, _)] = await findings(club)
        assert definition == "section"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("'judo@x.fr', int4range(1, 2)", "judo@x.fr is no address of a list"),
            ("'judo', int4range(2, 2)", "judo: nobody can be within an empty range"),
            ("'judo', null", "nothing was expected of judo"),
            ("null, int4range(1, 2)", "null is no address of a list"),
        ],
    )
    async def test_mistakes(self, club: Connection, arguments: str, said: str) -> None:
        """What cannot be expected is refused."""
        with pytest.raises(asyncpg.RaiseError, match=said):
            await club.execute(f"select lists.expect({arguments})")
