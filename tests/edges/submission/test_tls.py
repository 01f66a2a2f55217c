"""TLS to a host: verified or nothing, and no password before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.smtp import SmtpServer
from tests.servers.tls import Certificates
from worker.config import Endpoint, Tls
from worker.errors import ProviderSilent
from worker.mail.reply import Reply
from worker.submission.connect import open_session
from worker.submission.session import Envelope, Session

if TYPE_CHECKING:
    from pathlib import Path

BODY = b"Subject: x\r\n\r\nx\r\n"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that signed for localhost."""
    return Certificates(tmp_path_factory.mktemp("tls"))


def endpoint(
    server: SmtpServer, tls: Tls, ca_file: Path | None, host: str = "localhost"
) -> Endpoint:
    """Where *server* listens, with a login."""
    return Endpoint(host, server.port, "listes@hote.test", "mot-de-passe", tls, ca_file)


async def yes() -> bool:
    """Make any mark."""
    return True


@pytest.mark.parametrize("tls", [Tls.IMPLICIT, Tls.STARTTLS])
async def test_a_copy_over_tls(certificates: Certificates, tls: Tls) -> None:
    """Both ways in, the wire is ours after the login, and large bodies pass."""
    server = SmtpServer(
        tls=certificates.server_context(), implicit_tls=tls is Tls.IMPLICIT, auth_required=True
    )
    async with server:
        session = await open_session(
            endpoint(server, tls, certificates.ca), local_hostname="l.test"
        )
        assert isinstance(session, Session)
        body = BODY * 100_000
        for name in ("a", "b"):
            envelope = Envelope("return-a@l.test", f"{name}@b.test", len(body))
            assert await session.submit(envelope, body, mark=yes) is not None
        await session.quit()
        assert [len(m.message) for m in server.accepted] == [len(body)] * 2
        assert server.auth_attempts == 1


@pytest.mark.parametrize("tls", [Tls.IMPLICIT, Tls.STARTTLS])
async def test_a_certificate_of_nobody_we_know(certificates: Certificates, tls: Tls) -> None:
    """Refused before the password is sent."""
    server = SmtpServer(tls=certificates.server_context(), implicit_tls=tls is Tls.IMPLICIT)
    async with server:
        with pytest.raises(ProviderSilent, match="certificate"):
            await open_session(endpoint(server, tls, None), local_hostname="l.test")
        assert server.auth_attempts == 0


async def test_starttls_that_was_stripped() -> None:
    """A host without STARTTLS gets no password either."""
    async with SmtpServer(tls=None) as server:
        with pytest.raises(ProviderSilent):
            await open_session(endpoint(server, Tls.STARTTLS, None), local_hostname="l.test")
        assert server.auth_attempts == 0


async def test_a_wrong_password_is_tried_once(certificates: Certificates) -> None:
    """Aiosmtplib alone would try three mechanisms one after the other."""
    server = SmtpServer(
        tls=certificates.server_context(), implicit_tls=True, users={}, auth_required=True
    )
    async with server:
        answer = await open_session(
            endpoint(server, Tls.IMPLICIT, certificates.ca), local_hostname="l.test"
        )
        assert isinstance(answer, Reply)
        assert answer.code == 535
        assert server.auth_attempts == 1
