"""Letters about a message are in its thread, as whoever gets them knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.actors.letters import (
    Owner,
    attend,
    letter,
    notices,
    outcome_of,
    reply_address,
)
from tests.edges.store.given import DOMAIN
from worker.mail.header import read_message
from worker.mail.preparation import fingerprint, own_message_id

if TYPE_CHECKING:
    from email.message import EmailMessage

    from worker.actors.office import Office

ABOVE = b"References: <root@b.fr> <parent@b.fr>\r\nIn-Reply-To: <parent@b.fr>\r\n"
THREAD = ["<root@b.fr>", "<parent@b.fr>", "<1@b.fr>"]
ANONYMOUS = "update lists.definition set form = 'anonymous', reply_to = 'owner'"


def thread_in(notice: EmailMessage) -> list[str]:
    """Return what a notice refers to; In-Reply-To must be the last of it."""
    references = str(notice["references"] or "").split()
    assert str(notice["in-reply-to"] or "") == (references[-1] if references else "")
    return references


@pytest.fixture
async def moderated(owner: Owner) -> Owner:
    """The list ``tous``, of which each message is approved first."""
    await owner.execute(
        "insert into club.member (email, person, moderator) values ('chef@b.fr', '3', true);"
        "update lists.definition set moderate = 'all'"
    )
    return owner


@pytest.mark.parametrize("is_anonymous", [False, True], ids=["discussion", "anonymous"])
async def test_a_held_posting(office: Office, moderated: Owner, is_anonymous: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Its author knows it by their own Message-ID; the others by that of the copies."""
    if is_anonymous:
        await moderated.execute(ANONYMOUS)
    raw = letter(more=ABOVE)

    await outcome_of(office, moderated, raw)
    await attend(office)

    found = await notices(moderated)
    ours = own_message_id(fingerprint(read_message(raw)), domain=DOMAIN)
    assert thread_in(found["held"][0]) == THREAD
    assert thread_in(found["moderate"][0]) == [ours if is_anonymous else "<1@b.fr>"]
    assert found["held"][0]["auto-submitted"] == "auto-replied"
    assert found["moderate"][0]["auto-submitted"] == "auto-generated"


async def test_a_question_to_the_author(office: Office, owner: Owner) -> None:
    """Whether they wrote it is asked in the thread that they would know."""
    await outcome_of(office, owner, letter(proof=None, more=ABOVE))
    await attend(office)

    [question] = (await notices(owner))["confirm"]
    assert thread_in(question) == THREAD
    assert question["auto-submitted"] == "auto-replied"


async def test_an_answer_that_was_not_understood(office: Office, moderated: Owner) -> None:
    """It is in the thread of that answer, not of the posting."""
    await outcome_of(office, moderated, letter())
    await attend(office)
    [question] = (await notices(moderated))["moderate"]
    unclear = letter(
        author="chef@b.fr",
        trace=reply_address(question),
        more=b"In-Reply-To: <question@x.fr>\r\n",
        body=b"Perhaps tomorrow",
    ).replace(b"Message-ID: <1@b.fr>", b"Message-ID: <reply@b.fr>")

    assert (await outcome_of(office, moderated, unclear, uid=2))["outcome"] == "answer_unclear"

    [again] = (await notices(moderated))["answer_unclear"]
    assert thread_in(again) == ["<question@x.fr>", "<reply@b.fr>"]


async def test_a_forwarded_message(office: Office, owner: Owner) -> None:
    """The human's answer to it goes on with the author's thread."""
    await outcome_of(office, owner, letter(trace=f"tous-owner@{DOMAIN}", more=ABOVE))

    [forwarded] = (await notices(owner))["forwarded"]
    assert thread_in(forwarded) == THREAD
    assert forwarded["auto-submitted"] == "auto-generated"
    assert str(forwarded["reply-to"]) == "a@b.fr"


async def test_who_wants_to_leave(office: Office, owner: Owner) -> None:
    """The way out answers the word that asked for it."""
    await outcome_of(office, owner, letter(subject="copy"))
    await owner.execute("update relais.delivery set state = 'handed_over', settled_at = now()")
    asks = letter(subject="unsubscribe", more=ABOVE, body=b"unsubscribe")

    assert (await outcome_of(office, owner, asks, uid=2))["outcome"] == "asked_to_leave"

    [way] = (await notices(owner))["how_to_leave"]
    assert thread_in(way) == THREAD
    assert way["auto-submitted"] == "auto-replied"
