"""The contract of a resolver, held against real answers on a socket."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dns.rcode
import pytest

from worker.lookup.dns import Found, Resolver, Texts

if TYPE_CHECKING:
    from tests.edges.lookup.conftest import NameServer

NAME = "s1._domainkey.example.org"


async def test_a_record(server: NameServer, resolver: Resolver) -> None:
    """Its strings are one text; what is no ASCII stays as it is."""
    server.texts[NAME] = [[b"v=DKIM1; ", b"p=\xc3\xa9\x00"]]

    assert await resolver.texts(NAME) == Texts(Found.RECORDS, (b"v=DKIM1; p=\xc3\xa9\x00",))


async def test_several_records(server: NameServer, resolver: Resolver) -> None:
    """All are told; which is meant is not the resolver's to say."""
    server.texts[NAME] = [[b"one"], [b"two"]]

    answer = await resolver.texts(NAME)

    assert answer.found is Found.RECORDS
    assert set(answer.records) == {b"one", b"two"}


async def test_one_question_is_asked_once(server: NameServer, resolver: Resolver) -> None:
    """What is known is not asked again."""
    server.publish(NAME, b"one")

    await resolver.texts(NAME)
    await resolver.texts(NAME)

    assert server.asked == [NAME]


async def test_no_name(resolver: Resolver) -> None:
    """That there is none is an answer."""
    assert await resolver.texts(NAME) == Texts(Found.NOTHING)


async def test_no_text(server: NameServer, resolver: Resolver) -> None:
    """So is that the name has none."""
    server.texts[NAME] = []

    assert await resolver.texts(NAME) == Texts(Found.NOTHING)


async def test_too_long(server: NameServer, resolver: Resolver) -> None:
    """A text that no key needs is left out."""
    server.publish(NAME, b"x" * 9000)
    server.publish(NAME, b"short")

    assert await resolver.texts(NAME) == Texts(Found.RECORDS, (b"short",))


IMPOSSIBLE = {
    "long label": "a" * 64 + ".example.org",
    "long name": "a." * 130 + "org",
    "empty label": "a..example.org",
    "bad escape": "a\\999.example.org",
    "empty": "",
}


@pytest.mark.parametrize("name", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
async def test_impossible_name(server: NameServer, resolver: Resolver, name: str) -> None:
    """A stranger may write any; it is not asked for, or it has nothing."""
    answer = await resolver.texts(name)

    assert answer == Texts(Found.NOTHING)
    assert name not in server.asked or not name


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_server_is_broken(
    server: NameServer, resolver: Resolver, rcode: dns.rcode.Rcode
) -> None:
    """It may be there all the same."""
    server.broken = rcode

    assert await resolver.texts(NAME) == Texts(Found.UNREACHABLE)


async def test_server_is_silent(server: NameServer, resolver: Resolver) -> None:
    """We wait for a while, and no longer."""
    server.silent = True

    assert await resolver.texts(NAME) == Texts(Found.UNREACHABLE)
    assert server.asked


async def test_server_is_away(server: NameServer) -> None:
    """Nobody listens at the port."""
    await server.close()
    resolver = Resolver(["127.0.0.1"], port=server.port, patience=timedelta(seconds=0.4))

    assert await resolver.texts(NAME) == Texts(Found.UNREACHABLE)


async def test_what_is_unreachable_is_asked_again(server: NameServer, resolver: Resolver) -> None:
    """A failure is not remembered."""
    server.broken = dns.rcode.SERVFAIL
    await resolver.texts(NAME)
    server.broken = None
    server.publish(NAME, b"one")

    assert await resolver.texts(NAME) == Texts(Found.RECORDS, (b"one",))


def test_the_system_s_own() -> None:
    """Without name servers given, the system's are taken; nothing is asked yet."""
    Resolver()
