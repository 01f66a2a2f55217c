"""The bytes of one SMTP connection: replies in, commands out, every wait bounded.

aiosmtplib connects, negotiates TLS and authenticates; then this protocol takes
its transport. It exists for two things that aiosmtplib cannot do: to put a
durable mark between the body and the final dot, and to pipeline (RFC 2920).
"""

from __future__ import annotations

import asyncio
from collections import deque

from worker.errors import ProviderSilent
from worker.mail.reply import Reply, Stage

# No real reply comes near; a server that never ends its line is cut off.
_REPLY_LIMIT_BYTES = 32 * 1024
_FIRST_CODE, _LAST_CODE = 200, 599


class Wire(asyncio.Protocol):
    """An established SMTP connection, after its greeting and EHLO."""

    def __init__(self, transport: asyncio.Transport, host: str) -> None:
        self._transport = transport
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        self._text: list[str] = []
        self._replies: deque[tuple[int, str]] = deque()
        self._lost: str | None = None
        self._may_write = True
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether bytes written now can still go out."""
        return self._lost is None and not self._transport.is_closing()

    @property
    def has_unasked_reply(self) -> bool:
        """Whether the server has spoken before it was its turn (a 421, mostly)."""
        return bool(self._replies)

    def write(self, octets: bytes) -> None:
        """Write *octets*; nothing happens on a connection that is lost."""
        if self.is_open:
            self._transport.write(octets)

    async def drain(self, *, within: float) -> None:
        """Wait until the peer has taken most of what was written.

        Raises ProviderSilent, not in doubt: the dot is never waited for here.
        """
        if not self._may_write and self.is_open:
            await self._wait(within, f"took no bytes for {within:.0f} s")
        if not self.is_open:
            raise self.silence(in_doubt=False)

    async def reply(self, stage: Stage, *, within: float, in_doubt: bool = False) -> Reply:
        """Return the next reply. ProviderSilent if none comes *within* seconds."""
        while not self._replies:
            if not self.is_open:
                raise self.silence(in_doubt=in_doubt)
            await self._wait(within, f"no reply to {stage.value} within {within:.0f} s")
        code, text = self._replies.popleft()
        return Reply(stage, code, text)

    async def farewell(self, *, within: float) -> None:
        """Wait for one more reply, or for the end of the connection."""
        if self.is_open and not self._replies:
            await self._wait(within, "no farewell")

    def silence(self, *, in_doubt: bool) -> ProviderSilent:
        """Return the exception that says why this connection is over."""
        return ProviderSilent(self._host, self._lost or "connection closed", in_doubt=in_doubt)

    def abort(self, why: str = "aborted") -> None:
        """Drop the connection at once: what was not written yet never is.

        close() would still send it, and a cancelled body might be delivered.
        """
        self._lost = self._lost or why
        self._transport.abort()
        self._wake()

    async def _wait(self, within: float, failure: str) -> None:
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(within, self.abort, failure)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        """Cut *data* into replies."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if not self._take(line):
                self.abort(f"not a reply: {line[:80]!r}")
                return
        if len(self._unread) + sum(map(len, self._text)) > _REPLY_LIMIT_BYTES:
            self.abort("a reply without end")
        if self._replies:
            self._wake()

    def _take(self, line: bytes) -> bool:
        """Add one line of a reply (RFC 5321, section 4.2); False if it is none."""
        code, mark = line[:3], line[3:4]
        if not code.isdigit() or not _FIRST_CODE <= int(code) <= _LAST_CODE:
            return False
        # The text goes into a row, and PostgreSQL keeps no NUL in a text.
        self._text.append(line[4:].replace(b"\0", b"").strip().decode("utf-8", "replace"))
        if mark != b"-":
            self._replies.append((int(code), " ".join(self._text)))
            self._text = []
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits: nothing more will come."""
        self._lost = self._lost or (f"connection lost: {exc}" if exc else "connection closed")
        self._wake()

    def pause_writing(self) -> None:
        """Hold back: the peer reads slower than we write."""
        self._may_write = False

    def resume_writing(self) -> None:
        """Go on writing."""
        self._may_write = True
        self._wake()
