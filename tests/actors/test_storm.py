"""A storm of automatic mail at every address of ours: nothing is posted, answered or confirmed."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import pytest
import pytest_asyncio

from tests.actors.letters import (
    TO,
    Owner,
    attend,
    letter,
    notices,
    outcome_of,
    reply_address,
    states,
)
from tests.edges.store.given import DOMAIN
from worker.mail.return_address import Purpose

if TYPE_CHECKING:
    from worker.actors.office import Office

MEMBER = "a@b.fr"
UTF8 = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
REPORT = b"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=%s; boundary=report\r\n"


class Form(NamedTuple):
    """What marks a kind of automatic mail; all else is as a member would write it."""

    more: bytes = b""
    subject: str = "Re: Bonjour"
    author: str = MEMBER
    null_return_path: bool = False
    report_type: bytes = b""


FORMS = {
    "RFC 3834": Form(b"Auto-Submitted: auto-replied\r\n"),
    "Sieve": Form(b"Auto-Submitted: auto-replied (vacation)\r\n", "Auto: Bonjour"),
    "Zimbra": Form(b"Auto-Submitted: auto-replied (zimbra; vacation)\r\nPrecedence: bulk\r\n"),
    "Gmail": Form(b"Precedence: bulk\r\nX-Autoreply: yes\r\nAuto-Submitted: auto-replied\r\n"),
    "Exchange": Form(
        b"Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n",
        "=?utf-8?q?R=C3=A9ponse_automatique_=3A_Bonjour?=",
    ),
    "Exchange, stripped, French": Form(subject="=?utf-8?b?UsOpcG9uc2UgYXV0b21hdGlxdWUgOiB4?="),
    "Exchange, stripped, English": Form(subject="Automatic reply: Bonjour"),
    "old Exchange, French": Form(subject="Absence du bureau : Bonjour"),
    "old Exchange, English": Form(subject="Out of Office: Bonjour"),
    "a webmail's": Form(subject="Message d'absence"),
    "Notes": Form(subject="AUTO: Anne Martin is out of the office (returning 12/01/2027)"),
    "cPanel": Form(b"X-Autorespond: Bonjour\r\nPrecedence: auto_reply\r\n"),
    "qmail's": Form(b"Precedence: junk\r\n", "Auto reply"),
    "Plesk": Form(b"X-Mail-Autoreply: yes\r\n"),
    "OVH's": Form(b"X-Autoreply-From: a@b.fr\r\n"),
    "Apple": Form(b"X-Apple-Action: VACATION/1.0\r\n"),
    "Novell": Form(b"X-POST-MessageClass: 9; Autoresponder\r\n"),
    "X.400": Form(b"Content-Identifier: Auto-replied\r\n"),
    "no mark but the envelope": Form(null_return_path=True),
    "a daemon": Form(author="mailer-daemon@b.fr"),
    "challenge, by TMDA": Form(
        b"Auto-Submitted: auto-replied\r\nX-Delivery-Agent: TMDA/1.1\r\n"
        b"Reply-To: a-confirm-1796.2a@b.fr\r\n",
        "Please confirm your message",
    ),
    "challenge, French": Form(
        subject="=?utf-8?q?Votre_message_attend_d=27=C3=AAtre_authentifi=C3=A9?=",
        null_return_path=True,
    ),
    "challenge, as a report": Form(report_type=b"x-challenge", author="noreply@boxbe.test"),
    "read receipt, French": Form(
        subject="Lu : Bonjour", report_type=b"disposition-notification"
    ),
    "read receipt, English": Form(
        subject="Read: Bonjour", report_type=b"disposition-notification"
    ),
}  # fmt: skip

# What it says, and whether it is in the thread of our letter.
THREAD = f"In-Reply-To: <1@{DOMAIN}>\r\nReferences: <1@{DOMAIN}>\r\n".encode()
WORDS = {
    "French": ("Absent jusqu'au 12 août.\r\n\r\nCordialement,\r\nAnne".encode(), b""),
    "English, with a quote": (
        b"I am out of the office until 12 January.\r\n\r\n> Did you write this?\r\n> OK",
        THREAD,
    ),
    "nothing": (b"", THREAD),
    "yes": (b"OUI\r\n\r\n-- \r\nAnne", THREAD),
}


def automatic(form: Form, words: str, to: str) -> bytes:
    """Write a message of *form* to *to*, which the host proves to be the member's."""
    body, thread = WORDS[words]
    more = form.more + thread
    if form.report_type:
        more += REPORT % form.report_type
        body = (
            b"--report\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
            + body
            + b"\r\n--report\r\n"
            b"Content-Type: message/disposition-notification\r\n\r\nReporting-UA: x\r\n"
            b"Final-Recipient: rfc822; a@b.fr\r\nOriginal-Message-ID: <1@b.fr>\r\n"
            b"Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--report--"
        )
    else:
        more += UTF8
    raw = letter(author=form.author, trace=to, to=to, subject=form.subject, more=more, body=body)
    if form.null_return_path:
        raw = raw.replace(f"Return-Path: <{form.author}>".encode(), b"Return-Path: <>")
    return raw


@pytest_asyncio.fixture
async def addresses(office: Office, owner: Owner) -> dict[str, str]:
    """One address of each kind, all of them awaited: copies have left, and questions are open."""
    await owner.execute(
        "create view lists.decided as select email, name, person, may_post, moderator"
        " from club.member;"
        "select lists.define(view => 'lists.decided', address => 'decided', title => 'Decided',"
        " moderate => 'all');"
        "insert into club.member (email, person, moderator) values ('chef@b.fr', '9', true)"
    )
    decided = f"decided@{DOMAIN}"
    await outcome_of(office, owner, letter(subject="gone"), uid=1)
    await outcome_of(office, owner, letter(subject="asked", proof=None), uid=2)
    await outcome_of(office, owner, letter(subject="held", trace=decided, to=decided), uid=3)
    await attend(office)
    await owner.execute("update relais.delivery set state = 'handed_over', settled_at = now()")
    found = await notices(owner)
    number = await owner.fetchval(
        "select delivery_id from relais.delivery where address = $1 and posting_id = 1", MEMBER
    )
    token = office.tokens.sign(Purpose.RETURN, number).decode()
    [confirm], [moderate] = found["confirm"], found["moderate"]
    return {
        "a list": TO,
        "a moderated list": decided,
        "confirm": reply_address(confirm),
        "moderate": reply_address(moderate),
        "return": f"return-{token}@{DOMAIN}",
    }


async def everything(owner: Owner) -> dict[str, object]:
    """Return what a storm must not change."""
    counted = await owner.fetch(
        "select state::text, count(*) as n from relais.delivery group by 1 order by 1"
    )
    return {
        "postings": await states(owner),
        "deliveries": {row["state"]: row["n"] for row in counted},
        "notices": await owner.fetchval("select count(*) from relais.notice"),
        "answers": await owner.fetchval("select count(answer) from relais.decision"),
        "opt-outs": await owner.fetchval("select count(*) from relais.suppression"),
        "failures": await owner.fetchval("select count(*) from relais.address_failure"),
    }


@pytest.mark.slow
async def test_a_storm_of_automatic_mail(
    office: Office, owner: Owner, addresses: dict[str, str]
) -> None:
    """500 messages: 25 forms, 4 texts in two languages, 5 addresses."""
    before = await everything(owner)
    assert before["deliveries"] == {"handed_over": 3 + 3}, "copies and questions"
    outcomes: Counter[str] = Counter()
    wrong: list[tuple[str, ...]] = []
    storm = list(product(FORMS, WORDS, addresses))

    for uid, (form, words, address) in enumerate(storm, 100):
        raw = automatic(FORMS[form], words, addresses[address])
        row = await outcome_of(office, owner, raw, uid=uid)
        outcomes[row["outcome"]] += 1
        if row["outcome"] != "dropped_automatic":
            wrong.append((form, words, address, row["outcome"]))
    await attend(office)

    assert len(storm) == 500
    assert wrong == []
    assert outcomes == {"dropped_automatic": 500}
    assert await everything(owner) == before
    # Had a person written the same, it would have been heard.
    assert [
        (await outcome_of(office, owner, automatic(Form(), "yes", to), uid=uid))["outcome"]
        for uid, to in enumerate(addresses.values(), 1000)
    ] == ["posted", "held", "confirmed", "approved", "dropped_automatic"]


UNMARKED = {
    "French": "Bonjour,\r\n\r\nJe suis en congés et n'ai pas accès à mes mails.",
    "English": "Thank you for your message. I am away and will reply when I return.",
    "French, the address has changed": "Mon adresse a changé : écrivez-moi à anne@d.fr",
    "French, a challenge": "Pour que votre message me soit remis, cliquez sur ce lien.",
    "English, a challenge": "To have your message delivered, please click the link below.",
}


@pytest.mark.parametrize("words", UNMARKED.values(), ids=UNMARKED)
async def test_what_nothing_marks_does_no_harm_at_a_return_address(
    office: Office, owner: Owner, addresses: dict[str, str], words: str
) -> None:
    """Programs that know no RFC 3834 answer there, too: the copy has arrived, and that is all."""
    before = await everything(owner)

    raw = letter(trace=addresses["return"], more=UTF8, body=words.encode(), subject="Re: Bonjour")
    row = await outcome_of(office, owner, raw, uid=100)
    await attend(office)

    assert row["outcome"] == "dropped_automatic"
    assert await everything(owner) == before
