"""The door of the pages: who asks, how often, and a line in the log for each answer.

POSTs and requests that lead nowhere count, and a client with too many of them
is sent away for a while, whatever it asks. A mail provider's one-click POSTs
count only if they lead nowhere, and it may owe much more before they are refused.

What clients owe is kept in memory, per process. It protects the machine, and
nothing else rests on it: no token can be guessed, however often one may try.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from math import ceil
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from worker.policy.visits import ONE_CLICKS, VISITS
from worker.web.form import is_one_click
from worker.web.page import form_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from worker.config import Network
    from worker.policy.visits import VisitLimit
    from worker.web.page import Handler

log = structlog.get_logger()

_CLIENTS_KEPT = 10_000
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"})


class Door:
    """Lets clients in, unless they have asked too much lately."""

    def __init__(
        self,
        proxies: Collection[Network],
        *,
        clock: Callable[[], float],
        visits: VisitLimit = VISITS,
        one_clicks: VisitLimit = ONE_CLICKS,
    ) -> None:
        self._proxies = proxies
        self._clock = clock
        self._visits = visits
        self._one_clicks = one_clicks
        self._paid_at: OrderedDict[str, float] = OrderedDict()

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Hand *request* on, or raise HTTPTooManyRequests."""
        client = client_of(
            request.remote or "", request.headers.getall("X-Forwarded-For", []), self._proxies
        )
        try:
            await self._let_in(request, client)
            return await handler(request)
        except web.HTTPTooManyRequests:
            raise  # To be told to wait costs nothing.
        except web.HTTPClientError:
            self._charge(client)
            raise

    async def _let_in(self, request: web.Request, client: str) -> None:
        if request.method != "POST":
            self._refuse_spent(client, self._visits)
            return
        # Whoever owes that much is not even read.
        self._refuse_spent(client, self._one_clicks)
        if not is_one_click(await form_of(request)):
            self._refuse_spent(client, self._visits)
            self._charge(client)

    def _refuse_spent(self, client: str, limit: VisitLimit) -> None:
        wait = limit.wait_seconds(self._paid_at.get(client, 0.0), self._clock())
        if wait > 0:
            raise web.HTTPTooManyRequests(headers={"Retry-After": str(ceil(wait))})

    def _charge(self, client: str) -> None:
        now = self._clock()
        # Whoever was charged last is kept longest: the others have paid, or soon will.
        self._paid_at[client] = self._visits.charged(self._paid_at.pop(client, now), now)
        if len(self._paid_at) > _CLIENTS_KEPT:
            self._paid_at.popitem(last=False)


def client_of(peer: str, forwarded_for: Collection[str], proxies: Collection[Network]) -> str:
    """Name the client that counts: the peer, or whom our own proxy says it asks for.

    Of X-Forwarded-For only the last hop is the proxy's word; the rest is whatever
    the client has written. A network of IPv6 is one client: it has 2^64 addresses.
    """
    address = _address(peer)
    if address is not None and any(address in proxy for proxy in proxies):
        address = _address(",".join(forwarded_for).rpartition(",")[2]) or address
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    # A socket that takes both families shows the older one so.
    return getattr(address, "ipv4_mapped", None) or address


@web.middleware
async def log_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write one line per answer; never the path, since a token is in it."""
    clock = asyncio.get_running_loop().time
    began = clock()
    status = web.HTTPInternalServerError.status_code
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        resource = request.match_info.route.resource
        log.info(
            "page.answered",
            route=resource.canonical if resource is not None else "unknown",
            method=request.method if request.method in _METHODS else "other",
            status=status,
            milliseconds=round(1000 * (clock() - began), 1),
        )
