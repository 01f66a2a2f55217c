"""Opting out: at once, for good, and only by oneself undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.edges.store.given import members, posted, resolved, states
from worker.mail.return_address import subscription
from worker.store import lists, suppressions

if TYPE_CHECKING:
    from worker.store.database import Connection


async def one_member(owner: Connection, db: Connection) -> tuple[int, int]:
    """Post to one member; return the numbers of the list and of the person."""
    await members(owner, [("A@b.fr", "1")])
    await posted(db)
    list_id = await lists.remember(db, await resolved(db, "tous"))
    person_id: int = await db.fetchval("select person_id from relais.person")
    return list_id, person_id


async def test_what_the_page_shows(owner: Connection, db: Connection) -> None:
    """The list by its title, the address we write to, and where the person stands."""
    list_id, person_id = await one_member(owner, db)

    seen = await suppressions.subscriber(db, list_id, person_id)

    assert seen == suppressions.SubscriberRow(
        subscription=subscription("everybody", {}, "person:1"),
        title="Tous",
        list_address="tous",
        address="A@b.fr",
        out_of_list=False,
        out_of_all=False,
        other_lists=0,
        official_lists=[],
        is_official=False,
        lang="",
        list_lang="fr",
    )
    assert await suppressions.subscriber(db, list_id, person_id + 1) is None
    assert await suppressions.subscriber(db, list_id + 1, person_id) is None


async def test_what_the_page_knows_of_the_reader(owner: Connection, db: Connection) -> None:
    """The language of the last copy, and what the list's definition says now."""
    list_id, person_id = await one_member(owner, db)
    await owner.execute("update relais.delivery set lang = 'en'")
    await owner.execute(
        "select lists.define(view => 'lists.everybody', address => 'tous', title => 'Tous',"
        " unsubscribe => 'contact', lang => 'en')"
    )

    official = await suppressions.subscriber(db, list_id, person_id)
    await owner.execute("select lists.drop('lists.everybody')")
    dropped = await suppressions.subscriber(db, list_id, person_id)

    assert official is not None
    assert (official.is_official, official.lang, official.list_lang) == (True, "en", "en")
    assert dropped is not None
    assert (dropped.is_official, dropped.lang, dropped.list_lang) == (False, "en", "")


async def test_how_many_other_lists(owner: Connection, db: Connection) -> None:
    """Those that have written to the person, but for those that they have left."""
    list_id, person_id = await one_member(owner, db)
    for name in ("judo", "aikido"):
        await owner.execute(
            f"create view lists.{name} as select email, person from club.member;"
            f"select lists.define(view => 'lists.{name}', address => '{name}', title => 'T',"
            " post => 'nobody')"
        )
        await posted(db, name, fingerprint=name[:1].encode() * 32)
    judo = await lists.remember(db, await resolved(db, "judo"))

    async def others() -> int:
        subscriber = await suppressions.subscriber(db, list_id, person_id)
        return subscriber.other_lists if subscriber else -1

    assert await others() == 2
    await suppressions.opt_out(db, list_id, person_id, source="page")
    assert await others() == 2
    await suppressions.opt_out(db, judo, person_id, source="page")
    assert await others() == 1


async def test_opting_out_twice_is_like_once(owner: Connection, db: Connection) -> None:
    """The first cancels what waits; the second changes nothing."""
    list_id, person_id = await one_member(owner, db)

    async with db.transaction():
        assert await suppressions.opt_out(db, list_id, person_id, source="page") == 1
    async with db.transaction():
        assert await suppressions.opt_out(db, list_id, person_id, source="mail") is None

    assert await states(db) == {"cancelled": 1}
    rows = await db.fetch("select address, reason::text, source from relais.suppression")
    assert [tuple(row) for row in rows] == [("a@b.fr", "unsubscribed", "page")]


async def test_undoing_ones_own_opt_out(owner: Connection, db: Connection) -> None:
    """From this list and from all; what others have decided stays."""
    list_id, person_id = await one_member(owner, db)
    for scope in (list_id, None):
        await suppressions.opt_out(db, scope, person_id, source="page")
    await owner.execute(
        "insert into relais.suppression (person_id, reason, source, since)"
        " values ($1, 'operator', 'test', relais.now())",
        person_id,
    )

    await suppressions.opt_in(db, list_id, person_id)

    rows = await db.fetch("select reason::text from relais.suppression")
    assert [row["reason"] for row in rows] == ["operator"]


async def test_a_link_outlives_its_delivery(owner: Connection, db: Connection) -> None:
    """Deliveries are purged after a while; people act on old mail."""
    list_id, person_id = await one_member(owner, db)
    await owner.execute("delete from relais.delivery")

    await suppressions.opt_out(db, list_id, person_id, source="page")
    _, roll = await posted(db, fingerprint=b"g" * 32)

    assert (roll.recipients, roll.suppressed) == (0, 1)
