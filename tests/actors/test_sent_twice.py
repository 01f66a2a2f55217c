"""A message that is sent twice: it goes out once, and its author says whether twice was meant."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.actors.letters import (
    TO,
    Owner,
    arrive,
    attend,
    letter,
    link_in,
    notices,
    outcome_of,
    reply_address,
    text_of,
)
from tests.edges.store.given import DOMAIN
from worker.actors.mediator import mediate
from worker.mail.return_address import Purpose
from worker.store import decisions
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.office import Office

FAILED = "dmarc=fail header.from={}"


def message(number: int, *, proof: str | None = "dmarc=pass header.from={}", **more: str) -> bytes:
    """Write the same once more: with another Message-ID, at another time."""
    more.setdefault("date", f"Mon, 23 Nov 2026 10:00:{number:02} +0100")
    raw = letter(proof=proof, body=b"Bonjour", **more)  # type: ignore[arg-type]  # a test's own
    return raw.replace(b"<1@b.fr>", b"<%d@b.fr>" % number)


@pytest.fixture(autouse=True)
async def _today(owner: Owner) -> None:
    """No message is old."""
    await owner.execute(
        "update relais.clock set rate = 1, since = clock_timestamp(),"
        " origin = '2026-11-23 10:01+01'"
    )


async def pass_time(owner: Owner, interval: str) -> None:
    """Let time go by."""
    await owner.execute(
        "update relais.clock set origin = relais.now() + $1::text::interval,"
        " since = clock_timestamp()",
        interval,
    )


async def outcomes(office: Office, owner: Owner, *raws: bytes) -> list[str]:
    """Mediate messages one after the other, and attend to what waits."""
    found = []
    for uid, raw in enumerate(raws, await owner.fetchval("select count(*) from relais.arrival")):
        found.append((await outcome_of(office, owner, raw, uid=uid + 1))["outcome"])
        await attend(office)
    return found


async def ends(owner: Owner) -> list[tuple[str, str | None]]:
    """Return how each posting stands."""
    rows = await owner.fetch("select state, ended_because from relais.posting order by posting_id")
    return [tuple(row) for row in rows]


async def test_its_author_is_asked_once(office: Office, owner: Owner) -> None:
    """How many got the first; a page and an answer send it again."""
    assert await outcomes(office, owner, message(1), message(2)) == ["posted", "repeated"]

    found = await notices(owner)
    assert set(found) == {"sent_twice"}
    [question] = found["sent_twice"]
    assert question["to"] == "a@b.fr"
    assert question["in-reply-to"] == "<2@b.fr>"
    assert "à 2 personnes" in text_of(question)
    assert office.tokens.read(Purpose.CONFIRM, link_in(question)) is not None
    assert await owner.fetchval("select repeats from relais.posting where posting_id = 2") == 1

    yes = letter(trace=reply_address(question), body=b"OK", proof=None)
    assert await outcomes(office, owner, yes) == ["confirmed"]
    assert await ends(owner) == [("open", None), ("open", None)]
    row = await owner.fetchrow("select proof, recipients from relais.posting where posting_id = 2")
    assert row is not None
    assert tuple(row) == ("dmarc", 2), "what proved it still does"


async def test_once_is_enough(office: Office, owner: Owner) -> None:
    """No is an answer, and nobody is told of it."""
    await outcomes(office, owner, message(1), message(2))
    [question] = (await notices(owner))["sent_twice"]

    no = letter(trace=reply_address(question), body=b"NON", proof=None)

    assert await outcomes(office, owner, no) == ["declined"]
    assert await ends(owner) == [("open", None), ("stopped", "disowned")]
    assert set(await notices(owner)) == {"sent_twice"}


async def test_silence_is_an_answer(office: Office, owner: Owner) -> None:
    """After three days it ends, without a word."""
    await outcomes(office, owner, message(1), message(2))
    await pass_time(owner, "73 hours")
    await attend(office)

    assert await ends(owner) == [("open", None), ("stopped", "expired")]
    assert set(await notices(owner)) == {"sent_twice"}


async def test_one_question_where_one_is_asked_anyway(office: Office, owner: Owner) -> None:
    """The first waits for its author as well; one answer to each."""
    given = await outcomes(office, owner, message(1, proof=None), message(2, proof=None))

    assert given == ["to_confirm", "repeated"]
    found = await notices(owner)
    assert {kind: len(some) for kind, some in found.items()} == {"confirm": 1, "sent_twice": 1}
    assert "attend encore votre confirmation" in text_of(found["sent_twice"][0])


async def test_the_third_time(office: Office, owner: Owner) -> None:
    """It is the first one that counts, not the second, which waits for the same answer."""
    await outcomes(office, owner, message(1), message(2), message(3))

    rows = await owner.fetch("select repeats from relais.posting order by posting_id")
    assert [row["repeats"] for row in rows] == [None, 1, 1]


ANEW = {
    "a day later": "update relais.posting set accepted_at = accepted_at - interval '25 hours'",
    "it was refused": "update relais.posting set state = 'stopped', ended_because = 'refused'",
    "it was taken back": "update relais.posting set state = 'stopped', ended_because = 'withdrawn'",
    "nobody confirmed it": "update relais.posting set state = 'stopped', ended_because = 'expired'",
    "it was disowned": "update relais.posting set state = 'stopped', ended_because = 'disowned'",
    "it was stopped before its first copy": (
        "update relais.posting set state = 'stopped', ended_because = 'stopped'"
    ),
}


@pytest.mark.parametrize("happened", ANEW.values(), ids=ANEW)
async def test_what_may_be_sent_again(office: Office, owner: Owner, happened: str) -> None:
    """Nobody got it, or it is long ago."""
    await outcomes(office, owner, message(1))
    await owner.execute(happened)

    assert await outcomes(office, owner, message(2)) == ["posted"]
    assert "sent_twice" not in await notices(owner)


STANDING = {
    "it has gone out": "update relais.posting set state = 'finished'",
    "it was stopped under way": (
        "update relais.delivery set state = 'handed_over' where address = 'c@d.fr';"
        "update relais.posting set state = 'stopped', ended_because = 'stopped'"
    ),
    "it is paused": "update relais.posting set state = 'held'",
}


@pytest.mark.parametrize("happened", STANDING.values(), ids=STANDING)
async def test_what_is_asked_about(office: Office, owner: Owner, happened: str) -> None:
    """Somebody has it, or is going to."""
    await outcomes(office, owner, message(1))
    await owner.execute(happened)

    assert await outcomes(office, owner, message(2)) == ["repeated"]


async def test_how_many_got_what_was_stopped(office: Office, owner: Owner) -> None:
    """Not how many it was for."""
    await outcomes(office, owner, message(1))
    await owner.execute(STANDING["it was stopped under way"])
    await outcomes(office, owner, message(2))

    assert "à 1 personne." in text_of((await notices(owner))["sent_twice"][0])


OTHERS = {
    "the very same message": (b"Received: from x\r\n" + message(1), "duplicate"),
    "another subject": (message(2, subject="Re: Bonjour"), "posted"),
    "another author": (message(2, author="c@d.fr"), "posted"),
    "their domain disowns it": (message(2, proof=FAILED), "held"),
}


@pytest.mark.parametrize(("raw", "outcome"), OTHERS.values(), ids=OTHERS)
async def test_what_is_no_second_sending(
    office: Office, owner: Owner, raw: bytes, outcome: str
) -> None:
    """Hosts deliver one message several times, and people say the same as others."""
    assert await outcomes(office, owner, message(1), raw) == ["posted", outcome]
    assert "sent_twice" not in await notices(owner)


async def test_the_same_words_to_another_list(office: Office, owner: Owner) -> None:
    """Each list has its own readers."""
    await owner.execute(
        "create view lists.other as select email, name, person from club.member;"
        "select lists.define(view => 'lists.other', address => 'other', title => 'Other')"
    )
    other = f"other@{DOMAIN}"

    assert await outcomes(office, owner, message(1), message(2, trace=other, to=other)) == [
        "posted",
        "posted",
    ]


async def test_both_at_once(office: Office, owner: Owner) -> None:
    """Two workers have one each: one of them sees what the other has written."""
    arrivals = [await arrive(office, message(number), uid=number) for number in (1, 2)]

    await asyncio.gather(*(mediate(arrival, office=office) for arrival in arrivals))

    rows = await owner.fetch("select outcome from relais.arrival")
    assert Counter(row["outcome"] for row in rows) == {"posted": 1, "repeated": 1}
    assert await owner.fetchval("select count(*) from relais.delivery") == 2


async def test_who_has_had_answers_enough(office: Office, owner: Owner) -> None:
    """They are not asked; what they have sent once goes out once."""
    await owner.execute(
        "insert into relais.notice (kind, address, template, key_id, made_at)"
        " select 'report', 'a@b.fr', '', '', relais.now() from generate_series(1, 6)"
    )
    await outcomes(office, owner, message(1), message(2))

    kinds = await owner.fetch("select kind from relais.notice where kind <> 'report'")
    assert [row["kind"] for row in kinds] == ["no_more_today"]


async def test_asked_too_often(office: Office, owner: Owner) -> None:
    """Then a moderator is told that it was sent before."""
    await outcomes(office, owner, *(message(number) for number in range(1, 8)))

    row = await owner.fetchrow(
        "select reasons, awaits from relais.posting order by posting_id desc limit 1"
    )
    assert row is not None
    assert (row["reasons"], row["awaits"]) == (["repeated"], "moderation")


async def test_the_page_asks_what_is_meant(office: Office, owner: Owner) -> None:
    """Its question is whether to send again, so it has to know."""
    await outcomes(office, owner, message(1), message(2))
    number = await owner.fetchval("select decision_id from relais.decision")

    async with borrowed(office.pool) as db:
        asked = await decisions.asked(db, number, decisions.Kind.CONFIRM)

    assert asked is not None
    assert asked.repeats == 1
    assert TO.startswith(asked.list_address)
