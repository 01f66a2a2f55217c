"""A scrape of the metrics shows what `relais queue` shows: there is one plan."""

from __future__ import annotations

import math
import time
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.edges.cli.site import PASSWORD
from worker.actors.feedback import Rulebook
from worker.actors.signals import Signals
from worker.app import _refresh, _Shop
from worker.config import read_config
from worker.mail.return_address import Tokens
from worker.reading.reader import Reader
from worker.store.database import close_pool, open_pool
from worker.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.edges.cli.site import Site


@asynccontextmanager
async def _shop(site: Site) -> AsyncIterator[_Shop]:
    config = read_config(site.folder / "relais.toml", {})
    pool = await open_pool(config.database.url, size=2)
    try:
        tokens = Tokens(config.site.secrets)
        yield _Shop(
            config,
            "w-test",
            pool,
            Signals(),
            tokens,
            Metrics(),
            lambda: 0.5,
            Rulebook(),
            Reader(),
        )
    finally:
        await close_pool(pool)


def _shown(shop: _Shop, name: str, provider: str) -> float:
    value = shop.metrics.registry.get_sample_value(f"relais_{name}", {"provider": provider})
    assert value is not None, name
    return value


async def test_the_plan_is_one(busy: Site) -> None:
    """Finish times, pauses and slow-downs are those of the queue; nothing waits at Yahoo."""
    await busy.sql(
        "insert into relais.provider_state (provider, kind, factor, since, until, why, set_by)"
        " values ('orange', 'slow', 0.5, relais.now(), relais.now() + interval '1 day', 'x', 'y'),"
        " ('free', 'pause', null, relais.now(), relais.now() + interval '900 days', 'x', 'y')"
    )
    async with _shop(busy) as shop:
        await _refresh(shop)
        answer = busy.relais("queue", "--json").answer
        rows: dict[str, dict[str, Any]] = {row["provider"]: row for row in answer["providers"]}

        orange = datetime.fromisoformat(rows["orange"]["finish_at"]).timestamp()
        oldest = datetime.fromisoformat(rows["orange"]["oldest_at"]).timestamp()
        assert abs(_shown(shop, "provider_drain_timestamp_seconds", "orange") - orange) < 60
        assert abs(_shown(shop, "deliveries_oldest_timestamp_seconds", "orange") - oldest) <= 1
        assert oldest < time.time()
        assert _shown(shop, "provider_rate_factor", "orange") == 0.5
        assert _shown(shop, "provider_suspended", "orange") == 0
        assert _shown(shop, "provider_drain_timestamp_seconds", "free") == math.inf
        assert _shown(shop, "provider_suspended", "free") == 1
        assert _shown(shop, "provider_rate_factor", "free") == 1
        assert _shown(shop, "provider_drain_timestamp_seconds", "yahoo") == 0
        assert _shown(shop, "deliveries_oldest_timestamp_seconds", "yahoo") == 0
    assert PASSWORD not in shop.metrics.exposition().decode()
