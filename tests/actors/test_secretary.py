"""The secretary: one letter a week to who can mend addresses, and none twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.actors.letters import notices, text_of
from tests.edges.store.ailments import CLUBS, ail, let_in
from tests.edges.store.given import frozen_clock
from worker.actors.secretary import run_secretary, write_letters
from worker.actors.signals import Signals
from worker.mail.reason import Reason
from worker.policy.mending import SHOWN_AT_MOST

if TYPE_CHECKING:
    from email.message import EmailMessage

    import asyncpg

    from worker.actors.office import Office

# Monday, seven o'clock in Paris.
MONDAY = datetime(2026, 1, 5, 6, tzinfo=UTC)
WEEK = timedelta(weeks=1)
HELD = ("anne@orange.fr", "famille@free.fr", "seul@sfr.fr")


@pytest.fixture
async def club(
    owner: asyncpg.Connection[asyncpg.Record],
) -> asyncpg.Connection[asyncpg.Record]:
    """Two clubs and all; four have an address that is dead."""
    await owner.execute("select lists.drop('lists.everybody'); drop schema club cascade;")
    await owner.execute(CLUBS)
    for address in HELD:
        await ail(owner, address, Reason.UNKNOWN_USER)
    return owner


@pytest.fixture
def desk(office: Office) -> Office:
    """An office whose people live in Paris."""
    return replace(office, site=replace(office.site, timezone="Europe/Paris"))


async def letters(db: asyncpg.Connection[asyncpg.Record]) -> dict[str, list[EmailMessage]]:
    """Return the letters so far, by whom they are for."""
    found: dict[str, list[EmailMessage]] = {}
    for letter in (await notices(db)).get("dead_addresses", []):
        found.setdefault(str(letter["to"]), []).append(letter)
    return found


def words(letter: EmailMessage) -> str:
    """Return the text of a letter in plain characters."""
    text = text_of(letter).replace("\r\n", "\n")
    return text.replace("\u00a0", " ").replace("\u2019", "'")


def told(letter: EmailMessage) -> list[str]:
    """Return the addresses that a letter tells of."""
    lines = [line.strip() for line in text_of(letter).splitlines()]
    return [line for line in lines if "@" in line and " " not in line]


async def written(office: Office, db: asyncpg.Connection[asyncpg.Record], at: datetime) -> int:
    """Write what is due at that time; return how many letters that were."""
    await frozen_clock(db, at)
    return await write_letters(office=office)


async def test_one_letter_to_each(club: asyncpg.Connection[asyncpg.Record], desk: Office) -> None:
    """Over all their lists; what is in no club goes to the owner of the list."""
    assert await written(desk, club, MONDAY) == 3

    found = await letters(club)
    assert {who: [told(one) for one in theirs] for who, theirs in found.items()} == {
        "aikido@club.fr": [["anne@orange.fr"]],
        "bureau@example.fr": [["seul@sfr.fr"]],
        "judo@club.fr": [["anne@orange.fr", "famille@free.fr"]],
    }
    [judo] = found["judo@club.fr"]
    assert judo["subject"] == "2 adresses ne reçoivent plus rien"
    assert judo["auto-submitted"] == "auto-generated"
    assert judo["reply-to"] == "aide@example.fr"
    text = words(judo)
    assert "\n  https://membres.example.fr\n" in text
    assert (
        "  Paul Le Goff et Zoé Le Goff\n"
        "  famille@free.fr\n"
        "  cette boîte n'existe pas (ou plus), depuis le 1er janvier (4 jours)\n"
        "  listes : Club de judo, Tous\n" in text
    )
    html = judo.get_body(("html",))
    assert html is not None
    assert "<br>\r\nfamille@free.fr<br>" in str(html.get_content())
    waiting = await club.fetch(
        "select d.address from relais.delivery d join relais.notice using (notice_id)"
        " where d.state = 'queued'"
    )
    assert sorted(row["address"] for row in waiting) == sorted(found)


async def test_a_week_has_one_letter(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """However often it is looked at; and the next has one if there is anything new."""
    assert await written(desk, club, MONDAY) == 3
    assert await written(desk, club, MONDAY + timedelta(days=6)) == 0
    assert await written(desk, club, MONDAY + WEEK) == 0
    await ail(club, "bien@gmail.com", Reason.FULL)
    assert await written(desk, club, MONDAY + 2 * WEEK - timedelta(seconds=1)) == 0
    assert await written(desk, club, MONDAY + 2 * WEEK) == 1

    last = (await letters(club))["judo@club.fr"][-1]
    assert told(last) == ["bien@gmail.com"]
    assert "2 autres adresses, déjà signalées, attendent encore." in text_of(last)


async def test_before_the_first_monday(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """The week before is made up at once, and Monday has what has come since."""
    assert await written(desk, club, MONDAY - timedelta(minutes=1)) == 3
    assert await written(desk, club, MONDAY) == 0


async def test_missed_weeks_are_made_up_once(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """After a month away, on whatever day it is; then on Monday as ever."""
    await written(desk, club, MONDAY)
    await ail(club, "bien@gmail.com", Reason.FULL)

    back = MONDAY + 3 * WEEK + timedelta(days=2)
    assert await written(desk, club, back) == 1
    assert await written(desk, club, back + timedelta(hours=1)) == 0
    assert await written(desk, club, MONDAY + 4 * WEEK) == 2  # Reminders of the first letters.
    assert [len(theirs) for theirs in (await letters(club)).values()] == [2, 2, 2]


async def test_reminders(club: asyncpg.Connection[asyncpg.Record], desk: Office) -> None:
    """What nobody has mended for four weeks is told once more, as what is known."""
    for week in range(4):
        await written(desk, club, MONDAY + week * WEEK)
    assert {len(theirs) for theirs in (await letters(club)).values()} == {1}

    assert await written(desk, club, MONDAY + 4 * WEEK) == 3

    again = words((await letters(club))["judo@club.fr"][-1])
    known = again.index("Celles-ci, vous les connaissez déjà, et rien n'a changé :")
    assert known < again.index("anne@orange.fr") < again.index("famille@free.fr")
    assert "déjà signalées" not in again


async def test_what_is_mended_is_told_no_more(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """And is news when it fails anew."""
    await written(desk, club, MONDAY)
    await club.execute("update club.member set email = 'anne@gmail.com' where person = '1'")
    await let_in(club, "famille@free.fr")
    await written(desk, club, MONDAY + WEEK)
    assert await club.fetchval("select count(*) from relais.secretary_told") == 3

    await ail(club, "famille@free.fr", Reason.FULL, since=MONDAY + WEEK, failures=0)
    assert await written(desk, club, MONDAY + 2 * WEEK) == 1

    last = (await letters(club))["judo@club.fr"][-1]
    assert told(last) == ["famille@free.fr"]
    assert "signalée" not in text_of(last)


async def test_nobody_is_written_to_at_a_dead_address(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """The help address gets what a secretary cannot read, in the site's language."""
    await ail(club, "judo@club.fr", Reason.FULL)

    await written(desk, club, MONDAY)

    found = await letters(club)
    assert sorted(found) == ["aide@example.fr", "aikido@club.fr", "bureau@example.fr"]
    assert told(found["aide@example.fr"][0]) == ["famille@free.fr"]


async def test_nothing_is_dead(club: asyncpg.Connection[asyncpg.Record], desk: Office) -> None:
    """Then no view is asked, and nobody is written to."""
    for address in HELD:
        await let_in(club, address)
    await club.execute("create or replace view lists.tous as select 1 / 0 || '' as email, person"
                       " from club.member")  # fmt: skip

    assert await written(desk, club, MONDAY) == 0
    assert await letters(club) == {}


async def test_a_broken_query_costs_its_own_rows(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """The other secretaries are written to all the same."""
    await club.execute("create or replace view lists.tous as select 1 / 0 || '' as email, person"
                       " from club.member")  # fmt: skip

    assert await written(desk, club, MONDAY) == 2
    assert sorted(await letters(club)) == ["aikido@club.fr", "judo@club.fr"]


async def test_who_is_named_by_a_broken_query(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """Nobody else is told of their people meanwhile, and the letters wait for the answer."""
    [clubs] = [row[0] for row in await club.fetch("select pg_get_viewdef('lists.club'::regclass)")]
    broken = "create or replace view lists.club as select club, (1 / (length(email) * 0))::text"
    await club.execute(f"{broken} as email, name, lang, person, secretary from ({clubs[:-1]}) v")
    assert await written(desk, club, MONDAY) == 0
    assert not await club.fetchval("select count(*) from relais.secretary_week")

    await club.execute(f"create or replace view lists.club as {clubs}")

    assert await written(desk, club, MONDAY + timedelta(hours=1)) == 3
    assert {
        who: [told(one) for one in theirs] for who, theirs in (await letters(club)).items()
    } == {
        "aikido@club.fr": [["anne@orange.fr"]],
        "bureau@example.fr": [["seul@sfr.fr"]],
        "judo@club.fr": [["anne@orange.fr", "famille@free.fr"]],
    }


async def test_a_long_letter(club: asyncpg.Connection[asyncpg.Record], desk: Office) -> None:
    """A hundred at most; the others are for the next one."""
    many = [f"m{n:03}@free.fr" for n in range(SHOWN_AT_MOST + 3)]
    for address in HELD:
        await let_in(club, address)
    await club.executemany(
        "insert into club.member values ($1, $1, null, 'judo', 'judo@club.fr')",
        [(address,) for address in many],
    )
    for address in many:
        await ail(club, address, Reason.DISABLED, failures=0)

    await written(desk, club, MONDAY)
    await written(desk, club, MONDAY + WEEK)

    first, second = (await letters(club))["judo@club.fr"]
    assert first["subject"] == "103 adresses ne reçoivent plus rien"
    assert "… et 3 autres." in text_of(first)
    assert (told(first), told(second)) == (many[:SHOWN_AT_MOST], many[SHOWN_AT_MOST:])


async def test_several_workers(club: asyncpg.Connection[asyncpg.Record], desk: Office) -> None:
    """Three at once write each letter once, whoever is first."""
    await frozen_clock(club, MONDAY)

    counts = await asyncio.gather(*(write_letters(office=desk) for _ in range(3)))

    assert sum(counts) == 3
    assert [len(theirs) for theirs in (await letters(club)).values()] == [1, 1, 1]


async def test_a_crash_loses_no_letter(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """Who was written to is not written to again; the others are."""
    await written(desk, club, MONDAY)
    await club.execute("delete from relais.secretary_week")
    await club.execute("delete from relais.secretary_letter where secretary = 'judo@club.fr'")
    await club.execute("delete from relais.secretary_told where secretary = 'judo@club.fr'")

    assert await written(desk, club, MONDAY + timedelta(hours=1)) == 1


async def test_it_runs_until_the_worker_stops(
    club: asyncpg.Connection[asyncpg.Record], desk: Office
) -> None:
    """It writes, sleeps, and ends at the stop."""
    await frozen_clock(club, MONDAY)
    signals = Signals()
    running = asyncio.create_task(run_secretary(desk, signals=signals))

    async with asyncio.timeout(20):
        while not await club.fetchval("select count(*) from relais.secretary_week"):
            await asyncio.sleep(0.01)  # The database tells spectators nothing.
        signals.stop()
        await running

    assert len(await letters(club)) == 3
