"""What all pages have in common: how they look, what they forbid, how they fail.

Nothing is needed but the token in the path: no login, no cookie, no script, no
asset. GET and HEAD change nothing, because scanners follow every link of a
mail; a POST acts and leads back to the page, which shows how things stand.
Whatever is wrong with a token, the answer is one and the same.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from aiohttp import web
from markupsafe import Markup

from worker.config import LOCALES
from worker.errors import StoreLost
from worker.notices.catalogue import translations
from worker.web.form import read_form
from worker.web.language import UNKNOWN, Known, chosen_locale

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from worker.config import Site

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BODY_LIMIT_BYTES = 4096
_BODY_SECONDS = 10.0
_RETRY_SECONDS = 120
_UNDONE = web.HTTPBadRequest.status_code
_FAILED = {
    web.HTTPNotFound.status_code: "missing.html",
    web.HTTPRequestTimeout.status_code: "later.html",
    web.HTTPTooManyRequests.status_code: "later.html",
}  # Whatever else a client does wrong is undone.
_TOLD = ("Allow", "Retry-After")  # All that an error may say of itself.

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


async def harden(_request: web.Request, response: web.StreamResponse) -> None:
    """Forbid browsers whatever a page does not need."""
    response.headers.update(_HEADERS)


class Pages:
    """Renders the pages of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._templates = {locale: _templates(locale) for locale in LOCALES}

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what goes wrong: never with a word on the token."""
        try:
            return await handler(request)
        except web.HTTPClientError as error:
            template = _FAILED.get(error.status, "undone.html")
            response = self.page(request, template, status=error.status)
            told = {name: error.headers[name] for name in _TOLD if name in error.headers}
        except StoreLost:
            response = self.page(request, "later.html", status=503)
            told = {"Retry-After": str(_RETRY_SECONDS)}
        response.headers.update(told)
        return response

    def locale(self, request: web.Request, *, known: Known = UNKNOWN) -> str:
        """Return the language that a visitor reads."""
        asked, accepted = request.query.get("lang", ""), request.headers.get("Accept-Language", "")
        return chosen_locale(asked, accepted, self._site.locale, known=known)

    def page(
        self,
        request: web.Request,
        template: str,
        *,
        status: int = 200,
        values: Mapping[str, object] | None = None,
        known: Known = UNKNOWN,
    ) -> web.Response:
        """Return one page in the visitor's language."""
        locale = self.locale(request, known=known)
        text = (
            self._templates[locale]
            .get_template(template)
            .render(
                site=self._site,
                locale=locale,
                style=Markup(_STYLE),  # noqa: S704 - our own file
                nothing_done=status == _UNDONE,
                **(values or {}),
            )
        )
        headers = {"Content-Language": locale}
        return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def back_to(request: web.Request, *done: str) -> web.Response:
    """Lead back to the page of the token, after a POST; *done* tells it what was."""
    language = request.query.get("lang", "")
    said = [*([f"lang={language}"] if language in LOCALES else []), *(f"{one}=1" for one in done)]
    # Relative, as a proxy may serve us below a path of its own.
    location = "?".join([request.match_info["token"], *(["&".join(said)] if said else [])])
    return web.Response(status=303, headers={"Location": location})


async def form_of(request: web.Request) -> Mapping[str, str]:
    """Return what was posted; nobody may take long over it."""
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
