"""The page of an unsubscription link: GET shows, POST acts.

A mail provider's one-click POST (RFC 8058) takes the person off this list and
is answered at once; the form's POST leads back to the same page, which shows
how things stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from babel.lists import format_list

from worker.mail.address import clean_name
from worker.mail.return_address import Purpose, alleged_number, list_and_person
from worker.policy.outcome import OptOutMethod
from worker.web.decisions import add_decisions
from worker.web.door import log_answer
from worker.web.form import is_one_click
from worker.web.language import Known
from worker.web.page import BODY_LIMIT_BYTES, Pages, back_to, form_of, harden
from worker.web.postings import add_postings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.config import Site
    from worker.mail.return_address import Tokens
    from worker.telemetry.metrics import Metrics
    from worker.web.directory import Decisions, Directory, Postings, Subscriber
    from worker.web.door import Door


_BACK = "back"  # Said of somebody who has just undone it.


@dataclass(frozen=True, slots=True)
class _Named:
    """Whom a token names, and what is known of them."""

    list_id: int
    person_id: int
    subscriber: Subscriber


def build_app(
    *,
    tokens: Tokens,
    directory: Directory,
    decisions: Decisions,
    postings: Postings,
    metrics: Metrics,
    site: Site,
    door: Door,
) -> web.Application:
    """Return the public application."""
    pages = Pages(site)
    subscribers = _SubscriberPages(pages, tokens, directory, metrics, site)
    app = web.Application(
        client_max_size=BODY_LIMIT_BYTES, middlewares=[log_answer, pages.guard, door.admit]
    )
    app.router.add_get("/u/{token}", subscribers.show)  # HEAD as well.
    app.router.add_post("/u/{token}", subscribers.act)
    add_decisions(app, pages=pages, tokens=tokens, decisions=decisions)
    add_postings(app, pages=pages, tokens=tokens, postings=postings, site=site)
    app.on_response_prepare.append(harden)
    return app


class _SubscriberPages:
    def __init__(
        self, pages: Pages, tokens: Tokens, directory: Directory, metrics: Metrics, site: Site
    ) -> None:
        self._pages = pages
        self._tokens = tokens
        self._directory = directory
        self._metrics = metrics
        self._site = site

    async def show(self, request: web.Request) -> web.Response:
        """Show how things stand."""
        named = await self._named(request)
        return self._standing(request, named)

    async def act(self, request: web.Request) -> web.Response:
        """Take the person off the list or off all, or put them back."""
        named = await self._named(request)
        form = await form_of(request)
        if form.get("action") == "undo":
            await self._directory.opt_in(named.list_id, named.person_id)
            return back_to(request, _BACK)
        # Official mail is left by a person who has read what that means: no copy
        # of it offers one click.
        if named.subscriber.is_official and form.get("consequences") != "known":
            return self._standing(request, named, status=400)
        if is_one_click(form):
            await self._opt_out(named, everywhere=False, method=OptOutMethod.ONE_CLICK)
            return web.Response(text="OK\n")
        if form.get("scope") not in ("list", "all"):
            return self._standing(request, named, status=400)
        await self._leave(request, named, everywhere=form["scope"] == "all")
        return back_to(request)

    async def _named(self, request: web.Request) -> _Named:
        # A forged token costs the same look-up as a genuine one.
        token = request.match_info["token"]
        list_id, person_id = list_and_person(alleged_number(token))
        subscriber = await self._directory.subscriber(list_id, person_id)
        self._metrics.actor_succeeded("web")
        stands_for = subscriber.subscription if subscriber else b""
        number = self._tokens.read(Purpose.UNSUBSCRIBE, token, stands_for=stands_for)
        if subscriber is None or number is None:
            raise web.HTTPNotFound
        return _Named(list_id, person_id, subscriber)

    async def _leave(self, request: web.Request, named: _Named, *, everywhere: bool) -> None:
        # Whoever got this link in a forwarded mail can close every list to its
        # owner: who is told, and can undo it.
        undo_link = f"{self._site.public_url}/u/{request.match_info['token']}"
        await self._opt_out(
            named,
            everywhere=everywhere,
            method=OptOutMethod.PAGE,
            undo_link=undo_link if everywhere else "",
        )

    async def _opt_out(
        self, named: _Named, *, everywhere: bool, method: OptOutMethod, undo_link: str = ""
    ) -> None:
        await self._directory.opt_out(
            named.list_id,
            named.person_id,
            everywhere=everywhere,
            source=method.value,
            undo_link=undo_link,
        )
        before = named.subscriber
        if not (before.out_of_all or (before.out_of_list and not everywhere)):
            self._metrics.unsubscribed(method)

    def _standing(self, request: web.Request, named: _Named, *, status: int = 200) -> web.Response:
        subscriber = named.subscriber
        known = Known(subscriber.lang, subscriber.list_lang)
        locale = self._pages.locale(request, known=known)
        values = {
            **_facts(subscriber, self._site.domain),
            "official": format_list([*map(clean_name, subscriber.official_lists)], locale=locale),
            "is_back": request.query.get(_BACK) == "1",
        }
        return self._pages.page(
            request, "subscriber.html", status=status, values=values, known=known
        )


def _facts(subscriber: Subscriber, domain: str) -> Mapping[str, object]:
    local_part = subscriber.list_address.partition("@")[0]
    return {
        "title": clean_name(subscriber.title) or subscriber.list_address,
        "masked": masked(subscriber.address),
        "out_of_list": subscriber.out_of_list,
        "out_of_all": subscriber.out_of_all,
        "other_lists": subscriber.other_lists,
        "is_official": subscriber.is_official,
        # Whoever is behind it gets what is written to it.
        "owner": f"{local_part}-owner@{domain}",
    }


def masked(address: str) -> str:
    """Return as much of *address* as its owner needs to know it again."""
    local_part, _, domain = address.rpartition("@")
    if not local_part:
        return ""
    last = local_part[-1] if len(local_part) > 2 else ""  # noqa: PLR2004 - "ab" is all of it
    first = local_part[0] if len(local_part) > 1 else ""
    return f"{first}•••{last}@{domain}"
