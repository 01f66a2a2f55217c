"""WCAG 2.2 AA, as far as a program can tell, and what axe does not measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import violations
from tests.browser.stage import LANGUAGES, STATES, visit

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, ViewportSize

    from tests.browser.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NARROW: ViewportSize = {"width": 320, "height": 640}
WIDE: ViewportSize = {"width": 1280, "height": 800}
DOUBLED: ViewportSize = {"width": 640, "height": 800}  # As 1280 px are at 200 %.
_OVERFLOWS = "document.documentElement.scrollWidth > innerWidth"
_SMALL = """least => [...document.querySelectorAll('a, button, input:not([type=hidden]), textarea')]
    .filter(e => { const { width, height } = e.getBoundingClientRect()
                   return width < least || height < least }).map(e => e.outerHTML)"""
_CLIPPED = """[...document.querySelectorAll('h1, p, a, button, label, dd, li, span')]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0).map(e => e.outerHTML)"""
# WCAG 2.2, success criterion 1.4.12.
_SPACED = """* { line-height: 1.5 !important; letter-spacing: .12em !important;
    word-spacing: .16em !important } p { margin-bottom: 2em !important }"""

_SAID = """\
- main:
  - heading "Stop getting these messages?" [level=1]
  - paragraph:
    - text: "Address:"
    - strong: j•••n@orange.fr
  - group "You want to stop":
    - text: You want to stop
    - radio "only the list “Comité directeur”" [checked]
    - text: only the list “Comité directeur”
    - 'radio "all lists of listes.example.fr, official mail as well: Convocations aux assemblées"'
    - text: "all lists of listes.example.fr, official mail as well: Convocations aux assemblées"
  - button "Unsubscribe me"
  - paragraph:
    - text: Not your address, or has it changed?
    - link "Change it in your member space.":
      - /url: https://monespace.example.fr/?a=1&b=2"""


# Colours and boxes are the same in both languages, so each is looked at in one of them.
@pytest.mark.parametrize(
    ("lang", "scheme", "size"), [("fr", "light", NARROW), ("en", "dark", WIDE)]
)
async def test_axe(
    browser: Browser, stage: Stage, lang: str, scheme: str, size: ViewportSize
) -> None:
    """No violation in any state, in either language, light or dark, narrow or wide."""
    async with visit(browser, color_scheme=scheme, viewport=size) as page:
        for state in STATES:
            await stage.show(page, state, lang)
            assert await page.get_attribute("html", "lang") == lang
            assert await violations(page) == [], state


async def test_axe_can_fail(browser: Browser, stage: Stage) -> None:
    """A copy that is spoiled in three places breaks three rules."""
    async with visit(browser) as page:
        await stage.show(page, "moderate", "fr")
        spoiled = (
            (await page.content())
            .replace(' lang="fr"', "", 1)
            .replace('for="reason"', "")
            .replace("--text: #1b1b1b", "--text: #bbb")
        )
        await page.goto("about:blank")
        await page.set_content(spoiled)

        broken = {violation.rule for violation in await violations(page)}

    assert {"html-has-lang", "label", "color-contrast"} <= broken


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_narrow(browser: Browser, stage: Stage, lang: str) -> None:
    """At 320 px nothing scrolls sideways, and every target is 24 px or more (1.4.10, 2.5.8)."""
    async with visit(browser, viewport=NARROW) as page:
        for state in STATES:
            await stage.show(page, state, lang)
            assert not await page.evaluate(_OVERFLOWS), state
            assert await page.evaluate(_SMALL, 24) == [], state


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_large_and_spaced_text(browser: Browser, stage: Stage, lang: str) -> None:
    """Twice as large, or spaced as the reader likes, all of it is still there (1.4.4, 1.4.12)."""
    # A reader's own style sheet is not bound by the page's policy.
    async with visit(browser, bypass_csp=True) as page:
        for state in STATES:
            await page.set_viewport_size(DOUBLED)
            await stage.show(page, state, lang)
            await page.add_style_tag(content="html { font-size: 200% }")
            await _assert_all_there(page, state)
            await page.set_viewport_size(NARROW)
            await page.add_style_tag(content="html { font-size: 100% } " + _SPACED)
            await _assert_all_there(page, state)


async def _assert_all_there(page: Page, state: str) -> None:
    assert not await page.evaluate(_OVERFLOWS), state
    assert await page.evaluate(_CLIPPED) == [], state


async def test_outline(browser: Browser, stage: Stage) -> None:
    """One heading, a title that names the site, and what stands below each page."""
    below = ["Vie privée", "Accessibilité\u00a0: partiellement conforme", "English"]
    async with visit(browser) as page:
        for state in STATES:
            await stage.show(page, state, "fr")
            assert await page.locator("h1").count() == 1, state
            assert await page.locator("main").count() == 1, state
            assert (await page.title()).endswith(" \u2013 listes.example.fr"), state
            assert await page.locator("footer a").all_inner_texts() == below, state


async def test_what_a_screen_reader_says(browser: Browser, stage: Stage) -> None:
    """The tree of the page that people leave on, in order."""
    async with visit(browser) as page:
        await stage.show(page, "ask", "en")
        said = await page.locator("main").aria_snapshot()

    assert said == _SAID


async def test_forced_colours(browser: Browser, stage: Stage) -> None:
    """Where the reader chooses the colours, buttons and focus are still seen."""
    async with visit(browser, forced_colors="active") as page:
        await stage.show(page, "ask", "fr")
        button = page.get_by_role("button")
        edge, ground = await button.evaluate(
            "e => [getComputedStyle(e).borderTopColor,"
            " getComputedStyle(document.body).backgroundColor]"
        )
        assert edge != ground
        await page.keyboard.press("Tab")
        assert (
            await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        )
