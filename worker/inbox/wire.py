"""One IMAP connection: aioimaplib 2.0.3, made to end.

The library knows the protocol's grammar, tags and literals. What its release
2.0.3 gets wrong is put right here, in the one class that it lets us extend:

    it does                                       here
    never wakes a command when the peer closes    the loss fails the command
    recurses once per line of one read            it gets one line at a time
    accepts literals and answers of any size      an answer has a limit
    deletes every "* " inside a line              only the first one
    takes BYE for news while idling               BYE is the end
    lets errors in its parser go to the event     the connection ends, and the
    loop, which logs them with the password       error's text is dropped
    logs mail and passwords at DEBUG              its logger stays at WARNING

Whoever waits here waits for ever unless they bring a deadline; Inbox does.
Raises MailboxLost, with the reason, from the moment the connection is gone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from typing import TYPE_CHECKING, Any

from aioimaplib import aioimaplib

from worker.errors import MailboxLost

from .responses import Answer, is_bye, is_expunge, read_exists, read_responses, read_text

if TYPE_CHECKING:
    import ssl

logging.getLogger("aioimaplib").setLevel(logging.WARNING)

# The longest answer is that of UID SEARCH: this is half a million messages.
ANSWER_LIMIT_BYTES = 4 * 1024 * 1024

_LINE_END = b"\r\n"
_COMMAND_BREAKERS = re.compile(r"[\x00\r\n]")

# A frozen peer is noticed after two minutes, not two hours.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 20, "TCP_KEEPCNT": 3}


class Command(aioimaplib.Command):  # type: ignore[misc]  # The library is untyped.
    """A command on its way; *words* may be secret, so the library never sees them."""

    def __init__(self, tag: str, words: str, *, continuation: bytes | None) -> None:
        if _COMMAND_BREAKERS.search(words):
            raise ValueError("NUL, CR or LF in the words of a command")
        super().__init__(words.removeprefix("UID ").partition(" ")[0], tag)
        self.continuation = continuation  # What to write when the server says "+".
        self.continued = asyncio.Event()  # Set by "+", and when the command ends.

    @property
    def ended(self) -> bool:
        """Whether the tagged answer has come, or will never come."""
        return bool(self._event.is_set())

    def close(self, line: bytes, result: str) -> None:
        """Keep the tagged answer, and wake whoever waits for it."""
        super().close(line, result)
        self.continued.set()

    def fail(self, error: MailboxLost) -> None:
        """Wake whoever waits for the answer: there will be none."""
        self._exception = error
        self._event.set()
        self.continued.set()

    def wait_data(self) -> bool:
        """Whether the next line still belongs to the same response."""
        # The library takes an empty literal for the end of a response.
        lines = self._resp_lines
        return self.wait_literal_data() or bool(lines and isinstance(lines[-1], bytearray))

    async def answer(self) -> Answer:
        """Wait for the tagged answer."""
        await self.wait()
        status, parts = self.response
        return Answer(status, parts[-1], read_responses(parts[:-1]))


class Wire(aioimaplib.IMAP4ClientProtocol):  # type: ignore[misc]  # As above.
    """The connection's two directions, and what the server says unasked."""

    transport: Any  # A Transport, but None until connected, which start() excludes.
    pending_sync_command: Command | None

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.exists = 0  # Messages in the selected folder.
        self.has_grown = False  # Whether there are more than when last looked at.
        self.stirred = asyncio.Event()  # Set when it has grown, or all is over.
        self._greeting = asyncio.Event()
        self._why_lost = ""
        self._unread = bytearray()
        self._literal_left = 0
        self._answer_left = ANSWER_LIMIT_BYTES

    @property
    def is_busy(self) -> bool:
        """Whether a command is running."""
        return self.pending_sync_command is not None

    async def open(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Connect, and wait for the greeting."""
        await self.loop.create_connection(
            lambda: self, host, port, ssl=tls, server_hostname=host if tls else None
        )
        await self._greeting.wait()
        self._raise_if_lost()

    async def start_tls(self, host: str, tls: ssl.SSLContext) -> None:
        """Go on in TLS, after the server has agreed to STARTTLS."""
        if self._unread or self._literal_left:
            # Somebody on the way would have it read as if it came inside TLS.
            self.lose("the server spoke between STARTTLS and TLS")
        self._raise_if_lost()
        self.transport = await self.loop.start_tls(self.transport, self, tls, server_hostname=host)

    def start(
        self, words: str, *, continuation: bytes | None = None, size_bytes: int = 0
    ) -> Command:
        """Write a command whose answer may be longer than others by *size_bytes*."""
        self._raise_if_lost()
        if self.is_busy:
            raise RuntimeError("an IMAP connection runs one command at a time")
        command = Command(self.new_tag(), words, continuation=continuation)
        # Sync: while it runs, all that the server says goes to it.
        self.pending_sync_command = command
        self._answer_left = ANSWER_LIMIT_BYTES + size_bytes
        self.write(f"{command.tag} {words}")
        return command

    def write(self, line: str) -> None:
        """Write one line; unlike the library's send, without logging it."""
        self.transport.write(line.encode() + _LINE_END)

    def lose(self, why: str) -> None:
        """Give the connection up: from now on, everything raises MailboxLost."""
        if self._why_lost:
            return
        self._why_lost = why
        if self.transport is not None:
            self.transport.abort()
        if self.pending_sync_command is not None:
            self.pending_sync_command.fail(MailboxLost(self._why_lost))
            self.pending_sync_command = None
        self._greeting.set()
        self.stirred.set()

    async def wait_stirred(self) -> None:
        """Wait until *stirred* is set."""
        await self.stirred.wait()
        self._raise_if_lost()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the kernel to look after a silent peer, too."""
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, setting in _KEEPALIVE.items():
            if option := getattr(socket, name, None):  # Not every system has all.
                raw.setsockopt(socket.IPPROTO_TCP, option, setting)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits."""
        self.lose(f"the connection broke ({type(exc).__name__})" if exc else "closed")

    def data_received(self, data: bytes) -> None:
        """Let the library read line by line, and literals as they come."""
        self._unread += data
        try:
            while not self._why_lost and (portion := self._next_portion()):
                super().data_received(portion)
        except Exception as error:  # noqa: BLE001
            # Foreign code reads foreign bytes, so it may fail in any way; its
            # errors quote the pending command, so their text goes no further.
            self.lose(f"the server cannot be understood ({type(error).__name__})")

    def _next_portion(self) -> bytes:
        """Take one line, or what has come of a literal; nothing if neither is there."""
        if self._literal_left:
            size = min(self._literal_left, len(self._unread))
        else:
            line_end = self._unread.find(_LINE_END)
            size = line_end + len(_LINE_END) if line_end >= 0 else 0
        portion = bytes(self._unread[:size])
        del self._unread[:size]
        self._answer_left -= size
        if self._literal_left:
            self._literal_left -= size
        elif announced := aioimaplib.literal_data_re.match(portion[:-2]):
            self._literal_left = int(announced["size"])
        if max(self._literal_left, len(self._unread)) > self._answer_left:
            self.lose("the server's answer is larger than anything we asked for")
            return b""
        return portion

    def _handle_line(self, line: bytes, current_cmd: object) -> object:
        if self._greeting.is_set():
            return super()._handle_line(line, current_cmd)
        if not line.startswith(b"* OK"):
            # PREAUTH would skip the login, and with it the check who we are.
            self.lose(f"greeted with: {read_text(line)}")
        self.state = aioimaplib.NONAUTH
        self._greeting.set()
        return None

    def _untagged_response(self, line: bytes) -> Command | None:
        line = line.removeprefix(b"* ")
        command = self.pending_sync_command
        if is_bye(line) and not (command and command.name == "LOGOUT"):
            self.lose(f"the server says {read_text(line)}")
            return None
        self._count(line)
        if command is not None:
            command.append_to_resp(line)
        return command

    def _count(self, line: bytes) -> None:
        if is_expunge(line):
            self.exists -= 1
        elif (exists := read_exists(line)) is not None:
            if exists > self.exists:
                self.has_grown = True
                self.stirred.set()
            self.exists = exists

    def _continuation(self, line: bytes) -> None:  # noqa: ARG002
        command = self.pending_sync_command
        if command is None:
            return
        command.continued.set()
        if command.continuation is not None:
            self.transport.write(command.continuation + _LINE_END)
            command.continuation = None

    def _raise_if_lost(self) -> None:
        if self._why_lost:
            raise MailboxLost(self._why_lost)
