"""A scripted SMTP server: it fails where it is told to, and logs the truth.

    async with SmtpServer() as server:
        server.fail(Stage.RCPT, "451 4.7.1 Greylisted", recipient="@grey", times=1)
        server.fail(Stage.ACCEPTED, Act.DROP, times=1)
        ...
        server.accepted      # one entry per message that was taken, in order

As a process of its own, for tests that kill the worker:

    python -m tests.servers.smtp --port 2525 --log FILE
        [--fail STAGE=REPLY-OR-ACT] [--delay STAGE=SECONDS]

An entry is in the log, and on its way to the disk, before the reply to the dot
leaves. A message without an entry was never accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import contextlib
import json
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType

LONGEST_LINE = 2**20
USERS = {"listes@hote.test": "mot-de-passe"}


class Stage(Enum):
    """Where in a conversation a fault can sit."""

    CONNECT = "connect"  # In place of the greeting.
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"  # After the first line of the message.
    DOT = "dot"  # The dot has come, and the message is not accepted.
    ACCEPTED = "accepted"  # It is accepted and logged, and the reply not sent.
    RSET = "rset"
    QUIT = "quit"


class Act(Enum):
    """What a server can do besides replying."""

    DROP = "drop"  # Close the connection.
    RESET = "reset"  # Close it with RST.
    SILENCE = "silence"  # Keep it, and never answer again.
    GARBAGE = "garbage"  # Answer what is no reply.


class _End(Exception):
    """The conversation is over."""


@dataclass(slots=True)
class Fault:
    """What to do at a stage. A reply is given word for word."""

    stage: Stage
    what: str | Act | None  # None: only the delay.
    recipient: str = ""  # A regular expression; at RCPT and everything after it.
    argument: str = ""  # A regular expression of what MAIL or RCPT says.
    null_path: bool = False  # Only where the return path is the null one; from RCPT on.
    skip: int = 0  # How often to behave before.
    times: int | None = None  # How often to fail; None: always.
    delay_seconds: float = 0.0

    def is_due(
        self, stage: Stage, recipients: list[str], argument: str, return_address: str | None
    ) -> bool:
        """Count a visit of *stage*, and say whether to fail at it."""
        if stage is not self.stage or not self._concerns(recipients):
            return False
        if self.null_path and return_address != "":
            return False
        if not re.search(self.argument, argument, re.IGNORECASE):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return self.times is None or self.times >= 0

    def _concerns(self, recipients: list[str]) -> bool:
        return not self.recipient or any(
            re.search(self.recipient, recipient, re.IGNORECASE) for recipient in recipients
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that this server is responsible for."""

    at: float  # time.time()
    connection: int
    return_address: str
    recipients: tuple[str, ...]
    message: bytes
    parameters: tuple[str, ...] = ()  # Of MAIL, and of each RCPT.

    @property
    def recipient(self) -> str:
        """The only recipient."""
        (recipient,) = self.recipients
        return recipient


def read_log(log: Path) -> list[Accepted]:
    """Return what a server with this log has accepted so far."""
    lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    return [_entry(json.loads(line)) for line in lines if line.endswith(b"\n")]


def _entry(facts: dict[str, str]) -> Accepted:
    return Accepted(
        at=float(facts["at"]),
        connection=int(facts["connection"]),
        return_address=facts["return_address"],
        recipients=tuple(facts["recipients"]),
        message=facts["message"].encode("latin-1"),
        parameters=tuple(facts["parameters"]),
    )


@dataclass(slots=True, kw_only=True)
class SmtpServer:
    """The server; its settings may be changed while it runs."""

    port: int = 0  # 0: any that is free.
    pipelining: bool = True
    size_limit_bytes: int = 50 * 2**20
    extensions: tuple[str, ...] = ("8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")
    tls: ssl.SSLContext | None = None  # For STARTTLS or, if implicit, from the start.
    implicit_tls: bool = False
    users: Mapping[str, str] = field(default_factory=lambda: USERS)
    auth_required: bool = False
    log: Path | None = None
    keep_messages: bool = True  # False: Accepted.message is empty, for long runs.
    faults: list[Fault] = field(default_factory=list)

    accepted: list[Accepted] = field(default_factory=list)
    visits: Counter[Stage] = field(default_factory=Counter)
    logins: list[str] = field(default_factory=list)  # One per AUTH, by user name.
    connections: int = 0
    open_connections: int = 0
    most_connections: int = 0

    _server: asyncio.Server | None = None
    _conversations: set[asyncio.Task[None]] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def auth_attempts(self) -> int:
        """How often somebody tried a password; too often locks real accounts."""
        return len(self.logins)

    def fail(
        self,
        stage: Stage,
        what: str | Act | None = None,
        *,
        recipient: str = "",
        argument: str = "",
        null_path: bool = False,
        skip: int = 0,
        times: int | None = None,
        delay_seconds: float = 0.0,
    ) -> Fault:
        """Add a fault; the first one that is due counts."""
        fault = Fault(stage, what, recipient, argument, null_path, skip, times, delay_seconds)
        self.faults.append(fault)
        return fault

    async def start(self) -> None:
        """Listen on the loopback; *port* says where."""
        self._server = await asyncio.start_server(
            self._converse,
            "127.0.0.1",
            self.port,
            ssl=self.tls if self.implicit_tls else None,
            limit=LONGEST_LINE,
            reuse_address=True,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and cut every conversation; start() goes on from there."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    def cut(self) -> None:
        """End every conversation where it is."""
        for conversation in self._conversations:
            conversation.cancel()

    async def wait_accepted(self, count: int, seconds: float = 10.0) -> list[Accepted]:
        """Wait until *count* messages have been accepted, and return them all."""
        async with asyncio.timeout(seconds):
            while len(self.accepted) < count:
                self._news.clear()
                await self._news.wait()
        return self.accepted

    def take(self, message: Accepted) -> None:
        """Take the responsibility for *message*."""
        if self.log is not None:
            facts = asdict(message) | {"message": message.message.decode("latin-1")}
            with self.log.open("ab", buffering=0) as log:
                log.write(json.dumps(facts).encode() + b"\n")
        self.accepted.append(message)
        self._news.set()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        self.connections += 1
        self.open_connections += 1
        self.most_connections = max(self.most_connections, self.open_connections)
        try:
            await _Conversation(self, reader, writer).run()
        except (_End, OSError, EOFError):
            pass  # A peer that leaves is an ordinary end, too.
        except asyncio.CancelledError:
            writer.transport.abort()  # stop() does not wait for the peer's farewell.
        finally:
            self.open_connections -= 1
            self._conversations.discard(task)
            writer.close()


class _Conversation:
    """One connection, from the greeting to whatever ends it."""

    def __init__(
        self,
        server: SmtpServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.number = server.connections
        self.is_encrypted = server.implicit_tls
        self.user = ""
        self._forget()

    def _forget(self) -> None:
        self.return_address: str | None = None
        self.recipients: list[str] = []
        self.parameters: list[str] = []

    async def run(self) -> None:
        """Answer commands until one of us has enough."""
        commands = {
            "EHLO": self._ehlo,
            "HELO": self._ehlo,
            "STARTTLS": self._start_tls,
            "AUTH": self._authenticate,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }
        await self._at(Stage.CONNECT, "220 smtp.hote.test ESMTP")
        while True:
            line = (await self._line()).decode("utf-8", "replace").rstrip("\r\n")
            verb, _, argument = line.partition(" ")
            await commands.get(verb.upper(), self._unknown)(argument)

    async def _ehlo(self, _: str) -> None:
        self._forget()
        await self._at(Stage.EHLO, self._capabilities())

    async def _rset(self, _: str) -> None:
        self._forget()
        await self._at(Stage.RSET, "250 2.0.0 Flushed")

    async def _noop(self, _: str) -> None:
        await self._say("250 2.0.0 Ok")

    async def _quit(self, _: str) -> None:
        await self._at(Stage.QUIT, "221 2.0.0 Bye")
        raise _End

    async def _unknown(self, _: str) -> None:
        await self._say("500 5.5.2 Command unrecognized")

    async def _mail(self, argument: str) -> None:
        if self.server.auth_required and not self.user:
            await self._say("530 5.7.0 Authentication required")
            return
        return_address = _path(argument)
        if await self._at(Stage.MAIL, "250 2.1.0 Ok", argument=argument):
            self.return_address = return_address
            self.parameters = [_parameters(argument)]

    async def _rcpt(self, argument: str) -> None:
        if self.return_address is None:
            await self._say("503 5.5.1 MAIL first")
            return
        recipient = _path(argument)
        if await self._at(Stage.RCPT, "250 2.1.5 Ok", [recipient], argument=argument):
            self.recipients.append(recipient)
            self.parameters.append(_parameters(argument))

    async def _data(self, _: str) -> None:
        if not self.recipients:
            await self._say("554 5.5.1 No valid recipients")
            return
        if not await self._at(Stage.DATA, "354 Go ahead", self.recipients):
            return
        message = await self._message()
        # Once it is accepted, whatever follows cannot undo it.
        refusal = await self._fault(Stage.DOT, self.recipients)
        if refusal is None and len(message) > self.server.size_limit_bytes:
            refusal = "552 5.3.4 Too big"
        if refusal is not None and not refusal.startswith("2"):
            self._forget()
            await self._say(refusal)
            return
        self._accept(message)
        recipients = self.recipients
        self._forget()
        await self._at(Stage.ACCEPTED, refusal or "250 2.0.0 Accepted", recipients)

    def _accept(self, message: bytes) -> None:
        self.server.take(
            Accepted(
                at=time.time(),
                connection=self.number,
                return_address=self.return_address or "",
                recipients=tuple(self.recipients),
                message=message if self.server.keep_messages else b"",
                parameters=tuple(self.parameters),
            )
        )

    async def _message(self) -> bytes:
        """Read up to the dot, and undo dot-stuffing (RFC 5321, section 4.5.2)."""
        lines: list[bytes] = []
        while (line := await self._line()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
            if len(lines) == 1:
                await self._fault(Stage.BODY, self.recipients)
        return b"".join(lines)

    async def _start_tls(self, _: str) -> None:
        if self.server.tls is None or self.is_encrypted:
            await self._say("502 5.5.1 Not offered")
            return
        if await self._at(Stage.STARTTLS, "220 2.0.0 Go ahead"):
            await self.writer.start_tls(self.server.tls)
            self.is_encrypted = True
            self.user = ""
            self._forget()

    async def _authenticate(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() == "PLAIN":
            _, user, password, *_ = (await self._answer("", initial) + "\0\0").split("\0")
        elif mechanism.upper() == "LOGIN":
            user = await self._answer("VXNlcm5hbWU6", initial)
            password = await self._answer("UGFzc3dvcmQ6", "")
        else:
            await self._say("504 5.5.4 Unrecognized mechanism")
            return
        self.server.logins.append(user)
        known = self.server.users.get(user)
        is_right = known is not None and known == password
        right = "235 2.7.0 Authenticated"
        wrong = "535 5.7.8 Username and password not accepted"
        if await self._at(Stage.AUTH, right if is_right else wrong):
            self.user = user

    async def _answer(self, challenge: str, initial: str) -> str:
        if not initial:
            await self._say(f"334 {challenge}")
            initial = (await self._line()).decode().strip()
        with contextlib.suppress(binascii.Error):
            return base64.b64decode(initial).decode("utf-8", "replace")
        return ""

    def _capabilities(self) -> str:
        offered = ["smtp.hote.test", f"SIZE {self.server.size_limit_bytes}"]
        offered += self.server.extensions
        if self.server.pipelining:
            offered.append("PIPELINING")
        if self.server.tls is not None and not self.is_encrypted:
            offered.append("STARTTLS")
        if self.server.users:
            offered.append("AUTH PLAIN LOGIN")
        *first, last = offered
        return "".join(f"250-{word}\r\n" for word in first) + f"250 {last}"

    async def _at(
        self,
        stage: Stage,
        reply: str,
        recipients: list[str] | None = None,
        *,
        argument: str = "",
    ) -> bool:
        """Give *reply*, or what a fault says; say whether it was a good one."""
        fault = await self._fault(stage, recipients or [], argument)
        reply = fault or reply
        await self._say(reply)
        if reply.startswith("421"):  # RFC 5321, section 3.8: it closes the channel.
            raise _End
        return reply[:1] in "23"

    async def _fault(self, stage: Stage, recipients: list[str], argument: str = "") -> str | None:
        """Return the reply of a fault that is due, or do what it does."""
        self.server.visits[stage] += 1
        due = [
            fault
            for fault in self.server.faults
            if fault.is_due(stage, recipients, argument, self.return_address)
        ][:1]
        for fault in due:
            if fault.delay_seconds:
                await self.writer.drain()
                await asyncio.sleep(fault.delay_seconds)
            match fault.what:
                case Act.DROP:
                    raise _End
                case Act.RESET:
                    self._reset()
                    raise _End
                case Act.SILENCE:
                    while await self.reader.read(2**16):  # Until the peer gives up.
                        pass
                    raise _End
                case Act.GARBAGE:
                    return "\x00\xff\x7f Zut"
                case reply:
                    return reply
        return None

    def _reset(self) -> None:
        connection: socket.socket = self.writer.get_extra_info("socket")
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def _line(self) -> bytes:
        return await self.reader.readuntil(b"\n")

    async def _say(self, reply: str) -> None:
        self.writer.write(reply.encode("latin-1") + b"\r\n")
        await self.writer.drain()


def _path(argument: str) -> str:
    """Return the address of ``FROM:<...> PARAMETERS``, without its brackets."""
    match = re.match(r"\w+:\s*<([^>]*)>", argument)
    return match[1] if match else ""


def _parameters(argument: str) -> str:
    """Return what follows the address."""
    return argument.partition(">")[2].strip()


def _what(words: str) -> str | Act:
    return Act(words) if words in {act.value for act in Act} else words


async def _serve(arguments: argparse.Namespace) -> None:
    server = SmtpServer(port=arguments.port, log=arguments.log, keep_messages=False)
    server.keep_messages = not arguments.no_messages
    server.pipelining = not arguments.no_pipelining
    for fault in arguments.fail:
        stage, _, words = fault.partition("=")
        server.fail(Stage(stage), _what(words))
    for delay in arguments.delay:
        stage, _, seconds = delay.partition("=")
        server.fail(Stage(stage), delay_seconds=float(seconds))
    async with server:
        print(server.port, flush=True)  # noqa: T201 - The port is our answer.
        await asyncio.get_running_loop().create_future()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.smtp")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--fail", action="append", default=[])
    parser.add_argument("--delay", action="append", default=[])
    parser.add_argument("--no-messages", action="store_true")
    parser.add_argument("--no-pipelining", action="store_true")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
