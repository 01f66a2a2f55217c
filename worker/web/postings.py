"""The page on which an author follows a message, and stops it: /p.

It needs no login, and shows no address: numbers, providers, times. All postings of a
message to several lists are one page. Nothing happens before a button is pressed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from babel.lists import format_list
from babel.numbers import format_decimal

from worker.mail.address import readable
from worker.mail.return_address import Purpose
from worker.notices.moments import about_time, exact_time
from worker.web.decisions import SHOWN_LIMIT, Standing, standing_of
from worker.web.language import Known
from worker.web.page import back_to, form_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.config import Site
    from worker.mail.return_address import Tokens
    from worker.policy.following import Followed
    from worker.policy.telling import Share
    from worker.web.directory import Postings
    from worker.web.page import Pages

# How a message stands whose postings do not all stand alike: as the first of these.
_FOREMOST = (
    Standing.LEAVING,
    Standing.PAUSED,
    Standing.TO_CONFIRM,
    Standing.TO_MODERATE,
    Standing.STOPPED,
    Standing.ENDED,
    Standing.LEFT,
    Standing.REFUSED,
    Standing.WITHDRAWN,
    Standing.DISOWNED,
    Standing.NOT_SENT,
)
_UNDER_WAY = (Standing.LEAVING, Standing.PAUSED)
_OVER = (Standing.STOPPED, Standing.ENDED, Standing.LEFT)
_FIGURES = (
    "handed_over",
    "refused",
    "expired",
    "in_doubt",
    "unsubscribed",
    "left",
    "held",
    "stopped",
)


def add_postings(
    app: web.Application, *, pages: Pages, tokens: Tokens, postings: Postings, site: Site
) -> None:
    """Serve the pages of authors."""
    author = _AuthorPages(pages, tokens, postings, site)
    app.router.add_get("/p/{token}", author.show)  # HEAD as well.
    app.router.add_post("/p/{token}", author.act)


class _AuthorPages:
    def __init__(self, pages: Pages, tokens: Tokens, postings: Postings, site: Site) -> None:
        self._pages = pages
        self._tokens = tokens
        self._postings = postings
        self._site = site

    async def show(self, request: web.Request) -> web.Response:
        """Show how far a message has come."""
        return await self._shown(request, self._number(request))

    async def act(self, request: web.Request) -> web.Response:
        """Stop, hold, resume or withdraw it, or keep a wish; the page shows what it did.

        Nothing is planned before: copies leave meanwhile.
        """
        number = self._number(request)
        if not await self._postings.is_known(number):
            raise web.HTTPNotFound
        match (await form_of(request)).get("action"):
            case "stop":
                await self._postings.stop(number)
            case "hold":
                await self._postings.hold(number)
            case "resume":
                await self._postings.resume(number)
            case "withdraw":
                await self._postings.withdraw(number)
            case "fewer" | "more" as wish:
                await self._postings.wish(number, fewer=wish == "fewer")
            case _:
                return await self._shown(request, number, status=400)
        return back_to(request)

    def _number(self, request: web.Request) -> int:
        number = self._tokens.read(Purpose.POSTING, request.match_info["token"])
        if number is None:
            raise web.HTTPNotFound
        return number

    async def _shown(self, request: web.Request, number: int, *, status: int = 200) -> web.Response:
        followed = await self._postings.follow(number)
        if followed is None:
            raise web.HTTPNotFound
        return self._standing(request, followed, status=status)

    def _standing(self, request: web.Request, followed: Followed, *, status: int) -> web.Response:
        first, figures = followed.postings[0], followed.figures
        known = Known(first.author_lang, first.list_lang)
        locale = self._pages.locale(request, known=known)
        standings = [standing_of(posting) for posting in followed.postings]
        standing = next(one for one in _FOREMOST if one in standings)
        titles = [readable(posting.list_title, SHOWN_LIMIT) for posting in followed.postings]
        values = {
            "subject": readable(first.subject, SHOWN_LIMIT),
            "title": format_list(titles, locale=locale),
            "people": format_decimal(followed.recipients, locale=locale),
            "is_under_way": standing not in (*_UNDER_WAY, *_OVER) and figures.recipients > 0,
            "standing": standing,
            "each": [*zip(titles, standings, strict=True)] if len({*standings}) > 1 else [],
            "followed": followed,
            "is_moving": standing in _UNDER_WAY and figures.recipients > 0,
            "opens": self._exactly(locale, followed.opens_at),
            "finish": self._about(locale, followed.finish_at, followed.now),
            "shares": [self._share(locale, share, followed.now) for share in followed.shares],
            "became": _became(followed, locale) if standing in _OVER else {},
            "number": lambda count: format_decimal(count, locale=locale),
            "is_known": bool(first.author),
        }
        return self._pages.page(request, "posting.html", status=status, values=values, known=known)

    def _share(self, locale: str, share: Share, now: datetime) -> Mapping[str, object]:
        return {
            "name": share.display,
            "left": share.handed_over,
            "all": share.handed_over + share.waiting,
            "waits": share.waiting > 0,
            "finish": self._about(locale, share.finish_at, now) if share.waiting else "",
        }

    def _about(self, locale: str, moment: datetime | None, now: datetime) -> str:
        return about_time(locale, self._local(moment), self._local(now)) if moment else ""

    def _exactly(self, locale: str, moment: datetime | None) -> str:
        return exact_time(locale, self._local(moment)) if moment else ""

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self._site.zone)


def _became(followed: Followed, locale: str) -> Mapping[str, str]:
    """Return what became of whom, but for what became of nobody."""
    counts = {name: getattr(followed.figures, name) for name in _FIGURES}
    return {name: format_decimal(n, locale=locale) for name, n in counts.items() if n}
