"""The reporter: a receipt with a plan, a word when it slips, and how it ended; each once."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.actors.letters import (
    Owner,
    attend,
    letter,
    link_in,
    notices,
    outcome_of,
    reply_address,
    text_of,
)
from tests.edges.store.given import DOMAIN, frozen_clock
from worker.actors.author_letters import Planner
from worker.actors.reporter import tell_next
from worker.mail.return_address import Purpose, read_service_address
from worker.store import postings, provider_states, receipts, stopping
from worker.store.database import borrowed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import EmailMessage

    from worker.actors.office import Office

AUTHOR = "a@b.fr"
NOON = datetime(2026, 11, 27, 11, tzinfo=UTC)  # In Paris.
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AT_ONCE = NOON + timedelta(seconds=6)  # When the copies for other lists have come as well.


@pytest.fixture
async def club(owner: Owner) -> Owner:
    """``tous`` with 150 people at Orange and 30 at Free, besides the two who are there."""
    await people(owner, {"orange.fr": 150, "free.fr": 30})
    await frozen_clock(owner, NOON)
    return owner


async def people(owner: Owner, domains: Mapping[str, int]) -> None:
    """Let members in, so many at each domain."""
    rows = [(f"m{n}@{domain}",) for domain, count in domains.items() for n in range(count)]
    await owner.executemany("insert into club.member (email, person) values ($1, $1)", rows)


async def tell(office: Office) -> None:
    """Tell authors all that is due."""
    planner = Planner(["main"])
    for _ in range(50):
        if not await tell_next(planner, office=office):
            return
    raise AssertionError("it never comes to rest")


async def told(office: Office, owner: Owner, at: datetime) -> dict[str, list[EmailMessage]]:
    """Tell what is due at that time; return all that was written so far."""
    await frozen_clock(owner, at)
    await tell(office)
    return await notices(owner)


async def settle(owner: Owner, state: str, where: str = "true", reply: str = "250 ok") -> None:
    """Let copies come to an end, as a submitter and a janitor do."""
    await owner.execute(
        "update relais.delivery set state = $1::text::relais.delivery_state, reply = $2,"
        " settled_at = relais.now(), marked_at = case when $1 <> 'cancelled' then relais.now() end"
        f" where posting_id is not null and settled_at is null and {where}",
        state,
        reply,
    )


async def finish(office: Office) -> None:
    """End postings whose copies are all final."""
    async with borrowed(office.pool) as db:
        await postings.finish(db)


def counted(found: Mapping[str, list[EmailMessage]]) -> dict[str, int]:
    """Return how many letters there are of each kind."""
    return {kind: len(letters) for kind, letters in found.items()}


async def counted_at(office: Office, owner: Owner, at: datetime) -> dict[str, int]:
    """Tell what is due at that time; return how many letters there are of each kind."""
    return counted(await told(office, owner, at))


def plain(message: EmailMessage) -> str:
    """Return the words of a letter in plain characters."""
    text = text_of(message).replace("\r\n", "\n").replace("\u2019", "'")
    return re.sub("[\u00a0\u202f]", " ", text)


async def test_a_receipt_at_once(club: Owner, office: Office) -> None:
    """Many people and a long plan: when each provider is finished, and how to stop it."""
    await outcome_of(office, club, letter(subject="Convocation AG"))

    found = await told(office, club, AT_ONCE)

    assert list(found) == ["receipt"]
    [receipt] = found["receipt"]
    assert receipt["to"] == AUTHOR
    assert receipt["in-reply-to"] == "<1@b.fr>"
    assert receipt["reply-to"] is None
    service = read_service_address(str(receipt["from"]).partition("<")[2].partition("@")[0])
    assert service is not None
    number = await club.fetchval("select posting_id from relais.posting")
    assert office.tokens.read(service.purpose, service.token) == number
    assert office.tokens.read(Purpose.POSTING, link_in(receipt)) == number
    assert re.search(r"^  Orange .* 150  ", plain(receipt), re.MULTILINE)
    assert re.search(r"^  Free .* 30  ", plain(receipt), re.MULTILINE)
    assert "100" in plain(receipt), "Orange's limit is why it takes so long"


async def test_the_receipt_says_what_the_plan_says(club: Owner, office: Office) -> None:
    """And the promise is kept for the delay notice."""
    await outcome_of(office, club, letter())
    await told(office, club, AT_ONCE)

    promised = await club.fetchval("select promised_at from relais.receipt")

    # A hundred of the 150 leave within the first day, the rest within the second.
    assert NOON + DAY < promised < NOON + 2 * DAY


async def test_it_is_written_once(club: Owner, office: Office) -> None:
    """However often and by however many it is looked at."""
    await outcome_of(office, club, letter())
    await frozen_clock(club, AT_ONCE)

    await asyncio.gather(*(tell(office) for _ in range(2)))
    found = await told(office, club, NOON + HOUR)

    assert counted(found) == {"receipt": 1}


UNANSWERED = {
    "no-reply": {"author": "no-reply@b.fr"},
    "a mailing program": {"more": b"List-Unsubscribe: <https://b.fr/>\r\n"},
    "another list's": {"more": b"List-Id: <x.b.fr>\r\n"},
    "called spam": {"more": b"X-Spam-Flag: YES\r\n"},
}


@pytest.mark.parametrize("more", UNANSWERED.values(), ids=UNANSWERED)
async def test_a_program_has_no_receipt(club: Owner, office: Office, more: dict[str, Any]) -> None:
    """However well it is proven, and whoever has approved it."""
    await club.execute(
        "insert into club.member (email, person) values ('no-reply@b.fr', '9');"
        "update lists.definition set owner = 'chef@b.fr'"
    )
    await outcome_of(office, club, letter(**more))
    await attend(office)
    for question in (await notices(club)).get("moderate", []):
        approval = letter(author="chef@b.fr", trace=reply_address(question), body=b"OK")
        assert (await outcome_of(office, club, approval, uid=2))["outcome"] == "approved"
    await attend(office)

    found = await told(office, club, NOON)

    assert await club.fetchval("select state from relais.posting") == "open"
    assert set(found) <= {"moderate"}
    assert await club.fetchval("select count(*) from relais.receipt") == 0


async def test_few_people_are_silence(owner: Owner, office: Office) -> None:
    """Two people who have it within the minute: nothing is told, now or later."""
    await frozen_clock(owner, NOON)
    await outcome_of(office, owner, letter())
    assert await told(office, owner, AT_ONCE) == {}
    await settle(owner, "handed_over")
    await finish(office)

    for later in (HOUR, 5 * HOUR, 25 * HOUR, 26 * HOUR):
        assert await told(office, owner, NOON + later) == {}
    assert await owner.fetchval("select closed_at is not null from relais.receipt")


async def test_few_people_of_whom_one_was_missed(owner: Owner, office: Office) -> None:
    """Its author hears of it, though the report came hours later."""
    await frozen_clock(owner, NOON)
    await outcome_of(office, owner, letter())
    await settle(owner, "handed_over")
    await finish(office)
    assert await told(office, owner, NOON + HOUR) == {}
    await owner.execute(
        "update relais.delivery set state = 'bounced', reply = '550 5.1.1 User unknown'"
        " where address = 'c@d.fr'"
    )

    found = await told(office, owner, NOON + 3 * HOUR)

    assert counted(found) == {"report": 1, "report_to_owner": 1}
    assert "c@d.fr" not in plain(found["report"][0]), "addresses are not for every author"
    assert await counted_at(office, owner, NOON + 5 * HOUR) == counted(found)


async def test_a_plan_that_slips(club: Owner, office: Office) -> None:
    """Orange is paused for days: one word about it, and no second one."""
    await outcome_of(office, club, letter())
    await told(office, club, AT_ONCE)
    async with borrowed(office.pool) as db, db.transaction():
        await provider_states.pause(db, "orange", length=3 * DAY, who="op", reason="blocked")

    found = await told(office, club, NOON + HOUR)
    later = await told(office, club, NOON + DAY)

    [delay] = found["delay"]
    assert "Orange" in plain(delay)
    assert counted(later) == {"receipt": 1, "delay": 1}


async def test_the_end(club: Owner, office: Office) -> None:
    """Everybody is in one line; who left is not missed."""
    await outcome_of(office, club, letter(subject="Convocation AG"))
    await told(office, club, AT_ONCE)
    await frozen_clock(club, NOON + DAY)
    await settle(club, "refused", "address in ('m1@free.fr', 'm2@free.fr')", "550 5.1.1 unknown")
    await settle(club, "expired", "address = 'm3@free.fr'", "452 4.2.2 mailbox full")
    await settle(club, "cancelled", "address = 'm4@free.fr'", "unsubscribed")
    await settle(club, "handed_over")
    await finish(office)

    assert "report" not in await told(office, club, NOON + DAY + 4 * MINUTE)
    found = await told(office, club, NOON + DAY + 6 * MINUTE)

    [report] = found["report"]
    text = plain(report)
    assert report["subject"].startswith("Bilan")
    assert "178" in str(report["subject"])
    counts = [int(n) for n in re.findall(r"^  .*?  +(\d+)\b", text, re.MULTILINE)]
    assert sum(counts) == 182
    assert sorted(counts) == [1, 1, 2, 178]
    assert "m1@free.fr" not in text
    assert await counted_at(office, club, NOON + 2 * DAY) == counted(found)


async def test_addresses_are_the_owners(club: Owner, office: Office) -> None:
    """Who can mend them reads which they are; the author only that the owner does."""
    await club.execute(
        "select lists.define(view => 'lists.everybody', address => 'tous', title => 'Tous',"
        " owner => 'bureau@example.fr')"
    )
    await outcome_of(office, club, letter())
    await told(office, club, AT_ONCE)
    await settle(club, "refused", "address = 'm1@free.fr'", "550 5.1.1 User unknown")
    await settle(club, "handed_over")
    await finish(office)

    found = await told(office, club, NOON + 2 * HOUR)

    [owners] = found["report_to_owner"]
    assert owners["to"] == "bureau@example.fr"
    assert "m1@free.fr" in plain(owners)
    assert "m1@free.fr" not in plain(found["report"][0])


async def test_an_owner_reads_them_in_their_own_report(club: Owner, office: Office) -> None:
    """And gets no second letter."""
    await club.execute(
        "select lists.define(view => 'lists.everybody', address => 'tous', title => 'Tous',"
        f" owner => '{AUTHOR}')"
    )
    await outcome_of(office, club, letter())
    await told(office, club, AT_ONCE)
    await settle(club, "refused", "address = 'm1@free.fr'", "550 5.1.1 User unknown")
    await settle(club, "handed_over")
    await finish(office)

    found = await told(office, club, NOON + 2 * HOUR)

    assert "report_to_owner" not in found
    assert "m1@free.fr" in plain(found["report"][0])


async def test_several_lists_have_one_receipt(club: Owner, office: Office) -> None:
    """Who writes to two lists in one message is told of both at once."""
    await club.execute(
        "create view lists.bureau as select email, person from club.member where email ~ 'orange';"
        "select lists.define(view => 'lists.bureau', address => 'bureau', title => 'Bureau',"
        " post => 'anyone')"
    )
    both = f"bureau@{DOMAIN}, tous@{DOMAIN}"
    more = f"Delivered-To: bureau@{DOMAIN}\r\n".encode()
    await outcome_of(office, club, letter(to=both), uid=1)
    await outcome_of(office, club, more + letter(to=both), uid=2)
    assert await club.fetchval("select count(*) from relais.posting") == 2

    found = await told(office, club, AT_ONCE)

    assert counted(found) == {"receipt": 1}


async def test_a_copy_for_each_list(club: Owner, office: Office) -> None:
    """A host may deliver one message as several, seconds apart; it is told of once."""
    await club.execute(
        "create view lists.bureau as select email, person from club.member where email ~ 'orange';"
        "select lists.define(view => 'lists.bureau', address => 'bureau', title => 'Bureau',"
        " post => 'anyone')"
    )
    both = f"bureau@{DOMAIN}, tous@{DOMAIN}"
    await outcome_of(office, club, letter(to=both), uid=1)
    assert await told(office, club, NOON + timedelta(seconds=2)) == {}
    await outcome_of(office, club, letter(to=both, trace=f"bureau@{DOMAIN}"), uid=2)

    found = await told(office, club, AT_ONCE)

    assert counted(found) == {"receipt": 1}
    assert f"bureau@{DOMAIN}" in plain(found["receipt"][0])
    assert counted(await told(office, club, NOON + HOUR)) == {"receipt": 1}


async def test_what_a_provider_calls_unwanted(club: Owner, office: Office) -> None:
    """Those are not reached, though nobody has stopped it."""
    await outcome_of(office, club, letter())
    await told(office, club, AT_ONCE)
    await settle(club, "cancelled", "address ~ 'orange'", "refused there as unwanted: spam")
    await settle(club, "handed_over")
    await finish(office)

    found = await told(office, club, NOON + HOUR)

    text = plain(found["report"][0])
    assert re.search(r"^  refusés par leur serveur +150$", text, re.MULTILINE)
    assert "arrêté" not in text
    assert "m1@orange.fr" in plain(found["report_to_owner"][0])


async def test_a_list_without_an_owner(club: Owner, office: Office) -> None:
    """The site's help address can mend what nobody else can."""
    await outcome_of(office, club, letter())
    await told(office, club, AT_ONCE)
    await settle(club, "refused", "address = 'm1@free.fr'", "550 5.1.1 User unknown")
    await settle(club, "handed_over")
    await finish(office)

    found = await told(office, club, NOON + HOUR)

    [owners] = found["report_to_owner"]
    assert owners["to"] == office.site.help_address


async def test_no_delay_by_an_old_plan(club: Owner, office: Office) -> None:
    """It was paused when the plan was made, and goes on: nobody is told that no end is in sight."""
    await outcome_of(office, club, letter())
    await told(office, club, AT_ONCE)
    planner = Planner(["main"])
    number = await club.fetchval("select posting_id from relais.posting")
    async with borrowed(office.pool) as db:
        async with db.transaction():
            await stopping.hold(db, [number], by="author")
        async with db.transaction(isolation="repeatable_read"):
            await planner.plan(db, not_before=AT_ONCE)
        async with db.transaction():
            await stopping.resume(db, [number], by="author")
    await frozen_clock(club, NOON + MINUTE)
    await club.execute(
        "update relais.receipt set look_at = relais.now(), promised_at = $1", NOON + 2 * DAY
    )

    while await tell_next(planner, office=office):
        pass

    assert counted(await notices(club)) == {"receipt": 1}


async def test_approved_postings_have_their_receipt(club: Owner, office: Office) -> None:
    """When a moderator has let them go."""
    await club.execute(
        "select lists.define(view => 'lists.everybody', address => 'tous', title => 'Tous',"
        " moderate => 'all', owner => 'bureau@example.fr')"
    )
    await outcome_of(office, club, letter())
    await attend(office)
    assert "receipt" not in await told(office, club, AT_ONCE)
    await club.execute(
        "update relais.posting"
        " set awaits = 'release', approved = reasons, held_until = relais.now()"
    )
    await attend(office)

    assert len((await told(office, club, NOON + MINUTE))["receipt"]) == 1


async def test_nobody_is_told_of_what_they_may_not_have_written(
    club: Owner, office: Office
) -> None:
    """Where anyone may post without proof, the author may be anybody."""
    await club.execute(
        "select lists.define(view => 'lists.everybody', address => 'tous', title => 'Tous',"
        " post => 'anyone')"
    )
    await outcome_of(office, club, letter(author="etranger@ailleurs.fr", proof=None))
    assert await club.fetchval("select state from relais.posting") == "open"

    assert await told(office, club, AT_ONCE) == {}
    assert await club.fetchval("select count(*) from relais.receipt") == 0


async def test_stopped(club: Owner, office: Office) -> None:
    """Its author gets a report: who has it, and who will not get it."""
    await outcome_of(office, club, letter())
    await told(office, club, AT_ONCE)
    await settle(club, "handed_over", "address ~ 'free'")
    numbers = [
        row["posting_id"] for row in await club.fetch("select posting_id from relais.posting")
    ]
    async with borrowed(office.pool) as db, db.transaction():
        await stopping.stop(db, numbers, by="author")

    found = await told(office, club, NOON + 2 * MINUTE)

    text = plain(found["stop_report"][0])
    assert "30" in text
    assert "152" in text


async def test_enough_answers_today(club: Owner, office: Office) -> None:
    """A receipt that would be one too many is not written; the report is, the next day."""
    await club.execute(
        "insert into relais.notice (kind, address, template, key_id, made_at)"
        f" select 'not_posted', '{AUTHOR}', ''::bytea, '', relais.now() from generate_series(1, 6)"
        f" union all select 'no_more_today', '{AUTHOR}', ''::bytea, '', relais.now()"
    )
    await club.execute("update relais.notice set template = null")
    await outcome_of(office, club, letter())
    await frozen_clock(club, AT_ONCE)
    await tell(office)
    kinds = await club.fetch("select kind from relais.notice order by notice_id")
    assert [row["kind"] for row in kinds[7:]] == []
    await settle(club, "handed_over")
    await finish(office)

    for hours in range(1, 30):
        await frozen_clock(club, NOON + hours * HOUR)
        await tell(office)

    kinds = await club.fetch("select kind from relais.notice order by notice_id")
    assert [row["kind"] for row in kinds[7:]] == ["report"]


async def test_what_nobody_ends_is_put_off(club: Owner, office: Office) -> None:
    """A message whose letter kills the process does so three times, and no more within the hour."""
    await outcome_of(office, club, letter())
    async with borrowed(office.pool) as db:
        assert await receipts.open_next(db, first_look=timedelta())
        for minutes in range(3):
            await frozen_clock(club, NOON + 2 * minutes * MINUTE)
            assert await receipts.begin_next(db) is not None

    assert await told(office, club, NOON + 6 * MINUTE) == {}
    assert await told(office, club, NOON + HOUR) == {}
    assert counted(await told(office, club, NOON + HOUR + 7 * MINUTE)) == {"receipt": 1}


async def test_who_was_faster(club: Owner, office: Office) -> None:
    """Of two who begin at the same moment one has it; a conflict is no crash."""
    await outcome_of(office, club, letter())
    async with borrowed(office.pool) as db:
        assert await receipts.open_next(db, first_look=timedelta())
        first = await receipts.begin_next(db)
        assert first is not None
        assert await receipts.begin_next(db) is None
        await club.execute("update relais.receipt set look_at = relais.now()")
        second = await receipts.begin_next(db)
        assert second is not None
        async with db.transaction():
            assert await receipts.lock(db, first) is None
            assert await receipts.lock(db, second) is not None


async def test_domains_that_are_asked_for(club: Owner, office: Office) -> None:
    """For some seconds nobody knows at which provider a copy will be: the receipt waits."""
    await outcome_of(office, club, letter())
    await club.execute(
        "update relais.delivery set state = 'deferred', due_at = relais.now() + interval '20 s'"
        " where address = 'a@b.fr'"
    )

    assert await told(office, club, NOON + timedelta(seconds=6)) == {}
    assert list(await told(office, club, NOON + MINUTE)) == ["receipt"]
