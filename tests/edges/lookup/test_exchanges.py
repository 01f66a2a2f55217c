"""The exchanges of a domain, as a name server tells them on a socket."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dns.rcode
import pytest

from worker.lookup.dns import Exchanges, Found, Resolver

if TYPE_CHECKING:
    from tests.edges.lookup.conftest import NameServer

NAME = "club.example.org"


async def test_exchanges(server: NameServer, resolver: Resolver) -> None:
    """All of them, whatever their preference, in lower case and once."""
    server.exchanges[NAME] = ["20 MX2.host.fr.", "10 mx1.host.fr.", "30 mx1.host.fr."]

    answer = await resolver.exchanges(NAME)

    assert answer == Exchanges(Found.RECORDS, ("mx1.host.fr", "mx2.host.fr"))


async def test_many_exchanges(server: NameServer, resolver: Resolver) -> None:
    """None is left out, for one stranger among them counts."""
    server.exchanges[NAME] = [f"{n} mx{n}.host.fr." for n in range(60)]

    assert len((await resolver.exchanges(NAME)).hosts) == 60


async def test_takes_no_mail(server: NameServer, resolver: Resolver) -> None:
    """RFC 7505: the one exchange is the root."""
    server.exchanges[NAME] = ["0 ."]

    assert await resolver.exchanges(NAME) == Exchanges(Found.RECORDS, (".",))


async def test_one_question_is_asked_once(server: NameServer, resolver: Resolver) -> None:
    """What is known is not asked again."""
    server.exchanges[NAME] = ["10 mx1.host.fr."]

    await resolver.exchanges(NAME)
    await resolver.exchanges(NAME)

    assert server.asked == [NAME]


async def test_no_exchange(server: NameServer, resolver: Resolver) -> None:
    """The name is there, and has texts only."""
    server.publish(NAME, b"one")

    assert await resolver.exchanges(NAME) == Exchanges(Found.NOTHING)


async def test_no_name(resolver: Resolver) -> None:
    """That there is none is an answer."""
    assert await resolver.exchanges(NAME) == Exchanges(Found.NOTHING)


async def test_impossible_name(resolver: Resolver) -> None:
    """A member may have written it."""
    assert await resolver.exchanges("a" * 64 + ".fr") == Exchanges(Found.NOTHING)


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_server_is_broken(
    server: NameServer, resolver: Resolver, rcode: dns.rcode.Rcode
) -> None:
    """They may be there all the same."""
    server.broken = rcode

    assert await resolver.exchanges(NAME) == Exchanges(Found.UNREACHABLE)


async def test_server_is_silent(server: NameServer, resolver: Resolver) -> None:
    """We wait for a while, and no longer."""
    server.silent = True

    assert await resolver.exchanges(NAME) == Exchanges(Found.UNREACHABLE)


async def test_server_is_away(server: NameServer) -> None:
    """Nobody listens at the port."""
    await server.close()
    resolver = Resolver(["127.0.0.1"], port=server.port, patience=timedelta(seconds=0.4))

    assert await resolver.exchanges(NAME) == Exchanges(Found.UNREACHABLE)
