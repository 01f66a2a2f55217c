"""The metrics port."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from worker.config import Listen
from worker.errors import ConfigError, StoreLost
from worker.telemetry.metrics import Metrics
from worker.web.ops import build_ops
from worker.web.serving import serve

FACT = b'relais_deliveries_pending{provider="orange",state="queued"} 3.0'
FLOW = b'relais_unsubscribes_total{method="page"} 0.0'


class World:
    """What the callbacks read."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.answers = True

    async def refresh(self) -> None:
        """Read the facts, if the database answers."""
        if not self.answers:
            raise StoreLost("away")
        self.metrics.set_backlog({("orange", "queued"): 3}, providers=["orange"])

    async def health(self) -> tuple[bool, dict[str, object]]:
        """Tell whether the database answers."""
        return self.answers, {"database": "ok" if self.answers else "away"}


async def get(port: int, path: str) -> tuple[int, str, bytes]:
    """Return status, type and body."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as response,
    ):
        return response.status, response.headers["Content-Type"], await response.read()


async def test_metrics_and_health() -> None:
    """Facts are as fresh as the scrape; without a database they are not shown at all."""
    world = World()
    app = build_ops(world.metrics, refresh=world.refresh, health=world.health)
    async with serve(app, Listen("127.0.0.1", 0)) as port:
        status, kind, body = await get(port, "/metrics")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert FACT in body
        assert FLOW in body
        assert (await get(port, "/healthz"))[::2] == (
            200,
            b'{"schema": 1, "ok": true, "database": "ok"}',
        )

        world.answers = False
        status, _, body = await get(port, "/metrics")
        assert status == 200
        assert FACT not in body
        assert FLOW in body
        assert (await get(port, "/healthz"))[::2] == (
            503,
            b'{"schema": 1, "ok": false, "database": "away"}',
        )
        assert (await get(port, "/elsewhere"))[0] == 404


async def test_slow_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape ends before Prometheus gives it up."""
    monkeypatch.setattr("worker.web.ops._REFRESH_SECONDS", 0.01)
    world = World()
    app = build_ops(world.metrics, refresh=asyncio.Event().wait, health=world.health)  # type: ignore[arg-type]  # its answer is nobody's
    async with serve(app, Listen("127.0.0.1", 0)) as port:
        assert (await get(port, "/metrics"))[0] == 200


async def test_port_taken() -> None:
    """A port that another process has is told, with what to change."""
    world = World()
    app = build_ops(world.metrics, refresh=world.refresh, health=world.health)
    async with serve(app, Listen("127.0.0.1", 0)) as port:
        again = build_ops(world.metrics, refresh=world.refresh, health=world.health)
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: "):
            async with serve(again, Listen("127.0.0.1", port)):
                pass
