"""A name server on loopback, and keys that openssl makes."""

from __future__ import annotations

import asyncio
import base64
import subprocess
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import pytest_asyncio

from worker.lookup.dns import Resolver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOST = "127.0.0.1"


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Answers over UDP with what *texts* and *exchanges* have; all other names do not exist."""

    texts: dict[str, list[list[bytes]]] = field(default_factory=dict)
    exchanges: dict[str, list[str]] = field(default_factory=dict)  # With their preference.
    broken: dns.rcode.Rcode | None = None
    silent: bool = False
    asked: list[str] = field(default_factory=list)
    port: int = 0
    _transport: asyncio.DatagramTransport | None = None
    _lost: asyncio.Event = field(default_factory=asyncio.Event)

    def serve(self, transport: asyncio.DatagramTransport) -> None:
        """Keep the socket."""
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        query = dns.message.from_wire(data)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True)
        self.asked.append(name)
        if self.silent or self._transport is None:
            return
        answer = dns.message.make_response(query)
        kind = dns.rdatatype.to_text(question.rdtype)
        if self.broken is not None:
            answer.set_rcode(self.broken)
        elif name not in self.texts and name not in self.exchanges:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif records := self._records(name, kind):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        self._transport.sendto(answer.to_wire(max_size=65_000), addr)

    def _records(self, name: str, kind: str) -> list[str]:
        if kind == "MX":
            return self.exchanges.get(name, [])
        texts = self.texts.get(name, [])
        return [" ".join(f'"{_escaped(part)}"' for part in record) for record in texts]

    def publish(self, name: str, record: bytes) -> None:
        """Publish one text, cut into strings of 255 octets (RFC 1035, section 3.3)."""
        parts = [record[at : at + 255] for at in range(0, len(record), 255)]
        self.texts.setdefault(name, []).append(parts)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Tell that the socket is closed."""
        self._lost.set()

    async def close(self) -> None:
        """Answer no more."""
        if self._transport is not None:
            self._transport.close()
            await self._lost.wait()


def _escaped(part: bytes) -> str:
    return "".join(f"\\{octet:03d}" for octet in part)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[NameServer]:
    """A name server that knows nothing yet."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=(HOST, 0))
    server.serve(transport)
    yield server
    await server.close()


@pytest.fixture
def resolver(server: NameServer) -> Resolver:
    """One that asks the server, and soon has enough of waiting."""
    return Resolver([HOST], port=server.port, patience=timedelta(seconds=0.4))


@dataclass(frozen=True)
class Key:
    """An RSA key: what signs, and the record that is published."""

    private: bytes
    record: bytes


def make_key(bits: int) -> Key:
    """Return a new key."""
    private = _openssl("genrsa", str(bits))
    public = _openssl("rsa", "-pubout", "-outform", "DER", given=private)
    return Key(private, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public))


@pytest.fixture(scope="session")
def key() -> Key:
    """A key as strong as is usual."""
    return make_key(2048)


@pytest.fixture(scope="session")
def weak_key() -> Key:
    """A key that RFC 8301 forbids."""
    return make_key(768)


def _openssl(*words: str, given: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *words], input=given, check=True, capture_output=True)
    return done.stdout
