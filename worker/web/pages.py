"""The page of an unsubscription link: GET shows, POST acts.

A mail provider's one-click POST (RFC 8058) takes the person off this list and
is answered at once; the form's POST leads back to the same page, which shows
how things stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from worker.mail.address import clean_name
from worker.mail.return_address import Purpose, list_and_person
from worker.policy.outcome import OptOutMethod
from worker.web.decisions import add_decisions
from worker.web.page import BODY_LIMIT_BYTES, Pages, back_to, form_of, harden

if TYPE_CHECKING:
    from worker.config import Site
    from worker.mail.return_address import Tokens
    from worker.telemetry.metrics import Metrics
    from worker.web.directory import Decisions, Directory, Subscriber


@dataclass(frozen=True, slots=True)
class _Named:
    """Whom a token names, and what is known of them."""

    list_id: int
    person_id: int
    subscriber: Subscriber


def build_app(
    *, tokens: Tokens, directory: Directory, decisions: Decisions, metrics: Metrics, site: Site
) -> web.Application:
    """Return the public application."""
    pages = Pages(site)
    subscribers = _SubscriberPages(pages, tokens, directory, metrics)
    app = web.Application(client_max_size=BODY_LIMIT_BYTES, middlewares=[pages.guard])
    app.router.add_get("/u/{token}", subscribers.show)  # HEAD as well.
    app.router.add_post("/u/{token}", subscribers.act)
    add_decisions(app, pages=pages, tokens=tokens, decisions=decisions)
    app.on_response_prepare.append(harden)
    return app


class _SubscriberPages:
    def __init__(
        self, pages: Pages, tokens: Tokens, directory: Directory, metrics: Metrics
    ) -> None:
        self._pages = pages
        self._tokens = tokens
        self._directory = directory
        self._metrics = metrics

    async def show(self, request: web.Request) -> web.Response:
        """Show how things stand."""
        named = await self._named(request)
        return self._standing(request, named)

    async def act(self, request: web.Request) -> web.Response:
        """Take the person off the list or off all, or put them back."""
        named = await self._named(request)
        form = await form_of(request)
        match form:
            case {"List-Unsubscribe": "One-Click"}:
                await self._opt_out(named, everywhere=False, method=OptOutMethod.ONE_CLICK)
                return web.Response(text="OK\n")
            case {"action": "undo"}:
                await self._directory.opt_in(named.list_id, named.person_id)
            case {"scope": "list" | "all" as scope}:
                await self._opt_out(named, everywhere=scope == "all", method=OptOutMethod.PAGE)
            case _:
                return self._standing(request, named, status=400)
        return back_to(request)

    async def _named(self, request: web.Request) -> _Named:
        number = self._tokens.read(Purpose.UNSUBSCRIBE, request.match_info["token"])
        if number is None:
            raise web.HTTPNotFound
        list_id, person_id = list_and_person(number)
        subscriber = await self._directory.subscriber(list_id, person_id)
        self._metrics.actor_succeeded("web")
        if subscriber is None:
            raise web.HTTPNotFound
        return _Named(list_id, person_id, subscriber)

    async def _opt_out(self, named: _Named, *, everywhere: bool, method: OptOutMethod) -> None:
        await self._directory.opt_out(
            named.list_id, named.person_id, everywhere=everywhere, source=method.value
        )
        before = named.subscriber
        if not (before.out_of_all or (before.out_of_list and not everywhere)):
            self._metrics.unsubscribed(method)

    def _standing(self, request: web.Request, named: _Named, *, status: int = 200) -> web.Response:
        subscriber = named.subscriber
        return self._pages.page(
            request,
            "subscriber.html",
            status=status,
            values={
                "title": clean_name(subscriber.title) or subscriber.list_address,
                "masked": masked(subscriber.address),
                "out_of_list": subscriber.out_of_list,
                "out_of_all": subscriber.out_of_all,
                "lists": subscriber.lists,
            },
        )


def masked(address: str) -> str:
    """Return as much of *address* as its owner needs to know it again."""
    local_part, _, domain = address.rpartition("@")
    if not local_part:
        return ""
    last = local_part[-1] if len(local_part) > 2 else ""  # noqa: PLR2004 - "ab" is all of it
    first = local_part[0] if len(local_part) > 1 else ""
    return f"{first}•••{last}@{domain}"
