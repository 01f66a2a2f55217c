"""The privacy page says what the settings say, and nothing else."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.web.directory import MemoryDirectory, NoDecisions, NoPostings
from tests.edges.web.visitor import HOSTILE, SITE, Visitor, assert_hardened, open_door, visiting
from worker.config import Retention
from worker.mail.return_address import Tokens
from worker.telemetry.metrics import Metrics
from worker.web.page import Pages
from worker.web.pages import build_app
from worker.web.privacy import Privacy, add_privacy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.config import Site

DAY = timedelta(days=1)
ODD = Privacy(
    Retention(messages=1 * DAY, returns=41 * DAY, traces=1234 * DAY), ("imap.example.net",)
)


@asynccontextmanager
async def visited(privacy: Privacy = ODD, site: Site = SITE) -> AsyncIterator[Visitor]:
    """Serve the pages of a site that has *privacy*."""
    app = build_app(
        tokens=Tokens(site.secrets),
        directory=MemoryDirectory({}, {}),
        decisions=NoDecisions(),
        postings=NoPostings(),
        metrics=Metrics(),
        site=site,
        door=open_door(),
    )
    add_privacy(app, pages=Pages(site), privacy=privacy)
    async with visiting(app) as visitor:
        yield visitor


async def shown(privacy: Privacy = ODD, site: Site = SITE, lang: str = "en") -> str:
    """Return what a reader of *lang* sees of the page."""
    async with visited(privacy, site) as visitor:
        answer = await visitor.ask("GET", f"/privacy?lang={lang}")
    main = answer.text.partition("<main>")[2].partition("</main>")[0]
    return re.sub(r"<[^>]+>", "", main)


PERIODS = {
    "en": ("1 day after", "41 days", "1,234 days after"),
    "fr": ("1\u00a0jour après", "41\u00a0jours", "1\u202f234\u00a0jours après"),
}


@pytest.mark.parametrize(("lang", "periods"), PERIODS.items(), ids=PERIODS)
async def test_every_number_is_a_setting(lang: str, periods: tuple[str, ...]) -> None:
    """Each period stands there once, in words of the language, and no other number."""
    text = await shown(lang=lang)

    for period in periods:
        assert text.count(period) == 1
        text = text.replace(period, "")
    assert not re.search(r"\d", text)


CHANGES = {
    "messages": ({"messages": 9 * DAY}, "9 days after the last copy"),
    "returns": ({"returns": 9 * DAY}, "automatic answers: 9 days"),
    "traces": ({"traces": 99 * DAY}, "(date, server, answer): 99 days after"),
}


@pytest.mark.parametrize(("change", "told"), CHANGES.values(), ids=CHANGES)
async def test_a_setting_changes_the_page(change: dict[str, timedelta], told: str) -> None:
    """What is told is what the janitor is told."""
    assert told not in await shown()
    assert told in await shown(replace(ODD, keep=replace(ODD.keep, **change)))


async def test_what_is_not_set_is_not_told() -> None:
    """A sentence without its setting is left out; a site without a name is its domain."""
    least, most = (
        await shown(),
        await shown(
            replace(ODD, team="the office", country="France", hosts=("a.example", "a.example")),
            replace(SITE, name="Federation of Petanque"),
        ),
    )

    assert "a member of listes.example.fr or" in least
    assert "Of us:" not in least
    assert "Our host: imap.example.net." in least
    assert "aide@example.fr" in least
    assert "a member of Federation of Petanque or" in most
    assert "Of us: the office." in most
    assert "Our host: a.example (France)." in most


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_is_a_page_like_the_others(method: str) -> None:
    """Hardened, in both languages, and nothing in a setting is markup."""
    site = replace(SITE, name=HOSTILE)
    async with visited(replace(ODD, team=HOSTILE, country=HOSTILE), site) as visitor:
        french = await visitor.ask(method, "/privacy")
        english = await visitor.ask(method, "/privacy", headers={"Accept-Language": "en-GB"})

    for answer, lang in ((french, "fr"), (english, "en")):
        assert (answer.status, answer.headers["Content-Language"]) == (200, lang)
        assert_hardened(answer)
        assert "<script" not in answer.text
    if method == "GET":
        assert french.text.count("<h1>") == 1
        assert 'href="?lang=fr" aria-current="page"' in french.text
        assert "../privacy" not in french.text
        assert "<title>Vie privée \u2013 " in french.text
