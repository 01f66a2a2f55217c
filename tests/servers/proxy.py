r"""A TCP proxy that breaks the network between the worker and one server.

async with Proxy(server.port) as proxy:
    proxy.freeze()                         # both ways; connections stay
    proxy.when(b"\r\n.\r\n", proxy.mute)   # once the client has sent this
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

CHUNK_BYTES = 2**16


class Proxy:
    """Forward *port* on the loopback to *target_port*, until told otherwise."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_mute = False
        self._news = asyncio.Event()
        self._pattern = b""
        self._reaction: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Accept connections (again, on the same port)."""
        self._server = await asyncio.start_server(
            self._connect, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Accept no more connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def freeze(self) -> None:
        """Forward nothing, either way. New connections are accepted and hang."""
        self._flows.clear()

    def thaw(self) -> None:
        """Forward again, first of all what has waited."""
        self._is_mute = False
        self._flows.set()

    def mute(self) -> None:
        """Swallow what the server says; it still hears the client."""
        self._is_mute = True

    def cut(self) -> None:
        """Close every connection, both ways, in an orderly manner."""
        for writer in self._open:
            writer.close()

    def reset(self) -> None:
        """Close every connection, both ways, with RST."""
        for writer in self._open:
            connection: socket.socket = writer.get_extra_info("socket")
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def wait_connections(self, count: int, seconds: float = 10.0) -> None:
        """Wait until *count* connections have been made, ever."""
        async with asyncio.timeout(seconds):
            while self.connections < count:
                self._news.clear()
                await self._news.wait()

    def when(self, pattern: bytes, reaction: Callable[[], None]) -> None:
        """Call *reaction* once a client has sent *pattern*, which is forwarded."""
        self._pattern, self._reaction = pattern, reaction

    async def _connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._news.set()
        self._open.add(to_client)
        to_server: asyncio.StreamWriter | None = None
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._open.add(to_server)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._forward_requests(client, to_server))
                directions.create_task(self._forward_replies(server, to_client))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # One end closed or broke it, or we did.
        finally:
            self._tasks.discard(task)
            for writer in (to_client, to_server):
                if writer is not None:
                    self._open.discard(writer)
                    writer.close()

    async def _forward_requests(
        self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter
    ) -> None:
        last = b""
        while chunk := await client.read(CHUNK_BYTES):
            await self._flows.wait()
            to_server.write(chunk)
            await to_server.drain()
            # A pattern may come in two chunks.
            seen = last + chunk
            if self._reaction is not None and self._pattern in seen:
                reaction, self._reaction = self._reaction, None
                reaction()
            last = seen[-len(self._pattern) :] if self._pattern else b""
        raise ConnectionError("The client left")

    async def _forward_replies(
        self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        while chunk := await server.read(CHUNK_BYTES):
            await self._flows.wait()
            if not self._is_mute:
                to_client.write(chunk)
                await to_client.drain()
        raise ConnectionError("The server left")
