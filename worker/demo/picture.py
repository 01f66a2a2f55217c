"""The picture of the README, drawn by the program itself.

    python -m worker.demo.picture docs/demo.svg

It plays the demo for about half a minute, at two days a minute, and writes the
last screen.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from worker.demo.live import HOST_LIMITS, Chronicle, look, pages_of, tell_story
from worker.demo.run import log_into_memory
from worker.demo.screen import Size, picture
from worker.demo.stage import staged

_SPEED = 2 * 1440.0
_SECONDS = 37.0
_LOOK_SECONDS = 0.5
_COLUMNS, _ROWS = 112, 42

# rich names a font on a server of others; a picture must fetch nothing.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


async def draw(path: Path) -> None:
    """Play the demo for a while and write its screen to *path*."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    chronicle = Chronicle(console)
    async with staged(speed=_SPEED, host_limits=HOST_LIMITS, tell=chronicle.happened) as stage:
        async with asyncio.TaskGroup() as players:
            story = players.create_task(tell_story(stage, chronicle), name="story")
            end = asyncio.get_running_loop().time() + _SECONDS
            while asyncio.get_running_loop().time() < end:
                seen = await look(stage, chronicle)
                await asyncio.sleep(_LOOK_SECONDS)
            story.cancel()
        console.export_text()  # Forgets what the chronicle has printed so far.
        console.print(
            picture(
                seen,
                chronicle.events,
                pages=pages_of(stage),
                speed=stage.speed,
                size=Size(_COLUMNS, _ROWS),
            )
        )
    path.parent.mkdir(exist_ok=True)
    svg = console.export_svg(title="make demo", code_format=_FORMAT)
    path.write_text(svg + "\n")  # noqa: ASYNC240 - at the end, with nobody waiting


if __name__ == "__main__":
    log_into_memory()
    asyncio.run(draw(Path(sys.argv[1])))
