"""One message to several lists: each person gets one copy, and it names them all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest_asyncio

from tests.actors.letters import Owner, arrive, attend, letter, notices, outcome_of
from tests.actors.test_holds import answered
from tests.edges.store.given import DOMAIN
from worker.actors.mediator import mediate
from worker.mail.copy import Personal, for_reader, read_template

if TYPE_CHECKING:
    from worker.actors.office import Office

TOUS, BUREAU = f"tous@{DOMAIN}", f"bureau@{DOMAIN}"
BOTH = f"{TOUS}, {BUREAU}"


@pytest_asyncio.fixture
async def bureau(owner: Owner) -> Owner:
    """A second list: one of the first's members, and one more."""
    await owner.execute(
        "create view lists.bureau as select * from (values"
        " ('a@b.fr'::text, '1'::text), ('z@b.fr', '26')) v(email, person);"
        "select lists.define(view => 'lists.bureau', address => 'bureau', title => 'Le bureau',"
        " lang => 'en')"
    )
    return owner


async def copies(owner: Owner) -> dict[str, str]:
    """Return the text of each person's one copy."""
    rows = await owner.fetch(
        "select d.address, coalesce(d.lang, o.lang) as lang, o.template"
        " from relais.delivery d join relais.posting o using (posting_id)"
        " where d.state <> 'cancelled' order by 1"
    )
    assert len({row["address"] for row in rows}) == len(rows), "one copy each"
    return {
        row["address"]: read_template(for_reader(row["template"], row["lang"]))
        .copy(Personal(b"r" * 32, b"u" * 32))
        .decode()
        .replace("=\r\n", "")
        for row in rows
    }


async def test_arriving_once_for_each(office: Office, bureau: Owner) -> None:
    """As most hosts do: the same message twice, with another Delivered-To."""
    first = await outcome_of(office, bureau, letter(to=BOTH, trace=TOUS))
    second = await outcome_of(office, bureau, letter(to=BOTH, trace=BUREAU), uid=2)

    assert (first["outcome"], second["outcome"]) == ("posted", "posted")
    found = await copies(bureau)
    assert set(found) == {"a@b.fr", "c@d.fr", "z@b.fr"}
    assert "aussi =C3=A9t=C3=A9 envoy=C3=A9 =C3=A0 =C2=AB=C2=A0Le bureau" in found["a@b.fr"]
    assert "also sent to =E2=80=9CTous=E2=80=9D; you get it once" in found["z@b.fr"]
    assert all(f"To: {BOTH}" in copy for copy in found.values())


async def test_arriving_once_for_both(office: Office, bureau: Owner) -> None:
    """A host that notes no recipient: To names both."""
    raw = letter(to=BOTH).replace(b"Delivered-To", b"X-Nothing")
    assert (await outcome_of(office, bureau, raw))["outcome"] == "posted"

    assert set(await copies(bureau)) == {"a@b.fr", "c@d.fr", "z@b.fr"}
    assert await bureau.fetchval("select count(*) from relais.posting") == 2


async def test_twice_for_both(office: Office, bureau: Owner) -> None:
    """It comes again with both in To, and nothing more goes out."""
    raw = letter(to=BOTH).replace(b"Delivered-To", b"X-Nothing")
    await outcome_of(office, bureau, raw)
    assert (await outcome_of(office, bureau, raw, uid=2))["outcome"] == "duplicate"
    assert len(await copies(bureau)) == 3


async def test_at_the_same_time(office: Office, bureau: Owner) -> None:
    """Two workers have one arrival each: still one copy for whoever is on both lists."""
    one = await arrive(office, letter(to=BOTH, trace=TOUS))
    two = await arrive(office, letter(to=BOTH, trace=BUREAU), uid=2)

    await asyncio.gather(mediate(one, office=office), mediate(two, office=office))

    assert set(await copies(bureau)) == {"a@b.fr", "c@d.fr", "z@b.fr"}


async def test_one_of_them_refuses(office: Office, bureau: Owner) -> None:
    """The other list gets it all the same, and the message stays with the taken."""
    await bureau.execute("update lists.definition set post = 'nobody' where name = 'bureau'")
    raw = letter(to=BOTH).replace(b"Delivered-To", b"X-Nothing")

    row = await outcome_of(office, bureau, raw)

    assert (row["outcome"], row["wanted_in"]) == ("posted", None)
    assert set(await copies(bureau)) == {"a@b.fr", "c@d.fr"}


async def test_a_blind_copy_goes_to_its_list_alone(office: Office, bureau: Owner) -> None:
    """The envelope decides; To shows another list, which is named but not written to."""
    await outcome_of(office, bureau, letter(to=TOUS, trace=BUREAU))

    assert set(await copies(bureau)) == {"a@b.fr", "z@b.fr"}


async def test_one_person_with_two_addresses(office: Office, bureau: Owner) -> None:
    """The two views know another address of the same person: still one copy."""
    await bureau.execute("update club.member set email = 'autre@b.fr' where person = '1'")
    raw = letter(to=BOTH, author="c@d.fr").replace(b"Delivered-To", b"X-Nothing")
    await bureau.execute("update lists.definition set post = 'anyone' where name = 'bureau'")

    await outcome_of(office, bureau, raw)

    assert set(await copies(bureau)) == {"autre@b.fr", "c@d.fr", "z@b.fr"}


async def test_a_copy_that_was_cancelled_is_no_copy(office: Office, bureau: Owner) -> None:
    """Who lost the one of the first list gets the one of the second."""
    await outcome_of(office, bureau, letter(to=BOTH, trace=TOUS))
    await bureau.execute("update relais.delivery set state = 'cancelled' where address = 'a@b.fr'")

    await outcome_of(office, bureau, letter(to=BOTH, trace=BUREAU), uid=2)

    rows = await bureau.fetch("select address from relais.delivery where state = 'queued'")
    assert sorted(row["address"] for row in rows) == ["a@b.fr", "c@d.fr", "z@b.fr"]


async def test_its_author_is_asked_once(office: Office, bureau: Owner) -> None:
    """One question for both lists, and one answer."""
    raw = letter(to=BOTH, proof=None).replace(b"Delivered-To", b"X-Nothing")
    assert (await outcome_of(office, bureau, raw))["outcome"] == "to_confirm"
    await attend(office)
    [question] = (await notices(bureau))["confirm"]

    await answered(office, bureau, question, b"ok", uid=2)

    rows = await bureau.fetch("select state from relais.posting")
    assert [row["state"] for row in rows] == ["open", "open"]
    assert set(await copies(bureau)) == {"a@b.fr", "c@d.fr", "z@b.fr"}


async def test_a_list_within_a_list(office: Office, bureau: Owner) -> None:
    """Everybody on the second has it by the first: that is no trouble, and nobody is asked."""
    await bureau.execute(
        "create or replace view lists.bureau as select * from (values"
        " ('a@b.fr'::text, '1'::text)) v(email, person)"
    )
    await outcome_of(office, bureau, letter(to=BOTH, trace=TOUS))

    row = await outcome_of(office, bureau, letter(to=BOTH, trace=BUREAU), uid=2)

    assert (row["outcome"], row["reason"]) == ("posted", None)
    assert set(await copies(bureau)) == {"a@b.fr", "c@d.fr"}
