"""Postings that wait: who is asked, what an answer does, and what happens without one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.actors.letters import (
    Owner,
    attend,
    letter,
    link_in,
    notices,
    outcome_of,
    reply_address,
    states,
    text_of,
)
from tests.edges.store.given import DOMAIN, frozen_clock
from worker.actors.mediator import mediate
from worker.mail.return_address import Purpose
from worker.store import arrivals, decisions
from worker.store.database import borrowed
from worker.store.decisions import Answered, Kind

if TYPE_CHECKING:
    from email.message import EmailMessage

    from worker.actors.office import Office

UNPROVEN = letter(proof=None)


@pytest_asyncio.fixture
async def moderated(owner: Owner) -> Owner:
    """The list ``tous`` with a moderator, and every message to it approved first."""
    await owner.execute(
        "update lists.definition set moderate = 'all';"
        "insert into club.member (email, person, moderator) values ('chef@b.fr', '9', true)"
    )
    return owner


async def answered(
    office: Office,
    owner: Owner,
    notice: EmailMessage,
    body: bytes,
    *,
    uid: int,
    author: str = "chef@b.fr",
    more: bytes = b"",
) -> str:
    """Answer *notice* by mail; return what became of the answer."""
    reply = letter(author=author, trace=reply_address(notice), more=more, body=body, proof=None)
    row = await outcome_of(office, owner, reply, uid=uid)
    await attend(office)
    return str(row["outcome"])


async def test_an_unproven_author_is_asked_and_says_yes(office: Office, owner: Owner) -> None:
    """Nothing leaves before the answer; the posting goes out after it, once."""
    assert (await outcome_of(office, owner, UNPROVEN))["outcome"] == "to_confirm"
    await attend(office)

    [question] = (await notices(owner))["confirm"]
    assert question["to"] == "a@b.fr"
    assert question["auto-submitted"] == "auto-replied"
    assert question["in-reply-to"] == "<1@b.fr>"
    assert "2 personnes" in text_of(question)
    assert await owner.fetchval("select count(*) from relais.delivery where posting_id > 0") == 0

    assert await answered(office, owner, question, b"ok\r\n> ok", uid=2) == "confirmed"
    assert await states(owner) == {"Bonjour": "open"}
    assert await owner.fetchval("select count(*) from relais.delivery where posting_id > 0") == 2

    assert await answered(office, owner, question, b"ok", uid=3) == "answer_late"
    assert await owner.fetchval("select count(*) from relais.delivery where posting_id > 0") == 2


async def test_an_out_of_office_reply_confirms_nothing(office: Office, owner: Owner) -> None:
    """A program answers the question of a forged message as readily as any other."""
    await outcome_of(office, owner, UNPROVEN)
    await attend(office)
    [question] = (await notices(owner))["confirm"]

    for uid, mark in enumerate(
        (b"Auto-Submitted: auto-replied\r\n", b"X-Autoreply: yes\r\n", b"Precedence: bulk\r\n"), 2
    ):
        outcome = await answered(office, owner, question, b"ok", uid=uid, more=mark)
        assert outcome == "dropped_automatic"
    away = letter(trace=reply_address(question), subject="Absence du bureau", proof=None)
    assert (await outcome_of(office, owner, away, uid=9))["outcome"] == "dropped_automatic"
    assert await states(owner) == {"Bonjour": "held confirmation"}


async def test_the_author_says_no(office: Office, owner: Owner) -> None:
    """It was forged: it ends, and nobody is written to."""
    await outcome_of(office, owner, UNPROVEN)
    await attend(office)
    [question] = (await notices(owner))["confirm"]

    assert await answered(office, owner, question, b"NON !", uid=2) == "declined"

    assert await states(owner) == {"Bonjour": "stopped"}
    assert await owner.fetchval("select ended_because from relais.posting") == "disowned"
    assert set(await notices(owner)) == {"confirm"}


async def test_an_answer_that_is_unclear(office: Office, owner: Owner) -> None:
    """Whom we asked is told so; whoever wrote is not."""
    await outcome_of(office, owner, UNPROVEN)
    await attend(office)
    [question] = (await notices(owner))["confirm"]

    outcome = await answered(
        office, owner, question, b"Ce n'est pas moi", uid=2, author="x@elsewhere.fr"
    )

    assert outcome == "answer_unclear"
    [again] = (await notices(owner))["answer_unclear"]
    assert again["to"] == "a@b.fr"
    assert await answered(office, owner, again, b"ok", uid=3) == "confirmed"


async def test_three_days_without_a_confirmation(office: Office, owner: Owner) -> None:
    """An unproven author is told nothing: it may be anybody."""
    await outcome_of(office, owner, UNPROVEN)
    await attend(office)
    [question] = (await notices(owner))["confirm"]
    await pass_time(owner, "73 hours")
    await attend(office)

    assert await owner.fetchval("select ended_because from relais.posting") == "expired"
    assert set(await notices(owner)) == {"confirm"}
    assert await answered(office, owner, question, b"ok", uid=2) == "answer_late"


async def test_the_same_evidence_is_not_asked_about_again(office: Office, owner: Owner) -> None:
    """For 90 days, from the same network; another network is asked about."""
    await outcome_of(office, owner, UNPROVEN)
    await attend(office)
    [question] = (await notices(owner))["confirm"]
    await answered(office, owner, question, b"oui", uid=2)

    again = letter(proof=None, client="192.0.2.200", subject="encore")
    elsewhere = letter(proof=None, client="198.51.100.1", subject="ailleurs")
    assert (await outcome_of(office, owner, again, uid=3))["outcome"] == "posted"
    assert (await outcome_of(office, owner, elsewhere, uid=4))["outcome"] == "to_confirm"
    await pass_time(owner, "91 days")
    late = letter(proof=None, subject="tard", date="", more=b"")
    assert (await outcome_of(office, owner, late, uid=5))["outcome"] == "to_confirm"


async def test_five_questions_a_day(office: Office, owner: Owner) -> None:
    """The sixth is for the moderators: we are no mail bomb."""
    for number in range(7):
        await outcome_of(office, owner, letter(proof=None, subject=str(number)), uid=number + 1)
    await attend(office)

    found = await notices(owner)
    assert len(found["confirm"]) == 5
    assert sorted((await states(owner)).values(), key=str) == [
        *["held confirmation"] * 5,
        *["held moderation"] * 2,
    ]


async def test_a_moderated_posting_approved_by_reply(office: Office, moderated: Owner) -> None:
    """The moderator reads the message, the author hears that it waits, then it goes out."""
    assert (await outcome_of(office, moderated, letter()))["outcome"] == "held"
    await attend(office)

    found = await notices(moderated)
    [question], [told] = found["moderate"], found["held"]
    assert question["to"] == "chef@b.fr"
    assert "chaque message à cette liste est d\u2019abord approuvé" in text_of(question)
    assert "> x" in text_of(question)
    [attached] = question.iter_attachments()
    assert attached.get_content_type() == "message/rfc822"
    assert told["to"] == "a@b.fr"
    assert "1 personne prévenue" in text_of(told)

    assert await answered(office, moderated, question, b"OK", uid=2) == "approved"
    assert await states(moderated) == {"Bonjour": "open"}
    assert await moderated.fetchval("select decided_by from relais.posting") == "chef@b.fr"


async def test_a_moderator_reads_when_it_would_be_finished(
    office: Office, moderated: Owner
) -> None:
    """As `relais preview` says it: 150 people at Orange are more than a day's hundred."""
    await moderated.execute(
        "insert into club.member (email, person)"
        " select 'm' || n || '@orange.fr', 'm' || n from generate_series(1, 150) n"
    )
    await frozen_clock(moderated, datetime(2026, 11, 27, 11, tzinfo=UTC))
    await outcome_of(office, moderated, letter(date="Fri, 27 Nov 2026 12:00:00 +0100"))

    await attend(replace(office, accounts=["main"]))

    [question] = (await notices(moderated))["moderate"]
    text = re.sub("[\u00a0\u202f]", " ", text_of(question))
    assert re.search("Fin prévue : (demain|dimanche).*, si vous l\u2019approuvez maintenant", text)
    [row] = await moderated.fetch("select state, recipients from relais.posting")
    assert tuple(row) == ("held", 153), "nothing was made of the plan"
    assert (
        await moderated.fetchval("select count(*) from relais.delivery where posting_id > 0") == 0
    )


async def test_a_finish_that_nobody_can_work_out_is_left_out(
    office: Office, moderated: Owner
) -> None:
    """A view that has broken keeps no moderator from being asked."""
    await outcome_of(office, moderated, letter())
    await moderated.execute(
        "create or replace view lists.everybody as select email, name,"
        " (1 / (length(person) - 1))::text as person, may_post, moderator from club.member;"
        "update lists.definition set owner = 'chef@b.fr'"
    )

    await attend(replace(office, accounts=["main"]))

    [question] = (await notices(moderated))["moderate"]
    assert "Fin prévue" not in text_of(question)


async def test_a_moderator_says_no_and_why(office: Office, moderated: Owner) -> None:
    """The author reads the reason and has the message back."""
    await outcome_of(office, moderated, letter())
    await attend(office)
    [question] = (await notices(moderated))["moderate"]

    outcome = await answered(office, moderated, question, b"Non : la date est fausse", uid=2)

    assert outcome == "declined"
    [refusal] = (await notices(moderated))["refused"]
    assert refusal["to"] == "a@b.fr"
    assert "la date est fausse" in text_of(refusal)
    assert [a.get_content_type() for a in refusal.iter_attachments()] == ["message/rfc822"]


async def test_a_moderators_silence_is_no_approval(office: Office, moderated: Owner) -> None:
    """An empty reply approves nothing; after five days the author is told."""
    await outcome_of(office, moderated, letter())
    await attend(office)
    [question] = (await notices(moderated))["moderate"]
    assert await answered(office, moderated, question, b"> OK", uid=2) == "answer_unclear"

    await pass_time(moderated, "5 days 1 hour")
    await attend(office)

    assert await moderated.fetchval("select ended_because from relais.posting") == "expired"
    [word] = (await notices(moderated))["expired"]
    assert word["to"] == "a@b.fr"


async def test_confirmed_and_then_moderated(office: Office, moderated: Owner) -> None:
    """One does not replace the other."""
    await outcome_of(office, moderated, UNPROVEN)
    await attend(office)
    [question] = (await notices(moderated))["confirm"]
    await answered(office, moderated, question, b"ok", uid=2)

    assert await states(moderated) == {"Bonjour": "held moderation"}
    [ask] = (await notices(moderated))["moderate"]
    await answered(office, moderated, ask, b"oui", uid=3)
    assert await states(moderated) == {"Bonjour": "open"}


async def test_the_author_takes_it_back(office: Office, moderated: Owner) -> None:
    """A moderator who answers afterwards is late."""
    await outcome_of(office, moderated, letter())
    await attend(office)
    found = await notices(moderated)
    number = office.tokens.read(Purpose.POSTING, link_in(found["held"][0]))
    assert number is not None
    async with borrowed(office.pool) as db, db.transaction():
        assert await decisions.end(db, number, "withdrawn")

    assert await answered(office, moderated, found["moderate"][0], b"ok", uid=2) == "answer_late"
    assert await states(moderated) == {"Bonjour": "stopped"}
    await attend(office)
    assert set(await notices(moderated)) == {"moderate", "held"}


async def test_a_list_that_has_shrunk_is_asked_about(office: Office, owner: Owner) -> None:
    """A view that lost its people: held, the operators asked, and sent if they say so."""
    await owner.execute(
        "insert into club.member (email, person)"
        " select 'm' || n || '@d.fr', 'm' || n from generate_series(1, 20) n"
    )
    await outcome_of(office, owner, letter(subject="un"))
    await owner.execute("delete from club.member where person like 'm%'")

    row = await outcome_of(office, owner, letter(subject="deux"), uid=2)
    await attend(office)

    assert row["reason"] == "awaits moderation; shrank"
    [question] = (await notices(owner))["moderate"]
    assert question["to"] == "aide@example.fr"
    assert "moins de la moitié" in text_of(question)
    assert "22 personnes" in text_of(question)
    assert "2 personnes" in text_of(question)
    [told] = (await notices(owner))["held"]
    assert "Cette liste a 2 personnes aujourd\u2019hui" in text_of(told)
    assert "22 lors du dernier envoi, le " in text_of(told)
    assert "(1 personne prévenue)" in text_of(told)
    assert await answered(office, owner, question, b"ok", uid=3) == "approved"
    assert (await states(owner))["deux"] == "open"


async def test_an_author_reads_their_own_language(office: Office, moderated: Owner) -> None:
    """What moderators read is in the list's."""
    await moderated.execute(
        "drop view lists.everybody cascade;"
        "create view lists.everybody as select email, name, person, may_post, moderator,"
        " case person when '1' then 'en' when '2' then 'xx' end as lang from club.member;"
        "update lists.definition set view = 'lists.everybody' where name = 'everybody'"
    )
    await outcome_of(office, moderated, letter())
    other = letter(author="c@d.fr", subject="deux").replace(b"<1@b.fr>", b"<2@d.fr>")
    await outcome_of(office, moderated, other, uid=2)
    await attend(office)
    found = await notices(moderated)
    english, french = found["held"]

    assert "Nothing for you to do." in text_of(english)
    assert "Vous n\u2019avez rien" in text_of(french), "a language that we have not"
    assert all("attend votre accord" in text_of(asked) for asked in found["moderate"])
    assert await answered(office, moderated, found["moderate"][0], b"non: trop tard", uid=3) == (
        "declined"
    )
    [refused] = (await notices(moderated))["refused"]
    assert "The reason: trop tard" in text_of(refused)


async def test_an_answer_beyond_the_days_is_not_written(office: Office, moderated: Owner) -> None:
    """Held letters are among those that are counted; moderators are asked all the same."""
    for number in range(8):
        await outcome_of(office, moderated, letter(subject=str(number)), uid=number + 1)
    await attend(office)

    found = {kind: len(some) for kind, some in (await notices(moderated)).items()}
    assert found == {"moderate": 8, "held": 6, "no_more_today": 1}


async def test_who_has_agreed_may_think_again(office: Office, moderated: Owner) -> None:
    """What goes to many waits for its author a while, whoever has let it out."""
    await moderated.execute(
        "insert into club.member (email, person)"
        " select 'm' || n || '@b.fr', 'm' || n from generate_series(1, 201) n"
    )
    await outcome_of(office, moderated, letter())
    await attend(office)
    [question] = (await notices(moderated))["moderate"]

    await answered(office, moderated, question, b"ok", uid=2)

    assert await states(moderated) == {"Bonjour": "open"}
    assert await moderated.fetchval(
        "select not_before - fresh_until + interval '12 hours' between '4 minutes' and '6 minutes'"
        " from relais.posting"
    )


async def test_a_rail_that_nobody_was_shown_holds_again(office: Office, moderated: Owner) -> None:
    """Approved for one reason, it may not go out in spite of another."""
    await outcome_of(office, moderated, letter())
    await attend(office)
    [question] = (await notices(moderated))["moderate"]
    await moderated.execute("update lists.definition set max_recipients = 1")

    await answered(office, moderated, question, b"ok", uid=2)

    assert await states(moderated) == {"Bonjour": "held moderation"}
    again = (await notices(moderated))["moderate"][1:]
    assert {str(m["to"]) for m in again} == {"chef@b.fr", "aide@example.fr"}
    assert "plus de personnes que la liste ne le permet" in text_of(again[0])
    await answered(office, moderated, again[0], b"ok", uid=3)
    assert await states(moderated) == {"Bonjour": "open"}


async def test_a_release_whose_query_fails_waits(office: Office, moderated: Owner) -> None:
    """Approved, and then the view broke: it goes out when the view is mended."""
    await outcome_of(office, moderated, letter())
    await attend(office)
    [question] = (await notices(moderated))["moderate"]
    await moderated.execute("alter schema club rename to away")
    await moderated.execute(
        "create or replace view lists.everybody as select email,"
        " name, (1 / (length(person) - 1))::text as person, may_post, moderator from away.member"
    )

    assert await answered(office, moderated, question, b"ok", uid=2) == "approved"
    assert await states(moderated) == {"Bonjour": "held release"}

    await moderated.execute(
        "create or replace view lists.everybody as select email, name, person, may_post,"
        " moderator from away.member"
    )
    await pass_time(moderated, "6 minutes")
    await attend(office)
    assert await states(moderated) == {"Bonjour": "open"}


async def test_many_held_messages_are_not_many_letters(office: Office, moderated: Owner) -> None:
    """A flood of messages in members' names is no flood for the moderators."""
    for number in range(25):
        raw = letter(proof="dmarc=fail header.from={}", subject=str(number))
        await outcome_of(office, moderated, raw, uid=number + 1)
    await attend(office)

    found = await notices(moderated)
    assert len(found["moderate"]) == 20
    assert "held" not in found, "nobody is told about a message that its domain disowns"
    assert (
        await moderated.fetchval(
            "select count(*) from relais.posting where asked_at is null and held_until is not null"
        )
        == 5
    ), "their days to decide have not begun"
    await pass_time(moderated, "25 hours")
    await attend(office)
    assert len((await notices(moderated))["moderate"]) == 25


async def test_two_answers_at_once(office: Office, moderated: Owner) -> None:
    """The first moderator who answers decides."""
    await moderated.execute(
        "insert into club.member (email, person, moderator) values ('chef2@b.fr', '8', true)"
    )
    await outcome_of(office, moderated, letter())
    await attend(office)
    one, two = (
        office.tokens.read(Purpose.MODERATE, link_in(m))
        for m in (await notices(moderated))["moderate"]
    )
    assert one is not None
    assert two is not None
    async with borrowed(office.pool) as db, db.transaction():
        assert await decisions.answer(db, one, yes=False, source="page") is Answered.TAKEN
        assert await decisions.answer(db, two, yes=True, source="page") is Answered.TOO_LATE
        asked = await decisions.asked(db, two, Kind.MODERATE)
    assert asked is not None
    assert (asked.is_open, asked.decided_by) == (False, "chef2@b.fr")


@pytest.mark.parametrize(
    ("body", "outcome"), [(b"Approuv\xe9", "approved"), (b"\xff\xfe", "answer_unclear")]
)
async def test_odd_bytes_in_an_answer(
    office: Office, moderated: Owner, body: bytes, outcome: str
) -> None:
    """An old mail program, and garbage."""
    await outcome_of(office, moderated, letter())
    await attend(office)
    [question] = (await notices(moderated))["moderate"]
    latin = b"Content-Type: text/plain; charset=iso-8859-1\r\n"
    assert await answered(office, moderated, question, body, uid=2, more=latin) == outcome


async def test_mail_to_the_owner_reaches_a_human(office: Office, owner: Owner) -> None:
    """The help address, with the message attached; an answer goes to its author."""
    to_owner = letter(trace=f"tous-owner@{DOMAIN}", author="x@y.fr", body=b"Aidez-moi")
    assert (await outcome_of(office, owner, to_owner))["outcome"] == "forwarded"

    [forwarded] = (await notices(owner))["forwarded"]
    assert (forwarded["to"], forwarded["reply-to"]) == ("aide@example.fr", "x@y.fr")
    [attached] = forwarded.iter_attachments()
    assert "Aidez-moi" in attached.get_content().get_content()


async def test_a_query_that_fails_is_told_after_an_hour(office: Office, owner: Owner) -> None:
    """Once, and to an author who is proven."""
    await owner.execute(
        "create or replace view lists.everybody as select email, name, person, may_post,"
        " (1 / (length(person) - 1))::boolean as moderator from club.member"
    )
    await outcome_of(office, owner, letter())
    assert await notices(owner) == {}
    for hours in (1, 2, 3):
        await pass_time(owner, "1 hour")
        await owner.execute("update relais.arrival set worker_id = 'nobody'")
        await again(office)
        assert [len(n) for n in (await notices(owner)).values()] == [1], hours
    [word] = (await notices(owner))["query_fails"]
    assert word["to"] == "a@b.fr"
    assert (word["in-reply-to"], word["references"]) == ("<1@b.fr>", "<1@b.fr>")


async def again(office: Office) -> None:
    """Mediate what has waited."""
    async with borrowed(office.pool) as db:
        arrival = await arrivals.claim(db, "received", office.worker_id)
    assert arrival is not None
    await mediate(arrival, office=office)


async def pass_time(owner: Owner, interval: str) -> None:
    """Let the database's clock jump forward."""
    await owner.execute(
        "update relais.clock set origin = relais.now() + $1::text::interval,"
        " since = clock_timestamp()",
        interval,
    )


async def test_an_empty_reply_confirms_in_our_thread_only(office: Office, owner: Owner) -> None:
    """An unmarked program may answer with nothing; it makes no thread."""
    await outcome_of(office, owner, UNPROVEN)
    await attend(office)
    [question] = (await notices(owner))["confirm"]

    assert await answered(office, owner, question, b"", uid=2) == "answer_unclear"
    thread = f"In-Reply-To: {question['message-id']}\r\n".encode()
    assert await answered(office, owner, question, b"", uid=3, more=thread) == "confirmed"


async def test_what_kills_the_process_waits(office: Office, moderated: Owner) -> None:
    """Three beginnings without an end: others are attended to, and it is tried again later."""
    await outcome_of(office, moderated, letter())
    await moderated.execute("update relais.posting set attempts = 3")
    await attend(office)
    assert await notices(moderated) == {}
    await pass_time(moderated, "61 minutes")
    await attend(office)
    assert set(await notices(moderated)) == {"moderate", "held"}
