"""A null return path: asked for once, done without where the host refuses it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.servers.dovecot import ACCOUNT, PASSWORD
from tests.servers.process import wait_until
from tests.servers.smtp import Act, SmtpServer
from tests.servers.smtp import Stage as At
from worker.config import Endpoint, Tls
from worker.errors import ProviderSilent
from worker.mail.reply import Disposition, Reply
from worker.submission.connect import open_session
from worker.submission.session import Envelope, Patience, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.postfix import Postfix
    from tests.servers.tls import Certificates

IMPATIENT = Patience(command=0.3, dot=0.3)
BODY = b"From: A <a@listes.test>\r\nSubject: x\r\n\r\nend\r\n"
NULL = "FROM:<>"


class Ledger:
    """Counts marks."""

    def __init__(self) -> None:
        self.marks = 0

    async def mark(self) -> bool:
        """Make a mark."""
        self.marks += 1
        return True


@pytest.fixture(params=[True, False], ids=["pipelining", "lockstep"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[SmtpServer]:
    """A scripted host, with and without PIPELINING."""
    async with SmtpServer(pipelining=request.param) as running:
        yield running


async def opened(port: int, patience: Patience | None = IMPATIENT) -> Session:
    """Return a session that must be possible."""
    host = Endpoint("127.0.0.1", port, "", "", Tls.NONE)
    session = await open_session(host, local_hostname="l.test", patience=patience)
    assert isinstance(session, Session)
    return session


def answer(name: str) -> Envelope:
    """The envelope of an answer to ``name@b.test``."""
    return Envelope(
        "", f"{name}@b.test", len(BODY), envelope_id=f"of-{name}", stand_in=stand_in(name)
    )


def stand_in(name: str) -> str:
    """What is used where the host takes no null return path."""
    return f"return-{name}@listes.test"


def other(name: str) -> Envelope:
    """The envelope of a copy, which has its return address in any case."""
    return Envelope(stand_in(name), f"{name}@b.test", len(BODY), envelope_id=f"of-{name}")


async def submitted(session: Session, ledger: Ledger, *envelopes: Envelope) -> list[int]:
    """Submit to all of *envelopes*, each announced by the one before; return the codes."""
    codes = []
    for envelope, following in pairwise([*envelopes, None]):
        assert envelope is not None
        reply = await session.submit(envelope, BODY, mark=ledger.mark, following=following)
        codes.append(reply.code if reply else 0)
    return codes


async def test_a_host_that_takes_it(server: SmtpServer) -> None:
    """RFC 3834, section 3.3; reports are asked for all the same, and copies keep their path."""
    session, ledger = await opened(server.port), Ledger()

    assert await submitted(session, ledger, answer("a"), other("b"), answer("c")) == [250] * 3
    await session.quit()

    assert [message.return_address for message in server.accepted] == ["", stand_in("b"), ""]
    assert all("NOTIFY=" in message.parameters[1] for message in server.accepted)
    assert session.null_path_refusal is None
    assert server.visits[At.RSET] == 0


class Refusal(NamedTuple):
    """What a host says to a null return path, and where."""

    at: At
    reply: str
    is_permanent: bool = True


REFUSALS = {
    "MAIL 501": Refusal(At.MAIL, "501 5.1.7 Bad sender address syntax"),
    "MAIL 530": Refusal(At.MAIL, "530 5.7.1 Authentication required"),
    "MAIL 535": Refusal(At.MAIL, "535 5.7.8 You may not send as this"),
    "MAIL 550": Refusal(At.MAIL, "550 5.1.7 Null sender not allowed"),
    "MAIL 553": Refusal(At.MAIL, "553 5.7.1 <>: Sender address rejected: not owned by user"),
    "MAIL 554": Refusal(At.MAIL, "554 5.7.1 Go away"),
    "MAIL 555": Refusal(At.MAIL, "555 5.5.4 What is that"),
    "MAIL 451": Refusal(At.MAIL, "451 4.1.8 Sender address not resolved", is_permanent=False),
    "RCPT 501": Refusal(At.RCPT, "501 5.1.7 Bad sender address syntax"),
    "RCPT 550": Refusal(At.RCPT, "550 Administrative prohibition"),
    "RCPT 553": Refusal(At.RCPT, "553 5.7.1 <>: Sender address rejected: not owned by user"),
    "RCPT 450": Refusal(At.RCPT, "450 4.1.7 <>: Sender address rejected", is_permanent=False),
    "DATA 554": Refusal(At.DATA, "554 5.7.1 <>: Sender address rejected"),
}


def refuse(server: SmtpServer, refusal: Refusal, *, times: int | None = None) -> None:
    """Let *server* say so to each null return path."""
    argument = NULL if refusal.at is At.MAIL else ""
    is_later = refusal.at is not At.MAIL
    server.fail(refusal.at, refusal.reply, argument=argument, null_path=is_later, times=times)


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_host_that_refuses_it(server: SmtpServer, refusal: Refusal) -> None:
    """Each copy leaves with its own path, marked once; the host is asked once a connection."""
    refuse(server, refusal)
    session, ledger = await opened(server.port), Ledger()
    names = "abcd"

    codes = await submitted(session, ledger, answer("a"), other("b"), answer("c"), answer("d"))
    await session.quit()

    assert codes == [250] * 4
    assert [message.return_address for message in server.accepted] == [*map(stand_in, names)]
    assert [message.recipient for message in server.accepted] == [f"{n}@b.test" for n in names]
    assert all("NOTIFY=" in message.parameters[1] for message in server.accepted)
    assert len({message.connection for message in server.accepted}) == 1
    assert ledger.marks == 4
    assert server.visits[At.RSET] == 1
    said = session.null_path_refusal
    assert said is not None
    assert (str(said), said.is_permanent) == (refusal.reply, refusal.is_permanent)


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_it_was_announced_behind_a_dot(server: SmtpServer, refusal: Refusal) -> None:
    """MAIL, RCPT and DATA were on their way before the host had refused any."""
    refuse(server, refusal)
    session, ledger = await opened(server.port), Ledger()

    assert await submitted(session, ledger, other("a"), answer("b"), other("c")) == [250] * 3

    assert [message.return_address for message in server.accepted] == [*map(stand_in, "abc")]
    assert ledger.marks == 3


class Other(NamedTuple):
    """A refusal that has nothing to do with the return path, and how it is taken."""

    at: At
    reply: str
    disposition: Disposition
    attempts: int  # Of MAIL, for the copy that is refused.


OTHERS = {
    "MAIL 554": Other(At.MAIL, "554 5.7.1 suspended", Disposition.ACCOUNT_TROUBLE, 2),
    "MAIL 501": Other(At.MAIL, "501 5.5.2 suspended", Disposition.ACCOUNT_TROUBLE, 4),
    "MAIL 451": Other(At.MAIL, "451 4.3.0 quota", Disposition.ACCOUNT_TROUBLE, 2),
    "MAIL 421": Other(At.MAIL, "421 closing", Disposition.ACCOUNT_TROUBLE, 1),
    "MAIL 552": Other(At.MAIL, "552 5.3.4 too big", Disposition.REFUSED, 1),
    "RCPT 550": Other(At.RCPT, "550 5.1.1 unknown", Disposition.REFUSED, 2),
    "RCPT 451": Other(At.RCPT, "451 4.7.1 greylisted", Disposition.DEFERRED, 1),
    "RCPT 421": Other(At.RCPT, "421 too many", Disposition.DEFERRED, 1),
    "DATA 554": Other(At.DATA, "554 no", Disposition.REFUSED, 2),
    "DATA 452": Other(At.DATA, "452 later", Disposition.DEFERRED, 1),
    "dot 554": Other(At.DOT, "554 5.7.1 spam", Disposition.REFUSED, 1),
}


@pytest.mark.parametrize("refusal", OTHERS.values(), ids=OTHERS)
async def test_a_refusal_that_was_not_about_it(server: SmtpServer, refusal: Other) -> None:
    """It is taken as ever, and the next answer goes out from the null path, with reports asked."""
    fault = server.fail(refusal.at, refusal.reply)
    session, ledger = await opened(server.port), Ledger()

    reply = await session.submit(answer("a"), BODY, mark=ledger.mark)

    assert isinstance(reply, Reply)
    assert (str(reply), reply.disposition) == (refusal.reply, refusal.disposition)
    assert server.visits[At.MAIL] == refusal.attempts
    assert ledger.marks == (1 if refusal.at is At.DOT else 0)
    assert session.null_path_refusal is None
    server.faults.remove(fault)
    if not session.is_open:
        session = await opened(server.port)
    assert await submitted(session, Ledger(), answer("b")) == [250]
    assert [message.return_address for message in server.accepted] == [""]
    assert "NOTIFY=" in server.accepted[0].parameters[1]


@pytest.mark.parametrize("code", ["501 5.5.4", "504 5.5.4", "555 5.5.4"])
@pytest.mark.parametrize("at", [At.MAIL, At.RCPT])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_host_that_refuses_the_parameters_as_well(
    server: SmtpServer, refusal: Refusal, at: At, code: str
) -> None:
    """Whichever it says first, and even if it says both with one code: the copies leave."""
    refuse(server, refusal)
    server.fail(at, f"{code} Unsupported option", argument="RET=|NOTIFY=")
    session, ledger = await opened(server.port), Ledger()

    assert await submitted(session, ledger, answer("a"), answer("b"), other("c")) == [250] * 3
    await session.quit()

    assert [message.return_address for message in server.accepted] == [*map(stand_in, "abc")]
    assert {message.parameters[1] for message in server.accepted} == {""}
    assert ledger.marks == 3


async def test_a_host_that_refuses_the_parameters_alone(server: SmtpServer) -> None:
    """501 may be about either: what was not the reason is kept."""
    server.fail(At.MAIL, "501 5.5.4 Unsupported option", argument="RET=")
    session, ledger = await opened(server.port), Ledger()

    assert await submitted(session, ledger, answer("a"), answer("b")) == [250] * 2

    assert [message.return_address for message in server.accepted] == ["", ""]
    assert {message.parameters[1] for message in server.accepted} == {""}
    assert session.null_path_refusal is None


async def test_a_path_that_is_refused_later_is_another_refusal(server: SmtpServer) -> None:
    """Without the null path the host gets as far as the recipient, whom it does not know."""
    server.fail(At.MAIL, "550 5.1.7 Null sender not allowed", argument=NULL)
    server.fail(At.RCPT, "550 5.1.1 User unknown", recipient="a@")
    session, ledger = await opened(server.port), Ledger()

    assert await submitted(session, ledger, answer("a"), answer("b")) == [550, 250]

    assert [message.return_address for message in server.accepted] == [stand_in("b")]
    assert session.null_path_refusal is not None
    assert ledger.marks == 1


async def test_a_host_that_takes_no_other_path(server: SmtpServer) -> None:
    """What it says of the recipient stands: its no to our own path is not the account's trouble."""
    server.fail(At.RCPT, "550 5.1.1 User unknown", recipient="a@")
    server.fail(At.MAIL, "550 5.7.1 not owned by user", argument="FROM:<return-")
    session, ledger = await opened(server.port), Ledger()

    reply = await session.submit(answer("a"), BODY, mark=ledger.mark)

    assert reply is not None
    assert (str(reply), reply.disposition) == ("550 5.1.1 User unknown", Disposition.REFUSED)
    assert session.null_path_refusal is None
    assert ledger.marks == 0


@pytest.mark.parametrize("at", [At.MAIL, At.RCPT, At.DATA])
async def test_a_host_that_hangs_up_over_it(server: SmtpServer, at: At) -> None:
    """No refusal that would pause the account, no doubt; the next session is told."""
    refuse(server, Refusal(at, "550 5.7.1 <>: Sender address rejected"))
    server.fail(At.RSET, Act.DROP)
    session, ledger = await opened(server.port), Ledger()

    with pytest.raises(ProviderSilent) as silence:
        await session.submit(answer("a"), BODY, mark=ledger.mark)

    assert silence.value.in_doubt is False
    assert ledger.marks == 0
    assert session.null_path_refusal is not None
    assert server.accepted == []


@pytest.mark.parametrize("act", [Act.DROP, Act.RESET, Act.SILENCE, Act.GARBAGE])
@pytest.mark.parametrize("at", [At.MAIL, At.RCPT, At.DATA])
async def test_a_host_that_falls_silent_at_the_second_attempt(
    server: SmtpServer, at: At, act: Act
) -> None:
    """There was no dot, and no mark, in either."""
    server.fail(At.MAIL, "550 5.1.7 Null sender not allowed", argument=NULL)
    server.fail(at, act, argument="" if at is At.DATA else "return-|a@b")
    session, ledger = await opened(server.port), Ledger()

    with pytest.raises(ProviderSilent) as silence:
        await session.submit(answer("a"), BODY, mark=ledger.mark)

    assert silence.value.in_doubt is False
    assert ledger.marks == 0
    assert server.accepted == []


# Real hosts.

RESTRICTIONS = {
    "takes it": ({}, None),
    "refuses it at RCPT": (
        {"smtpd_sender_restrictions": "check_sender_access inline:{{<>=reject}}"},
        "554 5.7.1 <>: Sender address rejected: Access denied",
    ),
    "refuses it at MAIL": (
        {
            "smtpd_sender_restrictions": "check_sender_access inline:{{<>=550 5.1.7 no null}}",
            "smtpd_delay_reject": "no",
        },
        "550 5.1.7 <>: Sender address rejected: no null",
    ),
    "defers it": (
        {"smtpd_sender_restrictions": "check_sender_access inline:{{<>=450 4.1.7 no null}}"},
        "450 4.1.7 <>: Sender address rejected: no null",
    ),
}  # fmt: skip


@pytest.fixture(params=[True, False], ids=["pipelining", "lockstep"])
def keywords(request: pytest.FixtureRequest) -> dict[str, str]:
    """What Postfix does not offer."""
    return {} if request.param else {"smtpd_discard_ehlo_keywords": "pipelining"}


@pytest.mark.real_servers
@pytest.mark.parametrize("restriction", RESTRICTIONS)
async def test_on_postfix(postfix: Postfix, keywords: dict[str, str], restriction: str) -> None:
    """Three answers and a copy on one connection: what Postfix logs is what left."""
    settings, said = RESTRICTIONS[restriction]
    postfix.configure(**settings, **keywords)
    session, ledger = await opened(postfix.smtp_port, None), Ledger()
    envelopes = [answer("a"), other("b"), answer("c"), answer("d")]

    assert await submitted(session, ledger, *envelopes) == [250] * 4
    await session.quit()

    refused = said is not None
    wait_until(lambda: len(postfix.accepted()) == 4, 10, "the log")
    assert [accepted.return_address for accepted in postfix.accepted()] == [
        stand_in(name) if refused or name == "b" else "" for name in "abcd"
    ]
    assert str(session.null_path_refusal) == str(said)
    assert ledger.marks == 4
    assert postfix.log().count("NOQUEUE: reject") == (1 if refused else 0)


LOGIN_MAPS = {
    "smtpd_sender_restrictions": "reject_sender_login_mismatch",
    "smtpd_sender_login_maps": f"static:{ACCOUNT}",
}


@pytest.mark.real_servers
async def test_on_postfix_that_asks_who_owns_an_address(
    postfix: Postfix, keywords: dict[str, str], certificates: Certificates
) -> None:
    """Nobody owns the null one, so nobody is refused it."""
    postfix.configure(**LOGIN_MAPS, **keywords)
    port = postfix.submissions_port
    host = Endpoint("localhost", port, ACCOUNT, PASSWORD, Tls.IMPLICIT, certificates.ca)
    session, ledger = await open_session(host, local_hostname="l.test"), Ledger()
    assert isinstance(session, Session)

    assert await submitted(session, ledger, answer("a"), other("b"), answer("c")) == [250] * 3
    await session.quit()

    wait_until(lambda: len(postfix.accepted()) == 3, 10, "the log")
    assert [found.return_address for found in postfix.accepted()] == ["", stand_in("b"), ""]
    assert session.null_path_refusal is None
