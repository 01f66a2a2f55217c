"""Mail that kills the process that reads it: it waits, others go on, the third time is the last."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import pytest_asyncio
from structlog.testing import capture_logs

from tests.actors.letters import arrive, attend, letter, notices, outcome_of, text_of
from tests.edges.store.given import DOMAIN
from worker.actors.mediator import mediate, run_mediator
from worker.actors.return_handler import handle_return
from worker.actors.signals import Signals
from worker.mail.return_address import Purpose
from worker.reading.reader import Limits, Reader
from worker.store import arrivals
from worker.store.arrivals import Place
from worker.store.database import borrowed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import pytest

    from worker.actors.office import Office

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

MEGABYTE = 1024 * 1024
# Enough for a child and a letter, and not for what is sent here.
NARROW = Limits(memory_bytes=64 * MEGABYTE, memory_per_byte=0)
# Enough for what an examination says; no template of a LONG one is as short.
BRIEF = Limits(answer_bytes=10_000, answer_per_byte=0)
LONG = letter(body=b"x\r\n" * 10_000)
BOMB = letter(body=b"x" * 64 * MEGABYTE)


@pytest_asyncio.fixture
async def narrow(office: Office) -> AsyncIterator[Office]:
    """An office whose reader has little memory."""
    async with Reader(NARROW) as reader:
        yield replace(office, reader=reader)


def kills(office: Office, why: str = "memory") -> float | None:
    """Return how often the metrics say that reading was ended."""
    return office.metrics.registry.get_sample_value("relais_reader_kills_total", {"why": why})


async def row(owner: Owner) -> asyncpg.Record:
    """Return what became of the message, and make it due."""
    found = await owner.fetchrow(
        "update relais.arrival set due_at = least(due_at, relais.now()) where uid = 1"
        " returning state, outcome, reason, attempts, wanted_in, worker_id"
    )
    assert found is not None
    return found


async def test_three_kills_are_quarantined(narrow: Office, owner: Owner) -> None:
    """Each waits half a minute; the mail behind it does not."""
    await mediate(await arrive(narrow, BOMB), office=narrow)
    waits = await owner.fetchval("select due_at - relais.now() from relais.arrival")
    other = await outcome_of(narrow, owner, letter(), uid=2)

    seen = [await row(owner)]
    for _ in range(2):
        async with borrowed(narrow.pool) as db:
            again = await arrivals.claim(db, "received", narrow.worker_id)
        assert again is not None
        await mediate(again, office=narrow)
        seen.append(await row(owner))

    assert 20 < waits.total_seconds() <= 30
    assert other["outcome"] == "posted"
    assert [(r["state"], r["attempts"]) for r in seen] == [
        ("received", 1),
        ("received", 2),
        ("settled", 3),
    ]
    assert seen[0]["worker_id"] is None
    assert seen[0]["reason"].startswith("could not be read: memory: MemoryError")
    assert (seen[2]["outcome"], seen[2]["wanted_in"]) == ("quarantined", arrivals.QUARANTINE)
    assert seen[2]["reason"] == seen[0]["reason"]
    assert kills(narrow) == 3


async def test_a_return_as_well(office: Office, narrow: Office, owner: Owner) -> None:
    """What the mediator could read may kill the return handler."""
    token = office.tokens.sign(Purpose.RETURN, 1).decode("ascii")
    raw = BOMB.replace(b"Delivered-To: tous@", b"Delivered-To: return-%s@" % token.encode(), 1)
    assert f"return-{token}@{DOMAIN}".encode() in raw
    await mediate(await arrive(office, raw), office=office)

    seen = []
    for _ in range(3):
        async with borrowed(narrow.pool) as db:
            again = await arrivals.claim(db, "sorted", narrow.worker_id)
        assert again is not None
        await handle_return(again, office=narrow)
        seen.append(await row(owner))

    assert [r["state"] for r in seen] == ["sorted", "sorted", "settled"]
    assert seen[2]["outcome"] == "quarantined"
    assert kills(narrow) == 3


async def test_killed_while_it_is_posted(office: Office, owner: Owner) -> None:
    """What could be examined may not be prepared: nothing is left of the posting."""
    async with Reader(BRIEF) as reader:
        office = replace(office, reader=reader)
        await mediate(await arrive(office, LONG), office=office)

    assert (await row(owner))["state"] == "received"
    assert await owner.fetchval("select count(*) from relais.posting") == 0
    assert kills(office, "nonsense") == 1


async def test_moderators_are_asked_without_what_cannot_be_attached(
    office: Office, owner: Owner
) -> None:
    """Better so than never."""
    await owner.execute("update lists.definition set moderate = 'all'")
    assert (await outcome_of(office, owner, LONG))["outcome"] == "held"

    async with Reader(BRIEF) as reader:
        await attend(replace(office, reader=reader))

    [asked] = (await notices(owner))["moderate"]
    assert "> x" in text_of(asked)
    assert list(asked.iter_attachments()) == []
    assert "n\u2019a pas pu être joint" in text_of(asked)


async def test_who_made_the_worker_end(office: Office, owner: Owner) -> None:
    """A kill of the whole process is known by the attempts alone."""
    async with borrowed(office.pool) as db:
        await arrivals.store(db, Place("m", "INBOX", 1, 1), letter(), internal_date=None)
        await owner.execute("update relais.arrival set attempts = 3")
        arrival = await arrivals.claim(db, "received", office.worker_id)
    assert arrival is not None
    await mediate(arrival, office=office)

    found = await row(owner)
    assert (found["outcome"], found["wanted_in"]) == ("quarantined", arrivals.QUARANTINE)
    assert found["reason"] == "the worker ended three times over it"


async def test_no_message_is_to_blame_for_a_child_that_does_not_start(
    office: Office, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mediator holds on to the arrival until there is one, and it stays the first attempt."""
    signals = Signals()
    async with borrowed(office.pool) as db:
        await arrivals.store(db, Place("m", "INBOX", 1, 1), letter(), internal_date=None)
    with capture_logs() as told, monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/nowhere/python")
        # No group: it outlives the block in which no child can be started.
        mediating = asyncio.create_task(run_mediator(office, signals=signals))
        while not any(event["event"] == "mediator.interrupted" for event in told):
            await asyncio.sleep(0.01)  # A log line wakes nobody.
    while (await row(owner))["state"] != "settled":
        await asyncio.sleep(0.01)  # The arrival tells nobody that it is settled.
    signals.stop()
    await mediating

    found = await row(owner)
    assert (found["outcome"], found["attempts"]) == ("posted", 1)
