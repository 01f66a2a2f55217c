"""The hosted mailbox of the demo: an IMAP server in memory, and the host's way into it.

pymap runs in our loop. Like any host it takes new mail by a door of its own;
here that is APPEND, from a thread, since the standard library's client blocks.
"""

from __future__ import annotations

import asyncio
import imaplib
from argparse import ArgumentParser
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import DictBackend
from pymap.imap import IMAPServer, IMAPService

from worker.config import Endpoint, Tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

_HOST = "127.0.0.1"
_USER, _PASSWORD = "listes", "demo"  # Of a mailbox in memory, on loopback.
_PATIENCE_SECONDS = 10.0


class CatchAll:
    """The one mailbox that every address of the lists' domain leads to."""

    def __init__(self, port: int) -> None:
        self.endpoint = Endpoint(_HOST, port, _USER, _PASSWORD, Tls.NONE)
        self.received = 0
        self.now: Callable[[], datetime] | None = None  # None: the clock on the wall.
        self._client: imaplib.IMAP4 | None = None
        self._one_at_a_time = asyncio.Lock()

    async def receive(self, raw: bytes) -> None:
        """Put a message into INBOX; it is there when this returns."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._append, raw)
            self.received += 1

    async def close(self) -> None:
        """End the connection, if there is one."""
        if self._client is not None:
            await asyncio.to_thread(self._log_out, self._client)

    def _append(self, raw: bytes) -> None:
        if self._client is None:
            endpoint = self.endpoint
            self._client = imaplib.IMAP4(endpoint.host, endpoint.port, _PATIENCE_SECONDS)
            self._client.login(endpoint.user, endpoint.password)
        taken_at = imaplib.Time2Internaldate(self.now()) if self.now else None
        answer, said = self._client.append("INBOX", None, taken_at, raw)
        if answer != "OK":
            raise OSError(f"the demo's mailbox refused a message: {said!r}")

    def _log_out(self, client: imaplib.IMAP4) -> None:
        with suppress(OSError, imaplib.IMAP4.error):
            client.logout()


@asynccontextmanager
async def hosted_mailbox() -> AsyncIterator[CatchAll]:
    """Serve an empty mailbox on loopback."""
    parser = ArgumentParser()
    DictBackend.add_subparser("dict", parser.add_subparsers(dest="backend"))
    IMAPService.add_arguments(parser)
    words = ["--host", _HOST, "--port", "0", "--no-tls", "dict"]
    options = parser.parse_args([*words, "--demo-user", _USER, "--demo-password", _PASSWORD])
    options.passlib_cfg = options.inherited_sockets = None
    options.skip_services, options.debug = [], False
    backend, config = await DictBackend.init(options)
    config.apply_context()
    async with AsyncExitStack() as stack:
        await backend.start(stack)
        # pymap reads the address of its peer by way of this, even without a proxy.
        reader = ProxyProtocolReader(config.proxy_protocol)
        accept = reader.get_callback(IMAPServer(backend.login, config))
        server = await asyncio.start_server(accept, _HOST, 0)
        stack.callback(server.close)
        catch_all = CatchAll(server.sockets[0].getsockname()[1])
        try:
            yield catch_all
        finally:
            await catch_all.close()
