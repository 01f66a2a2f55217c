"""All wiring: the one place where actors are made and started.

Actors never see each other. What one writes into the database another finds
there; the only objects they share are hints (Signals), a hand-over of claims
(Mailbox) and the ledger, none of which holds anything that a crash may not lose.

The order of the end: no new claims; dots finish; the ledger is written; the
lease is given back. A bug in any actor ends the process, and whoever runs it
starts it again: start-up is the recovery path.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_never, wait_random_exponential

from worker.actors.checkup import run_checkup
from worker.actors.desk import Desk
from worker.actors.dispatcher import run_dispatcher
from worker.actors.farewell import say_farewell
from worker.actors.feedback import Feedback, Rulebook, run_feedback
from worker.actors.fetcher import Post, run_fetcher
from worker.actors.following import Following
from worker.actors.holds import run_holds
from worker.actors.janitor import run_heartbeat, run_janitor
from worker.actors.ledger import Ledger
from worker.actors.mailbox import Mailbox
from worker.actors.mediator import run_mediator
from worker.actors.office import Office
from worker.actors.outbox import Outbox
from worker.actors.reporter import run_reporter
from worker.actors.return_handler import run_return_handler
from worker.actors.secretary import run_secretary
from worker.actors.signals import Signals, run_listener
from worker.actors.submitter import run_submitter
from worker.actors.surveyor import run_surveyor
from worker.errors import StoreLost
from worker.lookup.dns import Resolver
from worker.mail.return_address import Tokens
from worker.policy.outcome import DeliveryResult
from worker.policy.provider_state import rate_factor
from worker.reading.reader import Reader
from worker.store import decisions, deliveries, health, leases, limits, lists, suppressions
from worker.store.database import Reconnecting, borrowed, close_pool, open_pool
from worker.store.situation import read_situation
from worker.telemetry.metrics import Metrics, Outlook
from worker.web.door import Door
from worker.web.ops import build_ops
from worker.web.page import Pages
from worker.web.pages import build_app
from worker.web.privacy import Privacy, add_privacy
from worker.web.serving import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from worker.config import Account, Config
    from worker.policy.limit import Limit
    from worker.policy.plan import Plan
    from worker.policy.situation import Situation
    from worker.store.database import Pool
    from worker.store.decisions import Answered, Kind
    from worker.store.deliveries import Claim

log = structlog.get_logger()

_POOL_SIZE = 8


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running worker answers."""

    web: int
    metrics: int


@dataclass(frozen=True, slots=True)
class _Shop:
    """What the actors of one process are made of."""

    config: Config
    worker_id: str
    pool: Pool
    signals: Signals
    tokens: Tokens
    metrics: Metrics
    chance: Callable[[], float]
    rulebook: Rulebook
    reader: Reader

    @property
    def failures(self) -> dict[str, Limit]:
        """At how many failures each account is left alone, if at any."""
        return {a.name: a.failures for a in self.config.accounts if a.failures is not None}

    @property
    def accounts(self) -> list[str]:
        """Those that submit."""
        return [account.name for account in self.config.accounts]

    def connection(self) -> Reconnecting:
        return Reconnecting(self.config.database.url)


async def run_worker(
    config: Config, *, signals: Signals, on_ready: Callable[[Ports], None] | None = None
) -> None:
    """Run every actor until *signals* say stop, then finish what is in hand."""
    pool = await _pool_in_time(config)
    shop = _Shop(
        config=config,
        worker_id=f"w-{secrets.token_hex(6)}",
        pool=pool,
        signals=signals,
        tokens=Tokens(config.site.secrets),
        metrics=Metrics(),
        chance=random.SystemRandom().random,
        rulebook=Rulebook(),
        reader=Reader(),
    )
    heart = shop.connection()
    try:
        # Without it no mail can be read: better said now than at the first message.
        await shop.reader.start()
        await leases.renew(await heart.connection(), shop.worker_id, config.lease)
        await _take_starting_limits(shop)
        async with _background(shop, heart), _web(shop) as ports:
            log.info("worker.started", worker_id=shop.worker_id, web=ports.web)
            if on_ready is not None:
                on_ready(ports)
            await _work(shop)
        await leases.resign(await heart.connection(), shop.worker_id)
        log.info("worker.stopped", worker_id=shop.worker_id)
    finally:
        await shop.reader.close()
        await heart.close()
        await close_pool(pool)


async def _pool_in_time(config: Config) -> Pool:
    """Wait for a database that is away at the start, as it may be after a power cut."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreLost),
        stop=stop_never,
        wait=wait_random_exponential(multiplier=0.5, max=30),
        before_sleep=lambda state: log.warning(
            "database.awaited", why=str(state.outcome.exception() if state.outcome else "")
        ),
        reraise=True,
    ):
        with attempt:
            return await open_pool(config.database.url, size=_POOL_SIZE)
    raise AssertionError("tenacity ends by returning or raising")  # pragma: no cover


async def _take_starting_limits(shop: _Shop) -> None:
    async with borrowed(shop.pool) as db, db.transaction():
        await limits.take_starting_values(
            db,
            providers=shop.config.limits,
            accounts={account.name: account.limits for account in shop.config.accounts},
        )
        shop.metrics.know_providers(await limits.providers(db))
        shop.metrics.know_definitions(d.name for d in await lists.definitions(db))
        await shop.rulebook.refresh(db)


@contextlib.asynccontextmanager
async def _background(shop: _Shop, heart: Reconnecting) -> AsyncIterator[None]:
    """Keep the lease and listen for notifications for as long as the work lasts."""
    listener = shop.connection()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                run_heartbeat(heart, shop.worker_id, lease=shop.config.lease, metrics=shop.metrics),
                name="heartbeat",
            ),
            group.create_task(run_listener(listener, signals=shop.signals), name="listener"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
    await listener.close()


@contextlib.asynccontextmanager
async def _web(shop: _Shop) -> AsyncIterator[Ports]:
    pages = build_app(
        tokens=shop.tokens,
        directory=_Directory(
            shop.pool, shop.metrics, Outbox(shop.config.site, shop.tokens, shop.metrics)
        ),
        decisions=_Decisions(shop.pool),
        postings=Following(shop.pool, shop.accounts, shop.metrics),
        metrics=shop.metrics,
        site=shop.config.site,
        door=Door(shop.config.proxies, clock=time.monotonic),
    )
    add_privacy(pages, pages=Pages(shop.config.site), privacy=_privacy(shop.config))
    ops = build_ops(shop.metrics, refresh=lambda: _refresh(shop), health=lambda: _health(shop))
    async with serve(pages, shop.config.web) as web, serve(ops, shop.config.metrics) as metrics:
        yield Ports(web, metrics)


def _privacy(config: Config) -> Privacy:
    """Return what the privacy page says, from the settings that the actors obey."""
    accounts = (account.endpoint.host for account in config.accounts)
    return Privacy(
        keep=config.retention,
        hosts=(config.mailbox.endpoint.host, *accounts),
        team=config.site.team,
        country=config.site.host_country,
    )


async def _work(shop: _Shop) -> None:
    """Run the actors; return when all have finished what they held after the stop."""
    config = shop.config
    lookup = Resolver()
    office = Office(
        shop.pool,
        shop.worker_id,
        config.site,
        config.mailbox,
        shop.tokens,
        shop.metrics,
        lookup,
        shop.reader,
        config.look_up_mx,
        shop.rulebook,
        shop.failures,
        shop.accounts,
    )
    post = Post(config.mailbox, shop.pool, shop.worker_id, config.lease, shop.chance, shop.metrics)
    sweeps, surveys = shop.connection(), shop.connection()
    async with asyncio.TaskGroup() as actors:
        start = actors.create_task
        start(run_fetcher(post, signals=shop.signals), name="fetcher")
        start(run_mediator(office, signals=shop.signals), name="mediator")
        start(run_holds(office, signals=shop.signals), name="holds")
        start(run_return_handler(office, signals=shop.signals), name="return_handler")
        every = min(config.lease / 4, timedelta(seconds=5))
        start(run_checkup(office, every=every, signals=shop.signals), name="checkup")
        start(
            run_janitor(
                sweeps,
                every=every,
                in_doubt_after=config.in_doubt_after,
                keep=config.retention,
                failures=shop.failures,
                signals=shop.signals,
                metrics=shop.metrics,
            ),
            name="janitor",
        )
        start(run_secretary(office, signals=shop.signals), name="secretary")
        start(run_reporter(office, accounts=shop.accounts, signals=shop.signals), name="reporter")
        if config.look_up_mx:
            start(
                run_surveyor(surveys, lookup=lookup, signals=shop.signals, metrics=shop.metrics),
                name="surveyor",
            )
        for account in config.accounts:
            start(_run_account(shop, account), name=f"account:{account.name}")
    await sweeps.close()
    await surveys.close()


async def _run_account(shop: _Shop, account: Account) -> None:
    """Run the dispatcher, the submitters and the ledger of one account."""
    claims: Mailbox[Claim] = Mailbox()
    claiming, recording = shop.connection(), shop.connection()
    ledger = Ledger(recording, shop.worker_id)
    feedback = Feedback(account.name, shop.rulebook)
    desk = Desk(
        account,
        pool=shop.pool,
        tokens=shop.tokens,
        domain=shop.config.site.domain,
        chance=shop.chance,
        metrics=shop.metrics,
        feedback=feedback,
        keys=shop.config.site.keys,
    )
    async with asyncio.TaskGroup() as books:
        books.create_task(ledger.run(), name=f"ledger:{account.name}")
        books.create_task(
            run_feedback(
                feedback.heard, pool=shop.pool, metrics=shop.metrics, zone=shop.config.site.zone
            ),
            name=f"feedback:{account.name}",
        )
        async with asyncio.TaskGroup() as submitters:
            for number in range(account.connections):
                submitters.create_task(
                    run_submitter(claims, desk=desk, ledger=ledger),
                    name=f"submitter:{account.name}:{number}",
                )
            await run_dispatcher(
                claims,
                account=account,
                worker_id=shop.worker_id,
                domain=shop.config.site.domain,
                db=claiming,
                ledger=ledger,
                signals=shop.signals,
                metrics=shop.metrics,
            )
        ledger.close()
        feedback.heard.end()
    await claiming.close()
    await recording.close()


async def _refresh(shop: _Shop) -> None:
    """Read into the metrics what only the database knows."""
    async with borrowed(shop.pool) as db:
        backlog = await deliveries.backlog(db)
        uses = await limits.usage(db)
        names = await limits.providers(db)
        by_state = await health.counts(db)
    async with (
        borrowed(shop.pool) as db,
        db.transaction(isolation="repeatable_read", readonly=True),
    ):
        situation = await read_situation(db, shop.accounts)
    # A thousand queues take a fifth of a second of CPU: heartbeat and submitters cannot wait.
    plan = await asyncio.to_thread(situation.plan)
    shop.metrics.set_backlog({(b.provider, b.state): b.count for b in backlog}, providers=names)
    shop.metrics.set_limits(uses, providers=names)
    shop.metrics.set_addresses(by_state)
    shop.metrics.set_outlook({name: _outlook(name, situation, plan) for name in names})


def _outlook(provider: str, situation: Situation, plan: Plan) -> Outlook:
    parts = [part for part in situation.parts if part.provider == provider and part.waiting]
    return Outlook(
        waits=bool(parts),
        finish_at=situation.finish_at(plan, parts),
        oldest_at=min((part.accepted_at for part in parts), default=None),
        rate_factor=rate_factor(situation.states, provider, situation.now),
        is_paused=situation.provider_paused_until(provider) is not None,
    )


async def _health(shop: _Shop) -> tuple[bool, dict[str, object]]:
    try:
        async with borrowed(shop.pool) as db:
            await db.fetchval("SELECT 1")
    except StoreLost as lost:
        return False, {"database": str(lost)}
    return True, {"database": "ok", "worker": shop.worker_id, "stopping": shop.signals.stopping}


class _Directory:
    """What the pages ask and write, from the database."""

    def __init__(self, pool: Pool, metrics: Metrics, outbox: Outbox) -> None:
        self._pool = pool
        self._metrics = metrics
        self._outbox = outbox

    async def subscriber(self, list_id: int, person_id: int) -> suppressions.SubscriberRow | None:
        async with borrowed(self._pool) as db:
            return await suppressions.subscriber(db, list_id, person_id)

    async def opt_out(
        self, list_id: int, person_id: int, *, everywhere: bool, source: str, undo_link: str = ""
    ) -> None:
        async with borrowed(self._pool) as db, db.transaction():
            scope = None if everywhere else list_id
            cancelled = await suppressions.opt_out(db, scope, person_id, source=source)
            if undo_link and cancelled is not None:
                left = await suppressions.subscriber(db, list_id, person_id)
                await say_farewell(db, left, undo_link, outbox=self._outbox)
        self._metrics.finished(DeliveryResult.CANCELLED, cancelled or 0)
        log.info("person.opted_out", source=source, everywhere=everywhere, cancelled=cancelled)

    async def opt_in(self, list_id: int, person_id: int) -> None:
        async with borrowed(self._pool) as db:
            await suppressions.opt_in(db, list_id, person_id)
        log.info("person.opted_in")


class _Decisions:
    """What the pages of decisions ask and write, from the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def asked(self, decision_id: int, kind: Kind) -> decisions.AskedDecision | None:
        async with borrowed(self._pool) as db:
            return await decisions.asked(db, decision_id, kind)

    async def answer(self, decision_id: int, *, yes: bool, reason: str | None) -> Answered:
        async with borrowed(self._pool) as db, db.transaction():
            answered = await decisions.answer(
                db, decision_id, yes=yes, source="page", reason=reason
            )
        log.info("decision.answered", decision_id=decision_id, yes=yes, answered=answered.value)
        return answered


async def run_until_signalled(config: Config) -> None:
    """Run until SIGTERM or SIGINT; the second one does not wait for dots."""
    signals = Signals()
    loop = asyncio.get_running_loop()
    working = asyncio.current_task()

    def on_signal() -> None:
        if signals.stopping and working is not None:
            working.cancel()
        signals.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    with contextlib.suppress(asyncio.CancelledError):
        await run_worker(config, signals=signals)
