"""Draw how a newsletter leaves, and a committee's mail behind it: docs/pacing.svg.

    python -m tests.simulation.picture docs/pacing.svg

The curves are the copies that left in a simulation; the vertical marks are what
the plan said when the newsletter was accepted.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tests.edges.store.given import NOON
from tests.servers.postgres import PostgresCluster
from tests.simulation.federation import COMMITTEE, EVERYBODY, LIMITS
from tests.simulation.world import World
from worker.store.database import connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.policy.plan import Plan

_WIDTH, _HEIGHT = 760, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 120, 20, 40
_HOURS = 60
_COLOURS = {"all others": "#2f6f4f", "outlook": "#1f5fa8", "orange": "#d9730d"}


async def main(path: Path) -> None:
    """Play two days and a half, and draw them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with PostgresCluster() as cluster:
        database = cluster.create()
        world = World(await connect(database.admin_url), await connect(database.url))
        await world.prepare(LIMITS)
        await world.add_list("newsletter", EVERYBODY)
        await world.add_list("committee", COMMITTEE)
        newsletter = await world.post("to-newsletter")
        plan = await world.plan()
        await world.play(NOON + timedelta(hours=20))
        committee = await world.post("to-committee")
        await world.play()
        await world.owner.close()
        await world.db.close()
    path.write_text(svg(world, plan, newsletter, committee))


def svg(world: World, plan: Plan, newsletter: int, committee: int) -> str:
    """Return the picture."""
    curves = {
        name: [
            m.at for m in world.marks if m.posting_id == newsletter and group(m.provider) == name
        ]
        for name in _COLOURS
    }
    most = max(len(times) for times in curves.values())
    small = [m.at for m in world.marks if m.posting_id == committee]
    ends = {
        name: max(t for key, t in plan.finish.items() if t and group(key.provider) == name)
        for name in _COLOURS
    }
    parts = [*axes(most), *(curve(name, times, most) for name, times in curves.items())]
    parts += [forecast(name, at) for name, at in ends.items()]
    parts.append(together(small, most))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def group(provider: str) -> str:
    """Return which curve a provider belongs to."""
    return provider if provider in _COLOURS else "all others"


def x_of(at: datetime) -> float:
    """Return where a time is."""
    return _LEFT + (at - NOON) / timedelta(hours=_HOURS) * (_WIDTH - _LEFT - _RIGHT)


def y_of(count: float, most: int) -> float:
    """Return where a number of copies is."""
    return _HEIGHT - _BOTTOM - count / most * (_HEIGHT - _TOP - _BOTTOM)


def axes(most: int) -> list[str]:
    """Return the lines of the hours and of the copies, with their words."""
    floor, right = y_of(0, most), x_of(NOON + timedelta(hours=_HOURS))
    lines = []
    for hours in range(0, _HOURS + 1, 12):
        x = x_of(NOON + timedelta(hours=hours))
        lines.append(line(x, _TOP, x, floor, "#ddd"))
        lines.append(text(x, floor + 16, f"{hours} h", anchor="middle"))
    for count in range(0, most + 1, 100):
        y = y_of(count, most)
        lines.append(line(_LEFT, y, right, y, "#ddd"))
        lines.append(text(_LEFT - 6, y + 4, str(count), anchor="end"))
    lines.append(
        text(
            _LEFT,
            _HEIGHT - 6,
            "since the newsletter to 820 was accepted; triangles: the ends that the plan told then",
        )
    )
    return lines


def curve(name: str, times: Sequence[datetime], most: int) -> str:
    """Return the copies that had left at each time."""
    points = [(x_of(at), y_of(number, most)) for number, at in enumerate(times, start=1)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(x_of(NOON), y_of(0, most)), *points])
    x, y = points[-1]
    colour = _COLOURS[name]
    return f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>' + text(
        x + 8, y + 4, f"{name}: {len(times)}", colour=colour
    )


def forecast(name: str, at: datetime) -> str:
    """Return a mark at the time that the plan has told."""
    x, floor, colour = x_of(at), _HEIGHT - _BOTTOM, _COLOURS[name]
    return f'<path d="M{x:.1f} {floor} l-5 9 h10 z" fill="{colour}"/>'


def together(times: Sequence[datetime], most: int) -> str:
    """Return the committee's copies, which leave at one time."""
    x, y = x_of(times[-1]), y_of(len(times), most)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#7a2ea0"/>' + text(
        x + 9, y - 4, f"a committee's mail: {len(times)} at once", colour="#7a2ea0"
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """Return a line."""
    return f'<path d="M{x1:.1f} {y1:.1f} L{x2:.1f} {y2:.1f}" stroke="{colour}"/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = "#333") -> str:
    """Return words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
