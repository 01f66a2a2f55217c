"""The farewell: in the transaction of the opt-out, to the member, once a day."""

from __future__ import annotations

import email.policy
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.actors.conftest import SITE
from tests.actors.letters import text_of
from tests.edges.store.given import NOON, alive, claim_due, frozen_clock, posted, resolved
from worker.actors.outbox import Outbox
from worker.app import _Directory
from worker.mail.return_address import Tokens
from worker.store import deliveries, lists
from worker.store.database import close_pool, connect, open_pool
from worker.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from email.message import EmailMessage

    import asyncpg

UNDO = "https://listes.example.fr/u/" + "k7" * 16


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the list ``tous``, and how they leave."""

    db: asyncpg.Connection[asyncpg.Record]
    directory: _Directory
    list_id: int
    person_id: int

    async def leaves(self, *, everywhere: bool = True, undo_link: str = UNDO) -> None:
        """Press the button of the page."""
        await self.directory.opt_out(
            self.list_id,
            self.person_id,
            everywhere=everywhere,
            source="page",
            undo_link=undo_link,
        )

    async def comes_back(self) -> None:
        """Press the other button."""
        await self.directory.opt_in(self.list_id, self.person_id)

    async def speaks(self, lang: str) -> None:
        """Be written to in *lang*."""
        await self.db.execute(
            "update relais.delivery set lang = $2 where person_id = $1", self.person_id, lang
        )

    async def farewells(self) -> list[EmailMessage]:
        """Return what was written to them."""
        rows = await self.db.fetch(
            "select n.template from relais.notice n join relais.delivery d using (notice_id)"
            " where n.kind = 'farewell' and n.address = 'a@b.fr' and d.address = 'a@b.fr'"
            " and d.state = 'queued' order by notice_id"
        )
        return [
            email.message_from_bytes(row["template"].replace(b"\0", b""), policy=email.policy.SMTP)
            for row in rows
        ]


@pytest.fixture
async def member(
    owner: asyncpg.Connection[asyncpg.Record], database_url: str
) -> AsyncIterator[Member]:
    """A member with a copy that waits."""
    await frozen_clock(owner)
    pool, db = await open_pool(database_url, size=2), await connect(database_url)
    await posted(db)
    directory = _Directory(pool, Metrics(), Outbox(SITE, Tokens(SITE.secrets), Metrics()))
    yield Member(
        db,
        directory,
        await lists.remember(db, await resolved(db, "tous")),
        await db.fetchval("select person_id from relais.person where key = 'person:1'"),
    )
    await db.close()
    await close_pool(pool)


async def test_who_leaves_everything_is_told(member: Member) -> None:
    """In words, with the way back, as mail of a program."""
    await member.leaves()

    [letter] = await member.farewells()
    text = text_of(letter).replace("\u00a0", " ").replace("\u2019", "'")
    assert letter["To"] == "a@b.fr"
    assert letter["Subject"] == "Vous êtes désabonné(e) de toutes les listes"
    assert letter["Reply-To"] == "aide@example.fr"
    assert letter["Auto-Submitted"] == "auto-generated", "it answers a click, and no message"
    assert "aucune liste de listes.example.fr ne vous écrira plus" in text
    assert f"\n  {UNDO}\n" in text.replace("\r\n", "\n")


async def test_it_leaves_though_its_address_is_suppressed(member: Member) -> None:
    """An opt-out cancels copies of postings, and this is none."""
    await member.leaves()
    await deliveries.cancel_suppressed(member.db, within=timedelta(days=1))
    await alive(member.db, "w-1")

    claims = await claim_due(member.db, "w-1", at_most=10)

    assert [claim.posting_id is None for claim in claims if claim.address == "a@b.fr"] == [True]


async def test_at_most_one_a_day(member: Member, owner: asyncpg.Connection[asyncpg.Record]) -> None:
    """However often somebody leaves and comes back."""
    for _ in range(3):
        await member.leaves()
        await member.comes_back()
    assert len(await member.farewells()) == 1

    await frozen_clock(owner, NOON + timedelta(days=1, seconds=1))
    await member.leaves()
    assert len(await member.farewells()) == 2


async def test_leaving_twice_is_like_once(member: Member) -> None:
    """A button that is pressed twice says one farewell."""
    await member.leaves()
    await member.leaves()

    assert len(await member.farewells()) == 1


async def test_nobody_else_is_told(member: Member) -> None:
    """One list, or a provider's click: the person knows."""
    await member.leaves(everywhere=False, undo_link="")

    assert await member.db.fetchval("select count(*) from relais.notice") == 0


@pytest.mark.parametrize(
    ("lang", "subject"),
    [
        ("en", "You are unsubscribed from all lists"),
        ("de", "Vous êtes désabonné(e) de toutes les listes"),
    ],
)
async def test_in_the_language_of_the_member(member: Member, lang: str, subject: str) -> None:
    """As we write to them; in the list's where we have none."""
    await member.speaks(lang)
    await member.leaves()

    [letter] = await member.farewells()
    assert letter["Subject"] == subject
    assert letter["Content-Language"] == ("en" if lang == "en" else "fr")


async def test_without_an_address(member: Member) -> None:
    """Deliveries have been purged, and the person is a key: nobody knows where to write."""
    await member.db.execute("delete from relais.delivery")
    await member.leaves()

    assert await member.db.fetchval("select count(*) from relais.notice") == 0
    assert await member.db.fetchval("select count(*) from relais.suppression") == 1
