"""The door of the pages: who is sent away, who never is, and what the log tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.edges.web.directory import MemoryDirectory, NoDecisions, NoPostings, stands_for
from tests.edges.web.visitor import SITE, Visitor, assert_hardened, visiting
from worker.config import LOOPBACK
from worker.mail.return_address import Purpose, Tokens, subscriber_number
from worker.policy.visits import VisitLimit
from worker.telemetry.metrics import Metrics
from worker.web.door import Door, client_of
from worker.web.pages import build_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIST, PERSON = 7, 12
TOKENS = Tokens(SITE.secrets)
TOKEN = TOKENS.sign(
    Purpose.UNSUBSCRIBE, subscriber_number(LIST, PERSON), stands_for=stands_for(LIST, PERSON)
).decode()
LINK = f"/u/{TOKEN}"
LIMIT = VisitLimit(burst=3, interval_seconds=20)
ONE_CLICKS = VisitLimit(burst=31, interval_seconds=20)
ONE_CLICK, UNDO = {"List-Unsubscribe": "One-Click"}, {"action": "undo"}


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the moment."""
        return self.now


@dataclass(frozen=True)
class Visit(Visitor):
    """A visitor before a narrow door."""

    directory: MemoryDirectory
    clock: Clock

    async def status(
        self,
        method: str,
        path: str,
        *,
        data: dict[str, str] | aiohttp.FormData | None = None,
        client: str = "192.0.2.1",
    ) -> int:
        """Ask as *client*, for whom a proxy speaks."""
        headers = {"X-Forwarded-For": client}
        return (await self.ask(method, path, data=data, headers=headers)).status


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """Serve the pages behind a narrow door."""
    directory, clock = MemoryDirectory({LIST: "Comité"}, {PERSON: "jean@orange.fr"}), Clock()
    app = build_app(
        tokens=TOKENS,
        directory=directory,
        decisions=NoDecisions(),
        postings=NoPostings(),
        metrics=Metrics(),
        site=SITE,
        door=Door(LOOPBACK, clock=clock, visits=LIMIT, one_clicks=ONE_CLICKS),
    )
    async with visiting(app) as visitor:
        yield Visit(visitor.session, visitor.base, directory, clock)


COUNTED = {
    "forms": ("POST", LINK, UNDO, 303),
    "unknown tokens": ("GET", "/u/forged", None, 404),
    "unknown pages": ("GET", "/wp-login.php", None, 404),
    "wrong methods": ("PUT", LINK, None, 405),
}


@pytest.mark.parametrize(("method", "path", "data", "status"), COUNTED.values(), ids=COUNTED)
async def test_too_many(
    visit: Visit, method: str, path: str, data: dict[str, str] | None, status: int
) -> None:
    """Whoever asks too much waits, and nobody else does."""
    for _ in range(LIMIT.burst):
        assert await visit.status(method, path, data=data) == status

    assert await visit.status(method, path, data=data) == 429
    assert await visit.status("GET", LINK) == 429
    assert await visit.status("GET", LINK, client="192.0.2.2") == 200
    visit.clock.now += LIMIT.interval_seconds
    assert await visit.status(method, path, data=data) == status


async def test_endless_forms_count(visit: Visit) -> None:
    """Nobody knows what is in them, so they are refused as late as one click is."""
    endless = {"scope": "x" * 5000}
    for _ in range(LIMIT.burst):
        assert await visit.status("POST", LINK, data=endless) == 413
    assert await visit.status("GET", LINK) == 429

    for _ in range(ONE_CLICKS.burst - LIMIT.burst):
        assert await visit.status("POST", LINK, data=endless) == 413
    assert await visit.status("POST", LINK, data=endless) == 429


async def test_the_answer_is_neutral(visit: Visit) -> None:
    """It is one for all tokens, and says how long to wait."""
    for _ in range(LIMIT.burst):
        await visit.ask("GET", "/u/forged")
    visit.clock.now += 4.5
    answers = [await visit.ask("GET", path) for path in (LINK, "/u/forged", "/elsewhere")]

    assert len({answer.text for answer in answers}) == 1
    for answer in answers:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "16")
        assert "Réessayez dans quelques minutes" in answer.text
        assert_hardened(answer)


async def test_looking_is_free(visit: Visit) -> None:
    """A page may be reloaded as often as one likes."""
    for _ in range(10 * LIMIT.burst):
        assert await visit.status("GET", LINK) == 200


def multipart() -> aiohttp.FormData:
    """Post as some providers do."""
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("List-Unsubscribe", "One-Click")
    return form


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
async def test_providers_come_in_bursts(visit: Visit, encoding: str) -> None:
    """One address clicks for thousands, some of whom have been erased meanwhile."""
    for _ in range(ONE_CLICKS.burst - 1):
        forged = await visit.status("POST", "/u/forged", data=ONE_CLICK)
        assert forged == 404
    data = multipart() if encoding == "multipart" else ONE_CLICK

    assert await visit.status("POST", LINK, data=data) == 200
    assert visit.directory.opt_outs == {(PERSON, LIST): "one-click"}


async def test_one_clicks_that_lead_somewhere_are_free(visit: Visit) -> None:
    """A newsletter makes thousands of people leave within the hour."""
    for _ in range(3 * ONE_CLICKS.burst):
        assert await visit.status("POST", LINK, data=ONE_CLICK) == 200


async def test_nobody_hides_behind_one_clicks(visit: Visit) -> None:
    """Each one that leads nowhere costs a look-up."""
    for _ in range(ONE_CLICKS.burst):
        assert await visit.status("POST", "/u/forged", data=ONE_CLICK) == 404

    assert await visit.status("POST", "/u/forged", data=ONE_CLICK) == 429


CLIENTS = {
    "direct": ("192.0.2.9", [], "192.0.2.9"),
    "direct, who says otherwise": ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"),
    "by our proxy": ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
    "last hop": ("127.0.0.1", ["10.0.0.1, 203.0.113.5,198.51.100.1"], "198.51.100.1"),
    "two fields": ("::1", ["203.0.113.5", "198.51.100.1"], "198.51.100.1"),
    "proxy that says nothing": ("127.0.0.1", [], "127.0.0.1"),
    "proxy that says nonsense": ("127.0.0.1", ["unknown"], "127.0.0.1"),
    "both families in one socket": ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
    "one network": ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
    "no socket of the internet": ("", ["198.51.100.1"], "None"),
}


@pytest.mark.parametrize(("peer", "forwarded", "client"), CLIENTS.values(), ids=CLIENTS)
def test_client_of(peer: str, forwarded: list[str], client: str) -> None:
    """Only our own proxy is believed, and only its own word."""
    assert client_of(peer, forwarded, LOOPBACK) == client


async def test_memory_has_a_bound(visit: Visit) -> None:
    """Clients beyond it push out those that were charged longest ago."""
    door = Door(LOOPBACK, clock=visit.clock, visits=LIMIT)
    for number in range(12_000):
        door._charge(str(number))

    assert len(door._paid_at) == 10_000
    assert next(iter(door._paid_at)) == "2000"


async def test_log(visit: Visit) -> None:
    """One line per answer: which page, how, what came of it, how long; nothing else."""
    asked: list[tuple[str, str, dict[str, str] | None]] = [
        ("GET", f"{LINK}?lang=en", None),
        ("POST", LINK, ONE_CLICK),
        ("GET", "/u/forged", None),
        ("GET", "/elsewhere/jean@orange.fr", None),
        ("PURGE", LINK, None),
    ]
    with capture_logs() as lines:
        for method, path, data in asked:
            await visit.ask(method, path, data=data)

    told = [line for line in lines if line["event"] == "page.answered"]
    assert [(line["route"], line["method"], line["status"]) for line in told] == [
        ("/u/{token}", "GET", 200),
        ("/u/{token}", "POST", 200),
        ("/u/{token}", "GET", 404),
        ("unknown", "GET", 404),
        ("unknown", "other", 405),
    ]
    for line in told:
        assert line["milliseconds"] >= 0
        assert set(line) == {"event", "log_level", "route", "method", "status", "milliseconds"}
