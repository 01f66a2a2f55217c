"""An author thinks again: what leaves after a stop, a pause and a word of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.journeys.conftest import members
from tests.journeys.relais import DOMAIN, audit, message, submit
from tests.journeys.test_way_of_a_message import AUTHOR, submitted
from worker.mail.return_address import Purpose

if TYPE_CHECKING:
    from tests.journeys.relais import Relais
    from tests.servers.postfix import Postfix

pytestmark = pytest.mark.real_servers

ALL = f"tous@{DOMAIN}"
PEOPLE = 80
# So that many are still waiting when some have left.
PACE = """
    insert into relais.limit_rule (account, amount, period, set_at, set_by, reason)
    values ('main', 100, '10 seconds', relais.now(), 'test', 'test')
"""
LEFT = "SELECT count(*) >= $1 FROM relais.delivery WHERE state = 'handed_over'"
AFTER = """
    SELECT count(*) FROM relais.delivery d, relais.posting o
     WHERE d.posting_id = o.posting_id AND d.marked_at > o.finished_at
"""


async def under_way(relais: Relais, postfix: Postfix) -> str:
    """Post to everybody, wait until some have it, and return the token of its page."""
    await members(relais, AUTHOR, *(f"m{n}@free.test" for n in range(1, PEOPLE)))
    await relais.start()
    await relais.define(PACE)
    await submit(postfix.inbound_port, AUTHOR, ALL, message(ALL))
    await relais.until(LEFT, 10)
    number = await relais.db.fetchval("select posting_id from relais.posting")
    return relais.tokens.sign(Purpose.POSTING, number).decode()


async def press(web_port: int, token: str, action: str) -> str:
    """Press a button of the author's page, and return what it shows then."""
    url = f"http://127.0.0.1:{web_port}/p/{token}"
    async with (
        aiohttp.ClientSession() as browser,
        browser.post(url, data={"action": action}) as answer,
    ):
        assert answer.status == 200  # The page that it leads back to.
        return await answer.text()


async def test_pause_and_go_on(relais: Relais, postfix: Postfix, web_port: int) -> None:
    """Nothing leaves while it is paused; then everybody gets it once."""
    token = await under_way(relais, postfix)
    await press(web_port, token, "hold")
    await relais.until("SELECT NOT EXISTS (SELECT FROM relais.delivery WHERE state = 'dotting')")
    paused = await relais.states()

    # Another message passes it meanwhile.
    await submit(postfix.inbound_port, AUTHOR, ALL, message(ALL, subject="Rectificatif"))
    await relais.until(LEFT, paused["handed_over"] + 20)

    first = "SELECT count(*) FROM relais.delivery WHERE posting_id = 1 AND state = 'handed_over'"
    assert await relais.db.fetchval(first) == paused["handed_over"]
    await press(web_port, token, "resume")
    await relais.until_settled()
    assert await relais.states() == {"handed_over": 2 * PEOPLE}
    found = await audit(relais, submitted(postfix))
    assert found.balances
    assert found.duplicates == 0


async def test_stop_by_mail_and_go_on(relais: Relais, postfix: Postfix, web_port: int) -> None:
    """An answer stops it as the page does; resumed, everybody gets it once, whoever is asked."""
    token = await under_way(relais, postfix)
    address = f"posting-{token}@{DOMAIN}"
    body = "Stop, mauvais fichier !\r\n\r\n> Votre message part"

    await submit(postfix.inbound_port, AUTHOR, address, message(address, body=body))

    await relais.until_outcomes("posted", "stopped")
    await relais.until_settled()
    stopped = await relais.states()
    assert stopped["cancelled"] > 0
    assert await relais.db.fetchval(AFTER) == 0
    gone = await relais.db.fetchval(
        "delete from club.member where email = (select address from relais.delivery"
        " where state = 'cancelled' limit 1) returning email"
    )
    await press(web_port, token, "resume")
    await relais.until_settled()
    [row] = await relais.db.fetch("select address, reply from relais.delivery"
                                  " where state = 'cancelled'")  # fmt: skip
    assert row["address"] == gone
    assert row["reply"].startswith("no longer on the list")
    found = await audit(relais, submitted(postfix))
    assert (found.received, found.balances, found.duplicates) == (PEOPLE - 1, True, 0)
