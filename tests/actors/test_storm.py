"""A storm of mail that no person means for us: nothing is posted, answered or confirmed.

    automatic   every form of it, in several words, proven to be a member's
    unwanted    bulk mail, other lists', what daemons and forgers write, proven and not

Both come to every kind of address of ours. What people read of it is what a human
behind a role, or a moderator, has to see: they are no authors, and get no answer.
"""

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
from worker.policy.admission import CONFIRMATIONS_A_DAY
from worker.policy.telling import ANSWERS_A_DAY

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    posting = office.tokens.sign(Purpose.POSTING, 1).decode()
    return {
        "a list": TO,
        "a moderated list": decided,
        "confirm": reply_address(confirm),
        "moderate": reply_address(moderate),
        "return": f"return-{token}@{DOMAIN}",
        "a receipt": f"posting-{posting}@{DOMAIN}",
        "a list's owner": f"tous-owner@{DOMAIN}",
        "a way out": f"tous-unsubscribe@{DOMAIN}",
        "postmaster": f"postmaster@{DOMAIN}",
        "no list": f"personne@{DOMAIN}",
        "the owner of no list": f"personne-owner@{DOMAIN}",
    }


PLACES = (
    *("a list", "a moderated list", "confirm", "moderate", "return", "a receipt"),
    *("a list's owner", "a way out", "postmaster", "no list", "the owner of no list"),
)


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


# A person who answered there would be heard.
AWAITED = ("a list", "a moderated list", "confirm", "moderate", "return")


def storm() -> list[tuple[str, str, str]]:
    """Return (form, words, address): all words where an answer counts, a yes elsewhere."""
    awaited = product(FORMS, WORDS, AWAITED)
    others = product(FORMS, ["yes"], [name for name in PLACES if name not in AWAITED])
    return [*awaited, *others]


@pytest.mark.slow
async def test_a_storm_of_automatic_mail(
    office: Office, owner: Owner, addresses: dict[str, str]
) -> None:
    """25 forms, in up to 4 texts of two languages, at 11 addresses."""
    before = await everything(owner)
    assert before["deliveries"] == {"handed_over": 3 + 3}, "copies and questions"
    outcomes: Counter[str] = Counter()
    wrong: list[tuple[str, ...]] = []

    for uid, (form, words, address) in enumerate(storm(), 100):
        raw = automatic(FORMS[form], words, addresses[address])
        row = await outcome_of(office, owner, raw, uid=uid)
        outcomes[row["outcome"]] += 1
        if row["outcome"] != "dropped_automatic":
            wrong.append((form, words, address, row["outcome"]))
    await attend(office)

    assert wrong == []
    assert outcomes == {"dropped_automatic": 650}
    assert await everything(owner) == before
    # Had a person written the same, it would have been heard.
    assert [
        (await outcome_of(office, owner, automatic(Form(), "yes", addresses[to]), uid=uid))[
            "outcome"
        ]
        for uid, to in enumerate(AWAITED, 1000)
    ] == ["posted", "held", "confirmed", "approved", "dropped_automatic"]


class Unwanted(NamedTuple):
    """What a machine or a forger writes, and what the host says of its author."""

    author: str = "inconnu@spam.test"
    proof: str | None = None
    more: bytes = b""
    return_path: str | None = None  # None: the author's.


PROVEN = "dmarc=pass header.from={}"
FORGED = "dmarc=fail header.from={}"
LIST = b"List-Id: Autre <liste.autre.test>\r\nList-Post: <mailto:liste@autre.test>\r\n"
UNWANTED = {
    "a stranger": Unwanted(),
    "a stranger, disowned": Unwanted(proof=FORGED),
    "a stranger, by SPF of another domain": Unwanted(proof="spf=pass smtp.mailfrom=x@y.test"),
    "a stranger who answers us": Unwanted(more=THREAD),
    "a member, disowned": Unwanted(MEMBER, FORGED),
    "a moderator, disowned": Unwanted("chef@b.fr", FORGED),
    "our list": Unwanted(TO),
    "our list, disowned": Unwanted(TO, FORGED),
    "our postmaster": Unwanted(f"postmaster@{DOMAIN}"),
    "a return address of ours": Unwanted(f"return-{'a' * 32}@{DOMAIN}", FORGED),
    "a daemon": Unwanted("MAILER-DAEMON@spam.test", PROVEN),
    "another postmaster, from nobody": Unwanted("postmaster@y.test", PROVEN, return_path=""),
    "no-reply": Unwanted("no-reply@spam.test"),
    "noreply, disowned": Unwanted("noreply@spam.test", FORGED),
    "a member from nobody": Unwanted(MEMBER, PROVEN, return_path=""),
    "a stranger from nobody": Unwanted(return_path=""),
    "bulk": Unwanted("lettre@spam.test", PROVEN, b"Precedence: bulk\r\n"),
    "bulk, a member's": Unwanted(MEMBER, PROVEN, b"Precedence: bulk\r\n"),
    "junk": Unwanted("lettre@spam.test", None, b"Precedence: junk\r\n"),
    "a newsletter": Unwanted(more=b"List-Unsubscribe: <https://spam.test/u/1>\r\n"),
    "another list, a member's": Unwanted(MEMBER, PROVEN, LIST),
    "another list, a member's, disowned": Unwanted(MEMBER, FORGED, LIST),
    "another list, a stranger's": Unwanted(more=LIST),
    "a list by its precedence": Unwanted(MEMBER, PROVEN, b"Precedence: list\r\n"),
    "a copy of ours": Unwanted(MEMBER, PROVEN, b"X-Relais-Ref: " + b"a" * 32 + b"\r\n"),
    "a list of ours": Unwanted(MEMBER, PROVEN, f"List-Id: <tous.{DOMAIN}>\r\n".encode()),
    "spam": Unwanted(more=b"X-Spam-Flag: YES\r\n"),
    "cron": Unwanted("root@b.fr", PROVEN, b"X-Cron-Env: <SHELL=/bin/sh>\r\n"),
}
SAYS = {
    "a word": ("Bonjour", "Bonjour,\r\n\r\nÀ bientôt".encode()),
    "yes": ("Re: Bonjour", b"OUI"),
    "leave": ("unsubscribe", b"unsubscribe"),
}
# A forger does not know our tokens.
GUESSED = {
    "confirm": f"confirm-{'a' * 32}@{DOMAIN}",
    "moderate": f"moderate-{'a' * 32}@{DOMAIN}",
    "return": f"return-{'a' * 32}@{DOMAIN}",
    "a receipt": f"posting-{'a' * 32}@{DOMAIN}",
}


def unwanted(one: Unwanted, says: str, to: str) -> bytes:
    """Write what *one* says to *to*; each is another message."""
    subject, body = SAYS[says]
    raw = letter(
        author=one.author, trace=to, to=to, proof=one.proof, subject=subject,
        more=one.more + UTF8, body=body,
    )  # fmt: skip
    if one.return_path is None:
        return raw
    return raw.replace(
        f"Return-Path: <{one.author}>".encode(), f"Return-Path: <{one.return_path}>".encode()
    )


def unwanted_storm(places: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return (form, what it says, address), leaving out another of the three things each time."""
    every = list(product(UNWANTED, places))
    kept = [[name for name in SAYS if name != left_out] for left_out in SAYS]
    return [
        (form, says, place) for nth, (form, place) in enumerate(every) for says in kept[nth % 3]
    ]


async def written_to(owner: Owner) -> Counter[tuple[str, str]]:
    """Count our letters by kind and recipient."""
    rows = await owner.fetch("select kind, address from relais.notice")
    return Counter((row["kind"], row["address"]) for row in rows)


@pytest.mark.slow
async def test_a_storm_of_unwanted_mail(
    office: Office, owner: Owner, addresses: dict[str, str]
) -> None:
    """28 forms that say 2 of 3 things at 11 addresses: no answer to anybody, nothing goes out."""
    before, letters = await everything(owner), await written_to(owner)
    held = await owner.fetchval("select count(*) from relais.posting where state = 'held'")
    places = addresses | GUESSED
    outcomes: Counter[str] = Counter()

    for uid, (form, says, place) in enumerate(unwanted_storm(places), 100):
        raw = unwanted(UNWANTED[form], says, places[place])
        outcomes[(await outcome_of(office, owner, raw, uid=uid))["outcome"]] += 1
        if uid % 30 == 0:  # At most so many can be due by then.
            await attend(office)
    await attend(office)

    assert outcomes.total() == 28 * 2 * 11
    assert not outcomes.keys() & {"posted", "unsubscribed", "confirmed", "approved", "stopped"}
    new = await written_to(owner) - letters
    # Who is asked or forwarded to has not written; of both there are no more than a few a day.
    assert new.keys() <= {
        ("forwarded", "aide@example.fr"), ("moderate", "aide@example.fr"), ("moderate", "chef@b.fr")
    }  # fmt: skip
    assert new["forwarded", "aide@example.fr"] <= 50
    assert max(new["moderate", "aide@example.fr"], new["moderate", "chef@b.fr"]) <= 20
    after = await everything(owner)
    for unchanged in ("answers", "opt-outs", "failures"):
        assert after[unchanged] == before[unchanged]
    assert await owner.fetchval("select count(*) from relais.delivery where posting_id > 3") == 0
    still = await owner.fetchval("select count(*) from relais.posting where state = 'held'")
    assert still >= held
    assert await owner.fetchval("select count(*) from relais.posting where state <> 'held'") == 1


async def test_what_a_filter_calls_spam(office: Office, owner: Owner) -> None:
    """It is held even if a member wrote it, and nobody is told but who decides."""
    raw = letter(more=b"X-Spam-Flag: YES\r\n")

    assert (await outcome_of(office, owner, raw))["outcome"] == "held"
    await attend(office)

    assert await written_to(owner) == {("moderate", "aide@example.fr"): 1}


async def test_a_forger_in_the_name_of_a_member(office: Office, owner: Owner) -> None:
    """Whom nothing disowns is asked and answered a few times a day, then never."""
    for uid in range(1, 60):
        to = TO if uid % 2 else f"personne@{DOMAIN}"
        raw = letter(proof=None, trace=to, to=to, subject=f"no. {uid}")
        await outcome_of(office, owner, raw, uid=uid)
    await attend(office)

    new = await written_to(owner)
    to_member = sum(n for (_, address), n in new.items() if address == MEMBER)
    assert to_member <= CONFIRMATIONS_A_DAY + ANSWERS_A_DAY + 1
    assert new["confirm", MEMBER] == CONFIRMATIONS_A_DAY
    assert {address for _, address in new} <= {MEMBER, "aide@example.fr"}
    assert await owner.fetchval("select count(*) from relais.delivery where posting_id > 0") == 0


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
