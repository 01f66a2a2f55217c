"""Progress: what became of everybody, and what is for whom."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.edges.store.copies import a_copy, a_posting
from tests.edges.store.given import NOON, frozen_clock
from worker.policy.telling import Figures, Share
from worker.store import progress, retention

if TYPE_CHECKING:
    from worker.store.database import Connection

BECAME = {
    "queued": ("queued", None, Figures(waiting=1)),
    "claimed": ("claimed", None, Figures(waiting=1)),
    "deferred": ("deferred", "450 later", Figures(waiting=1)),
    "dotting": ("dotting", None, Figures(in_doubt=1)),
    "in doubt": ("in_doubt", None, Figures(in_doubt=1)),
    "handed over": ("handed_over", "250 ok", Figures(handed_over=1)),
    "refused": ("refused", "550 no such user", Figures(refused=1)),
    "bounced": ("bounced", "no such user", Figures(refused=1)),
    "given up": ("expired", "450 later", Figures(expired=1)),
    "left all lists": ("cancelled", "unsubscribed", Figures(unsubscribed=1)),
    "suppressed": ("cancelled", "suppressed by an operator", Figures(unsubscribed=1)),
    "not in the view": (
        "cancelled",
        "no longer on the list",
        Figures(left=1),
    ),
    "address held": (
        "cancelled",
        "held: mail to this address comes back",
        Figures(held=1),
    ),
    "stopped": ("cancelled", "stopped", Figures(stopped=1)),
    "erased": ("cancelled", None, Figures(left=1)),
}


@pytest.mark.parametrize(("state", "reply", "expected"), BECAME.values(), ids=BECAME)
async def test_each_is_in_one_number(
    db: Connection, state: str, reply: str | None, expected: Figures
) -> None:
    """Whatever became of a copy is one of the figures, and one only."""
    posting_id = await a_posting(db)
    delivery_id = await a_copy(db, posting_id, state=state)
    await db.execute("update relais.delivery set reply = $2 where delivery_id = $1",
                     delivery_id, reply)  # fmt: skip

    found = await progress.figures(db, [posting_id])

    assert found == expected
    assert found.recipients == 1


async def test_a_message_to_two_lists(db: Connection) -> None:
    """Its postings are counted together, and no others."""
    first, second, other = [await a_posting(db) for _ in range(3)]
    await a_copy(db, first, "jean")
    await a_copy(db, second, "anne", state="refused")
    await a_copy(db, other, "paul")

    assert await progress.figures(db, [first, second]) == Figures(handed_over=1, refused=1)
    [share] = await progress.shares(db, [first, second])
    assert share.recipients == 2
    assert await progress.figures(db, []) == Figures()


async def test_what_was_purged_counts(owner: Connection, db: Connection) -> None:
    """The numbers outlive the rows; why a copy was cancelled does not."""
    await frozen_clock(owner)
    posting_id = await a_posting(db, "finished")
    await db.execute("update relais.posting set finished_at = relais.now()")
    await a_copy(db, posting_id, "jean")
    left = await a_copy(db, posting_id, "anne", state="cancelled")
    await db.execute("update relais.delivery set reply = 'unsubscribed' where delivery_id = $1",
                     left)  # fmt: skip
    await frozen_clock(owner, NOON + timedelta(days=100))

    day = timedelta(days=1)
    await retention.purge(db, messages=day, returns=day, traces=day)

    assert await db.fetchval("select count(*) from relais.delivery") == 0
    assert await progress.figures(db, [posting_id]) == Figures(handed_over=1, stopped=1)
    assert await progress.shares(db, [posting_id]) == []


async def test_shares(db: Connection) -> None:
    """The largest first, all small ones last and without a name; what has left is what is gone."""
    posting_id = await a_posting(db)
    for n, state in enumerate(("queued", "deferred", "handed_over", "in_doubt", "bounced")):
        await a_copy(db, posting_id, f"orange{n}", state=state)
    for n, state in enumerate(("cancelled", "claimed")):
        await a_copy(db, posting_id, f"google{n}", provider="google", state=state)
    for n in range(9):
        await a_copy(db, posting_id, f"other{n}", provider="other", state="queued")

    found = await progress.shares(db, [posting_id])

    assert found == [
        Share("orange", "Orange / Wanadoo", 5, handed_over=3, waiting=2, finish_at=None),
        Share("google", "Gmail", 2, handed_over=0, waiting=1, finish_at=None),
        Share("other", "", 9, handed_over=0, waiting=9, finish_at=None),
    ]
