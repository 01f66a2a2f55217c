"""The ledger: marks and settlements of all connections, committed together.

A connection waits for its mark, because the dot may only follow the commit;
it does not wait for its settlement. What arrives while one commit is under way
goes into the next, so a commit is shared by as many connections as are busy.

While the database is away marks fail, so no dot is sent; settlements are kept
in memory and written when it is back. A crash in that time leaves rows in
doubt, never lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from worker.errors import StoreLost
from worker.store import deliveries

if TYPE_CHECKING:
    from worker.store.database import Reconnecting
    from worker.store.deliveries import ClaimKey, Settlement

log = structlog.get_logger()

# One statement carries at most this much; the rest goes into the next.
_BATCH = 500
_RETRY_SECONDS = 1.0


class Ledger:
    """Where submitters mark and settle. run() writes it down until close()."""

    def __init__(self, db: Reconnecting, worker_id: str) -> None:
        self._db = db
        self._worker_id = worker_id
        self._marks: dict[ClaimKey, asyncio.Future[bool]] = {}
        self._settlements: list[Settlement] = []
        self._work = asyncio.Event()
        self._closed = False

    async def mark(self, claim: ClaimKey) -> bool:
        """Record durably that the dot of *claim* is about to be sent.

        False: the delivery is not ours any more. StoreLost: nobody knows; in
        both cases there must be no dot.
        """
        marked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._marks[claim] = marked
        self._work.set()
        return await marked

    def settle(self, settlement: Settlement) -> None:
        """Write what became of a claim, as soon as the database takes it."""
        self._settlements.append(settlement)
        self._work.set()

    def close(self) -> None:
        """Let run() end when everything is written."""
        self._closed = True
        self._work.set()

    async def run(self) -> None:
        """Commit what comes, until closed and empty."""
        while not self._closed or self._marks or self._settlements:
            await self._work.wait()
            self._work.clear()
            while self._marks or self._settlements:
                await self._commit()

    async def _commit(self) -> None:
        marks, self._marks = self._marks, {}
        batch, self._settlements = self._settlements[:_BATCH], self._settlements[_BATCH:]
        try:
            db = await self._db.connection()
            marked = await deliveries.record(
                db, self._worker_id, marks=list(marks), settlements=batch
            )
        except self._db.lost as error:
            self._settlements = batch + self._settlements
            await self._db.drop()
            self._fail(marks, error)
            log.warning("ledger.interrupted", settlements=len(self._settlements), why=repr(error))
            await asyncio.sleep(_RETRY_SECONDS)  # The database is away; the loop is not.
            return
        for claim, waiting in marks.items():
            if not waiting.done():
                waiting.set_result(claim in marked)

    def _fail(self, marks: dict[ClaimKey, asyncio.Future[bool]], error: BaseException) -> None:
        for waiting in marks.values():
            if not waiting.done():
                waiting.set_exception(StoreLost(f"the mark may be committed or not: {error!r}"))
