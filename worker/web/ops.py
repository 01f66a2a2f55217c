"""Pages for machines, on the metrics port: /metrics and /healthz."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from worker.errors import StoreLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from worker.telemetry.metrics import Metrics

# Prometheus itself gives up after ten by default.
_REFRESH_SECONDS = 5.0


def build_ops(
    metrics: Metrics,
    *,
    refresh: Callable[[], Awaitable[None]],
    health: Callable[[], Awaitable[tuple[bool, dict[str, object]]]],
) -> web.Application:
    """Return the application; *refresh* reads into *metrics* what the database knows."""

    async def show_metrics(_request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_REFRESH_SECONDS):
                await refresh()
        except (StoreLost, TimeoutError):
            # What this process counts by itself is needed most of all now.
            metrics.forget_facts()
        return web.Response(
            body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def show_health(_request: web.Request) -> web.Response:
        ok, facts = await health()
        return web.json_response({"schema": 1, "ok": ok, **facts}, status=200 if ok else 503)

    app = web.Application()
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/healthz", show_health)
    return app
