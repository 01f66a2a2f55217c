"""The privacy page: what is kept and for how long, told by the settings that decide it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from babel.units import format_unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from aiohttp import web

    from worker.config import Retention
    from worker.web.page import Pages


@dataclass(frozen=True, slots=True)
class Privacy:
    """What the page says besides the site's name and its help address."""

    keep: Retention
    hosts: tuple[str, ...]  # Who runs the mailbox and the accounts.
    team: str = ""  # These two "" where nobody has told; the page then leaves it out.
    country: str = ""

    def values(self, locale: str) -> Mapping[str, object]:
        """Return what its template shows in *locale*."""
        return {
            "messages": _days(self.keep.messages, locale),
            "returns": _days(self.keep.returns, locale),
            "traces": _days(self.keep.traces, locale),
            "hosts": ", ".join(dict.fromkeys(self.hosts)),
            "team": self.team,
            "country": self.country,
        }


def add_privacy(app: web.Application, *, pages: Pages, privacy: Privacy) -> None:
    """Let *app* tell what is kept; *pages* render it."""

    async def show(request: web.Request) -> web.Response:
        values = privacy.values(pages.locale(request))
        return pages.page(request, "privacy.html", values=values)

    app.router.add_get("/privacy", show)  # HEAD as well.


def _days(period: timedelta, locale: str) -> str:
    return format_unit(period.days, "duration-day", locale=locale)
