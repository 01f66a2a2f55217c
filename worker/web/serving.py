"""Serving an application on a port, for as long as a context lasts.

A reverse proxy stands before the public one: it ends TLS, and slow or endless
requests. aiohttp's access log stays off: it writes the path, and a token is in it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from worker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.config import Listen

_SHUTDOWN_SECONDS = 3.0


@asynccontextmanager
async def serve(app: web.Application, listen: Listen) -> AsyncIterator[int]:
    """Serve *app*, and give the port: *listen* may leave the choice with 0.

    ConfigError if the port cannot be had.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        auto_decompress=False,  # No body of ours is large enough to be compressed.
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as error:
            raise ConfigError(
                [f"cannot listen on {listen.host}:{listen.port}: {error.strerror}"]
            ) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
