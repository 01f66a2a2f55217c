"""Late copies: who left on day 2 does not get the day-5 copy, and nobody is lost silently."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.actors.letters import Owner, attend, letter, notices, outcome_of, states
from tests.actors.test_holds import answered, pass_time
from tests.edges.store.given import DOMAIN
from worker.actors.dispatcher import claim_affordable, recheck_due
from worker.store import deliveries
from worker.store.database import borrowed
from worker.store.suppressions import opt_out

if TYPE_CHECKING:
    from worker.actors.office import Office


@pytest_asyncio.fixture
async def posted(office: Office, owner: Owner) -> Owner:
    """Twenty-two recipients who wait since thirteen hours."""
    await owner.execute(
        "insert into club.member (email, person)"
        " select 'm' || n || '@free.fr', 'm' || n from generate_series(1, 20) n"
    )
    await outcome_of(office, owner, letter())
    await pass_time(owner, "13 hours")
    return owner


async def claimed(office: Office, at_most: int = 100) -> set[str]:
    """Do what a dispatcher does, and return whose copies it claims."""
    async with borrowed(office.pool) as db:
        await recheck_due(db, "main", domain=DOMAIN, at_most=at_most, metrics=office.metrics)
        return {c.address for c in await claim_affordable(db, "w1", "main", at_most=at_most)}


async def test_who_left_is_not_written_to(office: Office, posted: Owner) -> None:
    """Gone from the view, or suppressed meanwhile by address; the others get theirs."""
    await posted.execute(
        "delete from club.member where person = 'm1';"
        "insert into relais.suppression (address, reason, source, since)"
        " values ('m2@free.fr', 'bounced', 'test', relais.now())"
    )

    assert await claimed(office) == {
        "a@b.fr",
        "c@d.fr",
        *(f"m{n}@free.fr" for n in range(3, 21)),
    }
    rows = await posted.fetch(
        "select address, reply from relais.delivery where state = 'cancelled' order by 1"
    )
    assert [row["address"] for row in rows] == ["m1@free.fr", "m2@free.fr"]
    assert rows[0]["reply"] == "no longer on the list"


HELD = """
    insert into relais.address_health (address, state, since, reason, status, evidence)
    select email, 'held', relais.now() - interval '9 days', 'unknown_user', '5.1.1', ''
      from club.member where person = any($1)
"""


async def test_a_held_address_is_not_written_to(office: Office, posted: Owner) -> None:
    """Its copy is cancelled, however long it is held."""
    await posted.execute(HELD, ["m1"])

    assert "m1@free.fr" not in await claimed(office)
    rows = await posted.fetch("select address from relais.delivery where state = 'cancelled'")
    assert [row["address"] for row in rows] == ["m1@free.fr"]


async def test_many_held_addresses_are_no_loss(office: Office, posted: Owner) -> None:
    """They are on the list still: nobody is asked about it, and others get theirs."""
    await posted.execute(HELD, [f"m{n}" for n in range(1, 21)])

    assert await claimed(office) == {"a@b.fr", "c@d.fr"}
    assert await states(posted) == {"Bonjour": "open"}


async def test_a_list_of_held_addresses_is_not_broken(office: Office, posted: Owner) -> None:
    """Nor does the next posting find that the list has shrunk."""
    await posted.execute("delete from club.member where person in ('1', '2')")
    await posted.execute(HELD, [f"m{n}" for n in range(2, 21)])

    assert await claimed(office) == {"m1@free.fr"}
    again = letter(subject="encore", author="m1@free.fr").replace(b"<1@b.fr>", b"<2@free.fr>")
    assert (await outcome_of(office, posted, again, uid=2))["outcome"] == "posted"


async def test_who_has_mended_the_address_gets_it_there(office: Office, posted: Owner) -> None:
    """The person is the same; only what is mended in the member space has changed."""
    await posted.execute("update club.member set email = 'neuf@orange.fr' where person = 'm1'")

    assert "neuf@orange.fr" in await claimed(office)
    provider = await posted.fetchval(
        "select provider from relais.delivery where address = 'neuf@orange.fr'"
    )
    assert provider == "orange"


async def test_a_fresh_posting_is_not_asked_about(office: Office, owner: Owner) -> None:
    """Within twelve hours the list was just asked."""
    await outcome_of(office, owner, letter())
    await owner.execute("delete from club.member where person = '1'")

    assert await claimed(office) == {"a@b.fr", "c@d.fr"}


async def test_a_check_lasts_a_quarter_of_an_hour(office: Office, posted: Owner) -> None:
    """The list is asked once for many copies, and again for those that leave later."""
    first = await claimed(office, at_most=5)
    assert len(first) == 5
    await posted.execute("delete from club.member where email <> all($1)", [*first, "a@b.fr"])
    assert len(await claimed(office, at_most=5)) == 5
    await pass_time(posted, "16 minutes")
    assert await claimed(office) == set()
    assert await states(posted) == {"Bonjour": "held moderation"}, "most of them are gone"


async def test_a_view_that_fails_cancels_nobody(office: Office, posted: Owner) -> None:
    """The copies wait, and leave when the view is mended; others are not held up."""
    await posted.execute("alter table club.member rename to gone; create table club.member ()")
    await posted.execute(
        "create or replace view lists.everybody as select email || (1 / 0) as email, name, person,"
        " may_post, moderator from club.gone"
    )
    await posted.execute("insert into lists.manual (list, email) values ('bureau', 'a@b.fr');")
    await outcome_of(office, posted, letter(trace=f"bureau@{DOMAIN}", subject="autre"), uid=2)

    assert await claimed(office) == {"a@b.fr"}
    await posted.execute(
        "create or replace view lists.everybody as select email, name, person, may_post,"
        " moderator from club.gone"
    )
    assert await claimed(office) == set(), "not for five minutes"
    await pass_time(posted, "6 minutes")
    assert len(await claimed(office)) == 22


async def test_a_view_that_lost_its_people_is_asked_about(office: Office, posted: Owner) -> None:
    """Most of those who wait are gone: a person says whether that is right."""
    await posted.execute("delete from club.member where person <> '1'")

    assert await claimed(office) == set()
    await attend(office)
    assert await states(posted) == {"Bonjour": "held moderation"}
    [question] = (await notices(posted))["moderate"]

    assert await answered(office, posted, question, b"ok", uid=2, author="aide@example.fr") == (
        "approved"
    )
    assert "a@b.fr" in await claimed(office)
    assert (
        await posted.fetchval("select count(*) from relais.delivery where state = 'cancelled'")
        == 21
    )


async def test_a_posting_held_under_way_is_refused(office: Office, posted: Owner) -> None:
    """Then the rest of it is cancelled, and its author hears of it."""
    await posted.execute("delete from club.member where person <> '1'")
    await claimed(office)
    await attend(office)
    [question] = (await notices(posted))["moderate"]

    await answered(office, posted, question, b"non", uid=2)

    counted = await posted.fetch(
        "select state::text, count(*) from relais.delivery where posting_id is not null group by 1"
    )
    assert {tuple(row) for row in counted} == {("cancelled", 22)}
    assert [m["to"] for m in (await notices(posted))["refused"]] == ["a@b.fr"]


async def test_an_opt_out_needs_no_recheck(office: Office, posted: Owner) -> None:
    """It cancels what waits at once."""
    person = await posted.fetchval(
        "select person_id from relais.delivery where address = 'm1@free.fr'"
    )
    async with borrowed(office.pool) as db, db.transaction():
        await opt_out(db, None, person, source="page")
    assert "m1@free.fr" not in await claimed(office)


BROKEN = {
    "all addresses are empty": "update club.member set email = null",
    "all addresses are unusable": "update club.member set email = 'x'",
    "few wait, and the list is empty": (
        "update relais.delivery set state = 'handed_over' where address like 'm%';"
        "delete from club.member"
    ),
}


@pytest.mark.parametrize("breaking", BROKEN.values(), ids=BROKEN)
async def test_a_list_that_broke_cancels_nobody(
    office: Office, posted: Owner, breaking: str
) -> None:
    """A wrong import of addresses must not end a posting in silence."""
    await posted.execute(breaking)

    assert await claimed(office) == set()
    assert await states(posted) == {"Bonjour": "held moderation"}
    assert (
        await posted.fetchval("select count(*) from relais.delivery where state = 'cancelled'") == 0
    )


async def test_a_yes_covers_one_loss(office: Office, posted: Owner) -> None:
    """Approved before it was posted, or once under way: the next loss is asked about."""
    await posted.execute(
        "update relais.posting set approved = '{shrank}';"
        "delete from club.member where person like 'm%' and person not in ('m1','m2','m3','m4')"
    )
    assert await claimed(office) == set()
    await attend(office)
    [question] = (await notices(posted))["moderate"]
    await answered(office, posted, question, b"ok", uid=2)
    await claimed(office, at_most=3)  # The notices among them come first.
    cancelled = "select count(*) from relais.delivery where state = 'cancelled'"
    assert await posted.fetchval(cancelled) == 16

    await posted.execute("delete from club.member where person <> '1'")
    await pass_time(posted, "16 minutes")
    await claimed(office)
    assert await states(posted) == {"Bonjour": "held moderation"}
    assert await posted.fetchval(cancelled) == 16


async def test_who_left_during_the_expansion(office: Office, owner: Owner) -> None:
    """The opt-out was committed between the view and the deliveries: no copy leaves."""
    await outcome_of(office, owner, letter())
    await owner.execute(
        "insert into relais.suppression (person_id, reason, source, since)"
        " select person_id, 'unsubscribed', 'page', relais.now() from relais.person"
        " where key = 'person:1'"
    )

    assert await claimed(office) == {"c@d.fr"}
    async with borrowed(office.pool) as db:
        assert len(await deliveries.cancel_suppressed(db, within=timedelta(days=10))) == 1
