"""Automatic answers: never posted, never answered, never a yes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.actors.letters import attend, letter, notices, outcome_of, reply_address, states
from tests.edges.store.given import DOMAIN
from worker.mail.return_address import Purpose

if TYPE_CHECKING:
    import asyncpg

    from worker.actors.office import Office

    Owner = asyncpg.Connection[asyncpg.Record]

MARKS = {
    "auto-submitted": b"Auto-Submitted: auto-replied\r\n",
    "auto-generated": b"Auto-Submitted: auto-generated\r\n",
    "precedence": b"Precedence: auto_reply\r\n",
    "x-autoreply": b"X-Autoreply: yes\r\n",
    "vacation of Apple": b"X-Apple-Action: vacation\r\n",
}
# A program may quote our question, of which OK is a word, or say it by itself.
WORDS = b"OK\r\n\r\nJe suis absent jusqu'au 5 mai. OK pour tout le reste.\r\n"


@pytest.fixture
async def moderated(owner: Owner) -> Owner:
    """The list ``tous``, of which each message is approved first."""
    await owner.execute(
        "insert into club.member (email, person, moderator) values ('chef@b.fr', '3', true);"
        "update lists.definition set moderate = 'all'"
    )
    return owner


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
async def test_an_absent_moderator_approves_nothing(
    office: Office, moderated: Owner, mark: bytes
) -> None:
    """Their program answers our question, and nobody answers the program."""
    assert (await outcome_of(office, moderated, letter()))["outcome"] == "held"
    await attend(office)
    [question] = (await notices(moderated))["moderate"]
    before = await moderated.fetchval("select count(*) from relais.notice")
    in_thread = f"In-Reply-To: {question['message-id']}\r\n".encode()
    away = letter(
        author="chef@b.fr",
        trace=reply_address(question),
        subject="Re: À valider",
        more=mark + in_thread,
        body=WORDS,
    )

    assert (await outcome_of(office, moderated, away, uid=2))["outcome"] == "dropped_automatic"
    await attend(office)

    assert await states(moderated) == {"Bonjour": "held moderation"}
    assert await moderated.fetchval("select count(*) from relais.notice") == before


async def test_by_its_subject_alone(office: Office, moderated: Owner) -> None:
    """Without any mark."""
    await outcome_of(office, moderated, letter())
    await attend(office)
    [question] = (await notices(moderated))["moderate"]
    away = letter(
        author="chef@b.fr",
        trace=reply_address(question),
        subject="Réponse automatique : absent",
        body=WORDS,
    )

    assert (await outcome_of(office, moderated, away, uid=2))["outcome"] == "dropped_automatic"
    assert await states(moderated) == {"Bonjour": "held moderation"}


PLACES = (
    "tous",
    "tous-owner",
    "tous-request",
    "tous-unsubscribe",
    "postmaster",
    "abuse",
    "nobody",
    f"return-{'a' * 32}",
    f"confirm-{'a' * 32}",
    f"moderate-{'a' * 32}",
)


@pytest.mark.parametrize("place", PLACES)
async def test_nobody_answers_a_program(office: Office, owner: Owner, place: str) -> None:
    """Wherever it writes to: no notice, no posting."""
    for uid, mark in enumerate(MARKS.values(), start=1):
        away = letter(trace=f"{place}@{DOMAIN}", subject="Absent", more=mark, body=b"unsubscribe")
        row = await outcome_of(office, owner, away, uid=uid)
        assert (row["kind"], row["outcome"]) == ("automatic", "dropped_automatic")
    await attend(office)

    assert await owner.fetchval("select count(*) from relais.notice") == 0
    assert await owner.fetchval("select count(*) from relais.posting") == 0


async def test_nobody_answers_what_comes_to_a_copy(office: Office, owner: Owner) -> None:
    """At a real return address it is evidence, and no more."""
    await outcome_of(office, owner, letter())
    delivery_id = await owner.fetchval("select min(delivery_id) from relais.delivery")
    token = office.tokens.sign(Purpose.RETURN, delivery_id).decode()
    away = letter(trace=f"return-{token}@{DOMAIN}", more=MARKS["auto-submitted"])

    row = await outcome_of(office, owner, away, uid=2)

    assert (row["kind"], row["outcome"]) == ("automatic", "dropped_automatic")
    assert await owner.fetchval("select count(*) from relais.notice") == 0
    assert await owner.fetchval("select count(*) from relais.posting") == 1
