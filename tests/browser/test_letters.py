"""Our own letters: readable on a telephone, in the light and in the dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import CHROMIUM, chromium, faint
from tests.browser.letters import LANGUAGES, show
from tests.browser.newsletters import TURNED_COLOURS
from tests.conftest import lacking

if TYPE_CHECKING:
    from tests.browser.newsletters import Scheme

pytestmark = pytest.mark.browser

SCHEMES: dict[str, tuple[Scheme, tuple[str, ...]]] = {
    "light": ("light", ()),
    "dark": ("dark", ()),
    "dark, turned colours": ("dark", (TURNED_COLOURS,)),
}
_SHOWN = """() => ({
    wide: document.documentElement.scrollWidth > innerWidth,
    lang: document.documentElement.lang,
    links: [...document.querySelectorAll('a')].map(a => a.href),
    small: [...document.querySelectorAll('p')]
        .filter(p => parseFloat(getComputedStyle(p).fontSize) < 13).length,
})"""
_LINK = "https://membres.example.fr/club/4400012/membres?saison=2026-2027"


@pytest.mark.parametrize(("scheme", "arguments"), SCHEMES.values(), ids=SCHEMES)
async def test_letters_are_readable(scheme: Scheme, arguments: tuple[str, ...]) -> None:
    """No wider than the screen, with contrast enough, and one link that is right."""
    if CHROMIUM is None:
        lacking("Chromium")
    async with chromium(*arguments) as browser:
        for width in (360, 1280):
            page = await browser.new_page(
                viewport={"width": width, "height": 640}, color_scheme=scheme
            )
            for lang in LANGUAGES:
                await show(page, lang, "html")
                shown = await page.evaluate(_SHOWN)
                assert shown == {"wide": False, "lang": lang, "links": [_LINK], "small": 0}
                assert await faint(page, "body") == []
            await page.close()
