"""Text records of the DNS, for keys that strangers publish.

An answer is a value, also where there is none: a name server that does not
answer is the stranger's, or ours, and no reason to stop. Nothing is raised but
for bugs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

_PATIENCE_SECONDS = 5.0
_RECORDS_LIMIT = 10
_RECORD_LIMIT_BYTES = 8 * 1024
_CACHED_NAMES = 1000


class Found(Enum):
    """How a question ended."""

    RECORDS = "records"
    NOTHING = "nothing"  # There is no such name, or it has no text.
    UNREACHABLE = "unreachable"  # Nobody knows; it may be there.


@dataclass(frozen=True, slots=True)
class Texts:
    """The answer to one question."""

    found: Found
    records: tuple[bytes, ...] = ()


class Lookup(Protocol):
    """What is asked of a resolver."""

    async def texts(self, name: str) -> Texts:
        """Return the TXT records of *name*."""
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
        try:
            answer = await self._resolver.resolve(f"{name}.", "TXT", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN):
            return Texts(Found.NOTHING)
        except (dns.resolver.NoNameservers, dns.exception.Timeout):
            return Texts(Found.UNREACHABLE)
        except dns.exception.DNSException:  # A name that cannot be.
            return Texts(Found.NOTHING)
        records = [b"".join(record.strings) for record in answer][:_RECORDS_LIMIT]
        return Texts(
            Found.RECORDS,
            tuple(record for record in records if len(record) <= _RECORD_LIMIT_BYTES),
        )


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
