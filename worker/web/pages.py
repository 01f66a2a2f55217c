"""The page of an unsubscription link: GET shows, POST acts.

Scanners follow every link of a mail, so GET and HEAD change nothing. A mail
provider's one-click POST (RFC 8058) takes the person off this list and is
answered at once; the form's POST leads back to the same page, which shows how
things stand. Nothing is needed but the token: no login, no cookie, no script.
Whatever is wrong with a token, the answer is one and the same.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from aiohttp import web
from markupsafe import Markup

from worker.config import LOCALES
from worker.errors import StoreLost
from worker.mail.address import clean_name
from worker.mail.return_address import Purpose, list_and_person
from worker.notices.catalogue import translations
from worker.policy.outcome import OptOutMethod
from worker.web.form import read_form
from worker.web.language import chosen_locale

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from worker.config import Site
    from worker.mail.return_address import Tokens
    from worker.telemetry.metrics import Metrics
    from worker.web.directory import Directory, Subscriber

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BODY_LIMIT_BYTES = 4096
_BODY_SECONDS = 10.0
_RETRY_SECONDS = 120

_FOLDER = Path(__file__).parent / "templates"
_STYLE = (_FOLDER / "style.css").read_text(encoding="utf-8")
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # The token is in the URL.
    "Server": "relais",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass(frozen=True, slots=True)
class _Named:
    """Whom a token names, and what is known of them."""

    list_id: int
    person_id: int
    subscriber: Subscriber


def build_app(
    *, tokens: Tokens, directory: Directory, metrics: Metrics, site: Site
) -> web.Application:
    """Return the public application."""
    pages = _Pages(tokens, directory, metrics, site)
    app = web.Application(client_max_size=_BODY_LIMIT_BYTES, middlewares=[pages.guard])
    app.router.add_get("/u/{token}", pages.show)  # HEAD as well.
    app.router.add_post("/u/{token}", pages.act)
    app.on_response_prepare.append(_harden)
    return app


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


class _Pages:
    def __init__(self, tokens: Tokens, directory: Directory, metrics: Metrics, site: Site) -> None:
        self._tokens = tokens
        self._directory = directory
        self._metrics = metrics
        self._site = site
        self._templates = {locale: _templates(locale) for locale in LOCALES}

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what goes wrong: never with a word on the token."""
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return self._page(request, "missing.html", status=404)
        except StoreLost:
            response = self._page(request, "later.html", status=503)
            response.headers["Retry-After"] = str(_RETRY_SECONDS)
            return response

    async def show(self, request: web.Request) -> web.Response:
        """Show how things stand."""
        named = await self._named(request)
        return self._standing(request, named)

    async def act(self, request: web.Request) -> web.Response:
        """Take the person off the list or off all, or put them back."""
        named = await self._named(request)
        form = await _form(request)
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
        # Relative, as a proxy may serve us below a path of its own.
        language = request.query.get("lang", "")
        query = f"?lang={language}" if language in LOCALES else ""
        location = f"{request.match_info['token']}{query}"
        return web.Response(status=303, headers={"Location": location})

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
        return self._page(
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

    def _page(
        self,
        request: web.Request,
        template: str,
        *,
        status: int,
        values: Mapping[str, object] | None = None,
    ) -> web.Response:
        asked, accepted = request.query.get("lang", ""), request.headers.get("Accept-Language", "")
        locale = chosen_locale(asked, accepted, self._site.locale)
        text = (
            self._templates[locale]
            .get_template(template)
            .render(
                site=self._site,
                locale=locale,
                style=Markup(_STYLE),  # noqa: S704 - our own file
                **(values or {}),
            )
        )
        headers = {"Content-Language": locale}
        return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def masked(address: str) -> str:
    """Return as much of *address* as its owner needs to know it again."""
    local_part, _, domain = address.rpartition("@")
    if not local_part:
        return ""
    last = local_part[-1] if len(local_part) > 2 else ""  # noqa: PLR2004 - "ab" is all of it
    first = local_part[0] if len(local_part) > 1 else ""
    return f"{first}•••{last}@{domain}"


async def _form(request: web.Request) -> Mapping[str, str]:
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return read_form(request.headers.get("Content-Type", ""), body)


def _templates(locale: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The extension adds it, and no stub knows.
    environment.install_gettext_translations(translations(locale), newstyle=True)  # type: ignore[attr-defined]
    return environment
