"""Copies as they leave: signed with the key that they were frozen with, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tests.actors.letters import Owner, attend, desk, letter, outcome_of
from tests.unit.mail.signing_keys import ED25519, RSA, is_verified
from worker.actors.dispatcher import claim_affordable
from worker.store.database import borrowed

if TYPE_CHECKING:
    from worker.actors.desk import Desk
    from worker.actors.office import Office


@pytest.fixture
def signing(office: Office) -> Office:
    """An office whose newest key is RSA."""
    return replace(office, site=replace(office.site, keys=(RSA, ED25519)))


async def copies(office: Office, *desks: Desk) -> list[list[bytes]]:
    """Claim all there is, and let each of *desks* render it; as it is received."""
    async with borrowed(office.pool) as db:
        claims = await claim_affordable(db, office.worker_id, "main", at_most=10)
    assert claims
    return [
        [(await each.copy_of(claim)).body.replace(b"\r\n.", b"\r\n") for claim in claims]
        for each in desks
    ]


async def test_every_copy_is_signed(signing: Office, owner: Owner) -> None:
    """By the newest key; the second rendering is the same, also after a start."""
    await outcome_of(signing, owner, letter(body=b".  \r\n\r\n"))

    first, second = await copies(signing, desk(signing, RSA), desk(signing, ED25519, RSA))

    assert len(set(first)) == 2
    assert all(is_verified(copy, RSA) for copy in first)
    assert first == second


async def test_a_notice_is_signed(signing: Office, owner: Owner) -> None:
    """What we ask authors is our mail, too."""
    await outcome_of(signing, owner, letter(proof=None))
    await attend(signing)

    ((notice,),) = await copies(signing, desk(signing, RSA))

    assert is_verified(notice, RSA)


async def test_a_key_that_is_gone(signing: Office, owner: Owner) -> None:
    """The copy goes out all the same, without a field that promises what is not there."""
    await outcome_of(signing, owner, letter())

    with capture_logs() as logs:
        ((copy, _),) = await copies(signing, desk(signing, ED25519))

    assert b"DKIM-Signature" not in copy
    assert b"List-Unsubscribe-Post" in copy
    assert [(entry["event"], entry["selector"]) for entry in logs] == [
        ("template.unsigned", "relais1")
    ]
