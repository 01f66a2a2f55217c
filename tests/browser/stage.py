"""Every page in every state, on a real database behind a real server.

The clock of the door stands still, so each visit comes from an address of its
own, named in X-Forwarded-For as a proxy does.
"""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.edges.store.given import MEMBER_TABLE, posted, resolved
from tests.edges.store.held import a_posting, asked_author, asked_moderators
from tests.edges.web.directory import MemoryDirectory, NoDecisions, NoPostings
from tests.edges.web.visitor import SITE, Visitor, open_door, visiting
from worker.actors.following import Following
from worker.actors.outbox import Outbox
from worker.app import _Decisions, _Directory
from worker.config import Retention
from worker.mail.return_address import Purpose, Tokens, subscriber_number
from worker.policy.visits import VISITS
from worker.store import decisions, lists, stopping, suppressions
from worker.store.database import close_pool, connect, open_pool
from worker.telemetry.metrics import Metrics
from worker.web.page import Pages
from worker.web.pages import build_app
from worker.web.privacy import Privacy, add_privacy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser, BrowserContext, Page

    from tests.servers.postgres import Database
    from worker.store.database import Connection

OUR_SITE = replace(
    SITE, accessibility="partial", accessibility_statement="https://www.example.fr/accessibilite"
)
TOKENS = Tokens(OUR_SITE.secrets)
TITLE = "Comité directeur"

_LISTS = f"""
    create view lists.judo as select email, person from club.member where section = 'judo';
    create view lists.assembly as select email, person from club.member where section = 'judo';
    select lists.define(view => 'lists.everybody', address => 'comite', title => '{TITLE}',
                        post => 'nobody');
    select lists.define(view => 'lists.judo', address => 'judo', title => 'Judo',
                        post => 'nobody');
    select lists.define(view => 'lists.assembly', address => 'assemblee', post => 'nobody',
                        title => 'Convocations aux assemblées', unsubscribe => 'contact');
"""
# Who is in which state; the section is a list of its own.
_MEMBERS = {
    "ask": "judo",
    "ask, one list": "",
    "left": "judo",
    "left, one list": "",
    "left all": "judo",
    "official": "judo",
    "official, left": "judo",
}
STATES = (
    *_MEMBERS,
    "missing",
    "too many",
    "later",
    "confirm",
    "confirmed",
    "moderate",
    "refused",
    "posting",
    "posting, soon",
    "posting, leaving",
    "posting, paused",
    "posting, stopped",
    "posting, left",
    "posting, two lists",
    "privacy",
)
LANGUAGES = ("fr", "en")


@dataclass(frozen=True, slots=True)
class Stage:
    """The pages, and where each state is."""

    visitor: Visitor
    db: Connection  # As the role that migrates.
    urls: dict[str, str]
    spent: str  # A client that has asked too much.
    clients: Iterator[str] = field(
        default_factory=lambda: (f"198.18.{n // 256}.{n % 256}" for n in itertools.count())
    )

    def url(self, state: str, lang: str) -> str:
        """Return where *state* is shown in *lang*."""
        return f"{self.urls[state]}?lang={lang}"

    async def show(self, page: Page, state: str, lang: str) -> None:
        """Open *state* in *page*, as a client that has not been here before."""
        client = self.spent if state == "too many" else next(self.clients)
        await page.set_extra_http_headers({"X-Forwarded-For": client})
        await page.goto(self.url(state, lang))
        await focused(page)

    async def newcomer(self, state: str) -> str:
        """Return a link of somebody who is in *state*, and whom no other test knows."""
        name = f"{state} {next(self.clients)}"
        link = await _person(self.db, name, state)
        return f"{self.visitor.base}{link}"


@asynccontextmanager
async def stage(database: Database) -> AsyncIterator[Stage]:
    """Serve every state from *database*, which is new."""
    pool, db = await open_pool(database.url, size=2), await connect(database.admin_url)
    metrics = Metrics()
    here = build_app(
        tokens=TOKENS,
        directory=_Directory(pool, metrics, Outbox(OUR_SITE, TOKENS, metrics)),
        decisions=_Decisions(pool),
        postings=Following(pool, ["main"], metrics),
        metrics=metrics,
        site=OUR_SITE,
        door=open_door(VISITS),
    )
    privacy = Privacy(Retention(), ("imap.example.net",), team="le secrétariat", country="France")
    add_privacy(here, pages=Pages(OUR_SITE), privacy=privacy)
    away = build_app(
        tokens=TOKENS,
        directory=MemoryDirectory({}, {}, lost=True),
        decisions=NoDecisions(),
        postings=NoPostings(),
        metrics=metrics,
        site=OUR_SITE,
        door=open_door(VISITS),
    )
    async with visiting(here) as visitor, visiting(away) as nobody:
        await db.execute(MEMBER_TABLE + _LISTS)
        paths = {state: await _person(db, state, state) for state in _MEMBERS}
        paths |= await _asked(db) | await _followed(db)
        urls = {state: visitor.base + path for state, path in paths.items()}
        urls["missing"] = urls["too many"] = f"{visitor.base}/u/forged"
        urls["privacy"] = f"{visitor.base}/privacy"
        urls["later"] = nobody.base + paths["ask"]
        made = Stage(visitor, db, urls, spent="203.0.113.99")
        await _spend(made)
        yield made
    await db.close()
    await close_pool(pool)


async def focused(page: Page) -> None:
    """Wait until a heading that asks for the focus has it: a moment after the page is there."""
    if await page.locator("h1[autofocus]").count():
        await page.locator("h1:focus").wait_for()


@asynccontextmanager
async def visit(browser: Browser, **looks: object) -> AsyncIterator[Page]:
    """Open a page in a browser of its own, which *looks* so."""
    context: BrowserContext = await browser.new_context(**looks)  # type: ignore[arg-type] # Its own keywords.
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def _person(db: Connection, name: str, state: str) -> str:
    """Write to a new member, who then gets into *state*; return their link."""
    await db.execute(
        "insert into club.member (email, person, section) values ($1, $2, $3)",
        f"j{sha256(name.encode()).hexdigest()[:12]}n@orange.fr",
        name,
        _MEMBERS[state],
    )
    local_parts = ["comite", "judo", "assemblee"]
    for local_part in local_parts[: 1 if state.endswith("one list") else None]:
        await posted(db, local_part, fingerprint=f"{local_part} {name}".encode().ljust(32)[:32])
    person_id: int = await db.fetchval(
        "select person_id from relais.person where key = 'person:' || $1", name
    )
    local_part = "assemblee" if state.startswith("official") else "comite"
    list_id = await lists.remember(db, await resolved(db, local_part))
    if "left" in state:
        await db.execute(
            "insert into relais.suppression (list_id, person_id, reason, source, since)"
            " values ($1, $2, 'unsubscribed', 'page', relais.now())",
            None if state == "left all" else list_id,
            person_id,
        )
    subscriber = await suppressions.subscriber(db, list_id, person_id)
    if subscriber is None:
        raise AssertionError(f"{name} is unknown")
    number = subscriber_number(list_id, person_id)
    token = TOKENS.sign(Purpose.UNSUBSCRIBE, number, stands_for=subscriber.subscription)
    return f"/u/{token.decode()}"


async def _asked(db: Connection) -> dict[str, str]:
    """Let postings wait for people, and two of them be answered."""
    _, confirm = await asked_author(db, title=TITLE)
    _, confirmed = await asked_author(db, title=TITLE, reasons=("old",))
    _, [moderate, _] = await asked_moderators(db, title=TITLE, reasons=("old", "spam"))
    _, [refused, _] = await asked_moderators(db, title=TITLE)
    posting_id = await a_posting(db, "moderation", title=TITLE)
    async with db.transaction():
        await decisions.answer(db, confirmed, yes=True, source="page")
        await decisions.answer(db, refused, yes=False, source="page", reason="trop long")
    return {
        "confirm": _link("c", Purpose.CONFIRM, confirm),
        "confirmed": _link("c", Purpose.CONFIRM, confirmed),
        "moderate": _link("m", Purpose.MODERATE, moderate),
        "refused": _link("m", Purpose.MODERATE, refused),
        "posting": _link("p", Purpose.POSTING, posting_id),
    }


# A posting is for 820 people: so many of its copies are in each state.
_COURSES = {
    "soon": {"queued": 820},
    "leaving": {"handed_over": 99, "in_doubt": 1, "queued": 720},
    "paused": {"handed_over": 100, "queued": 720},
    "stopped": {"handed_over": 100, "queued": 720},
    "left": {"handed_over": 806, "refused": 9, "expired": 3, "cancelled": 2},
    "two lists": {"handed_over": 100, "queued": 720},
}
_COPIES = """
    with person as (
        insert into relais.person (key)
        select 'person:' || $1::bigint || ' ' || $2::text || n
          from generate_series(1, $3::integer) n
        returning person_id)
    insert into relais.delivery (posting_id, person_id, address, provider, state, due_at,
                                 settled_at, reply)
    select $1, person_id, person_id || '@example.org',
           (array['google', 'orange', 'outlook', 'free', 'other'])[1 + person_id % 5],
           $2::text::relais.delivery_state, relais.now(),
           case when $2 not in ('queued', 'in_doubt') then relais.now() end,
           case $2 when 'cancelled' then 'unsubscribed' end
      from person
"""


async def _followed(db: Connection) -> dict[str, str]:
    """Let postings be under way, and people stop and pause them."""
    made = {}
    for name, copies in _COURSES.items():
        posting_id = await a_posting(db, None, title=TITLE)
        made[name] = posting_id
        await db.execute(
            "update relais.posting set recipients = 820 where posting_id = $1", posting_id
        )
        for state, count in copies.items():
            await db.execute(_COPIES, posting_id, state, count)
    await db.execute(
        "update relais.posting set not_before = relais.now() + interval '5 minutes'"
        " where posting_id = $1",
        made["soon"],
    )
    await _take_to_two_lists(db, made["two lists"])
    async with db.transaction():
        await stopping.hold(db, [made["paused"]], by="author")
        await stopping.stop(db, [made["stopped"]], by="author")
    await db.execute(
        "update relais.posting set state = 'finished' where posting_id = $1", made["left"]
    )
    return {
        f"posting, {name}": _link("p", Purpose.POSTING, number) for name, number in made.items()
    }


async def _take_to_two_lists(db: Connection, posting_id: int) -> None:
    """Let the same message wait for a moderator of another list."""
    list_id = await lists.remember(db, await resolved(db, "judo"))
    other = await a_posting(db, "moderation", title=TITLE, list_id=list_id, reasons=("old",))
    await db.execute(
        "with receipt as (insert into relais.receipt (author, lang, accepted_at, look_at)"
        " values ('marie@example.org', 'fr', relais.now(), relais.now()) returning receipt_id)"
        " update relais.posting set receipt_id = receipt.receipt_id from receipt"
        " where posting_id = any($1)",
        [posting_id, other],
    )


def _link(page: str, purpose: Purpose, number: int) -> str:
    return f"/{page}/{TOKENS.sign(purpose, number).decode()}"


async def _spend(made: Stage) -> None:
    """Let one client ask for what is not there, until it is sent away."""
    for _ in range(VISITS.burst):
        await made.visitor.ask("GET", "/u/forged", headers={"X-Forwarded-For": made.spent})
