"""Draw every state of every page: ``python -m tests.browser.pictures FOLDER``."""

from __future__ import annotations

import asyncio
import sys
from itertools import product
from pathlib import Path

from tests.browser.chromium import chromium
from tests.browser.stage import LANGUAGES, STATES, stage, visit
from tests.servers.postgres import PostgresCluster
from worker.telemetry.log import configure_logging

_WIDTHS = (360, 1280)
_SCHEMES = ("light", "dark")


async def _draw(cluster: PostgresCluster, folder: Path) -> None:
    async with stage(cluster.create()) as made, chromium() as browser:
        for width, scheme in product(_WIDTHS, _SCHEMES):
            looks = {"viewport": {"width": width, "height": 640}, "color_scheme": scheme}
            async with visit(browser, **looks) as page:
                for state, lang in product(STATES, LANGUAGES):
                    await made.show(page, state, lang)
                    name = f"{state.replace(', ', '-').replace(' ', '_')}-{lang}-{width}-{scheme}"
                    await page.screenshot(path=folder / f"{name}.png", full_page=True)


def main(folder: Path) -> None:
    """Write the pictures into *folder*."""
    configure_logging(b"k" * 32, level="WARNING")
    folder.mkdir(parents=True, exist_ok=True)
    with PostgresCluster() as cluster:
        asyncio.run(_draw(cluster, folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
