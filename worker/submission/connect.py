"""Connecting to a host: TLS verified, one AUTH attempt, then the wire is ours.

aiosmtplib tries up to three AUTH mechanisms one after the other, which is three
failures in the host's books; here the mechanism is chosen first and used once.
Its `start_tls=None` would send the password in clear where STARTTLS was
stripped, so it is never used.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, cast

import aiosmtplib

from worker.config import Endpoint, Tls
from worker.errors import ProviderSilent
from worker.mail.reply import Reply, Stage
from worker.submission.session import Patience, Session
from worker.submission.wire import Wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

_CONNECT_SECONDS = 30.0


async def open_session(
    endpoint: Endpoint, *, local_hostname: str, patience: Patience | None = None
) -> Session | Reply:
    """Return a session that is ready for MAIL, or the reply that refused us.

    Such a reply is the account's trouble. ProviderSilent, never in doubt, if the
    host cannot be reached, falls silent, or shows a certificate that is not its own.
    """
    client = aiosmtplib.SMTP(
        hostname=endpoint.host,
        port=endpoint.port,
        local_hostname=local_hostname,
        timeout=_CONNECT_SECONDS,
        use_tls=endpoint.tls is Tls.IMPLICIT,
        start_tls=endpoint.tls is Tls.STARTTLS,
        tls_context=_tls_context(endpoint),
    )
    steps: tuple[tuple[Stage, Callable[[], Awaitable[object]]], ...] = (
        (Stage.CONNECT, client.connect),
        (Stage.EHLO, client.ehlo),
        (Stage.AUTH, lambda: _authenticate(client, endpoint)),
    )
    for stage, step in steps:
        try:
            await step()
        except aiosmtplib.SMTPResponseException as refusal:
            client.close()
            return Reply(stage, refusal.code, refusal.message.replace("\n", " "))
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise ProviderSilent(
                endpoint.host, f"{stage.value}: {error}", in_doubt=False
            ) from error
    return _taken_over(client, endpoint, patience or Patience())


async def _authenticate(client: aiosmtplib.SMTP, endpoint: Endpoint) -> None:
    if not endpoint.user:
        return
    if "plain" not in client.server_auth_methods and "login" in client.server_auth_methods:
        await client.auth_login(endpoint.user, endpoint.password)
    else:
        await client.auth_plain(endpoint.user, endpoint.password)


def _tls_context(endpoint: Endpoint) -> ssl.SSLContext | None:
    if endpoint.tls is Tls.NONE:
        return None
    context = ssl.create_default_context()
    if endpoint.ca_file is not None:
        context.load_verify_locations(endpoint.ca_file)
    return context


def _taken_over(client: aiosmtplib.SMTP, endpoint: Endpoint, patience: Patience) -> Session:
    """Take the transport from aiosmtplib, which has done its part."""
    # Connected, so there is a transport; asyncio gives TCP and TLS a full one.
    transport = cast("asyncio.Transport", client.transport)
    wire = Wire(transport, endpoint.host)
    transport.set_protocol(wire)
    extensions = frozenset(name.lower() for name in client.esmtp_extensions)
    return Session(wire, extensions=extensions, patience=patience)
