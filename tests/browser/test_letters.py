"""Our own letters: readable on a telephone, in the light and in the dark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import CHROMIUM, chromium, faint
from tests.browser.letters import LANGUAGES, LETTERS, OF_EACH_FORM, show
from tests.browser.newsletters import TURNED_COLOURS
from tests.conftest import lacking

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.newsletters import Scheme
    from worker.mail.notice import Letter

pytestmark = pytest.mark.browser

NARROW = 320
DARK: dict[str, tuple[str, ...]] = {"dark": (), "dark, turned colours": (TURNED_COLOURS,)}
_SHOWN = """() => ({
    wide: document.documentElement.scrollWidth > innerWidth,
    lang: document.documentElement.lang,
    links: [...document.querySelectorAll('a')].map(a => a.href),
    small: [...document.querySelectorAll('p, th, td, blockquote')]
        .filter(e => parseFloat(getComputedStyle(e).fontSize) < 13).length,
})"""
_WORDS = "document.body.innerText"
_LINK = re.compile(r"^  (https?://\S+)$", re.MULTILINE)


@pytest.mark.asyncio(loop_scope="session")
async def test_letters_are_readable(browser: Browser) -> None:
    """No wider than the screen, the same words in both forms, and every link of ours whole."""
    page = await browser.new_page(viewport={"width": NARROW, "height": 640})
    for name, write in LETTERS.items():
        for lang in LANGUAGES:
            letter = write(lang)
            await show(page, letter, "html")
            assert (await page.evaluate(_WORDS)).split() == _words(letter), name
            links = _LINK.findall(letter.text)
            expected = {"wide": False, "lang": lang, "links": links, "small": 0}
            assert await page.evaluate(_SHOWN) == expected, name
    await page.close()


def _words(letter: Letter) -> list[str]:
    """Return the words of the text; what is quoted there is marked with > in each line."""
    return re.sub(r"^> ?", "", letter.text, flags=re.MULTILINE).split()


@pytest.mark.asyncio(loop_scope="session")
async def test_text_alone_is_no_wider(browser: Browser) -> None:
    """A table wraps where it has no room; nothing has to be scrolled."""
    page = await browser.new_page(viewport={"width": NARROW, "height": 640})
    for name in OF_EACH_FORM:
        await show(page, LETTERS[name]("fr"), "plain")
        assert not (await page.evaluate(_SHOWN))["wide"], name
    await page.close()


@pytest.mark.parametrize("arguments", DARK.values(), ids=DARK)
async def test_letters_have_contrast(arguments: tuple[str, ...]) -> None:
    """In the light, in the dark, and where a program turns the colours."""
    if CHROMIUM is None:
        lacking("Chromium")
    schemes: tuple[Scheme, ...] = ("dark",) if arguments else ("light", "dark")
    async with chromium(*arguments) as browser:
        for scheme in schemes:
            page = await browser.new_page(color_scheme=scheme)
            for name in OF_EACH_FORM:
                await show(page, LETTERS[name]("fr"), "html")
                assert await faint(page, "body") == [], name
            await page.close()
