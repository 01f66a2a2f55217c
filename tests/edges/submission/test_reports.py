"""The reports that a real host sends, because it was asked for them."""

from __future__ import annotations

import email
import email.policy
from typing import TYPE_CHECKING

import pytest

from tests.servers.process import wait_until
from worker.config import Endpoint, Tls
from worker.mail.dsn import Kind
from worker.mail.reply import Disposition, Reply
from worker.mail.returns import read_return
from worker.submission.connect import open_session
from worker.submission.session import Envelope, Session

if TYPE_CHECKING:
    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix

pytestmark = pytest.mark.real_servers

TOKEN = "abcdefghijklmnopqrstuvwxyz234567"
RETURN_ADDRESS = f"return-{TOKEN}@listes.test"
REFERENCE = f"X-Relais-Ref: {TOKEN}\r\n".encode()
BODY = (
    b"From: A <a@listes.test>\r\nSubject: x\r\nMessage-ID: <1@listes.test>\r\n"
    + REFERENCE
    + b"\r\nWords that nobody needs back.\r\n"
)


async def submitted(postfix: Postfix, recipient: str) -> Reply:
    """Submit one copy as the worker does."""
    session = await open_session(
        Endpoint("127.0.0.1", postfix.smtp_port, "", "", Tls.NONE), local_hostname="l.test"
    )
    assert isinstance(session, Session)

    async def mark() -> bool:
        return True

    envelope = Envelope(RETURN_ADDRESS, recipient, len(BODY), envelope_id=TOKEN)
    reply = await session.submit(envelope, BODY, mark=mark)
    await session.quit()
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize("recipient", ["jean@gone.test", "jean+a=b@gone.test"])
async def test_a_report_names_what_it_was_asked_by(
    dovecot: Dovecot, postfix: Postfix, recipient: str
) -> None:
    """Our token, the recipient as it was at first, and of the copy its header alone."""
    reply = await submitted(postfix, recipient)
    assert reply.disposition is Disposition.HANDED_OVER
    wait_until(lambda: bool(dovecot.received()), 20, "the report")

    [raw] = dovecot.received()
    report = email.message_from_bytes(raw, policy=email.policy.default)
    types = [part.get_content_type() for part in report.walk()]
    assert "text/rfc822-headers" in types
    assert "message/rfc822" not in types
    assert b"Original-Envelope-Id: " + TOKEN.encode() in raw
    assert f"Original-Recipient: rfc822;{recipient}".encode() in raw.replace(b"; ", b";")
    assert b"Words that nobody needs back" not in raw

    found = read_return(raw)
    assert found is not None
    assert found.kind is Kind.REPORT
    assert found.original_envelope_id == TOKEN
    assert found.references == (TOKEN,)
    assert [(one.original_recipient, one.status) for one in found.recipients] == [
        (recipient, "5.1.1")
    ]


async def test_no_report_of_what_arrives(dovecot: Dovecot, postfix: Postfix) -> None:
    """Success is not asked for."""
    await submitted(postfix, "jean@free.test")
    wait_until(lambda: bool(dovecot.received("jean@free.test")), 20, "the copy")
    await submitted(postfix, "jean@gone.test")
    wait_until(lambda: bool(dovecot.received()), 20, "the report")

    [raw] = dovecot.received()
    assert b"jean@gone.test" in raw
