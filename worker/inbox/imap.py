"""The catch-all mailbox, over IMAP (RFC 3501).

Only UIDs name messages, and never more than one at a time: other clients may
expunge whenever they like. Nothing is removed but what move() has copied; plain
EXPUNGE would also remove what a person has marked in their webmail.

Every wait has a deadline and ends with the connection. What may be raised:

    MailboxLost      gone or silent; this object is dead, connect again
    MailboxRefused   NO or BAD; the connection is still good
    LoginRefused     by connect() alone; trying again soon may lock the account
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from worker.config import Tls
from worker.errors import LoginRefused, MailboxLost, MailboxRefused

from .names import FolderNames, quoted
from .responses import (
    Answer,
    MessageSize,
    is_listed,
    read_body,
    read_capabilities,
    read_copied_uid,
    read_folder_names,
    read_search,
    read_size,
    read_text,
    read_uidvalidity,
)
from .wire import Command, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from worker.config import Endpoint

__all__ = ["Inbox", "MessageSize", "Selected"]

DEADLINE = timedelta(seconds=30)

# A message gets more time, by its size, than a command: that of a poor line.
_SLOWEST_BYTES_PER_SECOND = 64 * 1024

_LOGOUT_DEADLINE = timedelta(seconds=2)
_WAKE_DEADLINE = timedelta(seconds=0.5)

# The login was not judged at all (RFC 5530): not a refusal of our password.
_NOT_NOW = (b"[UNAVAILABLE]", b"[INUSE]", b"[LIMIT]", b"[SERVERBUG]")


@dataclass(frozen=True, slots=True)
class Selected:
    """The folder as it is when selected."""

    uidvalidity: int
    exists: int


class Inbox:
    """One connection to the mailbox, running one command at a time."""

    def __init__(self, wire: Wire, *, deadline: timedelta) -> None:
        self.capabilities: frozenset[str] = frozenset()
        self._wire = wire
        self._deadline = deadline
        self._names = FolderNames()
        self._uidvalidity: int | None = None  # Of the selected folder.

    @classmethod
    async def connect(cls, endpoint: Endpoint, *, deadline: timedelta = DEADLINE) -> Inbox:
        """Connect and log in, once, within *deadline*; later commands get as much each."""
        _check_credentials(endpoint)
        inbox = cls(Wire(), deadline=deadline)
        try:
            async with inbox._within(deadline):
                await inbox._open(endpoint)
                await inbox._log_in(endpoint)
                await inbox._learn_names()
        except (OSError, MailboxLost, MailboxRefused) as error:
            where = f"{endpoint.host}:{endpoint.port}"
            raise MailboxLost(f"{where}: {error}") from error
        return inbox

    @property
    def has_move(self) -> bool:
        """Whether the server can MOVE (RFC 6851)."""
        return "MOVE" in self.capabilities

    @property
    def has_uidplus(self) -> bool:
        """Whether the server can UID EXPUNGE (RFC 4315)."""
        return "UIDPLUS" in self.capabilities

    @property
    def has_idle(self) -> bool:
        """Whether the server can IDLE (RFC 2177)."""
        return "IDLE" in self.capabilities

    async def ensure_folders(self, folders: Iterable[str]) -> None:
        """Create those of *folders* that do not exist."""
        for folder in folders:
            name = self._names.on_server(folder)
            if await self._is_listed(name):
                continue
            try:
                await self._run(f"CREATE {name}")
            except MailboxRefused:
                if not await self._is_listed(name):  # Another worker was faster.
                    raise

    async def select(self, folder: str) -> Selected:
        """Work in *folder* from now on."""
        self._wire.exists = 0
        self._uidvalidity = None
        answer = await self._run(f"SELECT {self._names.on_server(folder)}")
        uidvalidity = read_uidvalidity(answer)
        if uidvalidity is None:
            raise MailboxRefused(f"{folder}: the server has no lasting UIDs")
        if answer.text.upper().startswith(b"[READ-ONLY]"):
            raise MailboxRefused(f"{folder}: we may only read, not move")
        self._uidvalidity = uidvalidity
        return Selected(uidvalidity, self._wire.exists)

    async def uids(self) -> list[int]:
        """Return the UIDs of all messages that nobody has deleted, in order."""
        self._wire.has_grown = False
        return read_search(await self._run("UID SEARCH UNDELETED"))

    async def measure(self, uid: int) -> MessageSize | None:
        """Return how large message *uid* is, or None when it has gone."""
        words = f"UID FETCH {uid} (UID RFC822.SIZE INTERNALDATE)"
        return read_size(await self._run(words), uid)

    async def fetch(self, measured: MessageSize) -> bytes | None:
        """Return the message's bytes, or None when it has gone.

        Its flags stay as they are: they belong to people.
        """
        answer = await self._run(
            f"UID FETCH {measured.uid} (UID BODY.PEEK[])",
            # The size may be an estimate: twice as much is still believable.
            size_bytes=2 * measured.size_bytes,
        )
        return read_body(answer, measured.uid)

    async def move(self, uid: int, folder: str) -> int | None:
        """Move a message, and return its UID there if the server tells it.

        A server that has neither MOVE nor UIDPLUS keeps it here, marked as deleted.
        """
        name = self._names.on_server(folder)
        if self.has_move:
            return read_copied_uid(await self._run(f"UID MOVE {uid} {name}"))
        copied_uid = read_copied_uid(await self._run(f"UID COPY {uid} {name}"))
        await self._run(rf"UID STORE {uid} +FLAGS.SILENT (\Deleted)")
        if self.has_uidplus:
            await self._run(f"UID EXPUNGE {uid}")
        return copied_uid

    async def append(self, folder: str, raw: bytes) -> None:
        """Put a message into *folder*."""
        await self._run(
            f"APPEND {self._names.on_server(folder)} {{{len(raw)}}}",
            continuation=raw,
            size_bytes=len(raw),
        )

    async def wait_for_news(self, *, at_most: timedelta, wake: asyncio.Event | None = None) -> bool:
        """Wait for new messages in the selected folder; true if there are some.

        New are those that came since uids() was last called, even if the server
        told of them during another command. It is a hint: look after a false
        answer, too. Ends within a second once *wake* is set.
        """
        if wake is None:
            return await self._listen(at_most)
        listening = asyncio.ensure_future(self._listen(at_most))
        waking = asyncio.ensure_future(wake.wait())
        try:
            await asyncio.wait({listening, waking}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                self._wire.stirred.set()  # Ends an IDLE in good order.
                await asyncio.wait({listening}, timeout=_WAKE_DEADLINE.total_seconds())
            if not listening.done():
                self.abort()
            return await listening
        finally:
            listening.cancel()
            waking.cancel()

    async def close(self) -> None:
        """Log out if the server lets us, soon; never raises."""
        with suppress(MailboxLost, MailboxRefused):
            if not self._wire.is_busy:
                await self._run("LOGOUT", deadline=_LOGOUT_DEADLINE)
        self.abort()

    def abort(self) -> None:
        """Drop the connection."""
        self._wire.lose("we dropped the connection")

    async def _open(self, endpoint: Endpoint) -> None:
        host, port = endpoint.host, endpoint.port
        if endpoint.tls is Tls.NONE:
            await self._wire.open(host, port)
            return
        tls = _tls_context(endpoint.ca_file)
        if endpoint.tls is Tls.IMPLICIT:
            await self._wire.open(host, port, tls=tls)
            return
        await self._wire.open(host, port)
        await self._run("STARTTLS")
        await self._wire.start_tls(host, tls)

    async def _log_in(self, endpoint: Endpoint) -> None:
        await self._learn_capabilities()
        if self.capabilities & {"AUTH=PLAIN", "LOGINDISABLED"} == {"LOGINDISABLED"}:
            raise MailboxLost("no login with a password is offered")
        try:
            await self._authenticate(endpoint.user, endpoint.password)
        # From None: the frames below hold the password, and some logs show frames.
        except MailboxLost as lost:
            raise MailboxLost(str(lost)) from None
        except _Refused as refusal:
            if refusal.answer.text.upper().startswith(_NOT_NOW):
                raise MailboxLost(str(refusal)) from None
            raise LoginRefused(str(refusal)) from None
        await self._learn_capabilities()

    async def _authenticate(self, user: str, password: str) -> None:
        if "AUTH=PLAIN" in self.capabilities:
            # RFC 4616: unlike LOGIN, it can carry any character.
            plain = b64encode(f"\0{user}\0{password}".encode())
            await self._run("AUTHENTICATE PLAIN", continuation=plain)
        else:
            await self._run(f"LOGIN {quoted(user)} {quoted(password)}")

    async def _learn_capabilities(self) -> None:
        self.capabilities = read_capabilities(await self._run("CAPABILITY"))

    async def _learn_names(self) -> None:
        words = "NAMESPACE" if "NAMESPACE" in self.capabilities else 'LIST "" ""'
        self._names = read_folder_names(await self._run(words))

    async def _is_listed(self, name: str) -> bool:
        return is_listed(await self._run(f'LIST "" {name}'))

    async def _listen(self, at_most: timedelta) -> bool:
        self._wire.stirred.clear()
        await self._run("NOOP")  # Collects what the server did not tell yet.
        if self._wire.has_grown:
            return True
        try:
            if self.has_idle:
                await self._idle(at_most)
            else:
                await self._rest(at_most)
        except MailboxRefused:  # Whatever it offers, we keep the pace.
            await self._rest(at_most)
        return self._wire.has_grown

    async def _idle(self, at_most: timedelta) -> None:
        async with self._within(self._deadline):
            command = self._wire.start("IDLE")
            await command.continued.wait()
        if not command.ended:
            await self._rest(at_most)
            self._wire.write("DONE")
        await self._finish(command, self._deadline)

    async def _rest(self, at_most: timedelta) -> None:
        """Wait until there is news, but not longer than *at_most*."""
        async with self._within(at_most + self._deadline):
            with suppress(TimeoutError):
                async with asyncio.timeout(at_most.total_seconds()):
                    await self._wire.wait_stirred()

    async def _run(
        self,
        words: str,
        *,
        continuation: bytes | None = None,
        size_bytes: int = 0,
        deadline: timedelta | None = None,
    ) -> Answer:
        command = self._wire.start(words, continuation=continuation, size_bytes=size_bytes)
        transfer = timedelta(seconds=size_bytes / _SLOWEST_BYTES_PER_SECOND)
        return await self._finish(command, (deadline or self._deadline) + transfer)

    async def _finish(self, command: Command, deadline: timedelta) -> Answer:
        async with self._within(deadline):
            answer = await command.answer()
        if self._uidvalidity not in (None, read_uidvalidity(answer) or self._uidvalidity):
            self.abort()
            raise MailboxLost("the UIDs of the selected folder mean other messages now")
        if answer.status != "OK":
            raise _Refused(command.name, answer)
        return answer

    @asynccontextmanager
    async def _within(self, deadline: timedelta) -> AsyncIterator[None]:
        """Drop the connection unless the block ends in time, and by itself."""
        seconds = deadline.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            silence = f"no answer in {seconds:g} s"
            self._wire.lose(silence)
            raise MailboxLost(silence) from None
        except BaseException:
            self.abort()
            raise


class _Refused(MailboxRefused):
    """Carries the answer, for whoever can tell one refusal from another."""

    def __init__(self, name: str, answer: Answer) -> None:
        super().__init__(f"{name}: {answer.status} {read_text(answer.text)}")
        self.answer = answer


def _check_credentials(endpoint: Endpoint) -> None:
    if any(breaker in endpoint.user + endpoint.password for breaker in "\0\r\n"):
        raise ValueError("NUL, CR or LF in the mailbox's user or password")


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
