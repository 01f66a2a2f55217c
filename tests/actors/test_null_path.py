"""Answers leave from the null return path, and a host that refuses it costs nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tests.actors.letters import Owner, desk
from tests.servers.smtp import Act, SmtpServer
from tests.servers.smtp import Stage as At
from worker.actors.dispatcher import claim_affordable
from worker.actors.ledger import Ledger
from worker.actors.mailbox import Mailbox
from worker.actors.outbox import Outbox
from worker.actors.submitter import run_submitter
from worker.config import Endpoint, Tls
from worker.mail.notice import Letter
from worker.policy.outcome import ANSWERS, NoticeKind
from worker.store.database import Reconnecting, borrowed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from worker.actors.desk import Desk
    from worker.actors.office import Office
    from worker.store.deliveries import Claim

LETTER = Letter("Not sent", "It was not sent.", "en")
NULL = "FROM:<>"
THREE = (NoticeKind.RECEIPT, NoticeKind.CONFIRM, NoticeKind.NOT_POSTED)


@pytest.fixture(params=[True, False], ids=["pipelining", "lockstep"])
async def host(request: pytest.FixtureRequest) -> AsyncIterator[SmtpServer]:
    """A scripted host, with and without PIPELINING."""
    async with SmtpServer(pipelining=request.param) as running:
        yield running


async def queued(office: Office, *kinds: NoticeKind) -> list[Claim]:
    """Queue a notice of each of *kinds*, and claim them in this order."""
    outbox = Outbox(office.site, office.tokens, office.metrics)
    async with borrowed(office.pool) as db:
        async with db.transaction():
            for number, kind in enumerate(kinds):
                address = f"n{number}@b.test"
                await outbox.send(db, kind, LETTER, address, about=None)
        claims = await claim_affordable(db, office.worker_id, "main", at_most=100)
    assert len(claims) == len(kinds)
    return sorted(claims, key=lambda claim: claim.delivery_id)


async def test_of_which_kinds(office: Office) -> None:
    """Only what answers a message; all others want to hear of what becomes of them."""
    rendering = desk(office)

    envelopes = [(await rendering.copy_of(c)).envelope for c in await queued(office, *NoticeKind)]

    for kind, envelope in zip(NoticeKind, envelopes, strict=True):
        returned = envelope.stand_in if kind in ANSWERS else envelope.return_address
        assert returned.startswith("return-"), kind
        assert (envelope.return_address == "") is (kind in ANSWERS), kind


async def test_every_kind_is_counted(office: Office) -> None:
    """When it is queued."""
    await queued(office, NoticeKind.RECEIPT, NoticeKind.CONFIRM, NoticeKind.RECEIPT)

    counted = {
        kind: office.metrics.registry.get_sample_value("relais_notices_total", {"kind": kind})
        for kind in NoticeKind
    }
    assert {kind: n for kind, n in counted.items() if n} == {"receipt": 2, "confirm": 1}


async def submitted(
    office: Office, database_url: str, at: Desk, host: SmtpServer, claims: Sequence[Claim]
) -> None:
    """Let one submitter do *claims*, on connections of its own."""
    here = Endpoint("127.0.0.1", host.port, "", "", Tls.NONE)
    at.account = replace(at.account, endpoint=here)
    recording = Reconnecting(database_url)
    ledger, mailbox = Ledger(recording, office.worker_id), Mailbox["Claim"]()
    mailbox.put_all(list(claims))
    mailbox.end()
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(ledger.run())
        await run_submitter(mailbox, desk=at, ledger=ledger)
        ledger.close()
        await writing
    await recording.close()


def paths(host: SmtpServer) -> list[bool]:
    """Return of each accepted copy, in their order, whether its return path was the null one."""
    return [accepted.return_address == "" for accepted in host.accepted]


async def states(owner: Owner) -> dict[str, int]:
    """Count the deliveries by state."""
    rows = await owner.fetch("select state::text, count(*) from relais.delivery group by 1")
    return dict(map(tuple, rows))


async def test_a_host_that_takes_it(
    office: Office, owner: Owner, database_url: str, host: SmtpServer
) -> None:
    """Answers have no return path, and the question whether its author wrote it has."""
    with capture_logs() as logs:
        await submitted(office, database_url, desk(office), host, await queued(office, *THREE))

    assert paths(host) == [True, False, True]
    assert await states(owner) == {"handed_over": 3}
    assert not [entry for entry in logs if entry["event"].startswith("account.")]


async def test_a_host_that_refuses_it_is_asked_once(
    office: Office, owner: Owner, database_url: str, host: SmtpServer
) -> None:
    """Nothing is lost, the account is not paused, and the next session knows."""
    refusal = "550 5.7.1 <>: Sender address not owned by user"
    host.fail(At.MAIL, refusal, argument=NULL)
    at = desk(office)

    with capture_logs() as logs:
        for _ in range(2):
            await submitted(office, database_url, at, host, await queued(office, *THREE))

    assert paths(host) == [False] * 6
    assert host.connections == 2
    assert host.visits[At.MAIL] == 7, "once for all"
    assert await states(owner) == {"handed_over": 6}
    told = [entry for entry in logs if entry["event"].startswith("account.")]
    assert [(entry["event"], entry["stage"], entry["why"]) for entry in told] == [
        ("account.null_path_refused", "mail", refusal)
    ]


async def test_a_host_that_defers_it_is_asked_in_the_next_session(
    office: Office, owner: Owner, database_url: str, host: SmtpServer
) -> None:
    """4yz is of the moment."""
    host.fail(At.MAIL, "451 4.1.8 Sender address not resolved", argument=NULL, times=1)
    at = desk(office)

    with capture_logs() as logs:
        for _ in range(2):
            await submitted(office, database_url, at, host, await queued(office, *THREE))

    assert paths(host) == [False, False, False, True, False, True]
    assert await states(owner) == {"handed_over": 6}
    assert not [entry for entry in logs if entry["event"].startswith("account.")]


async def test_a_host_that_hangs_up_over_it(
    office: Office, owner: Owner, database_url: str, host: SmtpServer
) -> None:
    """That copy is deferred, without a mark; the others leave on the next connection."""
    host.fail(At.MAIL, "550 5.1.7 Null sender not allowed", argument=NULL)
    host.fail(At.RSET, Act.DROP)

    with capture_logs() as logs:
        await submitted(office, database_url, desk(office), host, await queued(office, *THREE))

    assert await states(owner) == {"deferred": 1, "handed_over": 2}
    assert await owner.fetchval("select count(marked_at) from relais.delivery") == 2
    assert "account.paused" not in [entry["event"] for entry in logs]
    assert "account.null_path_refused" in [entry["event"] for entry in logs]
