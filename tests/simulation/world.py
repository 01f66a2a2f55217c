"""A world for simulations: lists of any size, postings, and dispatchers that never sleep.

Everything is the worker's own but the clock and the host: what is claimed is
marked and handed over at the moment of its claim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.edges.store.given import DOMAIN, NOON, posted
from worker.actors.dispatcher import claim_affordable, recheck_due, seconds_until_claimable
from worker.policy.limit import read_limit
from worker.policy.turns import QueueKey
from worker.store import deliveries, leases, limits, postings, turns
from worker.store.deliveries import DeliveryState, Settlement
from worker.store.situation import read_situation
from worker.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.policy.plan import Plan
    from worker.policy.situation import Situation
    from worker.store.database import Connection
    from worker.store.deliveries import Claim

LISTS = """
    create schema sim;
    create table sim.place (list text, email text, person text);
    create index on sim.place (list);
    create view lists.sized as select list as sized, email, person from sim.place;
    select lists.define(view => 'lists.sized', address => 'to-{sized}', title => '{sized}',
                        max_recipients => 1000000);
    create view lists.urgent as select list as urgent, email, person from sim.place;
    select lists.define(view => 'lists.urgent', address => 'urgent-{urgent}', title => '{urgent}',
                        max_recipients => 1000000, priority => 'high');
    create view lists.idle as select list as idle, email, person from sim.place;
    select lists.define(view => 'lists.idle', address => 'idle-{idle}', title => '{idle}',
                        max_recipients => 1000000, priority => 'low');
"""

DOMAINS = {
    "orange": "orange.fr", "outlook": "outlook.fr", "google": "gmail.com", "free": "free.fr",
    "sfr": "sfr.fr", "laposte": "laposte.net", "yahoo": "yahoo.fr", "other": "club.example",
}  # fmt: skip

FAR = timedelta(days=3650)
# So slow that a statement takes no time, and still not nought.
_RATE = 1e-9
_TICK = timedelta(milliseconds=1)
_AT_MOST = 1000
LAST = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Mark:
    """One copy that left."""

    at: datetime
    posting_id: int | None
    provider: str
    account: str

    @property
    def key(self) -> QueueKey:
        """Whose copy it was."""
        return QueueKey(self.posting_id, self.provider)


@dataclass
class World:
    """A database under a clock of our own."""

    owner: Connection
    db: Connection
    accounts: Sequence[str] = ("main",)
    now: datetime = NOON
    marks: list[Mark] = field(default_factory=list)
    _metrics: Metrics = field(default_factory=Metrics)
    _posted: int = 0

    async def prepare(self, limit_texts: Mapping[str, Sequence[str]]) -> None:
        """Make lists, and set the *limit_texts* of scopes (account, provider, both) alone."""
        await self.owner.execute(LISTS)
        await self.owner.execute("delete from relais.limit_rule")
        await self.set_clock(self.now)
        await leases.renew(self.db, "w", FAR)
        for scope, texts in limit_texts.items():
            for text in texts:
                await self.limit(scope, text)

    async def limit(self, scope: str, text: str) -> None:
        """Set one limit; a scope is ``main``, ``orange`` or ``main/orange``."""
        names = scope.split("/")
        await limits.set_limit(
            self.db,
            read_limit(text),
            account=next((name for name in names if name in self.accounts), None),
            provider=next((name for name in names if name not in self.accounts), None),
            who="test",
            reason="test",
        )

    async def add_list(self, name: str, sizes: Mapping[str, int]) -> None:
        """Make a list with so many people at each provider."""
        for provider, size in sizes.items():
            await self.owner.execute(
                "insert into sim.place select $1, $1 || n || '@' || $2, $1 || n || $3"
                " from generate_series(1, $4) n",
                name,
                DOMAINS[provider],
                provider,
                size,
            )

    async def set_clock(self, at: datetime) -> None:
        """Let relais.now() stand still at *at*."""
        self.now = at
        await self.owner.execute(
            "update relais.clock set rate = $2, origin = $1, since = clock_timestamp()", at, _RATE
        )

    async def post(self, address: str) -> int:
        """Post a message to *address* now, and return its number."""
        self._posted += 1
        posting_id, _ = await posted(self.db, address, fingerprint=self._posted.to_bytes(32, "big"))
        return posting_id

    async def play(self, until: datetime = LAST) -> None:
        """Let dispatchers work until then, or until nothing waits."""
        while self.now < until:
            for account in self.accounts:
                await self._dispatch(account)
            moment = await self._next_moment()
            if moment is None and until == LAST:
                return
            await self.set_clock(min(until, moment or until))

    async def _dispatch(self, account: str) -> None:
        """Do what the dispatcher of *account* does when it wakes up."""
        await recheck_due(self.db, account, domain=DOMAIN, at_most=_AT_MOST, metrics=self._metrics)
        while True:
            claims = await claim_affordable(self.db, "w", account, at_most=_AT_MOST)
            if claims:
                await self._settle(claims, account)
            if len(claims) < _AT_MOST:
                return

    async def _settle(self, claims: Sequence[Claim], account: str) -> None:
        keys = [claim.key for claim in claims]
        marked = await deliveries.record(self.db, "w", marks=keys, settlements=[])
        done = [Settlement(key, DeliveryState.HANDED_OVER, 250, "250 ok") for key in marked]
        await deliveries.record(self.db, "w", marks=[], settlements=done)
        self.marks += [Mark(self.now, c.posting_id, c.provider, account) for c in claims]

    async def _next_moment(self) -> datetime | None:
        if not await self.anything_waits():
            return None
        waits = [await seconds_until_claimable(self.db, account) for account in self.accounts]
        known = [wait for wait in waits if wait is not None]
        if not known:
            return None
        return self.now + max(timedelta(seconds=min(known) * _RATE), _TICK)

    async def anything_waits(self) -> bool:
        """Tell whether anything has still to leave."""
        waits: bool = await self.db.fetchval(
            "select exists (select from relais.delivery where state = 'queued')"
            " or exists (select from relais.delivery where state = 'deferred')"
        )
        return waits

    async def tidy(self) -> None:
        """End what is done, as the janitor would."""
        await postings.finish(self.db)
        await postings.end_late(self.db)
        await turns.forget_finished(self.db)
        await limits.forget_bins(self.db)

    async def situation(self) -> Situation:
        """Read what plans are made of."""
        async with self.db.transaction(isolation="repeatable_read"):
            return await read_situation(self.db, self.accounts)

    async def plan(self) -> Plan:
        """Return the plan of this moment."""
        return (await self.situation()).plan()


def fullest_window(marks: Sequence[datetime], length: timedelta) -> int:
    """Return the most marks that any half-open interval of *length* holds."""
    times, most, first = sorted(marks), 0, 0
    for index, time in enumerate(times):
        while time - times[first] >= length:
            first += 1
        most = max(most, index - first + 1)
    return most


def emptiest_window(
    marks: Sequence[datetime], length: timedelta, *, start: datetime, end: datetime
) -> int:
    """Return the fewest marks that any interval of *length* within *start* and *end* holds."""
    times = sorted(marks)
    # The fewest lie between a mark, which is left out, and *length* later.
    begins = [start, *(time + _TICK for time in times if start <= time)]
    counts = [
        sum(begin <= time < begin + length for time in times)
        for begin in begins
        if begin + length <= end
    ]
    return min(counts, default=0)
