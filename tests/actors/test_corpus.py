"""Real and hostile mail through the mediator: every message is settled, nothing crashes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.edges.store.given import DOMAIN
from worker.actors.mediator import mediate
from worker.actors.return_handler import handle_return
from worker.mail.copy import Personal, for_reader, read_template
from worker.store import arrivals
from worker.store.arrivals import Place
from worker.store.database import borrowed

if TYPE_CHECKING:
    import asyncpg

    from worker.actors.office import Office

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
TRACE = f"Return-Path: <a@b.fr>\r\nDelivered-To: tous@{DOMAIN}\r\n".encode()


@pytest.mark.parametrize("folder", ["posts", "malformed", "bounces", "autoreplies", "complaints"])
async def test_the_corpus(office: Office, owner: Owner, folder: str) -> None:
    """As if each of them had come to a list to which anyone may post."""
    files = sorted(file for file in (CORPUS / folder).rglob("*") if file.is_file())
    files = [file for file in files if file.suffix != ".jsonl"]
    if not files:
        pytest.skip(f"no corpus at {CORPUS / folder}")
    await owner.execute("update lists.definition set post = 'anyone', max_size = 10 ^ 9")
    for uid, file in enumerate(files, 1):
        await take(office, uid, TRACE + file.read_bytes())

    rows = await owner.fetch(
        "select state, outcome, count(*) as n from relais.arrival group by 1, 2"
    )
    outcomes = Counter({row["outcome"]: row["n"] for row in rows})
    assert {row["state"] for row in rows} == {"settled"}
    assert outcomes.total() == len(files)
    if folder == "bounces":
        assert outcomes["posted"] <= 0.1 * len(files), outcomes
    if folder in ("autoreplies", "complaints"):
        assert outcomes["posted"] <= 2, outcomes
    for row in await owner.fetch("select template from relais.posting"):
        wire = read_template(for_reader(row["template"], "fr")).copy(Personal(b"r" * 32, b"u" * 32))
        assert_safe(wire)


def assert_safe(wire: bytes) -> None:
    """Check what must hold of any copy on the wire."""
    header = wire.partition(b"\r\n\r\n")[0]
    assert b"\r\n.\r\n" not in b"\r\n" + wire
    assert b"\0" not in wire
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert header.isascii()
    assert max(map(len, header.split(b"\r\n"))) <= 998
    for name in (b"from:", b"list-id:", b"x-relais-ref:", b"list-unsubscribe:", b"date:", b"to:"):
        assert (b"\r\n" + header.lower()).count(b"\r\n" + name) == 1, name


async def take(office: Office, uid: int, raw: bytes) -> None:
    """Store, mediate, and handle as a return what is one."""
    async with borrowed(office.pool) as db:
        await arrivals.store(db, Place("m", "INBOX", 1, uid), raw, internal_date=None)
        arrival = await arrivals.claim(db, "received", office.worker_id)
    assert arrival is not None
    await mediate(arrival, office=office)
    async with borrowed(office.pool) as db:
        returned = await arrivals.claim(db, "sorted", office.worker_id)
    if returned is not None:
        await handle_return(returned, office=office)
