"""Ways through the pages: by keyboard, without JavaScript, and a scanner's, who changes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.browser.stage import LANGUAGES, STATES, focused, visit

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.browser.stage import Stage
    from worker.store.database import Connection

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_FOCUS = """() => { const e = document.activeElement, s = getComputedStyle(e);
    return [e.tagName, e.value || e.textContent.trim(), s.outlineStyle + ' ' + s.outlineWidth] }"""
_SEEN = "solid 3px"
_FOREIGN = re.compile(r"<script|<link|<img|<iframe|\bon\w+=|\bstyle=|@import|url\(")


async def _focus(page: Page, key: str) -> tuple[str, str]:
    """Press *key*; return what has the focus then, which must be seen."""
    await page.keyboard.press(key)
    tag, text, outline = await page.evaluate(_FOCUS)
    assert outline == _SEEN, tag
    return tag, text


async def test_keyboard_only(browser: Browser, stage: Stage) -> None:
    """To the choice, to the button, to what it did, and back."""
    async with visit(browser) as page:
        await page.goto(await stage.newcomer("ask") + "?lang=fr")
        assert await _focus(page, "Tab") == ("INPUT", "list")
        assert await _focus(page, "ArrowDown") == ("INPUT", "all")
        assert await _focus(page, "Tab") == ("BUTTON", "Me désabonner")

        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        await focused(page)
        # The result is read out first, and the next stop is the way back.
        tag, text, _ = await page.evaluate(_FOCUS)
        assert (tag, text[:13]) == ("H1", "C\u2019est fait\u00a0: ")
        assert await _focus(page, "Tab") == ("BUTTON", "undo")

        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        await focused(page)
        back = "C\u2019est fait\u00a0: vous recevez de nouveau la liste"
        assert (await page.locator("h1").inner_text()).startswith(back)
        assert await page.locator("input:checked").get_attribute("value") == "list"


async def test_every_stop_is_seen(browser: Browser, stage: Stage) -> None:
    """Whatever can be pressed can be reached by Tab, in order, and shows it."""
    async with visit(browser) as page:
        for state in STATES:
            await stage.show(page, state, "fr")
            stops = await page.locator("a, button, textarea, input:checked").count()
            reached = [await _focus(page, "Tab") for _ in range(stops)]
            assert len(set(reached)) == stops, state


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_without_javascript(browser: Browser, stage: Stage, lang: str) -> None:
    """Leave the list, then all, and come back; a later visit shows how things stand."""
    words = {
        "fr": (
            "Me désabonner",
            "Tout arrêter",
            "Annuler\u00a0: me réabonner",
            "Ne plus recevoir cette liste",
        ),
        "en": ("Unsubscribe me", "Stop all lists", "Undo: subscribe me again", "Stop this list"),
    }
    leave, leave_all, undo, know = words[lang]
    async with visit(browser, java_script_enabled=False) as page:
        for state, first in (("ask", leave), ("official", know)):
            link = f"{await stage.newcomer(state)}?lang={lang}"
            await page.goto(link)
            question = await page.locator("h1").inner_text()
            await page.get_by_role("button", name=first).click()
            await page.get_by_role("button", name=leave_all).click()
            assert page.url == link  # The language stays.
            await page.goto(link)
            await page.get_by_role("button", name=undo).click()
            assert page.url == f"{link}&back=1"
            assert await page.locator("h1").inner_text() != question
            await page.goto(link)
            assert await page.locator("h1").inner_text() == question


async def test_nothing_from_elsewhere(browser: Browser, stage: Stage) -> None:
    """One request per page, no cookie, no script, and nothing that the policy has to forbid."""
    requests: list[str] = []
    complaints: list[str] = []
    async with visit(browser) as page:
        page.on("request", lambda request: requests.append(request.resource_type))
        page.on("console", lambda message: complaints.append(message.text))
        for state in STATES:
            await stage.show(page, state, "fr")
            assert not _FOREIGN.search(await page.content()), state
        cookies = await page.context.cookies()

    assert requests == ["document"] * len(STATES)
    assert cookies == []
    # Chromium itself tells of answers that are errors; three of the states are.
    assert [line for line in complaints if not line.startswith("Failed to load resource")] == []


async def _everything(db: Connection) -> dict[str, list[Any]]:
    """Return every row of ours."""
    tables = await db.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname in ('relais', 'lists') order by 1"
    )
    return {
        table["name"]: await db.fetch(f"select t::text from {table['name']} t order by 1")
        for table in tables
    }


async def _scan(stage: Stage, state: str) -> None:
    """Ask as mail gateways do: everything but POST, twice, and every link on the way."""
    origin = urlsplit(stage.urls[state]).netloc
    to_see, seen = [stage.url(state, "fr"), stage.urls[state]], set[str]()
    while to_see:
        url = to_see.pop()
        if url in seen or urlsplit(url).netloc != origin:
            continue
        seen.add(url)
        for method in ("GET", "HEAD", "OPTIONS") * 2:
            headers = {"X-Forwarded-For": next(stage.clients), "Sec-Purpose": "prefetch;prerender"}
            async with stage.visitor.session.request(method, url, headers=headers) as response:
                text = await response.text()
            to_see += [
                urljoin(url, link) for link in re.findall(r'(?:href|action)="([^"]+)"', text)
            ]


async def test_scanners_change_nothing(browser: Browser, stage: Stage) -> None:
    """Nor does one that opens the page in a browser and waits for what its scripts do."""
    before = await _everything(stage.db)
    async with visit(browser) as page:
        for state in STATES:
            await _scan(stage, state)
            await stage.show(page, state, "en")
        await page.wait_for_load_state("networkidle")

    assert await _everything(stage.db) == before
    assert before["relais.delivery"]
