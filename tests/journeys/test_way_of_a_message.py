"""The main job on real servers: one message to a list address, a copy for each member, and back."""

from __future__ import annotations

import email
import email.policy
import os
import random
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.journeys.conftest import members
from tests.journeys.relais import DOMAIN, audit, message, submit, unsubscribe_token, until

if TYPE_CHECKING:
    from tests.journeys.relais import Relais
    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix

pytestmark = pytest.mark.real_servers

AUTHOR = "president@membres.test"
KILLS = int(os.environ.get("RELAIS_KILLS", "1"))
COMITE = f"membre.comite@{DOMAIN}"
ALL = f"tous@{DOMAIN}"


async def post(postfix: Postfix, to: str = COMITE, *, author: str = AUTHOR, **words: str) -> None:
    """Let the author's provider bring a message to the lists' host."""
    await submit(postfix.inbound_port, author, to, message(to, author=author, **words))


def submitted(postfix: Postfix) -> list[tuple[str, str]]:
    """Return (name, recipient) of each copy that the host accepted from us, as audit() asks."""
    return [
        (accepted.return_address or accepted.message_id, handover.recipient)
        for accepted in postfix.accepted()
        for handover in accepted.handovers
        if accepted.return_address.startswith("return-") or not accepted.return_address
    ]


async def test_one_message_reaches_every_member(
    relais: Relais, dovecot: Dovecot, postfix: Postfix
) -> None:
    """Author -> Postfix -> LMTP -> Dovecot -> worker -> Postfix -> each member's mailbox."""
    names = [AUTHOR, "anne@free.test", "bruno@orange.test", "chloe@gmail.test"]
    await members(relais, *names)
    await relais.start()

    await post(postfix, subject="Réunion de lundi")
    await relais.until_settled()
    await until(lambda: all(dovecot.received(name) for name in names))

    assert await relais.states() == {"handed_over": 4}
    copies = {name: dovecot.received(name) for name in names}
    assert all(len(received) == 1 for received in copies.values())
    copy = email.message_from_bytes(copies["anne@free.test"][0], policy=email.policy.default)
    assert str(copy["from"]) == f'"Le Président via membre, comite" <{COMITE}>'
    assert str(copy["reply-to"]) == f"Le Président <{AUTHOR}>"
    assert str(copy["subject"]) == "Réunion de lundi"
    assert "Bonjour à tous," in copy.get_content()
    tokens = {unsubscribe_token(received[0]) for received in copies.values()}
    assert len(tokens) == 4, "each copy has a link of its own"
    assert dovecot.received() == []
    assert len(dovecot.received(folder="relais/taken")) == 1
    found = await audit(relais, submitted(postfix))
    assert found.balances
    assert found.duplicates == 0


async def test_a_member_who_does_not_exist(
    relais: Relais, dovecot: Dovecot, postfix: Postfix
) -> None:
    """The host takes the copy; the provider's refusal comes back as a report, days later."""
    await members(relais, AUTHOR, "unknown@free.test")
    await relais.start()

    await post(postfix)
    await relais.until("SELECT count(*) = 1 FROM relais.delivery WHERE state = 'bounced'")
    await relais.until_outcomes("bounced", "posted")

    row = await relais.db.fetchrow(
        "SELECT address, status, reply FROM relais.delivery WHERE state = 'bounced'"
    )
    assert row is not None
    assert (row["address"], row["status"]) == ("unknown@free.test", "5.1.1")
    assert "User unknown" in row["reply"]
    await until(lambda: len(dovecot.received(folder="relais/taken")) == 2)
    assert dovecot.received() == []


async def test_greylisting(relais_to_providers: Relais, dovecot: Dovecot, postfix: Postfix) -> None:
    """451 now, accepted after a quarter of an hour by the database's clock."""
    relais = relais_to_providers
    await members(relais, AUTHOR, "anne@grey.test")
    await relais.start()

    await post(postfix)
    await relais.until("SELECT count(*) = 1 FROM relais.delivery WHERE state = 'deferred'")
    assert dovecot.received("anne@grey.test") == []
    await relais.pass_time("20 minutes")
    await relais.until_settled()

    assert await relais.states() == {"handed_over": 2}
    await until(lambda: len(dovecot.received("anne@grey.test")) == 1)


async def test_unsubscribing(
    relais: Relais, dovecot: Dovecot, postfix: Postfix, web_port: int
) -> None:
    """GET shows, POST acts, the next posting leaves that person out."""
    await members(relais, AUTHOR, "anne@free.test", "bruno@free.test", "chloe@free.test")
    await relais.start()
    await post(postfix, subject="un")
    await relais.until_settled()
    await until(
        lambda: all(dovecot.received(f"{name}@free.test") for name in ("anne", "bruno", "chloe"))
    )

    page, one_click = (
        f"http://127.0.0.1:{web_port}/u/{unsubscribe_token(dovecot.received(name)[0])}"
        for name in ("anne@free.test", "bruno@free.test")
    )
    async with aiohttp.ClientSession() as browser:
        for _ in range(2):
            async with browser.get(page) as shown:
                assert shown.status == 200
        assert await relais.db.fetchval("SELECT count(*) FROM relais.suppression") == 0
        async with browser.post(page, data={"scope": "list"}) as done:
            assert done.status == 200
        async with browser.post(one_click, data={"List-Unsubscribe": "One-Click"}) as done:
            assert done.status == 200
    chloe = unsubscribe_token(dovecot.received("chloe@free.test")[0])
    await submit(
        postfix.inbound_port, "chloe@free.test", f"unsubscribe-{chloe}@{DOMAIN}",
        message(f"unsubscribe-{chloe}@{DOMAIN}", author="chloe@free.test"),
    )  # fmt: skip
    await relais.until("SELECT count(*) = 3 FROM relais.suppression")

    await post(postfix, subject="deux")
    await until(lambda: len(dovecot.received(AUTHOR)) == 2)
    await relais.until_settled()

    assert [len(dovecot.received(f"{name}@free.test")) for name in ("anne", "bruno", "chloe")] == [
        1, 1, 1,
    ]  # fmt: skip
    assert await relais.db.fetchval("SELECT max(suppressed) FROM relais.posting") == 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(KILLS))
async def test_kill_in_the_middle(
    relais: Relais, dovecot: Dovecot, postfix: Postfix, seed: int
) -> None:
    """A kill -9 among 300 deliveries: nobody lost, one doubt per connection, all accounted for."""
    figures = await kill_and_recover(relais, dovecot, postfix, random.Random(seed))
    print(figures)  # noqa: T201 - RELAIS_KILLS=20 pytest -s shows the figures of each kill

    assert figures["lost"] == 0
    assert figures["in_doubt_after_kill"] <= 2
    assert figures["duplicates"] <= figures["resends"]


async def kill_and_recover(
    relais: Relais, dovecot: Dovecot, postfix: Postfix, chance: random.Random
) -> dict[str, int]:
    """Run the journey once and return its figures; fails unless the audit balances."""
    await members(relais, *(f"m{n}@free.test" for n in range(300)))
    await relais.start()
    await post(postfix, to=ALL)
    kill_at = chance.randint(5, 280)
    await relais.until(
        "SELECT count(*) >= $1 FROM relais.delivery WHERE state = 'handed_over'", kill_at
    )
    await relais.kill()
    await relais.start()
    await relais.until(
        "SELECT NOT EXISTS (SELECT FROM relais.delivery"
        " WHERE state IN ('queued', 'claimed', 'dotting'))"
    )
    doubtful = (await relais.states()).get("in_doubt", 0)
    await relais.pass_time("31 minutes")
    await relais.until("SELECT count(*) = 300 FROM relais.delivery WHERE state = 'handed_over'")
    await relais.until("SELECT state = 'finished' FROM relais.posting")
    await until(lambda: len({recipient for _, recipient in submitted(postfix)}) == 300)
    assert await relais.stop() == 0
    found = await audit(relais, submitted(postfix))
    assert found.balances, found
    assert dovecot.received() == []
    return {
        "killed_at": kill_at,
        "lost": len(found.lost),
        "in_doubt_after_kill": doubtful,
        "resends": found.resends,
        "duplicates": found.duplicates,
        "received": found.received,
    }
