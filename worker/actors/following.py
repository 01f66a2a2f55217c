"""Following: what an author's page shows of a message under way, and what it changes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from worker.policy.following import Followed
from worker.policy.outcome import DeliveryResult
from worker.store import decisions, following, overview, progress, stopping, wishes
from worker.store.database import borrowed
from worker.store.situation import read_situation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.policy.following import FollowedPosting
    from worker.policy.plan import Plan
    from worker.policy.situation import Situation
    from worker.policy.telling import Share
    from worker.store.database import Connection, Pool
    from worker.store.stopping import Action
    from worker.telemetry.metrics import Metrics

log = structlog.get_logger()

# Somebody who presses "reload" all the time has it planned anew only so often.
_KEPT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Sight:
    """A situation and its plan, and when they were read."""

    situation: Situation
    plan: Plan
    read_at: float


class Following:
    """What the pages of authors ask and write, from the database."""

    def __init__(
        self,
        pool: Pool,
        accounts: Sequence[str],
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._accounts = accounts
        self._metrics = metrics
        self._clock = clock
        self._planning = asyncio.Lock()
        self._sight: _Sight | None = None

    async def is_known(self, posting_id: int) -> bool:
        """Whether there is such a posting."""
        async with borrowed(self._pool) as db:
            return bool(await following.numbers(db, posting_id))

    async def follow(self, posting_id: int) -> Followed | None:
        """Return how the message stands that a posting is of, None if there is none such."""
        async with borrowed(self._pool) as db:
            postings = await following.followed(db, posting_id)
            if not postings:
                return None
            read = await _read(db, postings)
        if not read.waits:
            return read
        sight = await self._look()
        situation, plan = sight.situation, sight.plan
        return replace(
            read,
            shares=tuple(situation.planned(plan, read.shares, read.numbers)),
            finish_at=situation.finish_of(plan, read.numbers),
        )

    async def stop(self, posting_id: int) -> None:
        """Cancel what waits of the message."""
        await self._change("posting.stopped", posting_id, stopping.stop)

    async def hold(self, posting_id: int) -> None:
        """Let what waits of the message wait until it is resumed."""
        await self._change("posting.paused", posting_id, stopping.hold)

    async def resume(self, posting_id: int) -> None:
        """Let the message go on, but for what an operator has paused or stopped."""
        await self._change("posting.resumed", posting_id, stopping.resume)

    async def withdraw(self, posting_id: int) -> None:
        """End what of the message waits for somebody to say yes."""
        async with borrowed(self._pool) as db, db.transaction():
            numbers = await following.numbers(db, posting_id)
            done = [await decisions.end(db, n, "withdrawn", by="author") for n in numbers]
        log.info("posting.withdrawn", posting_id=posting_id, done=any(done))

    async def wish(self, posting_id: int, *, fewer: bool) -> None:
        """Keep whether the author of the message wants fewer letters."""
        async with borrowed(self._pool) as db:
            author = (await following.followed(db, posting_id))[0].author
            if author:
                await wishes.wish(db, author, fewer=fewer)
        log.info("author.wished", fewer=fewer)

    async def _change(self, event: str, posting_id: int, action: Action) -> None:
        async with borrowed(self._pool) as db:
            async with db.transaction():
                numbers = await following.numbers(db, posting_id)
                change = await action(db, numbers, by="author")
            self._sight = None  # It shows what was before.
            effect = await stopping.count(db, numbers, change)
        self._metrics.finished(DeliveryResult.CANCELLED, change.cancelled)
        for changed in change.postings:
            log.info(event, posting_id=changed, copies=effect.copies, left=effect.left)

    async def _look(self) -> _Sight:
        """Return the plan of this moment, or of a few seconds ago."""
        async with self._planning:
            sight, now = self._sight, self._clock()
            if sight is None or now >= sight.read_at + _KEPT_SECONDS:
                async with (
                    borrowed(self._pool) as db,
                    db.transaction(isolation="repeatable_read", readonly=True),
                ):
                    situation = await read_situation(db, self._accounts)
                # A thousand queues take a fifth of a second of CPU.
                plan = await asyncio.to_thread(situation.plan)
                sight = self._sight = _Sight(situation, plan, now)
            return sight


async def _read(db: Connection, postings: Sequence[FollowedPosting]) -> Followed:
    numbers = [posting.posting_id for posting in postings]
    shares: list[Share] = await progress.shares(db, numbers)
    author = postings[0].author
    return Followed(
        now=await overview.moment(db),
        postings=tuple(postings),
        figures=await progress.figures(db, numbers),
        shares=tuple(shares),
        finish_at=None,
        wants_fewer=bool(author) and await wishes.fewer(db, author),
    )
