"""Expansion: which rows of a view become deliveries, and why the others do not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest

from tests.edges.store.given import DOMAIN, PATIENCE, members, posted, resolved, states
from worker.store import expansion, lists, suppressions
from worker.store.expansion import Roll

if TYPE_CHECKING:
    from worker.store.database import Connection


class Case(NamedTuple):
    """Rows of (email, person), and how they are judged."""

    rows: list[tuple[str | None, str | None]]
    recipients: list[str]
    unusable: int = 0
    duplicates: int = 0


CASES = {
    "two people": Case([("a@b.fr", "1"), ("c@d.fr", "2")], ["a@b.fr", "c@d.fr"]),
    "no addresses": Case([(None, "1"), ("", "2")], [], unusable=2),
    "spaces around": Case([("  a@b.fr ", "1")], ["a@b.fr"]),
    "line break": Case([("a@b.fr\r\nRCPT TO:<x@y.fr>", "1"), ("a@b.fr\n", "2")], [], unusable=2),
    "two in one": Case([("a@b.fr,c@d.fr", "1")], [], unusable=1),
    "not ASCII": Case([("hélène@b.fr", "1"), ("a@bébé.fr", "2")], [], unusable=2),
    "endless": Case([("a" * 400 + "@b.fr", "1")], [], unusable=1),
    "our own list": Case([(f"tous@{DOMAIN}", "1"), ("a@b.fr", "2")], ["a@b.fr"], unusable=1),
    "our own list, capitals": Case([(f"tous@{DOMAIN.upper()}", "1")], [], unusable=1),
    "the same twice": Case([("a@b.fr", "1"), ("a@b.fr", "1")], ["a@b.fr"], duplicates=1),
    "case differs": Case([("A@b.fr", None), ("a@B.fr", None)], ["A@b.fr"], duplicates=1),
    "a shared address": Case([("a@b.fr", "1"), ("a@b.fr", "2")], ["a@b.fr"], duplicates=1),
    "one person, two addresses": Case([("a@b.fr", "1"), ("z@b.fr", "1")], ["a@b.fr"], duplicates=1),
    "a chain": Case(
        [("a@b.fr", "1"), ("y@b.fr", "1"), ("y@b.fr", "2")], ["a@b.fr", "y@b.fr"], duplicates=1
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_rows_are_judged(owner: Connection, db: Connection, case: Case) -> None:
    """Each row is counted once, as a recipient or with its reason."""
    await members(owner, case.rows)

    _, roll = await posted(db)

    kept = [r[0] for r in await db.fetch("select address from relais.delivery")]
    assert sorted(map(str.lower, kept)) == sorted(map(str.lower, case.recipients))
    assert roll == Roll(len(case.rows), len(kept), 0, case.unusable, case.duplicates)


async def test_who_left_is_left_out_even_with_a_new_address(
    owner: Connection, db: Connection
) -> None:
    """An opt-out follows the person and stays with the address."""
    await members(owner, [("a@b.fr", "1"), ("c@d.fr", "2"), ("e@f.fr", "3")])
    await posted(db)
    left = await db.fetchval("select person_id from relais.person where key = 'person:1'")
    list_id = await lists.remember(db, await resolved(db, "tous"))
    async with db.transaction():
        await suppressions.opt_out(db, list_id, left, source="page")
    await owner.execute("update club.member set email = 'new@b.fr' where person = '1'")
    await owner.execute("insert into club.member (email, person) values ('A@B.fr', '9')")

    _, roll = await posted(db, fingerprint=b"g" * 32)

    assert (roll.recipients, roll.suppressed) == (2, 2)


async def test_one_message_to_two_lists_gives_one_copy(owner: Connection, db: Connection) -> None:
    """A person on both lists has one copy of one message."""
    await members(owner, [("a@b.fr", "1"), ("c@d.fr", "2")])
    await owner.execute(
        "insert into lists.manual (list, email) values ('bureau', 'A@b.fr'), ('bureau', 'x@y.fr')"
    )
    await posted(db)

    _, roll = await posted(db, "bureau")

    assert (roll.recipients, roll.duplicates) == (1, 1)


async def test_a_second_posting_of_the_same_message_is_refused(
    owner: Connection, db: Connection
) -> None:
    """(list, fingerprint) makes one posting."""
    await members(owner, [("a@b.fr", "1")])
    await posted(db)

    with pytest.raises(AssertionError, match="posted before"):
        await posted(db)
    assert await states(db) == {"queued": 1}


async def test_a_query_that_takes_too_long_is_stopped(owner: Connection, db: Connection) -> None:
    """The admin's query never holds the worker."""
    await members(owner, [("a@b.fr", "1")])
    await owner.execute(
        "create or replace view lists.everybody as select email, name, person, may_post, moderator "
        "from club.member, pg_sleep(30)"
    )
    address = await resolved(db, "tous")

    with pytest.raises(asyncpg.QueryCanceledError):
        async with db.transaction(isolation="repeatable_read"):
            await expansion.judge(
                db,
                address,
                list_id=None,
                fingerprint=b"",
                domain=DOMAIN,
                patience=timedelta(milliseconds=50),
            )


async def test_a_query_that_writes_is_refused(owner: Connection, db: Connection) -> None:
    """A function in a view runs with the worker's rights, which are to read lists.*."""
    await members(owner, [("a@b.fr", "1")])
    await owner.execute(
        "create function lists.gone(e text) returns text language sql volatile as "
        "$$ with x as (delete from club.member returning email) select email from x $$;"
        "create or replace view lists.everybody as "
        "select lists.gone(email) as email, name, person, may_post, moderator from club.member"
    )
    address = await resolved(db, "tous")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with db.transaction(isolation="repeatable_read"):
            await expansion.judge(
                db, address, list_id=None, fingerprint=b"", domain=DOMAIN, patience=PATIENCE
            )


async def test_the_order_of_copies_is_no_alphabet(owner: Connection, db: Connection) -> None:
    """No provider and no name is always first."""
    await members(owner, [(f"m{n:03}@b.fr", str(n)) for n in range(100)])
    await posted(db)

    rows = await db.fetch("select address from relais.delivery order by delivery_id")
    order = [row["address"] for row in rows]
    assert order != sorted(order)
