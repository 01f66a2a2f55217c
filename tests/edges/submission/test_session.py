"""A session with a host that fails at every stage: what we then know of the copy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.servers.smtp import Act, SmtpServer
from tests.servers.smtp import Stage as At
from worker.config import Endpoint, Tls
from worker.errors import ProviderSilent
from worker.mail.reply import Disposition, Reply, Stage
from worker.submission.connect import open_session
from worker.submission.session import Envelope, Patience, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

IMPATIENT = Patience(command=0.3, dot=0.3)
BODY = b"Subject: x\r\n\r\n..dot\r\nend\r\n"


class Ledger:
    """Counts marks, and says whether they may be made."""

    def __init__(self, *, allowed: bool = True) -> None:
        self.marks = 0
        self._allowed = allowed

    async def mark(self) -> bool:
        """Make a mark."""
        self.marks += 1
        return self._allowed


@pytest.fixture(params=[True, False], ids=["pipelining", "lockstep"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[SmtpServer]:
    """A scripted host, with and without PIPELINING."""
    async with SmtpServer(pipelining=request.param) as running:
        yield running


async def opened(server: SmtpServer) -> Session:
    """Return a session that must be possible."""
    session = await open_session(endpoint(server), local_hostname="l.test", patience=IMPATIENT)
    assert isinstance(session, Session)
    return session


def endpoint(server: SmtpServer) -> Endpoint:
    """Where *server* listens, without TLS and without a login."""
    return Endpoint("127.0.0.1", server.port, "", "", Tls.NONE)


def envelope(name: str = "a") -> Envelope:
    """An envelope to ``name@b.test``."""
    return Envelope(f"return-{name}@l.test", f"{name}@b.test", len(BODY))


async def test_copies_arrive_as_they_were_made(server: SmtpServer) -> None:
    """Three on one connection, each with its own return address, dots unstuffed."""
    session, ledger = await opened(server), Ledger()
    names = ["a", "b", "c"]
    for name, following in zip(names, [*names[1:], None], strict=True):
        reply = await session.submit(
            envelope(name), BODY, mark=ledger.mark,
            following=envelope(following) if following else None,
        )  # fmt: skip
        assert isinstance(reply, Reply)
        assert reply.disposition is Disposition.HANDED_OVER
    await session.quit()

    assert [(m.return_address, m.recipient) for m in server.accepted] == [
        (f"return-{name}@l.test", f"{name}@b.test") for name in names
    ]
    assert {m.message for m in server.accepted} == {b"Subject: x\r\n\r\n.dot\r\nend\r\n"}
    assert len({m.connection for m in server.accepted}) == 1
    assert ledger.marks == 3


class Refusal(NamedTuple):
    """A reply at a stage: how it is taken, and whether a mark was made."""

    at: At
    reply: str
    disposition: Disposition
    marks: int = 0


REFUSALS = {
    "MAIL 5yz": Refusal(At.MAIL, "554 5.7.1 suspended", Disposition.ACCOUNT_TROUBLE),
    "MAIL 4yz": Refusal(At.MAIL, "451 4.3.0 quota", Disposition.ACCOUNT_TROUBLE),
    "MAIL too big": Refusal(At.MAIL, "552 5.3.4 too big", Disposition.REFUSED),
    "MAIL 421": Refusal(At.MAIL, "421 closing", Disposition.ACCOUNT_TROUBLE),
    "RCPT 5yz": Refusal(At.RCPT, "550 5.1.1 unknown", Disposition.REFUSED),
    "RCPT 4yz": Refusal(At.RCPT, "451 4.7.1 greylisted", Disposition.DEFERRED),
    "RCPT 421": Refusal(At.RCPT, "421 too many", Disposition.DEFERRED),
    "DATA 5yz": Refusal(At.DATA, "554 no", Disposition.REFUSED),
    "DATA 4yz": Refusal(At.DATA, "452 later", Disposition.DEFERRED),
    "dot 5yz": Refusal(At.DOT, "554 5.7.1 spam", Disposition.REFUSED, 1),
    "dot 4yz": Refusal(At.DOT, "451 later", Disposition.DEFERRED, 1),
    "dot 421": Refusal(At.DOT, "421 closing", Disposition.DEFERRED, 1),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_is_a_value_and_the_next_copy_goes_out(
    server: SmtpServer, refusal: Refusal
) -> None:
    """On the same connection, or on a new one where the host has closed."""
    server.fail(refusal.at, refusal.reply, times=1)
    session, ledger = await opened(server), Ledger()

    reply = await session.submit(envelope("a"), BODY, mark=ledger.mark, following=envelope("b"))

    assert isinstance(reply, Reply)
    assert reply.disposition is refusal.disposition
    assert ledger.marks == refusal.marks
    assert session.is_open is not reply.ends_session
    if not session.is_open:
        session = await opened(server)
    assert await session.submit(envelope("b"), BODY, mark=ledger.mark) is not None
    await session.quit()
    assert [m.recipient for m in server.accepted] == ["b@b.test"]


SILENT = [Act.DROP, Act.RESET, Act.SILENCE, Act.GARBAGE]
# A host that is silent while it reads the body is noticed at the dot.
BEFORE_THE_DOT = [
    *((at, act) for at in (At.MAIL, At.RCPT, At.DATA) for act in SILENT),
    *((At.BODY, act) for act in (Act.DROP, Act.RESET)),
]


@pytest.mark.parametrize(("at", "act"), BEFORE_THE_DOT)
async def test_before_the_dot_nothing_is_in_doubt(server: SmtpServer, at: At, act: Act) -> None:
    """A host that falls silent there has not taken the copy, and never will."""
    server.fail(at, act)
    session, ledger = await opened(server), Ledger()

    with pytest.raises(ProviderSilent) as silence:
        await session.submit(envelope(), BODY * 20000, mark=ledger.mark)

    # A body that was written before the host hung up may have been marked; the
    # dot still was not: in doubt only if it may have left.
    assert silence.value.in_doubt is False or (at is At.BODY and ledger.marks == 1)
    assert session.is_open is False
    assert server.accepted == []


@pytest.mark.parametrize("act", SILENT)
@pytest.mark.parametrize("at", [At.DOT, At.ACCEPTED])
async def test_after_the_dot_silence_is_doubt(server: SmtpServer, at: At, act: Act) -> None:
    """Whether the host has taken it or not cannot be told from here."""
    server.fail(at, act)
    session, ledger = await opened(server), Ledger()

    with pytest.raises(ProviderSilent) as silence:
        await session.submit(envelope(), BODY, mark=ledger.mark)

    assert silence.value.in_doubt is True
    assert ledger.marks == 1
    assert len(server.accepted) == (1 if at is At.ACCEPTED else 0)


async def test_without_the_mark_there_is_no_dot(server: SmtpServer) -> None:
    """The fence: a delivery that is not ours any more is not submitted."""
    session, ledger = await opened(server), Ledger(allowed=False)

    assert await session.submit(envelope(), BODY, mark=ledger.mark) is None
    assert session.is_open is False
    assert server.accepted == []


async def test_a_mark_that_fails_ends_the_session(server: SmtpServer) -> None:
    """The database is away: no dot, and the error is told."""
    session = await opened(server)

    async def away() -> bool:
        raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError):
        await session.submit(envelope(), BODY, mark=away)
    assert session.is_open is False
    assert server.accepted == []


async def test_a_pipelined_envelope_that_is_refused(server: SmtpServer) -> None:
    """MAIL and RCPT of the next copy went out with the dot of this one."""
    server.fail(At.RCPT, "550 5.1.1 unknown", recipient="b@", times=1)
    session, ledger = await opened(server), Ledger()

    first = await session.submit(envelope("a"), BODY, mark=ledger.mark, following=envelope("b"))
    second = await session.submit(envelope("b"), BODY, mark=ledger.mark, following=envelope("c"))
    third = await session.submit(envelope("c"), BODY, mark=ledger.mark)

    codes = [reply.code for reply in (first, second, third) if reply is not None]
    assert codes == [250, 550, 250]
    assert ledger.marks == 2


async def test_a_pipelined_envelope_must_be_kept() -> None:
    """Anything else would put one person's copy into another's envelope."""
    async with SmtpServer(pipelining=True) as server:
        session, ledger = await opened(server), Ledger()
        await session.submit(envelope("a"), BODY, mark=ledger.mark, following=envelope("b"))

        with pytest.raises(ValueError, match="must be submitted next"):
            await session.submit(envelope("c"), BODY, mark=ledger.mark)
        await session.quit()
        assert [m.recipient for m in server.accepted] == ["a@b.test"]


async def test_a_farewell_that_is_not_answered(server: SmtpServer) -> None:
    """QUIT costs two seconds at most, and no copy."""
    server.fail(At.QUIT, Act.DROP)
    session = await opened(server)
    await session.submit(envelope(), BODY, mark=Ledger().mark)
    await session.quit()

    assert session.is_open is False


def asked(name: str = "a") -> Envelope:
    """An envelope that asks for reports."""
    return replace(envelope(name), envelope_id=f"token-of-{name}")


async def submitted(session: Session, ledger: Ledger, names: str) -> list[int]:
    """Submit a copy to each of *names*, which ask for reports; return the codes."""
    codes = []
    for name, following in zip(names, [*names[1:], None], strict=True):
        reply = await session.submit(
            asked(name), BODY, mark=ledger.mark, following=asked(following) if following else None
        )
        codes.append(reply.code if reply else 0)
    return codes


async def test_reports_are_asked_for(server: SmtpServer) -> None:
    """RFC 3461: only failures and delays, only the header back, and by our own token."""
    session, ledger = await opened(server), Ledger()

    assert await submitted(session, ledger, "ab") == [250, 250]
    await session.quit()

    assert [message.parameters for message in server.accepted] == [
        (
            f"SIZE={len(BODY)} BODY=8BITMIME RET=HDRS ENVID=token-of-{name}",
            f"NOTIFY=FAILURE,DELAY ORCPT=rfc822;{name}@b.test",
        )
        for name in "ab"
    ]


async def test_a_host_without_dsn_is_asked_for_nothing(server: SmtpServer) -> None:
    """What it has not offered it need not know."""
    server.extensions = ("8BITMIME",)
    session, ledger = await opened(server), Ledger()

    assert await submitted(session, ledger, "a") == [250]
    assert server.accepted[0].parameters == (f"SIZE={len(BODY)} BODY=8BITMIME", "")


PARAMETERS_REFUSED = {
    "MAIL 501": (At.MAIL, "501 5.5.4 Bad parameter"),
    "MAIL 504": (At.MAIL, "504 5.5.4 Not implemented"),
    "MAIL 555": (At.MAIL, "555 5.5.4 Unsupported option: RET"),
    "RCPT 501": (At.RCPT, "501 5.5.4 Bad ORCPT"),
    "RCPT 504": (At.RCPT, "504 5.5.4 Not implemented"),
    "RCPT 555": (At.RCPT, "555 5.5.4 Unsupported option: NOTIFY"),
}


@pytest.mark.parametrize(("at", "refusal"), PARAMETERS_REFUSED.values(), ids=PARAMETERS_REFUSED)
async def test_a_host_that_offers_dsn_and_refuses_it(
    server: SmtpServer, at: At, refusal: str
) -> None:
    """No copy is lost and none marked twice; it is asked once, and not again on the connection."""
    server.fail(at, refusal, argument="RET=|NOTIFY=")
    session, ledger = await opened(server), Ledger()

    assert await submitted(session, ledger, "abc") == [250, 250, 250]
    await session.quit()

    assert [message.recipient for message in server.accepted] == [f"{n}@b.test" for n in "abc"]
    assert {message.parameters[1] for message in server.accepted} == {""}
    assert len({message.connection for message in server.accepted}) == 1
    assert ledger.marks == 3
    assert server.visits[At.RSET] == 1


async def test_a_refusal_that_was_not_about_the_parameters(server: SmtpServer) -> None:
    """501 to an address stays a refusal of that copy; the others go on asking for reports."""
    server.fail(At.RCPT, "501 5.1.3 Bad recipient address syntax", recipient="b@")
    session, ledger = await opened(server), Ledger()

    assert await submitted(session, ledger, "abc") == [250, 501, 250]
    await session.quit()

    assert [message.recipient for message in server.accepted] == ["a@b.test", "c@b.test"]
    assert all("NOTIFY=" in message.parameters[1] for message in server.accepted)
    assert ledger.marks == 2


async def test_a_host_that_hangs_up_over_the_parameters(server: SmtpServer) -> None:
    """The copy was never submitted: no refusal that would count against it, and no doubt."""
    server.fail(At.RCPT, "555 5.5.4 Unsupported option", argument="NOTIFY=")
    server.fail(At.RSET, Act.DROP)
    session, ledger = await opened(server), Ledger()

    with pytest.raises(ProviderSilent) as silence:
        await session.submit(asked(), BODY, mark=ledger.mark)

    assert silence.value.in_doubt is False
    assert ledger.marks == 0


class Welcome(NamedTuple):
    """A host that does not let us in: a reply at a stage, or silence."""

    at: At
    what: str | Act
    stage: Stage | None


WELCOMES = {
    "banner 554": Welcome(At.CONNECT, "554 go away", Stage.CONNECT),
    "banner 421": Welcome(At.CONNECT, "421 busy", Stage.CONNECT),
    "drops at connect": Welcome(At.CONNECT, Act.DROP, None),
    "EHLO refused": Welcome(At.EHLO, "550 no", Stage.EHLO),
    "drops at EHLO": Welcome(At.EHLO, Act.DROP, None),
    "password refused": Welcome(At.AUTH, "535 5.7.8 no", Stage.AUTH),
    "drops at AUTH": Welcome(At.AUTH, Act.DROP, None),
}


@pytest.mark.parametrize("welcome", WELCOMES.values(), ids=WELCOMES)
async def test_a_host_that_does_not_let_us_in(welcome: Welcome) -> None:
    """Its reply is a value, its silence is told; the password is tried at most once."""
    async with SmtpServer() as server:
        server.fail(welcome.at, welcome.what)
        host = Endpoint("127.0.0.1", server.port, "listes@hote.test", "mot-de-passe", Tls.NONE)
        if welcome.stage is None:
            with pytest.raises(ProviderSilent) as silence:
                await open_session(host, local_hostname="l.test")
            assert silence.value.in_doubt is False
        else:
            answer = await open_session(host, local_hostname="l.test")
            assert isinstance(answer, Reply)
            assert answer.stage in (welcome.stage, Stage.CONNECT)
            assert answer.disposition is Disposition.ACCOUNT_TROUBLE
        assert server.auth_attempts <= 1


async def test_nobody_listens(unused_tcp_port: int) -> None:
    """A host that is away is silent, and nothing is in doubt."""
    with pytest.raises(ProviderSilent, match=r"127\.0\.0\.1"):
        await open_session(
            Endpoint("127.0.0.1", unused_tcp_port, "", "", Tls.NONE), local_hostname="l.test"
        )
