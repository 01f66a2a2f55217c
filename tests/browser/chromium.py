"""Headless Chromium, and axe-core in its pages.

Chromium is the system's (see .ci/servers). axe-core is a file in a wheel that
the lock file pins; it is used in tests only.
"""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Root has no sandbox; the rest keeps it from asking for anything by itself.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_FAINT = """selector => axe.run(selector, {runOnly: ['color-contrast']})
    .then(found => found.violations.flatMap(v => v.nodes.map(node => node.html)))"""
_RUN = "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})"


@asynccontextmanager
async def chromium(*more: str) -> AsyncIterator[Browser]:
    """Start Chromium, with *more* arguments, for as long as the context lasts."""
    async with async_playwright() as playwright:
        arguments = [*_ARGUMENTS, *more]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule of axe that a page breaks, and where."""

    rule: str
    where: tuple[str, ...]


async def faint(page: Page, selector: str) -> list[str]:
    """Return what within *selector* has too little contrast (WCAG 2.2, 1.4.3)."""
    await page.evaluate(_AXE)
    broken: list[str] = await page.evaluate(_FAINT, selector)
    return broken


async def violations(page: Page) -> list[Violation]:
    """Return which rules of WCAG 2.2 AA, and which good practices, *page* breaks."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_AXE)
    result: dict[str, Any] = await page.evaluate(_RUN, _RULES)  # Any: JSON.
    return [
        Violation(broken["id"], tuple(node["html"] for node in broken["nodes"]))
        for broken in result["violations"]
    ]
