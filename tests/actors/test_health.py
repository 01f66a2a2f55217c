"""Address health on a real database: what comes back, what is held, and what heals."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.actors.letters import notices, text_of
from tests.edges.store.given import (
    DOMAIN,
    NOON,
    alive,
    claim_due,
    frozen_clock,
    posted,
)
from worker.actors.checkup import check_up, run_checkup
from worker.actors.feedback import Feedback, run_feedback
from worker.actors.return_handler import handle_return, run_return_handler
from worker.actors.signals import Signals
from worker.actors.submitter import _settle
from worker.mail.reply import Reply, Stage
from worker.mail.return_address import Purpose
from worker.policy.breaker import DEFAULT_THRESHOLD
from worker.policy.feedback import Action
from worker.policy.outcome import ArrivalOutcome, Foreign
from worker.store import arrivals, breakers, deliveries, provider_states, returns
from worker.store.arrivals import Place
from worker.store.database import borrowed
from worker.store.deliveries import Claim, ClaimKey, DeliveryState, Settlement

if TYPE_CHECKING:
    import asyncpg

    from worker.actors.office import Office

    Owner = asyncpg.Connection[asyncpg.Record]

DAY = timedelta(days=1)
NO_USER = "550 5.1.1 <{address}>: no such user here"
FULL = "552 5.2.2 <{address}>: mailbox is full"
DISABLED = "550 5.2.1 <{address}>: account is closed"
SPAM = "554 5.7.1 message is spam"

REPORT = """\
Return-Path: <>
Delivered-To: {to}
From: MAILER-DAEMON@host.test
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

It was not delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; host.test
{envelope}
Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {text}

--b
Content-Type: text/rfc822-headers

{returned}

--b--
"""
ANSWER = """\
Return-Path: <>
Delivered-To: {to}
From: {author}
Subject: Absence du bureau
Auto-Submitted: auto-replied

Je suis absent.
"""


class World(NamedTuple):
    """A list with people on it, and a clock."""

    office: Office
    db: Owner

    async def at(self, days: float) -> None:
        """Let it be *days* after NOON."""
        await frozen_clock(self.db, NOON + days * DAY)

    async def post(self, mark: int, local_part: str = "tous") -> dict[str, int]:
        """Post once and hand over all copies; return their numbers, by address."""
        await posted(self.db, local_part, fingerprint=bytes([mark]) * 32)
        await alive(self.db, "w1")
        sent = {}
        for claim in await claim_due(self.db, "w1", at_most=500):
            await deliveries.record(self.db, "w1", marks=[claim.key], settlements=[])
            done = Settlement(claim.key, DeliveryState.HANDED_OVER)
            await deliveries.record(self.db, "w1", marks=[], settlements=[done])
            if claim.posting_id is not None:
                sent[claim.address] = claim.delivery_id
        return sent

    async def recipients(self, mark: int, local_part: str = "tous") -> set[str]:
        """Return who would get a posting now; nothing is kept of it."""
        transaction = self.db.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            return set(await self.post(mark, local_part))
        finally:
            await transaction.rollback()

    def token(self, delivery_id: int) -> str:
        """Return the token of a copy."""
        return self.office.tokens.sign(Purpose.RETURN, delivery_id).decode()

    async def arrive(self, raw: str) -> str:
        """Let a return come, and be handled; return what became of it."""
        async with borrowed(self.office.pool) as db:
            uid = 1 + await db.fetchval("select count(*) from relais.arrival")
            await arrivals.store(db, Place("m", "INBOX", 1, uid), raw.encode(), internal_date=None)
            await db.execute("update relais.arrival set state = 'sorted' where uid = $1", uid)
            arrival = await arrivals.claim(db, "sorted", self.office.worker_id)
        assert arrival is not None
        await handle_return(arrival, office=self.office)
        outcome: str = await self.db.fetchval(
            "select outcome from relais.arrival where uid = $1", uid
        )
        return outcome

    async def report(
        self, delivery_id: int, text: str = NO_USER, *, action: str = "failed", way: str = "ref"
    ) -> str:
        """Let a report about a copy come, which names it by one *way*."""
        address = await self.db.fetchval(
            "select address from relais.delivery where delivery_id = $1", delivery_id
        )
        return await self.arrive(self.written(delivery_id, address, text, action, way))

    def written(self, delivery_id: int, address: str, text: str, action: str, way: str) -> str:
        """Write a report."""
        token = self.token(delivery_id)
        returned = {"ref": f"X-Relais-Ref: {token}", "message-id": "Message-ID: <1@example.org>"}
        said = text.format(address=address)
        return REPORT.format(
            to=f"return-{token}@{DOMAIN}" if way == "address" else f"tous@{DOMAIN}",
            envelope=f"Original-Envelope-Id: {token}" if way == "envelope" else "",
            returned=returned.get(way, "Subject: Bonjour"),
            address=address,
            action=action,
            status=said.split()[1],
            text=said,
        )

    async def state(self, address: str = "a@b.fr") -> str | None:
        """Return the state of an address; None is alive."""
        state: str | None = await self.db.fetchval(
            "select state from relais.address_health where address = $1", address
        )
        return state

    async def rows_of(self, table: str) -> int:
        """Count rows."""
        number: int = await self.db.fetchval(f"select count(*) from relais.{table}")
        return number

    def metric(self, name: str, **labels: str) -> float | None:
        """Return a counter."""
        return self.office.metrics.registry.get_sample_value(f"relais_{name}", labels)


@pytest.fixture
async def world(office: Office, owner: Owner) -> World:
    """The list ``tous`` of a@b.fr and c@d.fr at noon, without limits; days are UTC's."""
    await frozen_clock(owner)
    await owner.execute("delete from relais.limit_rule")
    await office.rulebook.refresh(owner)
    site = replace(office.site, timezone="UTC")
    return World(replace(office, site=site), owner)


async def test_two_days_hold_on_all_lists(world: World) -> None:
    """Whatever list the copies were of; nobody else is left out."""
    await world.db.execute("""
        create view lists.others as select email, name, person from club.member;
        select lists.define(view => 'lists.others', address => 'autres', title => 'Autres');
    """)
    assert await world.report((await world.post(1))["a@b.fr"], DISABLED) == "bounced"
    assert await world.state() is None
    await world.at(1)
    assert await world.report((await world.post(2, "autres"))["a@b.fr"], DISABLED) == "bounced"

    assert await world.state() == "held"
    assert await world.recipients(3) == {"c@d.fr"}
    assert await world.recipients(3, "autres") == {"c@d.fr"}
    _, roll = await posted(world.db, fingerprint=b"z" * 32)
    assert (roll.listed, roll.recipients, roll.held) == (2, 1, 1)
    assert await world.db.fetchval("select held from relais.posting order by 1 desc limit 1") == 1


async def test_one_day_does_not(world: World) -> None:
    """However many copies come back on it."""
    for mark in (1, 2, 3):
        await world.report((await world.post(mark))["a@b.fr"], DISABLED)

    assert await world.rows_of("address_failure") == 3
    assert await world.state() is None


async def test_no_such_user(world: World) -> None:
    """Suspect; the next day a letter to that very address; it comes back as well: held."""
    await world.report((await world.post(1))["a@b.fr"])
    assert await world.state() == "suspect"
    await check_up(office=world.office)
    assert await notices(world.db) == {}

    await world.at(1.01)
    for _ in range(2):
        await check_up(office=world.office)
    [letter] = (await notices(world.db))["recheck"]
    assert str(letter["to"]) == "a@b.fr"
    assert str(letter["auto-submitted"]) == "auto-generated"
    assert "Tous" in text_of(letter)
    assert "votre adresse fonctionne" in text_of(letter)

    await alive(world.db, "w1")
    [claim] = [c for c in await claim_due(world.db, "w1", at_most=9) if c.notice_id is not None]
    await deliveries.record(world.db, "w1", marks=[claim.key], settlements=[])
    done = Settlement(claim.key, DeliveryState.HANDED_OVER)
    await deliveries.record(world.db, "w1", marks=[], settlements=[done])
    assert await world.report(claim.delivery_id, way="address") == "bounced"

    assert await world.state() == "held"
    row = await world.db.fetchrow("select * from relais.address_health")
    assert row is not None
    assert (row["reason"], row["status"]) == ("unknown_user", "5.1.1")
    assert row["due_at"] - row["since"] == 90 * DAY
    assert await world.recipients(2) == {"c@d.fr"}


async def test_who_left_gets_no_letter(world: World) -> None:
    """They asked us not to write."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.db.execute("""
        insert into relais.suppression (address, reason, source, since)
        values ('a@b.fr', 'unsubscribed', 'page', relais.now())
    """)
    await world.at(2)
    await check_up(office=world.office)

    assert await notices(world.db) == {}
    assert await world.state() == "suspect"


async def test_few_letters_an_hour(world: World) -> None:
    """Of an old file hundreds are suspects, and an account is blocked for what comes back."""
    await crowd(world, 8)
    sent = await world.post(1)
    for number in range(1, 9):
        await world.report(sent[f"m{number}@orange.fr"])
    written = []
    for hours in (0, 0.5, 1.1, 2.2, 3.3):
        await world.at(1.01 + hours / 24)
        await check_up(office=world.office)
        await check_up(office=world.office)
        written.append(await world.rows_of("notice"))

    assert written == [3, 3, 6, 8, 8]


async def test_another_copy_answers_for_the_letter(world: World) -> None:
    """It has left a day later, and does not come back."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.at(0.5)
    await world.post(2)
    await world.at(1.01)
    await check_up(office=world.office)
    assert await notices(world.db) == {}
    assert await world.state() == "suspect"

    await world.at(7.4)
    await check_up(office=world.office)
    assert await world.state() == "suspect"
    await world.at(8)
    await check_up(office=world.office)
    assert await world.state() is None


async def test_what_does_not_come_back_heals(world: World) -> None:
    """After seven days; and then a single failure is a first one again."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.at(2)
    copy = (await world.post(2))["a@b.fr"]
    await world.at(8.9)
    await check_up(office=world.office)
    assert await world.state() == "suspect"
    await world.at(13)
    await check_up(office=world.office)
    assert await world.state() is None

    await world.report(copy)
    assert await world.state() == "suspect"


@pytest.mark.parametrize(("way", "state"), [("ref", "suspect"), ("message-id", None)])
async def test_a_relay_that_still_tries_heals_nobody(
    world: World, way: str, state: str | None
) -> None:
    """It will tell in the end; if it is one, and not somebody else on the list."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.at(2)
    copy = (await world.post(2))["a@b.fr"]
    await world.report(copy, "450 4.4.1 <{address}>: no answer", action="delayed", way=way)
    await world.at(13)
    await check_up(office=world.office)

    assert await world.state() == state


SUCCESSES = {
    "delivered": True,
    "answers by itself": True,
    "answers from elsewhere": False,
    "complains": True,
}


@pytest.mark.parametrize(("success", "heals"), SUCCESSES.items(), ids=SUCCESSES)
async def test_a_success_heals(world: World, success: str, *, heals: bool) -> None:
    """By the token of a later copy alone; an answer of somebody else may be a report unread."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.at(1)
    copy = (await world.post(2))["a@b.fr"]
    to = f"return-{world.token(copy)}@{DOMAIN}"
    if success == "delivered":
        assert await world.report(copy, "250 2.0.0 fine", action="delivered") == "arrived"
    elif success == "complains":
        assert await world.arrive(complaint(world.token(copy))) == "unsubscribed"
        assert world.metric("complaints_total", provider="other") == 1
        assert world.metric("list_complaints_total", definition="everybody") == 1
    else:
        author = "A@B.fr" if heals else "postmaster@b.fr"
        assert await world.arrive(ANSWER.format(to=to, author=author)) == "dropped_automatic"

    assert (await world.state() is None) == heals
    await world.report((await world.post(3))["a@b.fr"] if success != "complains" else copy)
    assert await world.state() == ("suspect" if heals else "held")


async def test_a_success_heals_what_was_before_it(world: World) -> None:
    """Not what has failed since that copy left."""
    copy = (await world.post(1))["a@b.fr"]
    await world.at(1)
    await world.report((await world.post(2))["a@b.fr"])
    await world.at(2)
    await world.report(copy, "250 2.0.0 fine", action="delivered")

    assert await world.state() == "suspect"


@pytest.mark.parametrize(("action", "state"), [("relayed", "suspect"), ("expanded", "suspect")])
async def test_what_another_system_has(world: World, action: str, state: str | None) -> None:
    """It has arrived there; of the mailbox nobody knows."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.at(1)
    copy = (await world.post(2))["a@b.fr"]
    await world.db.execute(
        "update relais.delivery set state = 'in_doubt' where delivery_id = $1", copy
    )

    assert await world.report(copy, "250 2.0.0 fine", action=action) == "arrived"

    assert await world.state() == state
    assert (
        await world.db.fetchval(
            "select state::text from relais.delivery where delivery_id = $1", copy
        )
        == "handed_over"
    )


@pytest.mark.parametrize("way", ["the return address", "the reference, behind a purged one"])
async def test_how_a_complaint_names_its_copy(world: World, way: str) -> None:
    """By whatever only that copy carried; the first that is still kept."""
    copy = (await world.post(1))["a@b.fr"]
    token = world.token(copy)
    if way == "the return address":
        raw = f"Delivered-To: return-{token}@{DOMAIN}\n" + complaint("none")
    else:
        raw = complaint(token).replace(
            "X-Relais-Ref", f"X-Relais-Ref: {world.token(99)}\nX-Relais-Ref"
        )

    assert await world.arrive(raw) == "unsubscribed"


@pytest.mark.parametrize(("delayed", "state"), [(False, None), (True, "suspect")])
async def test_a_copy_that_left_again(world: World, *, delayed: bool, state: str | None) -> None:
    """What its first report said is over; what a relay says of the second is not."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.at(1)
    copy = (await world.post(2))["a@b.fr"]
    assert await returns.requeue(
        world.db, copy, due_at=NOON, verdict=Action.SLOW, status="4.7.0", reply="later"
    )
    await world.at(1.1)
    await world.db.execute("update relais.delivery set state = 'queued' where state = 'deferred'")
    await alive(world.db, "w1")
    [claim] = await claim_due(world.db, "w1", at_most=9)
    await deliveries.record(world.db, "w1", marks=[claim.key], settlements=[])
    done = Settlement(claim.key, DeliveryState.HANDED_OVER)
    await deliveries.record(world.db, "w1", marks=[], settlements=[done])
    if delayed:
        await world.report(copy, "450 4.4.1 <{address}>: no answer", action="delayed")
    await world.at(13)
    await check_up(office=world.office)

    assert await world.state() == state


def complaint(token: str) -> str:
    """Write a complaint about a copy."""
    return f"""\
From: fbl@isp.test
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

An abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: x/1
Version: 1

--b
Content-Type: text/rfc822-headers

X-Relais-Ref: {token}

--b--
"""


async def test_transient_for_weeks(world: World) -> None:
    """Five failures on different days over three weeks."""
    for mark, day in enumerate((0, 5, 10, 15, 21), start=1):
        await world.at(day)
        assert await world.state() is None
        # A relay gives up days later, and then the next copy is on its way.
        copy = (await world.post(mark))["a@b.fr"]
        assert await world.report(copy, FULL) == "bounced"
        await check_up(office=world.office)

    assert await world.state() == "held"
    reason = await world.db.fetchval("select reason from relais.address_health")
    assert reason == "full"


async def test_trial(world: World) -> None:
    """After 90 days the next copy leaves; it fails once: held for another 90. Or it heals."""
    for day in (0, 1):
        await world.at(day)
        await world.report((await world.post(1 + day))["a@b.fr"])
    await world.at(90.9)
    await check_up(office=world.office)
    assert await world.state() == "held"

    await world.at(91.1)
    await check_up(office=world.office)
    assert await world.state() == "trial"
    copy = (await world.post(3))["a@b.fr"]
    await world.at(92)
    assert await world.report(copy, DISABLED) == "bounced"
    assert await world.state() == "held"
    assert await world.db.fetchval("select due_at from relais.address_health") == NOON + 182 * DAY

    await world.at(183)
    await check_up(office=world.office)
    await world.post(4)
    await world.at(191)
    await check_up(office=world.office)
    assert await world.state() is None
    assert "a@b.fr" in await world.recipients(5)


async def crowd(world: World, count: int) -> None:
    """Let the list have *count* members more, at one provider."""
    await world.db.execute(
        "insert into club.member (email, person)"
        " select 'm' || n || '@orange.fr', 'm' || n from generate_series(1, $1) n",
        count,
    )


async def test_a_burst_blames_nobody(world: World) -> None:
    """Those who were suspected and held by it are let go; the posting stops there."""
    await crowd(world, 40)
    first = await world.post(1)
    await world.report(first["m1@orange.fr"], DISABLED)
    await world.at(1)
    sent = await world.post(2)
    for number in range(1, 12):
        await world.report(sent[f"m{number}@orange.fr"], DISABLED)
    assert await world.state("m1@orange.fr") == "held"

    await check_up(office=world.office)

    assert await world.state("m1@orange.fr") is None
    assert await world.rows_of("address_health") == 0
    stopped = await world.db.fetchrow("select provider, posting_id from relais.provider_state")
    assert stopped is not None
    assert (stopped["provider"], stopped["posting_id"]) == ("orange", 2)
    assert await breakers.failures(world.db, "main", within=DAY / 2, at_most=99) == []
    await world.report(sent["m20@orange.fr"], DISABLED)
    excused = await world.db.fetch("select is_excused from relais.address_failure order by 1")
    assert [row["is_excused"] for row in excused] == [False] + [True] * 12
    await check_up(office=world.office)
    assert await world.rows_of("provider_state") == 1


async def test_a_stop_for_a_burst_ends(world: World) -> None:
    """An old file has a fifth of dead addresses too: the rest leaves the next day."""
    await crowd(world, 20)
    sent = await world.post(1)
    for number in range(1, 12):
        await world.report(sent[f"m{number}@orange.fr"])
    waiting = sent["m20@orange.fr"]
    await world.db.execute(
        "update relais.delivery set state = 'queued', settled_at = null, due_at = relais.now()"
        " where delivery_id = $1",
        waiting,
    )
    await world.db.execute("update relais.posting set fresh_until = 'infinity'")
    await check_up(office=world.office)
    await alive(world.db, "w1")
    assert await claim_due(world.db, "w1", at_most=9) == []

    await world.at(1.1)
    assert await provider_states.cancel_refused(world.db) == []
    await alive(world.db, "w1")
    assert [claim.delivery_id for claim in await claim_due(world.db, "w1", at_most=9)] == [waiting]


async def test_a_burst_that_repeats_counts(world: World) -> None:
    """In another posting, a week later; the third time the address is held."""
    await crowd(world, 12)
    for mark in range(3):
        await world.at(7 * mark)
        sent = await world.post(mark + 1)
        for number in range(1, 12):
            await world.report(sent[f"m{number}@orange.fr"])
        await check_up(office=world.office)
        expected = [None, "suspect", "held"][mark]
        assert await world.state("m1@orange.fr") == expected
        await world.db.execute("delete from relais.provider_state")


async def test_few_of_many_are_no_burst(world: World) -> None:
    """Ten of sixty at one provider are people who have gone."""
    await crowd(world, 60)
    sent = await world.post(1)
    for number in range(1, 11):
        await world.report(sent[f"m{number}@orange.fr"])
    await check_up(office=world.office)

    assert await world.rows_of("address_health") == 10
    assert await world.db.fetchval("select left_there from relais.burst") == 50


async def test_other_words_are_no_burst(world: World) -> None:
    """Each is told something else of."""
    await crowd(world, 12)
    sent = await world.post(1)
    words = ("un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze")
    for number, word in enumerate(words, start=1):
        await world.report(sent[f"m{number}@orange.fr"], f"{NO_USER} {word}")
    await check_up(office=world.office)

    assert await world.rows_of("address_health") == 11


WAYS = {
    "the return address": ("address", True),
    "the reference": ("ref", True),
    "the envelope's id": ("envelope", True),
    "Message-ID and recipient": ("message-id", False),
}


@pytest.mark.parametrize(("way", "scores"), WAYS.values(), ids=WAYS)
async def test_what_a_report_names(world: World, way: str, *, scores: bool) -> None:
    """The copy's own token is proof; what everybody on the list knows settles, and scores not."""
    copy = (await world.post(1))["a@b.fr"]

    assert await world.report(copy, way=way) == "bounced"

    assert (
        await world.db.fetchval(
            "select state::text from relais.delivery where delivery_id = $1", copy
        )
        == "bounced"
    )
    assert await world.rows_of("address_failure") == int(scores)
    doubted = world.metric("foreign_reports_total", why=Foreign.MESSAGE_ID.value)
    assert doubted == int(not scores)
    failed_at = await world.db.fetchval(
        "select failed_at from relais.delivery where delivery_id = $1", copy
    )
    assert (failed_at is not None) == scores  # Which the breaker counts.
    if not scores:  # Whoever has told it first has not spared the address.
        await world.report(copy, way="ref")
        assert await world.rows_of("address_failure") == 1


@pytest.mark.parametrize("action", ["failed", "delayed"])
@pytest.mark.parametrize(("way", "heeded"), [("ref", True), ("message-id", False)])
async def test_what_stops_a_provider_is_proven(
    world: World, action: str, way: str, *, heeded: bool
) -> None:
    """Whoever knows a Message-ID and a member stops no posting, and pauses nothing."""
    await crowd(world, 1)
    copy = (await world.post(1))["m1@orange.fr"]

    await world.report(copy, "550 5.7.1 OFR_506 spam", action=action, way=way)

    assert await world.rows_of("provider_state") == int(heeded)
    assert await world.rows_of("account_state") == 0
    row = await world.db.fetchrow(
        "select state::text, returned, failed_at, verdict from relais.delivery"
        " where delivery_id = $1",
        copy,
    )
    assert row is not None
    if not heeded:
        state = "bounced" if action == "failed" else "handed_over"
        assert tuple(row) == (state, 0, None, None)


SAID_LATER = {
    "spam": ("550 5.7.1 OFR_506 spam", "requeued", "deferred", 1),
    "no such user": (NO_USER, "bounced", "bounced", 0),
}


@pytest.mark.parametrize("later", SAID_LATER.values(), ids=SAID_LATER)
async def test_a_forged_report_hides_nothing(
    world: World, later: tuple[str, str, str, int]
) -> None:
    """What its own copy tells afterwards is heeded as if nobody had said anything."""
    text, outcome, state, states = later
    await crowd(world, 1)
    copy = (await world.post(1))["m1@orange.fr"]
    await world.report(copy, DISABLED, way="message-id")

    assert await world.report(copy, text) == outcome

    row = await world.db.fetchrow(
        "select state::text, failed_at is not null from relais.delivery where delivery_id = $1",
        copy,
    )
    assert row is not None
    assert tuple(row) == (state, True)
    assert await world.rows_of("provider_state") == states
    assert await world.rows_of("address_failure") == 1 - states


async def test_forged_reports_open_no_breaker(world: World) -> None:
    """Of as many copies as it takes, by whoever knows who is on the list."""
    await crowd(world, 15)
    sent = await world.post(1)
    office = replace(world.office, failures={"main": DEFAULT_THRESHOLD})
    watched = world._replace(office=office)
    for number in range(1, 15):
        await watched.report(sent[f"m{number}@orange.fr"], way="message-id")

    assert await world.rows_of("account_state") == 0


@pytest.mark.parametrize(
    "count", [100, pytest.param(5000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
async def test_forged_reports_change_nothing(world: World, count: int) -> None:
    """However many at once, by whoever knows the list and its members."""
    copy = (await world.post(1))["a@b.fr"]
    foreign = world.token(copy)[:-1] + ("a" if world.token(copy)[-1] != "a" else "b")
    raw = world.written(copy, "c@d.fr", NO_USER, "failed", "ref").replace(
        world.token(copy), foreign
    )
    rows = [(uid, raw.encode()) for uid in range(1000, 1000 + count)]
    await world.db.executemany(
        """
        insert into relais.arrival (account, folder, uidvalidity, uid, raw, sha256, size_bytes,
                                    arrived_at, due_at, state, kind)
        values ('m', 'INBOX', 1, $1, $2, '', 1, relais.now(), relais.now(), 'sorted', 'report')
        """,
        rows,
    )
    while True:
        async with borrowed(world.office.pool) as db:
            arrival = await arrivals.claim(db, "sorted", world.office.worker_id)
        if arrival is None:
            break
        await handle_return(arrival, office=world.office)
    await check_up(office=world.office)

    assert world.metric("foreign_reports_total", why="forged") == count
    assert (
        await world.db.fetchval(
            "select count(*) from relais.arrival where outcome = 'unmatched_report'"
        )
        == count
    )
    for table in ("address_failure", "address_health", "burst", "provider_state"):
        assert await world.rows_of(table) == 0
    assert await world.recipients(2) == {"a@b.fr", "c@d.fr"}


async def test_a_reason_of_another_version(world: World) -> None:
    """A newer worker may know more of them; an older one goes on."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.db.execute("update relais.address_failure set reason = 'eaten_by_a_whale'")
    await world.at(1)
    await world.report((await world.post(2))["a@b.fr"])

    assert await world.state() == "held"


async def test_a_replayed_report_counts_once(world: World) -> None:
    """Also on other days."""
    copy = (await world.post(1))["a@b.fr"]
    for day in range(5):
        await world.at(day)
        assert await world.report(copy) == "bounced"

    assert await world.rows_of("address_failure") == 1
    assert await world.state() == "suspect"


async def test_a_purged_delivery(world: World) -> None:
    """Its token is ours, but nobody knows any more whose it was."""
    assert (
        await world.arrive(world.written(99, "a@b.fr", NO_USER, "failed", "ref"))
        == ArrivalOutcome.UNMATCHED_REPORT
    )
    assert world.metric("foreign_reports_total", why="gone") == 1


async def test_a_corrected_address_gets_the_next_posting(world: World) -> None:
    """The state is the address's, not the person's."""
    for day in (0, 1):
        await world.at(day)
        await world.report((await world.post(1 + day))["a@b.fr"])
    assert await world.recipients(3) == {"c@d.fr"}

    await world.db.execute("update club.member set email = 'neuf@b.fr' where person = '1'")

    assert await world.recipients(3) == {"neuf@b.fr", "c@d.fr"}


async def test_a_report_for_somebody_else(world: World) -> None:
    """Whoever has a copy can only tell of their own: the other address is not touched."""
    copies = await world.post(1)
    for day in (0, 1, 2):
        await world.at(day)
        raw = world.written(copies["a@b.fr"], "c@d.fr", NO_USER, "failed", "ref")
        await world.arrive(raw)

    assert await world.state("c@d.fr") is None
    assert await world.rows_of("address_failure") == 1
    assert await world.state("a@b.fr") == "suspect"


async def test_what_blames_us_never_counts(world: World) -> None:
    """Nor does it when the copy has come back for good."""
    for day in range(4):
        await world.at(day)
        copy = (await world.post(1 + day))["a@b.fr"]
        await world.db.execute("update relais.delivery set returned = 3")
        await world.db.execute("delete from relais.provider_state")
        assert await world.report(copy, SPAM) == "bounced"

    assert await world.rows_of("address_failure") == 0
    assert (
        world.metric(
            "bounces_total", **{"provider": "other", "class": "other", "reason": "unknown"}
        )
        == 4
    )


async def test_waiting_copies_of_a_held_address(world: World) -> None:
    """They block nobody, and the check-up cancels them, however late it comes."""
    for day in (0, 1):
        await world.at(day)
        await world.report((await world.post(1 + day))["a@b.fr"])
        if day == 0:
            await posted(world.db, fingerprint=b"w" * 32)  # Its copies wait.
            await world.db.execute(
                "update relais.delivery set state = 'deferred', due_at = $1 where state = 'queued'",
                NOON + 2 * DAY,
            )
    await world.at(3)
    await world.db.execute("""
        update relais.delivery set due_at = relais.now() where state = 'deferred';
        update relais.posting set fresh_until = relais.now() + interval '1 day';
    """)

    assert {c.address for c in await claim_due(world.db, "w1", at_most=1)} == {"c@d.fr"}
    await check_up(office=world.office)

    row = await world.db.fetchrow(
        "select state::text, reply from relais.delivery"
        " where address = 'a@b.fr' and state not in ('bounced')"
    )
    assert row is not None
    assert (row["state"], row["reply"]) == ("cancelled", "held: mail to this address comes back")


async def test_a_held_address_is_not_tried_for_rate(world: World) -> None:
    """A copy that was refused for its rate does not go back into the queue."""
    late = (await world.post(9))["a@b.fr"]
    for day in (0, 1):
        await world.at(day)
        await world.report((await world.post(1 + day))["a@b.fr"])

    assert not await returns.requeue(
        world.db,
        late,
        due_at=NOON,
        verdict=world.office.rulebook.verdict("421 later", provider="other").action,
        status="",
        reply="",
    )


def a_claim(delivery_id: int, row: asyncpg.Record) -> Claim:
    """Claim a copy."""
    return Claim(
        key=ClaimKey(delivery_id, 1),
        posting_id=row["posting_id"],
        notice_id=None,
        person_id=row["person_id"],
        person="person:1",
        address=row["address"],
        lang=None,
        fields=None,
        provider="other",
        attempts=1,
        returned=0,
        tried_for=timedelta(),
    )


class Books:
    """A ledger that keeps what it is given."""

    def __init__(self) -> None:
        self.settled: list[Settlement] = []

    def settle(self, settlement: Settlement) -> None:
        """Keep it."""
        self.settled.append(settlement)


class Counter:
    """What a submitter asks of its desk."""

    def __init__(self, world: World) -> None:
        self.metrics = world.office.metrics
        self.feedback = Feedback("main", world.office.rulebook)
        self.chance = lambda: 0.5


REFUSALS = {
    "no such user": (Reply(Stage.RCPT, 550, "5.1.1 no such user"), 2, "held"),
    "full": (Reply(Stage.RCPT, 552, "5.2.2 mailbox full"), 2, None),
    "later": (Reply(Stage.RCPT, 450, "4.2.2 mailbox full"), 0, None),
    "spam": (Reply(Stage.DOT, 554, "5.7.1 message is spam"), 0, None),
}


@pytest.mark.parametrize(("reply", "failures", "state"), REFUSALS.values(), ids=REFUSALS)
async def test_refusals_at_once(
    world: World, reply: Reply, failures: int, state: str | None
) -> None:
    """What the host refuses counts as a report does, and nobody waits for it."""
    for day in (0, 1):
        await world.at(day)
        copy = (await world.post(1 + day))["a@b.fr"]
        row = await world.db.fetchrow("select * from relais.delivery where delivery_id = $1", copy)
        assert row is not None
        desk, books = Counter(world), Books()
        _settle(a_claim(copy, row), reply, desk=desk, ledger=books)  # type: ignore[arg-type]  # fakes
        assert len(books.settled) == 1
        assert await world.rows_of("address_failure") == (failures // 2) * day
        desk.feedback.heard.end()
        await run_feedback(
            desk.feedback.heard, pool=world.office.pool, metrics=world.office.metrics, zone=UTC
        )

    assert await world.rows_of("address_failure") == failures
    assert await world.state() == state


async def test_reports_at_once(world: World) -> None:
    """Of one address, by several workers: each counts once, and nobody waits in a circle."""
    copies: list[int] = []
    for mark in range(1, 9):
        copies += (await world.post(mark)).values()
    await asyncio.gather(*(self_report(world, copy) for copy in copies))

    assert await world.rows_of("address_failure") == 16
    assert await world.db.fetchval("select sum(failures) from relais.burst") == 16


async def self_report(world: World, copy: int) -> None:
    """Store a report and handle it, beside others."""
    async with borrowed(world.office.pool) as db:
        row = await db.fetchrow("select address from relais.delivery where delivery_id = $1", copy)
        assert row is not None
        raw = world.written(copy, row["address"], DISABLED, "failed", "ref").encode()
        await arrivals.store(db, Place("m", "INBOX", 1, 100 + copy), raw, internal_date=None)
        await db.execute("update relais.arrival set state = 'sorted' where uid = $1", 100 + copy)
        arrival = await arrivals.claim(db, "sorted", world.office.worker_id)
    assert arrival is not None
    await handle_return(arrival, office=world.office)


async def test_an_erasure_is_not_undone(world: World) -> None:
    """By a report that was read before it."""
    copy = (await world.post(1))["a@b.fr"]
    async with world.db.transaction():
        await world.db.execute(
            "update relais.delivery set address = 'erased:' || delivery_id where delivery_id = $1",
            copy,
        )
        raw = world.written(copy, "a@b.fr", NO_USER, "failed", "ref")
        reporting = asyncio.create_task(world.arrive(raw))
        await is_waited_for(world)
    await reporting

    assert await world.rows_of("address_failure") == 0
    assert await world.rows_of("address_health") == 0


async def is_waited_for(world: World) -> None:
    """Return when a session waits for a lock."""
    async with asyncio.timeout(20), borrowed(world.office.pool) as db:
        while not await db.fetchval(
            "select exists (select from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock')"
        ):
            await asyncio.sleep(0.01)  # The database tells spectators nothing.


async def deadlocked_once(world: World) -> None:
    """Let the next change of an address end as if by a deadlock."""
    await world.db.execute("""
        create sequence public.times;
        create function public.once() returns trigger language plpgsql security definer as $$
        begin
            if nextval('public.times') = 1 then
                raise exception 'met' using errcode = 'deadlock_detected';
            end if;
            return null;
        end $$;
        create trigger once before insert or update or delete on relais.address_health
            for each statement execute function public.once();
    """)


@pytest.mark.parametrize("actor", ["return handler", "feedback", "check-up"])
async def test_a_deadlock_ends_nobody(world: World, actor: str) -> None:
    """It is done again."""
    copy = (await world.post(1))["a@b.fr"]
    if actor == "check-up":
        await world.report(copy)
        await world.at(1.01)
    await deadlocked_once(world)
    signals = Signals()
    if actor == "feedback":
        row = await world.db.fetchrow("select * from relais.delivery where delivery_id = $1", copy)
        assert row is not None
        desk, refused = Counter(world), Reply(Stage.RCPT, 550, "5.1.1 no such user")
        _settle(a_claim(copy, row), refused, desk=desk, ledger=Books())  # type: ignore[arg-type]  # fakes
        desk.feedback.heard.end()
        running = run_feedback(
            desk.feedback.heard, pool=world.office.pool, metrics=world.office.metrics, zone=UTC
        )
    elif actor == "check-up":
        running = run_checkup(world.office, every=timedelta(seconds=0.05), signals=signals)
    else:
        raw = world.written(copy, "a@b.fr", NO_USER, "failed", "ref")
        async with borrowed(world.office.pool) as db:
            await arrivals.store(db, Place("m", "INBOX", 1, 1), raw.encode(), internal_date=None)
            await db.execute("update relais.arrival set state = 'sorted'")
        running = run_return_handler(world.office, signals=signals)
    working = asyncio.create_task(running)
    done = "notice" if actor == "check-up" else "address_health"
    async with asyncio.timeout(20):
        while not working.done() and not await world.rows_of(done):
            await asyncio.sleep(0.01)  # The database tells spectators nothing.
        signals.stop()
        await working

    assert await world.rows_of(done) == 1
    assert await world.db.fetchval("select last_value from public.times") > 1


async def test_the_actor_ends_when_the_worker_stops(world: World) -> None:
    """It does a round first."""
    await world.report((await world.post(1))["a@b.fr"])
    await world.at(1.01)
    signals = Signals()
    running = asyncio.create_task(
        run_checkup(world.office, every=timedelta(seconds=0.05), signals=signals)
    )
    async with asyncio.timeout(20):
        while not await world.rows_of("notice"):
            await asyncio.sleep(0.01)  # The database tells spectators nothing.
        signals.stop()
        await running
