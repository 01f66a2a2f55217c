"""What becomes of an arrival: each kind of message has one outcome, and is kept."""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.actors.letters import (
    PROVEN,
    TO,
    Owner,
    arrive,
    letter,
    notices,
    outcome_of,
    text_of,
)
from tests.edges.store.given import DOMAIN
from worker.actors.mediator import mediate
from worker.mail.return_address import (
    Purpose,
    alleged_number,
    list_and_person,
    subscriber_number,
)
from worker.store import arrivals, suppressions
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.office import Office


class Case(NamedTuple):
    """A message, and what becomes of it."""

    raw: bytes
    kind: str
    outcome: str
    wanted_in: str | None = None


REPORT = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;"
    b" boundary=b\r\n\r\n--b\r\n\r\nsorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    b"Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; x@y.fr\r\nAction: failed\r\n"
    b"Status: 5.1.1\r\n\r\n--b--\r\n"
)
NOTICE = b"""Your message could not be delivered to:

    jean@orange.fr
    550 5.1.1 User unknown
"""
CASES = {
    "a member's": Case(letter(), "posting", "posted"),
    "in capitals": Case(letter(trace=TO.upper(), author="A@B.FR"), "posting", "posted"),
    "unknown list": Case(
        letter(trace=f"nobody@{DOMAIN}"), "posting", "refused_unknown_list", "relais/refused"
    ),
    "a stranger's": Case(
        letter(author="x@y.fr"), "posting", "refused_stranger", "relais/refused"
    ),
    "too big": Case(
        letter(body=b"x" * 6_000_000), "posting", "refused_oversize", "relais/refused"
    ),
    "two authors": Case(
        letter(more=b"From: c@d.fr\r\n"), "posting", "refused_stranger", "relais/refused"
    ),
    "a member's, unproven": Case(letter(proof=None), "posting", "to_confirm"),
    "disowned by its domain": Case(letter(proof="dmarc=fail header.from={}"), "posting", "held"),
    "a week old": Case(
        letter(date=formatdate(time.time() - 8 * 86_400)), "posting", "held"
    ),
    "plus addressing": Case(letter(trace=f"tous+lundi@{DOMAIN}"), "posting", "posted"),
    "to the owner": Case(letter(trace=f"tous-owner@{DOMAIN}"), "request", "forwarded"),
    "to the owner of nothing": Case(
        letter(trace=f"nobody-owner@{DOMAIN}"), "posting", "refused_unknown_list", "relais/refused"
    ),
    "to postmaster": Case(letter(trace=f"postmaster@{DOMAIN}"), "request", "forwarded"),
    "a forged confirmation": Case(
        letter(trace=f"confirm-{'a' * 32}@{DOMAIN}"),
        "request",
        "refused_stranger",
        "relais/refused",
    ),
    "two answers at once": Case(
        letter(to=f"confirm-{'a' * 32}@{DOMAIN}, moderate-{'b' * 32}@{DOMAIN}").replace(
            b"Delivered-To", b"X-Nothing"
        ),
        "request",
        "refused_stranger",
        "relais/refused",
    ),
    "no trace, but To": Case(letter().replace(b"Delivered-To", b"X-Nothing"), "posting", "posted"),
    "a trace of elsewhere, but To": Case(letter(trace="x@y.fr"), "posting", "posted"),
    "nobody of ours": Case(
        letter(trace="x@y.fr", to="x@y.fr"),
        "unknown",
        "held_no_recipient_header",
        "relais/quarantine",
    ),
    "vacation": Case(
        letter(more=b"Auto-Submitted: auto-replied\r\n"), "automatic", "dropped_automatic"
    ),
    "a newsletter": Case(letter(more=b"Precedence: bulk\r\n"), "automatic", "dropped_automatic"),
    "our own copy": Case(
        letter(more=b"X-Relais-Ref: " + b"a" * 32 + b"\r\n"), "automatic", "dropped_loop"
    ),
    "our own list": Case(
        letter(more=f"List-Id: <x.{DOMAIN}>\r\n".encode()), "automatic", "dropped_loop"
    ),
    "a report to the list": Case(
        letter(author="mailer-daemon@y.fr", more=REPORT), "report", "unmatched_report"
    ),
    "a member's list of dead addresses": Case(
        letter(subject="Undelivered mail: please mend", body=NOTICE), "posting", "posted"
    ),
    "a member who attaches a report": Case(
        letter(
            subject="Undelivered mail for Paul",
            more=b"Content-Type: multipart/mixed; boundary=o\r\n",
            body=b"--o\r\n\r\n" + NOTICE + b"\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
            + b"From: mailer-daemon@y.fr\r\n" + REPORT + b"\r\n--o--\r\n",
        ),
        "posting",
        "posted",
    ),
    "a member on a service that asks": Case(
        letter(
            subject="Mailinblack",
            body=b"Si vous recevez un message de Mailinblack, cliquez sur le lien"
            b" pour confirmer.",
        ),
        "posting",
        "posted",
    ),
    "like a notice, without a mail system's mark": Case(
        letter(author="postmaster@y.fr", subject="Undelivered mail", body=NOTICE),
        "posting",
        "refused_stranger",
        "relais/refused",
    ),
    "a forged return address": Case(
        letter(trace=f"return-{'a' * 32}@{DOMAIN}"), "automatic", "dropped_automatic"
    ),
    "a forged unsubscription": Case(
        letter(trace=f"unsubscribe-{'a' * 32}@{DOMAIN}"),
        "request",
        "refused_stranger",
        "relais/refused",
    ),
    "empty": Case(b"", "unknown", "held_no_recipient_header", "relais/quarantine"),
    "garbage": Case(bytes(range(256)) * 50, "unknown", "held_no_recipient_header",
                    "relais/quarantine"),
    "malformed MIME": Case(
        letter(more=b"Content-Type: multipart/mixed; boundary=never\r\n"), "posting", "posted"
    ),
    "8-bit garbage": Case(
        letter(more=b"Content-Type: text/plain; charset=utf-8\r\n", body=b"\xff\xfe\x80\x81"),
        "posting",
        "posted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_each_message_has_its_outcome(office: Office, owner: Owner, case: Case) -> None:
    """Nothing is lost: it is posted, answered for by a reason, or kept for a person."""
    row = await outcome_of(office, owner, case.raw)

    assert (row["state"], row["kind"], row["outcome"], row["wanted_in"]) == (
        "settled",
        case.kind,
        case.outcome,
        case.wanted_in,
    )
    postings = await owner.fetchval("select count(*) from relais.posting")
    assert postings == (1 if case.outcome in ("posted", "held", "to_confirm") else 0)


async def test_the_same_message_twice_is_posted_once(office: Office, owner: Owner) -> None:
    """As after a migration: other traces, the same message."""
    await outcome_of(office, owner, letter())
    again = await outcome_of(office, owner, b"Received: from x\r\n" + letter(), uid=2)

    assert again["outcome"] == "duplicate"
    assert await owner.fetchval("select count(*) from relais.delivery") == 2


async def test_a_reused_message_id_is_another_message(office: Office, owner: Owner) -> None:
    """Nobody can suppress a posting by using its Message-ID first."""
    await outcome_of(office, owner, letter(body=b"forged"))
    genuine = await outcome_of(office, owner, letter(body=b"genuine"), uid=2)

    assert genuine["outcome"] == "posted"


async def test_an_empty_list_is_held(office: Office, owner: Owner) -> None:
    """No silent no-op: a person is to look at it."""
    await owner.execute(
        "update club.member set email = null; "
        "create or replace view lists.everybody as select email, name, person, "
        "may_post, moderator from club.member where email is not null"
    )
    await owner.execute("update lists.definition set post = 'anyone' where name = 'everybody'")

    row = await outcome_of(office, owner, letter())

    assert (row["outcome"], row["reason"]) == ("held", "awaits moderation; empty")
    assert await owner.fetchval("select state from relais.posting") == "held"


async def test_more_than_allowed_is_held(office: Office, owner: Owner) -> None:
    """max_recipients is a rail against a view that went wrong."""
    await owner.execute("update lists.definition set max_recipients = 1")

    row = await outcome_of(office, owner, letter())

    assert (row["outcome"], row["reason"]) == ("held", "awaits moderation; too_many")
    assert await owner.fetchval("select count(*) from relais.delivery") == 0


FAILING = {
    "raises": "create or replace view lists.everybody as select email, name, person, may_post, "
    "(1 / (length(person) - 1))::boolean as moderator from club.member",
    "its source is gone": "drop schema club cascade; create schema club",
}


@pytest.mark.parametrize("breaking", FAILING.values(), ids=FAILING)
async def test_a_query_that_fails_lets_the_message_wait(
    office: Office, owner: Owner, breaking: str
) -> None:
    """It is tried again later, and is no crash: attempts do not count."""
    await owner.execute(breaking)
    arrival = await arrive(office, letter())

    await mediate(arrival, office=office)

    row = await owner.fetchrow(
        "select state, attempts, due_at > relais.now() + interval '4 minutes' as later, reason "
        "from relais.arrival"
    )
    assert row is not None
    assert (row["state"], row["attempts"], row["later"]) == ("received", 0, True)
    assert row["reason"].startswith("the query of tous fails:")


async def test_three_crashes_put_a_message_into_quarantine(office: Office, owner: Owner) -> None:
    """Begun three times and never ended: the fourth time nobody looks inside."""
    await arrive(office, letter())
    for _ in range(3):
        await owner.execute("update relais.arrival set worker_id = 'dead'")
        async with borrowed(office.pool) as db:
            arrival = await arrivals.claim(db, "received", office.worker_id)
    assert arrival is not None
    assert arrival.attempts == 4

    await mediate(arrival, office=office)

    row = await owner.fetchrow("select outcome, wanted_in from relais.arrival")
    assert row is not None
    assert tuple(row) == ("quarantined", "relais/quarantine")


async def test_another_workers_arrival_is_left_alone(office: Office) -> None:
    """Two mediators never have one arrival, while both live."""
    await arrive(office, letter())
    async with borrowed(office.pool) as db:
        assert await arrivals.claim(db, "received", "w2") is None


async def posted(office: Office, owner: Owner) -> tuple[int, int, int]:
    """Post once and hand everything over; return (list, person, delivery) of a@b.fr."""
    await outcome_of(office, owner, letter())
    await owner.execute("update relais.delivery set state = 'handed_over'")
    row = await owner.fetchrow(
        "select o.list_id, d.person_id, d.delivery_id from relais.delivery d "
        "join relais.posting o using (posting_id) where d.address = 'a@b.fr'"
    )
    assert row is not None
    return row["list_id"], row["person_id"], row["delivery_id"]


async def test_mail_to_the_unsubscription_address(office: Office, owner: Owner) -> None:
    """The token is the proof; machine-made mail counts, and From does not."""
    list_id, person_id, _ = await posted(office, owner)
    subscriber = await suppressions.subscriber(owner, list_id, person_id)
    assert subscriber is not None
    number = subscriber_number(list_id, person_id)
    signed = office.tokens.sign(Purpose.UNSUBSCRIBE, number, stands_for=subscriber.subscription)
    token = signed.decode()
    request = letter(
        author="x@y.fr",
        trace=f"unsubscribe-{token}@{DOMAIN}",
        more=b"Auto-Submitted: auto-generated\r\n",
    )

    row = await outcome_of(office, owner, request, uid=2)

    assert (row["kind"], row["outcome"]) == ("request", "unsubscribed")
    out = await owner.fetchrow("select person_id, address, source from relais.suppression")
    assert out is not None
    assert tuple(out) == (person_id, "a@b.fr", "mail")


async def test_a_report_by_return_address(office: Office, owner: Owner) -> None:
    """The delivery is marked with what the report says."""
    *_, delivery_id = await posted(office, owner)
    token = office.tokens.sign(Purpose.RETURN, delivery_id).decode()
    report = letter(author="mailer-daemon@y.fr", trace=f"return-{token}@{DOMAIN}", more=REPORT)

    row = await outcome_of(office, owner, report, uid=2)

    assert (row["kind"], row["outcome"]) == ("report", "bounced")
    state = await owner.fetchrow(
        "select state::text, status from relais.delivery where delivery_id = $1", delivery_id
    )
    assert state is not None
    assert tuple(state) == ("bounced", "5.1.1")


async def test_a_report_by_the_reference_in_the_returned_part(office: Office, owner: Owner) -> None:
    """Hosts that rewrite the return address send reports to the list."""
    *_, delivery_id = await posted(office, owner)
    token = office.tokens.sign(Purpose.RETURN, delivery_id)
    returned = (
        b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nX-Relais-Ref: " + token + b"\r\n--b--"
    )
    report = letter(author="mailer-daemon@y.fr", more=REPORT.replace(b"--b--", returned))

    row = await outcome_of(office, owner, report, uid=2)

    assert row["outcome"] == "bounced"


class Wish(NamedTuple):
    """Who writes "Désinscription" to a list, and how many letters follow."""

    author: str
    proof: str | None
    letters: int


WISHES = {
    "a member": Wish("a@b.fr", PROVEN, 1),
    "somebody in their name": Wish("a@b.fr", None, 0),
    "a member whom the domain disowns": Wish("a@b.fr", "dmarc=fail header.from={}", 0),
    "a stranger": Wish("x@y.fr", PROVEN, 0),
}


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
async def test_who_asks_the_list_to_let_them_leave(
    office: Office, owner: Owner, wish: Wish
) -> None:
    """Nobody else reads it; a member who is proven gets their own link, once a day."""
    list_id, person_id, _ = await posted(office, owner)
    for uid in (2, 3):
        raw = letter(author=wish.author, proof=wish.proof, body=b"Desinscription", subject=str(uid))
        row = await outcome_of(office, owner, raw, uid=uid)
        assert (row["kind"], row["outcome"]) == ("request", "asked_to_leave")
        assert row["wanted_in"] == "relais/refused"

    found = (await notices(owner)).get("how_to_leave", [])
    assert len(found) == wish.letters
    for message in found:
        assert str(message["to"]) == "a@b.fr"
        [token] = re.findall(r"/u/([a-z2-7]{32})", text_of(message))
        assert list_and_person(alleged_number(token)) == (list_id, person_id)
        reader = await suppressions.subscriber(owner, list_id, person_id)
        assert reader is not None
        stands_for = reader.subscription
        assert office.tokens.read(Purpose.UNSUBSCRIBE, token, stands_for=stands_for) is not None
    assert await owner.fetchval("select count(*) from relais.posting") == 1
    assert await owner.fetchval("select count(*) from relais.suppression") == 0


WAYS_OUT = {
    "as in Mailman": ("tous-leave", "a@b.fr", "asked_to_leave", 1),
    "as in others": ("tous-unsubscribe", "a@b.fr", "asked_to_leave", 1),
    "a stranger": ("tous-unsubscribe", "x@y.fr", "asked_to_leave", 0),
    "no list": ("nobody-unsubscribe", "a@b.fr", "refused_unknown_list", 0),
    "no list at all": ("-leave", "a@b.fr", "refused_unknown_list", 0),
}


@pytest.mark.parametrize(
    ("local_part", "author", "outcome", "letters"), WAYS_OUT.values(), ids=WAYS_OUT
)
async def test_addresses_that_others_leave_by(
    office: Office, owner: Owner, *, local_part: str, author: str, outcome: str, letters: int
) -> None:
    """Whatever is written there, a member who is proven gets their link."""
    await posted(office, owner)

    row = await outcome_of(
        office, owner, letter(author=author, trace=f"{local_part}@{DOMAIN}"), uid=2
    )

    assert row["outcome"] == outcome
    assert len((await notices(owner)).get("how_to_leave", [])) == letters


def complaint(token: bytes, feedback_type: bytes = b"abuse") -> bytes:
    """Return a complaint about the copy with this reference (RFC 5965)."""
    more = (
        b'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nAn abuse report.\r\n"
        b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: " + feedback_type
        + b"\r\nUser-Agent: x/1\r\nVersion: 1\r\nOriginal-Rcpt-To: c@d.fr\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <1@b.fr>\r\n"
        b"X-Relais-Ref: " + token + b"\r\n\r\nx\r\n--b--\r\n"
    )  # fmt: skip
    return letter(author="fbl@y.fr", more=more)


async def test_a_complaint_unsubscribes(office: Office, owner: Owner) -> None:
    """Whose copy it was, whomever else it names; what waits for them is cancelled."""
    list_id, person_id, delivery_id = await posted(office, owner)
    await owner.execute("update relais.delivery set state = 'queued', settled_at = null")
    token = office.tokens.sign(Purpose.RETURN, delivery_id)

    row = await outcome_of(office, owner, complaint(token), uid=2)

    assert (row["kind"], row["outcome"]) == ("complaint", "unsubscribed")
    out = await owner.fetchrow(
        "select list_id, person_id, address, reason::text, source from relais.suppression"
    )
    assert out is not None
    assert tuple(out) == (list_id, person_id, "a@b.fr", "complained", "complaint")
    states = await owner.fetch("select address, state::text from relais.delivery order by 1")
    assert [tuple(state) for state in states] == [("a@b.fr", "cancelled"), ("c@d.fr", "queued")]


NOT_COMPLAINING = {
    "not spam": (b"not-spam", True),
    "about forgers": (b"auth-failure", True),
    "a token not ours": (b"abuse", False),
}


@pytest.mark.parametrize(("kind", "is_ours"), NOT_COMPLAINING.values(), ids=NOT_COMPLAINING)
async def test_no_complaint(office: Office, owner: Owner, *, kind: bytes, is_ours: bool) -> None:
    """Message-ID and address alone could be anybody's complaint in another's name."""
    *_, delivery_id = await posted(office, owner)
    token = office.tokens.sign(Purpose.RETURN, delivery_id) if is_ours else b"a" * 32

    row = await outcome_of(office, owner, complaint(token, kind), uid=2)

    assert (row["kind"], row["outcome"]) == ("complaint", "unmatched_report")
    assert await owner.fetchval("select count(*) from relais.suppression") == 0


async def test_a_report_by_message_id_and_recipient(office: Office, owner: Owner) -> None:
    """The last resort: what every report should name."""
    await posted(office, owner)
    returned = b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1@b.fr>\r\n--b--"
    more = REPORT.replace(b"--b--", returned).replace(b"x@y.fr", b"A@b.fr")

    row = await outcome_of(office, owner, letter(author="mailer-daemon@y.fr", more=more), uid=2)

    assert row["outcome"] == "bounced"


async def test_an_automatic_reply_is_evidence(office: Office, owner: Owner) -> None:
    """What comes to a return address shows that its copy had arrived."""
    *_, delivery_id = await posted(office, owner)
    await owner.execute("update relais.delivery set state = 'in_doubt'")
    token = office.tokens.sign(Purpose.RETURN, delivery_id).decode()
    away = letter(trace=f"return-{token}@{DOMAIN}", more=b"Auto-Submitted: auto-replied\r\n")

    row = await outcome_of(office, owner, away, uid=2)

    assert row["outcome"] == "dropped_automatic"
    counted = await owner.fetch("select state::text, count(*) from relais.delivery group by 1")
    assert {tuple(r) for r in counted} == {("handed_over", 1), ("in_doubt", 1)}
