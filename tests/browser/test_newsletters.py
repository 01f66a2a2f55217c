"""Footers in HTML mail: readable wherever they stand, and no wider than the pane."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import CHROMIUM, chromium, faint
from tests.browser.newsletters import BODIES, TURNED_COLOURS, html_of, show
from tests.conftest import lacking

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.newsletters import Scheme

pytestmark = pytest.mark.browser

LINK = "https://listes.example.fr/u/" + "u" * 32
SCHEMES: dict[str, tuple[Scheme, tuple[str, ...]]] = {
    "light": ("light", ()),
    "dark, its own colours": ("dark", ()),
    "dark, turned colours": ("dark", (TURNED_COLOURS,)),
}
_FOOTER = re.compile(r'\s*<div class="relais-footer".*?</div>', re.DOTALL)
_SHOWN = """() => {
    const footer = document.querySelector('.relais-footer'), box = footer.getBoundingClientRect()
    return {
        link: footer.querySelector('a').href,
        below: box.top >= Math.max(...[...document.querySelectorAll('p')]
            .map(p => p.getBoundingClientRect().bottom)),
        within: box.left >= 0 && box.right <= innerWidth
            && footer.scrollWidth <= footer.clientWidth,
        left: getComputedStyle(footer).textAlign === 'left',
    }
}"""


@pytest.mark.parametrize(("scheme", "arguments"), SCHEMES.values(), ids=SCHEMES)
async def test_footers_are_readable(scheme: Scheme, arguments: tuple[str, ...]) -> None:
    """Below all text, left to right, with contrast enough, at 360 px and at 1280."""
    if CHROMIUM is None:
        lacking("Chromium")
    async with chromium(*arguments) as browser:
        for width in (360, 1280):
            page = await browser.new_page(
                viewport={"width": width, "height": 500}, color_scheme=scheme
            )
            for name, body in BODIES.items():
                await show(page, body)
                await _is_readable(page, name)
            await page.close()


async def _is_readable(page: Page, name: str) -> None:
    shown = await page.evaluate(_SHOWN)
    assert shown == {"link": LINK, "below": True, "within": True, "left": True}, name
    assert await faint(page, ".relais-footer") == [], name


def test_the_html_around_a_footer_is_the_authors() -> None:
    """Taken out again, what is left is what the author wrote."""
    for name, body in BODIES.items():
        left = _FOOTER.sub("", html_of(body))
        assert left.split() == body.split(), name
