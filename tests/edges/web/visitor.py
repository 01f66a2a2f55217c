"""Somebody who asks for pages: a person, a scanner, a forger."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from worker.config import LOOPBACK, Listen, Site
from worker.policy.visits import VisitLimit
from worker.web.door import Door
from worker.web.serving import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

HOSTILE = "<script>alert('1')</script>\"&\u202e"

SITE = Site(
    domain="listes.example.fr",
    public_url="https://listes.example.fr",
    locale="fr",
    help_address="aide@example.fr",
    member_space="https://monespace.example.fr/?a=1&b=2",
    secrets=(b"new secret" * 4, b"old secret" * 4),
    migrations=(),
)


# A test asks more in a second than a household in a day.
MANY_VISITS = VisitLimit(burst=100_000, interval_seconds=1)


def open_door(visits: VisitLimit = MANY_VISITS) -> Door:
    """Return a door whose clock stands still."""
    return Door(LOOPBACK, clock=lambda: 0.0, visits=visits, one_clicks=MANY_VISITS)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass(frozen=True)
class Visitor:
    """A client of the pages."""

    session: aiohttp.ClientSession
    base: str

    async def ask(
        self,
        method: str,
        path: str,
        *,
        data: bytes | dict[str, str] | aiohttp.FormData | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Ask for a path; redirects are not followed."""
        async with self.session.request(
            method, f"{self.base}{path}", data=data, headers=headers, allow_redirects=False
        ) as response:
            return Answer(response.status, dict(response.headers), await response.text())


@asynccontextmanager
async def visiting(app: web.Application) -> AsyncIterator[Visitor]:
    """Serve *app* on a port of its own."""
    async with (
        aiohttp.ClientSession() as session,
        serve(app, Listen("127.0.0.1", 0)) as port,
    ):
        yield Visitor(session, f"http://127.0.0.1:{port}")


def assert_hardened(answer: Answer) -> None:
    """Check that an answer is private, inert, and says nothing of what made it."""
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "form-action 'self'; frame-ancestors 'none'; base-uri 'none'" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert answer.headers["Server"] == "relais"
    assert "Set-Cookie" not in answer.headers
