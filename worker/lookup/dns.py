"""Records of the DNS: texts, for keys that strangers publish, and mail exchanges.

An answer is a value, also where there is none: a name server that does not
answer is the stranger's, or ours, and no reason to stop. Nothing is raised but
for bugs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

_PATIENCE_SECONDS = 5.0
_RECORDS_LIMIT = 10
_RECORD_LIMIT_BYTES = 8 * 1024
_CACHED_NAMES = 1000


class Found(Enum):
    """How a question ended."""

    RECORDS = "records"
    NOTHING = "nothing"  # There is no such name, or it has no such record.
    UNREACHABLE = "unreachable"  # Nobody knows; it may be there.


@dataclass(frozen=True, slots=True)
class Texts:
    """The answer to one question."""

    found: Found
    records: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Who takes the mail of a domain; ``.`` is nobody (RFC 7505)."""

    found: Found
    hosts: tuple[str, ...] = ()  # Lower case, sorted, without a dot at the end.


class Lookup(Protocol):
    """What is asked of a resolver."""

    async def texts(self, name: str) -> Texts:
        """Return the TXT records of *name*."""
        ...

    async def exchanges(self, name: str) -> Exchanges:
        """Return the hosts of the MX records of *name*."""
        ...


class Resolver:
    """The system's name servers, or those that are given."""

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        *,
        port: int = 53,
        patience: timedelta | None = None,
    ) -> None:
        self._resolver = _system_resolver() if not nameservers else _resolver(nameservers, port)
        self._resolver.lifetime = patience.total_seconds() if patience else _PATIENCE_SECONDS
        self._resolver.timeout = (
            self._resolver.lifetime / 2
        )  # Of one question; a second may be asked.
        self._resolver.cache = dns.resolver.LRUCache(_CACHED_NAMES)

    async def texts(self, name: str) -> Texts:
        """Return the TXT records of *name*, without those that are too long."""
        found, answer = await self._records(name, "TXT")
        records = [b"".join(record.strings) for record in answer][:_RECORDS_LIMIT]
        return Texts(
            found, tuple(record for record in records if len(record) <= _RECORD_LIMIT_BYTES)
        )

    async def exchanges(self, name: str) -> Exchanges:
        """Return the hosts of the MX records of *name*: all, for all of them count."""
        found, answer = await self._records(name, "MX")
        hosts = {record.exchange.to_text(omit_final_dot=True).lower() for record in answer}
        return Exchanges(found, tuple(sorted(hosts)))

    async def _records(self, name: str, kind: str) -> tuple[Found, Iterable[Any]]:
        try:
            return Found.RECORDS, await self._resolver.resolve(f"{name}.", kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN):
            return Found.NOTHING, ()
        except (dns.resolver.NoNameservers, dns.exception.Timeout):
            return Found.UNREACHABLE, ()
        except dns.exception.DNSException:  # A name that cannot be.
            return Found.NOTHING, ()


def _resolver(nameservers: Sequence[str], port: int) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = list(nameservers)
    resolver.port = port
    return resolver


def _system_resolver() -> dns.asyncresolver.Resolver:
    try:
        return dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        # resolv.conf(5): without one, the name server is on this machine.
        return _resolver(["127.0.0.1"], 53)
