"""A host that lies is found out, in the real thing: worker, database, mailbox and all."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from worker.demo.audit import Finding
from worker.demo.once import play_once
from worker.demo.world import World

if TYPE_CHECKING:
    import pytest
    from aiosmtpd.smtp import SMTP, Envelope, Session


async def test_lost_and_doubled_copies_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host answers 250 and loses one copy; another one it takes twice."""
    honest, messages = World.handle_DATA, count(1)

    async def handle(world: World, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await honest(world, server, session, envelope)
        match next(messages):
            case 50:
                world.received.append(world.received[10])
            case 100:
                del world.received[20]
        return answer

    monkeypatch.setattr(World, "handle_DATA", handle)
    result = await play_once()

    found = [discrepancy.finding for discrepancy in result.discrepancies]
    assert len(found) == 2
    assert set(found) == {Finding.DUPLICATE, Finding.LOST}
    assert result.as_json()["lost"] == 2
