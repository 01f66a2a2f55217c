"""An IMAP server that plays a written dialogue.

    C: SELECT "INBOX"       the client must write this, after its tag; * is anything
    L: DONE                 the client must write this line, which has no tag
    S: * 1 EXISTS           the server writes this
    S: T OK done            T is the tag of the client's latest command
    write NAME              the server writes the bytes called NAME, and nothing else
    drip NAME               the same, byte by byte, until the client has had enough
    tell NAME               the test may go on: script.told[NAME] is set
    await NAME              the server waits until the test sets script.told[NAME]
    starttls                both go on in TLS
    silence                 the server says nothing more, until the client leaves
    close                   the server closes

A dialogue that takes another turn, or stops too early, fails the test.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from worker.config import Endpoint, Tls
from worker.inbox.imap import Inbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

SOON = timedelta(seconds=5)  # Longer than anything takes here, but no hang.

LOGIN = """
    S: * OK ready
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1 {capabilities}
    S: T OK
    C: LOGIN "user" "secret"
    S: T OK
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1 {capabilities}
    S: T OK
    C: LIST "" ""
    S: * LIST (\\Noselect) "/" ""
    S: T OK
"""

SELECT = """
    C: SELECT "INBOX"
    S: * 1 EXISTS
    S: * OK [UIDVALIDITY 7] UIDs valid
    S: T OK [READ-WRITE] done
"""


class Script:
    """The server of one connection."""

    def __init__(
        self,
        dialogue: str,
        octets: Mapping[str, bytes] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.steps = [line.strip() for line in dialogue.splitlines() if line.strip()]
        self.octets = octets or {}
        self.told: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.port = 0
        self.heard: list[str] = []  # What the client wrote, without tags.
        self._tls = tls
        self._tag = ""
        self._problem = ""
        self._ended = asyncio.Event()

    @asynccontextmanager
    async def playing(self, *, implicit_tls: bool = False) -> AsyncIterator[Script]:
        """Play to one client, and see that all has been played."""
        tls = self._tls if implicit_tls else None
        server = await asyncio.start_server(self._play, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
            async with asyncio.timeout(5):
                await self._ended.wait()
        finally:
            server.close()
        if self._problem:
            raise AssertionError(self._problem)

    def end(self) -> None:
        """Stop waiting for a client that never came far enough to be played to."""
        self._ended.set()

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for step in self.steps:
                await self._step(step, reader, writer)
        except (ConnectionError, ssl.SSLError) as error:
            self._problem = f"the client left: {error!r}"
        except AssertionError as error:
            self._problem = str(error)
        finally:
            writer.transport.abort()
            self._ended.set()

    async def _step(
        self, step: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        verb, _, words = step.partition(" ")
        match verb:
            case "C:":
                self._tag, _, heard = (await self._line(reader)).partition(" ")
                self._compare(words, heard)
            case "L:":
                self._compare(words, await self._line(reader))
            case "S:":
                tagged = f"{self._tag} {words[2:]}" if words.startswith("T ") else words
                writer.write(tagged.encode() + b"\r\n")
            case "write":
                writer.write(self.octets[words])
            case "drip":
                await self._drip(self.octets[words], writer)
            case _:
                await self._direct(verb, words, reader, writer)

    async def _direct(
        self, verb: str, words: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match verb:
            case "tell":
                self.told[words].set()
            case "await":
                await self.told[words].wait()
            case "starttls":
                assert self._tls
                await writer.start_tls(self._tls)
            case "silence":
                await self._hear_the_end(reader)
            case "close":
                writer.close()
            case _:
                raise AssertionError(f"not a step: {verb} {words}")

    async def _line(self, reader: asyncio.StreamReader) -> str:
        line = await reader.readline()
        if not line:
            raise ConnectionError("no more lines")
        return line.decode().removesuffix("\r\n")

    def _compare(self, wanted: str, heard: str) -> None:
        self.heard.append(heard)
        assert wanted in {heard, "*"}, f"wanted {wanted!r}, heard {heard!r}"

    async def _hear_the_end(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while await reader.read(65536):
                pass

    async def _drip(self, octets: bytes, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            for octet in octets:
                writer.write(bytes([octet]))
                await writer.drain()
                await asyncio.sleep(0.005)


def endpoint(port: int, tls: Tls = Tls.NONE, **changes: Any) -> Endpoint:
    """Where a script plays, and what it takes for a login."""
    return replace(Endpoint("127.0.0.1", port, "user", "secret", tls), **changes)


@asynccontextmanager
async def session(
    dialogue: str,
    *,
    capabilities: str = "IDLE MOVE UIDPLUS",
    octets: Mapping[str, bytes] | None = None,
    deadline: timedelta = SOON,
) -> AsyncIterator[tuple[Inbox, Script]]:
    """Log in, and let *dialogue* say how it goes on."""
    script = Script(LOGIN.format(capabilities=capabilities) + dialogue, octets)
    async with script.playing():
        inbox = await Inbox.connect(endpoint(script.port), deadline=SOON)
        inbox._deadline = deadline
        try:
            yield inbox, script
        finally:
            inbox.abort()
