"""Reports and replies on a real database: who is slowed, what leaves again, what is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.copies import a_copy, a_posting
from tests.edges.store.given import NOON, frozen_clock
from worker.actors.feedback import Feedback, Heard, Rulebook, open_breakers, run_feedback
from worker.actors.return_handler import handle_return
from worker.actors.submitter import _settle, _settle_silence
from worker.errors import ProviderSilent
from worker.mail.reply import Reply, Stage
from worker.mail.return_address import Purpose
from worker.policy.feedback import Action
from worker.policy.limit import Limit
from worker.policy.provider_state import StateKind
from worker.store import arrivals, limits, postings, provider_states, returns, suppressions
from worker.store.arrivals import Place
from worker.store.database import borrowed
from worker.store.deliveries import Claim, ClaimKey, DeliveryState

if TYPE_CHECKING:
    import asyncpg

    from worker.actors.office import Office
    from worker.policy.provider_state import ProviderState
    from worker.store.deliveries import Settlement

    Owner = asyncpg.Connection[asyncpg.Record]

HOUR = timedelta(hours=1)
OFR_104 = "421 Trop de connexions. Too many connections, slow down. OFR005_104 [104]"
OFR_506 = "550 5.2.0 Mail rejete. Mail rejected. ofr_506 [506]"
OFR_999 = "550 Service refuse. Veuillez essayer plus tard. OFR_999 [999]"
OFR_416 = "550 5.1.1 Adresse d au moins un destinataire invalide. OFR_416 [416]"
CPANEL = "Domain x.fr has exceeded the max defers and failures per hour. Message discarded."

REPORT = """\
Return-Path: <>
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

Final-Recipient: rfc822; jean@x.test
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {text}

--b
Content-Type: text/rfc822-headers

X-Relais-Ref: {token}

--b--
"""


@pytest.fixture
async def db(office: Office, owner: Owner) -> Owner:
    """The owner's connection at noon, the rules read."""
    await frozen_clock(owner)
    await office.rulebook.refresh(owner)
    return owner


async def report(
    office: Office, delivery_id: int, text: str, *, action: str = "failed", status: str = "5.0.0"
) -> str:
    """Let a report come and be handled; return what became of it."""
    token = office.tokens.sign(Purpose.RETURN, delivery_id).decode()
    raw = REPORT.format(action=action, status=status, text=text, token=token)
    async with borrowed(office.pool) as db:
        uid = 1 + await db.fetchval("select count(*) from relais.arrival")
        await arrivals.store(db, Place("m", "INBOX", 1, uid), raw.encode(), internal_date=None)
        await db.execute("update relais.arrival set state = 'sorted' where state = 'received'")
        arrival = await arrivals.claim(db, "sorted", office.worker_id)
    assert arrival is not None
    await handle_return(arrival, office=office)
    async with borrowed(office.pool) as db:
        outcome: str = await db.fetchval("select outcome from relais.arrival where uid = $1", uid)
    return outcome


async def row(db: Owner, delivery_id: int) -> tuple[str, int, str | None]:
    """Return the state of a delivery, its returns and its verdict."""
    found = await db.fetchrow(
        "select state::text, returned, verdict from relais.delivery where delivery_id = $1",
        delivery_id,
    )
    assert found is not None
    return found["state"], found["returned"], found["verdict"]


async def live(db: Owner) -> list[ProviderState]:
    """Return what is in force."""
    return await provider_states.live(db)


async def test_too_fast(office: Office, db: Owner) -> None:
    """Orange gets half of its limit for an hour; the copy leaves again, its posting is open."""
    posting_id = await a_posting(db, "finished")
    copy = await a_copy(db, posting_id)

    assert await report(office, copy, OFR_104) == "requeued"

    assert await row(db, copy) == ("deferred", 1, "slow")
    (state,) = await live(db)
    assert (state.provider, state.kind, state.factor) == ("orange", StateKind.SLOW, 0.5)
    due = await db.fetchval("select due_at from relais.delivery")
    assert NOON + HOUR / 4 <= due <= NOON + HOUR / 2
    assert await db.fetchval("select settled_at from relais.delivery") is None
    assert await db.fetchval("select state from relais.posting") == "open"
    assert await db.fetchval("select count(*) from relais.turn") == 1
    assert office.metrics.registry.get_sample_value(
        "relais_feedback_total", {"provider": "orange", "action": "slow"}
    )


async def test_forty_reports_are_one_signal(office: Office, db: Owner) -> None:
    """All go back; Orange is slowed once."""
    posting_id = await a_posting(db)
    copies = [await a_copy(db, posting_id, f"p{n}") for n in range(40)]

    assert {await report(office, copy, OFR_104) for copy in copies} == {"requeued"}
    assert [state.factor for state in await live(db)] == [0.5]


async def test_content_stops_the_posting_there(office: Office, db: Owner) -> None:
    """And nowhere else, and no other posting."""
    posting_id = await a_posting(db)
    copy = await a_copy(db, posting_id)

    assert await report(office, copy, OFR_506) == "requeued"

    (state,) = await live(db)
    assert (state.provider, state.posting_id) == ("orange", posting_id)
    assert state.until - state.since == timedelta(days=5)
    assert await row(db, copy) == ("deferred", 1, "content")


async def test_the_fourth_return_ends(office: Office, db: Owner) -> None:
    """Three times a copy leaves again; then it has bounced, and the provider is told of still."""
    copy = await a_copy(db, await a_posting(db), returned=3)

    assert await report(office, copy, OFR_999) == "bounced"
    assert await row(db, copy) == ("bounced", 3, "pause")
    assert len(await live(db)) == 1


async def test_nobody_there(office: Office, db: Owner) -> None:
    """That is the person's, and the provider goes on."""
    copy = await a_copy(db, await a_posting(db))

    assert await report(office, copy, OFR_416, status="5.1.1") == "bounced"
    assert await row(db, copy) == ("bounced", 0, "hard")
    assert await live(db) == []


async def test_a_report_told_twice(office: Office, db: Owner) -> None:
    """Anybody may repeat a report: what is known already signals nothing."""
    copy = await a_copy(db, await a_posting(db))
    await report(office, copy, OFR_999)
    await frozen_clock(db, NOON + HOUR / 2)

    assert await report(office, copy, OFR_999) == "bounced"
    assert await row(db, copy) == ("deferred", 1, "pause")
    assert len(await live(db)) == 1


async def test_who_has_left_gets_no_second_copy(office: Office, db: Owner) -> None:
    """Nor does anybody of a posting that was stopped."""
    posting_id = await a_posting(db)
    copy = await a_copy(db, posting_id)
    person_id = await db.fetchval("select person_id from relais.person")
    await suppressions.opt_out(db, None, person_id, source="page")
    stopped = await a_copy(db, await a_posting(db, "stopped"), "zoé")

    assert await report(office, copy, OFR_104) == "bounced"
    assert await report(office, stopped, OFR_104) == "bounced"
    assert await row(db, stopped) == ("bounced", 0, "slow")


async def test_a_delay_is_a_signal(office: Office, db: Owner) -> None:
    """Once for a copy, which stays where it is: the host still tries."""
    copy = await a_copy(db, await a_posting(db))

    assert await report(office, copy, OFR_104, action="delayed", status="4.0.0") == "delayed"
    await frozen_clock(db, NOON + HOUR / 2)
    assert await report(office, copy, OFR_104, action="delayed", status="4.0.0") == "delayed"

    assert await row(db, copy) == ("handed_over", 0, "slow")
    assert [state.factor for state in await live(db)] == [0.5]


async def test_the_host_limits_the_account(office: Office, db: Owner) -> None:
    """What cPanel tells as a bounce: the account rests, the person is not to blame."""
    copy = await a_copy(db, await a_posting(db), provider="free")

    assert await report(office, copy, CPANEL) == "requeued"
    assert await row(db, copy) == ("deferred", 1, "account_limit")
    assert await db.fetchval("select paused_until from relais.account_state") >= NOON + HOUR
    assert await live(db) == []


async def test_a_posting_finished_meanwhile_is_opened(db: Owner) -> None:
    """The janitor heals what its own finishing has crossed."""
    posting_id = await a_posting(db)
    copy = await a_copy(db, posting_id)
    await returns.requeue(db, copy, due_at=NOON, verdict=Action.SLOW, status="", reply="")
    await db.execute("update relais.posting set state = 'finished'")
    await db.execute("delete from relais.turn")

    await returns.reopen(db)

    assert await db.fetchval("select state from relais.posting") == "open"
    assert await db.fetchval("select count(*) from relais.turn") == 1
    assert await postings.finish(db) == []


class Books:
    """A ledger that keeps what it is given."""

    def __init__(self) -> None:
        self.settled: list[Settlement] = []

    def settle(self, settlement: Settlement) -> None:
        """Keep it."""
        self.settled.append(settlement)


class Counter:
    """The part of a desk that settling uses."""

    def __init__(self, office: Office) -> None:
        self.metrics = office.metrics
        self.feedback = Feedback("main", office.rulebook)

    @staticmethod
    def chance() -> float:
        """Never vary."""
        return 0.5


def a_claim(delivery_id: int, *, returned: int = 0) -> Claim:
    """A claim of a copy to Orange."""
    return Claim(
        ClaimKey(delivery_id, 1),
        posting_id=1,
        notice_id=None,
        person_id=1,
        person="person:1",
        address="jean@x.test",
        lang=None,
        fields=None,
        provider="orange",
        attempts=1,
        returned=returned,
        tried_for=timedelta(),
    )


REPLIES = {
    "later, with 550": (Reply(Stage.RCPT, 550, OFR_999[4:]), 0, DeliveryState.DEFERRED, 2 * HOUR),
    "too fast": (Reply(Stage.DOT, 550, OFR_104[4:]), 0, DeliveryState.DEFERRED, HOUR / 4),
    "later, the fourth time": (
        Reply(Stage.RCPT, 550, OFR_999[4:]),
        3,
        DeliveryState.REFUSED,
        None,
    ),
    "nobody there": (Reply(Stage.RCPT, 550, OFR_416[4:]), 0, DeliveryState.REFUSED, None),
    "greylisted": (Reply(Stage.RCPT, 450, "4.2.0 Greylisted"), 0, DeliveryState.DEFERRED, HOUR / 4),
}


@pytest.mark.parametrize(("reply", "returned", "state", "delay"), REPLIES.values(), ids=REPLIES)
async def test_replies_of_the_host(
    office: Office,
    db: Owner,
    reply: Reply,
    returned: int,
    state: DeliveryState,
    delay: timedelta | None,
) -> None:
    """A copy that was refused for rate is deferred, at once and by memory alone."""
    del db
    books, desk = Books(), Counter(office)

    _settle(a_claim(1, returned=returned), reply, desk=desk, ledger=books)  # type: ignore[arg-type]  # fakes

    (settlement,) = books.settled
    assert (settlement.state, settlement.delay) == (state, delay)
    assert settlement.verdict is not None
    goes_back = state is DeliveryState.DEFERRED and reply.is_permanent
    assert settlement.is_returned == goes_back
    assert len(desk.feedback.heard) == 1


async def test_what_submitters_bring(office: Office, db: Owner) -> None:
    """It is acted on a moment later; of the copy, the settlement says it all."""
    copy = await a_copy(db, await a_posting(db))
    feedback = Feedback("main", office.rulebook)
    for code in (550, 450):
        feedback.bring(feedback.read(a_claim(copy), Reply(Stage.RCPT, code, OFR_999[4:])))
    feedback.heard.end()

    await run_feedback(feedback.heard, pool=office.pool, metrics=office.metrics, zone=UTC)

    assert [state.kind for state in await live(db)] == [StateKind.PAUSE]
    assert await row(db, copy) == ("handed_over", 0, None)


@pytest.mark.parametrize("words", ["exceeded storage allocation", "mailbox full", "5.3.4 too big"])
def test_what_is_too_big_at_mail_blames_nobody(words: str) -> None:
    """Nobody has been named yet, whatever the host says of storage (RFC 1870, section 6.1)."""
    feedback = Feedback("main", Rulebook())

    heard = feedback.read(a_claim(1), Reply(Stage.MAIL, 552, words))

    assert (heard.verdict.action, heard.verdict.counts) == (Action.TOO_BIG, False)


def test_who_is_unknown_only_after_the_dot_may_be_known() -> None:
    """A server that has taken the recipient first speaks for a filter."""
    feedback = Feedback("main", Rulebook())

    heard = [
        feedback.read(a_claim(1), Reply(stage, 550, "user unknown")).verdict.action
        for stage in (Stage.RCPT, Stage.DOT)
    ]

    assert heard == [Action.HARD, Action.SOFT]


async def test_the_mailbox_is_bounded(office: Office) -> None:
    """Too much is dropped: the next reply says it again."""
    feedback = Feedback("main", office.rulebook)
    for number in range(1100):
        feedback.bring(feedback.read(a_claim(number), Reply(Stage.RCPT, 550, "no")))

    assert len(feedback.heard) == 1000


async def test_our_own_words_are_not_read(office: Office, db: Owner) -> None:
    """Neither a silence nor a pause of ours slows anybody."""
    await provider_states.pause(db, "orange", length=HOUR, who="ada", reason=OFR_104)
    desk = Counter(office)
    silence = ProviderSilent("host.test", "too many connections, slow down", in_doubt=False)
    _settle_silence(a_claim(1), silence, desk=desk, ledger=Books())  # type: ignore[arg-type]  # fakes

    assert len(desk.feedback.heard) == 0
    assert [state.set_by for state in await live(db)] == ["ada"]


async def test_bad_rules_do_not_stop_us(office: Office, db: Owner) -> None:
    """The others are used, in the next minute as well."""
    await db.execute(
        """
        insert into relais.provider_rule (rule_id, nth, pattern, action, example, why)
        values ('broken', 1, '(', 'hard', '', '')
        """
    )
    rulebook = Rulebook()
    await rulebook.refresh(db)

    assert rulebook.verdict(OFR_104, provider="orange").action is Action.SLOW
    del office


async def test_the_breaker(office: Office, db: Owner) -> None:
    """It opens at twelve failures within the hour, and closes when the first has gone by."""
    thresholds = {"main": Limit(12, HOUR)}
    posting_id = await a_posting(db)
    for number in range(12):
        await frozen_clock(db, NOON + number * timedelta(minutes=1))
        await a_copy(db, posting_id, f"p{number}", state="bounced" if number % 2 else "refused")
        await open_breakers(db, thresholds)
        assert (await limits.seconds_paused(db, "main") is not None) == (number == 11)
    why = await db.fetchval("select why from relais.account_state")
    assert why == "12 failures within an hour; some hosts block an account at 15 an hour"

    # A session that works says nothing about it, and one that fails leaves it.
    await limits.account_works(db, "main")
    assert await limits.failures_in_a_row(db, "main") is None
    await open_breakers(db, {})
    assert await limits.seconds_paused(db, "main") is not None

    await frozen_clock(db, NOON + HOUR + timedelta(seconds=1))
    await open_breakers(db, thresholds)
    assert await limits.seconds_paused(db, "main") is None
    assert await limits.failures_in_a_row(db, "main") == 0
    del office


async def test_the_breaker_after_a_bounce(office: Office, db: Owner) -> None:
    """At once; the host counts what came back, also what goes back to the queue."""
    watched = replace(office, failures={"main": Limit(3, HOUR)})
    posting_id = await a_posting(db)
    copies = [await a_copy(db, posting_id, f"p{n}") for n in range(3)]

    await report(watched, copies[0], OFR_104)
    await report(watched, copies[1], OFR_416)
    assert await limits.seconds_paused(db, "main") is None
    await report(watched, copies[2], OFR_416)
    assert await limits.seconds_paused(db, "main") is not None


async def test_two_processes_slow_once(office: Office, db: Owner) -> None:
    """Who decides about a provider is alone with it."""
    posting_id = await a_posting(db)
    feedbacks = [Feedback("main", office.rulebook) for _ in range(2)]
    for feedback in feedbacks:
        copy = await a_copy(db, posting_id, f"p{id(feedback)}")
        verdict = office.rulebook.verdict(OFR_104, provider="orange")
        feedback.bring(Heard(copy, "orange", "main", posting_id, verdict, OFR_104))
        feedback.heard.end()

    await asyncio.gather(
        *(
            run_feedback(f.heard, pool=office.pool, metrics=office.metrics, zone=UTC)
            for f in feedbacks
        )
    )

    assert [state.factor for state in await live(db)] == [0.5]
