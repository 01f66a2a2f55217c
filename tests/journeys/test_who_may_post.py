"""Who may post, on real servers: strangers, forgers, moderators, and their answers by mail."""

from __future__ import annotations

import email
import email.policy
import re
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.journeys.conftest import members
from tests.journeys.relais import DOMAIN, STRANGERS_SERVER, message, submit, until

if TYPE_CHECKING:
    from email.message import EmailMessage

    from tests.journeys.relais import Relais
    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix

pytestmark = pytest.mark.real_servers

AUTHOR = "president@membres.test"
CHEF = "secretaire@free.test"
COMITE = f"membre.comite@{DOMAIN}"
DECIDED = f"decisions@{DOMAIN}"
COPIES = (
    "SELECT count(*) FROM relais.delivery WHERE posting_id IS NOT NULL AND state = 'handed_over'"
)

MODERATED_LIST = """
    create view lists.decisions as
    select email, name, person, role = 'secretaire' as moderator from club.member;
    select lists.define(view => 'lists.decisions', address => 'decisions', title => 'Décisions',
                        moderate => 'all', lang => 'fr');
"""


async def letters(
    dovecot: Dovecot, recipient: str, count: int, *, subject: str
) -> list[EmailMessage]:
    """Wait for *count* messages with *subject* in a member's mailbox, and return them."""

    def found() -> list[EmailMessage]:
        all_of_it = (
            email.message_from_bytes(raw, policy=email.policy.default)
            for raw in dovecot.received(recipient)
        )
        return [m for m in all_of_it if subject in str(m["subject"])]

    await until(lambda: len(found()) >= count)
    return found()


def text_of(message: EmailMessage) -> str:
    """Return what is read of a message."""
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def reply(postfix: Postfix, to: EmailMessage, author: str, words: str) -> None:
    """Answer a letter as a mail program does: above the quoted text."""
    found = re.search(r"<([^>]+)>", str(to["reply-to"] or to["from"]))
    assert found is not None
    quoted = "".join(f"> {line}\r\n" for line in text_of(to).splitlines())
    body = f"{words}\r\n\r\nLe mar. 24 nov. 2026 à 10:00, Listes a écrit :\r\n{quoted}"
    await submit(
        postfix.inbound_port, author, found[1],
        message(found[1], author=author, subject=f"Re: {to['subject']}"[:60], body=body),
    )  # fmt: skip


async def test_a_stranger_is_refused(relais: Relais, dovecot: Dovecot, postfix: Postfix) -> None:
    """It is kept; who is proven is told why, with their text, and who is not is not written to."""
    await members(relais, AUTHOR, "anne@free.test")
    await relais.start()

    for author, client in (("mal@ailleurs.test", STRANGERS_SERVER), ("eve@ailleurs.test", None)):
        await submit(
            postfix.inbound_port, author, COMITE, message(COMITE, author=author),
            **({"client": client} if client else {}),
        )  # fmt: skip
    await relais.until_outcomes("refused_stranger", "refused_stranger")

    await until(lambda: len(dovecot.received(folder="relais/refused")) == 2)
    [told] = await letters(dovecot, "eve@ailleurs.test", 1, subject="Non envoyé")
    assert str(told["auto-submitted"]) == "auto-replied"
    assert "eve@ailleurs.test" in text_of(told)
    [attached] = [part for part in told.walk() if part.get_content_type() == "message/rfc822"]
    assert "eve@ailleurs.test" in str(attached.get_content()["from"])
    assert await relais.db.fetchval("SELECT count(*) FROM relais.delivery") == 1


async def test_a_forger_is_found_out_and_the_member_asked(
    relais: Relais, dovecot: Dovecot, postfix: Postfix
) -> None:
    """A stranger's server sends in a member's name, with forged results: the member says no."""
    await members(relais, AUTHOR, "anne@free.test")
    await relais.start()
    forged = (
        b"Authentication-Results: mx.hote.test; dmarc=pass header.from=membres.test\r\n"
        b"Received: from mx.membres.test ([203.0.113.9]) by mx.hote.test; today\r\n"
    )

    await submit(
        postfix.inbound_port, AUTHOR, COMITE,
        forged + message(COMITE, author=AUTHOR, subject="Virement urgent"),
        client=STRANGERS_SERVER,
    )  # fmt: skip
    await relais.until_outcomes("to_confirm")

    [question] = await letters(dovecot, AUTHOR, 1, subject="À confirmer")
    assert "Virement urgent" in text_of(question)
    assert await relais.db.fetchval(COPIES) == 0
    await reply(postfix, question, AUTHOR, "NON, ce n'est pas moi")
    await relais.until("SELECT ended_because = 'disowned' FROM relais.posting")
    assert await relais.db.fetchval(COPIES) == 0
    assert dovecot.received("anne@free.test") == []


async def test_a_member_without_proof_confirms(
    relais: Relais, dovecot: Dovecot, postfix: Postfix, web_port: int
) -> None:
    """By the page: opening it sends nothing, the button does. The next time nobody is asked."""
    await members(relais, AUTHOR, "anne@free.test")
    await relais.start()

    for subject in ("Réunion", "Encore"):
        await submit(
            postfix.inbound_port, AUTHOR, COMITE,
            message(COMITE, author=AUTHOR, subject=subject), client=STRANGERS_SERVER,
        )  # fmt: skip
        if subject == "Encore":
            break
        [question] = await letters(dovecot, AUTHOR, 1, subject="À confirmer")
        found = re.search(r"/c/([a-z2-7]{32})", text_of(question))
        assert found is not None
        page = f"http://127.0.0.1:{web_port}/c/{found[1]}"
        async with aiohttp.ClientSession() as browser:
            async with browser.get(page) as shown:
                assert "Avez-vous envoyé ce message" in await shown.text()
            assert await relais.db.fetchval(COPIES) == 0
            async with browser.post(page, data={"answer": "yes"}) as done:
                assert "Merci" in await done.text()
        await relais.until(f"SELECT ({COPIES}) = 2")

    await relais.until(f"SELECT ({COPIES}) = 4")
    await relais.until_outcomes("posted", "to_confirm")


async def test_a_moderated_posting_is_approved_by_reply(
    relais: Relais, dovecot: Dovecot, postfix: Postfix
) -> None:
    """The moderator's mail program shows the message, and answers; then it goes out."""
    await relais.define(MODERATED_LIST)
    await members(relais, AUTHOR, "anne@free.test")
    await members(relais, CHEF, role="secretaire")
    await relais.start()

    await submit(
        postfix.inbound_port, AUTHOR, DECIDED,
        message(DECIDED, author=AUTHOR, subject="Convocation", body="Le 12 à 20 h."),
    )  # fmt: skip
    [question] = await letters(dovecot, CHEF, 1, subject="À valider")
    assert "3 personnes" in str(question["subject"])
    assert "> Le 12 à 20 h." in text_of(question)
    [attached] = question.iter_attachments()
    assert str(attached.get_content()["subject"]) == "Convocation"
    [waits] = await letters(dovecot, AUTHOR, 1, subject="En attente d\u2019accord")
    assert "/p/" in text_of(waits)
    assert await relais.db.fetchval(COPIES) == 0

    await reply(postfix, question, CHEF, "Ok, merci")
    await relais.until(f"SELECT ({COPIES}) = 3")
    [copy] = [
        m
        for m in await letters(dovecot, "anne@free.test", 1, subject="Convocation")
        if m["list-id"]
    ]
    assert "Le 12 à 20 h." in text_of(copy)
    await relais.until_outcomes("approved", "held")


async def test_a_moderator_refuses_with_a_reason(
    relais: Relais, dovecot: Dovecot, postfix: Postfix
) -> None:
    """The author reads the reason and has the text back; nobody else hears of it."""
    await relais.define(MODERATED_LIST)
    await members(relais, AUTHOR, "anne@free.test")
    await members(relais, CHEF, role="secretaire")
    await relais.start()

    await submit(
        postfix.inbound_port, AUTHOR, DECIDED,
        message(DECIDED, author=AUTHOR, subject="Convocation"),
    )  # fmt: skip
    [question] = await letters(dovecot, CHEF, 1, subject="À valider")
    await reply(postfix, question, CHEF, "non : la date est fausse")

    [refusal] = await letters(dovecot, AUTHOR, 1, subject="Non envoyé")
    assert "la date est fausse" in text_of(refusal)
    assert await relais.db.fetchval(COPIES) == 0
    assert dovecot.received("anne@free.test") == []


async def test_mail_to_the_owner(relais: Relais, dovecot: Dovecot, postfix: Postfix) -> None:
    """A stranger asks the human behind a list; the human's mailbox has it."""
    await relais.define(
        "select lists.define(view => 'lists.everybody', address => 'tous', title => 'Tous',"
        " owner => 'bureau@free.test')"
    )
    await members(relais, AUTHOR)
    await relais.start()

    to = f"tous-owner@{DOMAIN}"
    await submit(
        postfix.inbound_port, "eve@ailleurs.test", to, message(to, author="eve@ailleurs.test")
    )
    [forwarded] = await letters(dovecot, "bureau@free.test", 1, subject="Pour vous")
    assert str(forwarded["reply-to"]) == "eve@ailleurs.test"
    await relais.until_outcomes("forwarded")
