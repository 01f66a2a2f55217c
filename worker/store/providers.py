"""Providers: groups of domains that share limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.store.database import Connection


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider, as people are shown it."""

    provider: str
    display: str
    domains: int


PROVIDERS = """
    SELECT p.provider, p.display, count(d.domain) AS domains
      FROM relais.provider p LEFT JOIN relais.provider_domain d USING (provider)
     GROUP BY p.provider, p.display ORDER BY p.provider
"""


async def described(db: Connection) -> list[Provider]:
    """Return all providers, each with how many domains it is known by."""
    return [Provider(**row) for row in await db.fetch(PROVIDERS)]
