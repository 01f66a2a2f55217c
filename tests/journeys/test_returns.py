"""What comes back, on real servers: Postfix's own reports, and what they make of people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.edges.national_file import as_csv, person
from tests.journeys.conftest import members
from tests.journeys.relais import DOMAIN, ROOT, Relais, message, submit, until
from tests.servers.dovecot import FULL
from worker.mail.return_address import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from tests.servers.dovecot import Dovecot
    from tests.servers.postfix import Postfix
    from tests.servers.postgres import Database

pytestmark = pytest.mark.real_servers

AUTHOR = "president@membres.test"
COMITE = f"membre.comite@{DOMAIN}"

# The tables that an import fills, and two lists of the same people.
MEMBER_FILE_LISTS = """
    create view lists.bureau as
    select email, full_name as name, id::text as person from club.member where active;
    create view lists.licencies as
    select email, full_name as name, id::text as person from club.member where active;
    select lists.define(view => 'lists.bureau', address => 'bureau', title => 'Bureau',
                        post => 'anyone');
    select lists.define(view => 'lists.licencies', address => 'licencies', title => 'Licenciés',
                        post => 'anyone');
"""


async def post(postfix: Postfix, to: str = COMITE, *, subject: str = "Réunion") -> None:
    """Let the author's provider bring a message to the lists' host."""
    await submit(postfix.inbound_port, AUTHOR, to, message(to, author=AUTHOR, subject=subject))


async def delivery(relais: Relais, address: str) -> asyncpg.Record:
    """Return the newest delivery to *address*."""
    row = await relais.db.fetchrow(
        "SELECT delivery_id, state::text, verdict, status, reply, returned,"
        " due_at - relais.now() AS due_in FROM relais.delivery WHERE address = $1"
        " ORDER BY delivery_id DESC LIMIT 1",
        address,
    )
    assert row is not None
    return row


async def failures(relais: Relais, address: str) -> list[tuple[str, bool]]:
    """Return what counts against *address*: why, and whether for good."""
    rows = await relais.db.fetch(
        "SELECT reason, is_permanent FROM relais.address_failure"
        " WHERE address = $1 AND NOT is_excused ORDER BY failed_at",
        address,
    )
    return [(row["reason"], row["is_permanent"]) for row in rows]


async def health(relais: Relais, address: str) -> str | None:
    """Return how *address* stands; None if nothing is known against it."""
    state: str | None = await relais.db.fetchval(
        "SELECT state FROM relais.address_health WHERE address = $1", address
    )
    return state


async def test_an_unknown_user(relais: Relais, dovecot: Dovecot, postfix: Postfix) -> None:
    """Asked for by RFC 3461, the report names the delivery and brings only the header back."""
    gone = "unknown+listes@free.test"
    postfix.providers.answer(r"^unknown\+", "550 5.1.1 User unknown")
    await members(relais, AUTHOR, gone)
    await relais.start()

    await post(postfix)
    await relais.until_outcomes("bounced", "posted")

    bounced = await delivery(relais, gone)
    assert (bounced["state"], bounced["verdict"], bounced["status"]) == ("bounced", "hard", "5.1.1")
    assert "User unknown" in bounced["reply"]
    assert await failures(relais, gone) == [("unknown_user", True)]
    assert await health(relais, gone) == "suspect"
    await until(lambda: len(dovecot.received(folder="relais/taken")) == 2)
    [report] = [
        raw for raw in dovecot.received(folder="relais/taken") if b"multipart/report" in raw
    ]
    named = re.search(rb"Original-Envelope-Id: (\w+)", report)
    assert named is not None
    assert relais.tokens.read(Purpose.RETURN, named[1].decode()) == bounced["delivery_id"]
    assert f"Original-Recipient: rfc822;{gone}".encode() in report
    assert b"Content-Type: text/rfc822-headers" in report
    assert b"Bonjour" not in report


async def test_a_full_mailbox(relais: Relais, dovecot: Dovecot, postfix: Postfix) -> None:
    """Dovecot's quota says 552 5.2.2: that copy has failed, and nobody is given up for it."""
    emma = f"emma@{FULL}"
    await members(relais, AUTHOR, emma)
    await relais.start()

    await post(postfix)
    await relais.until_outcomes("bounced", "posted")

    bounced = await delivery(relais, emma)
    assert (bounced["state"], bounced["verdict"], bounced["status"]) == ("bounced", "soft", "5.2.2")
    assert "Quota exceeded" in bounced["reply"]
    assert await failures(relais, emma) == [("full", False)]
    assert await health(relais, emma) is None
    assert dovecot.received(emma) == []


async def test_refused_content(relais: Relais, dovecot: Dovecot, postfix: Postfix) -> None:
    """Refused after DATA as spam: the posting stops there, and the person gets the next one."""
    dora = "dora@libre.test"
    postfix.providers.answer_at_end("@libre", "554 5.7.1 Message classified as spam")
    await members(relais, AUTHOR, dora)
    # At a provider without a name one server's word stops nothing.
    await relais.db.execute("INSERT INTO relais.provider_domain VALUES ('libre.test', 'free')")
    await relais.start()

    await post(postfix, subject="Gagnez !")
    await relais.until_outcomes("posted", "requeued")

    refused = await delivery(relais, dora)
    assert (refused["state"], refused["verdict"], refused["returned"]) == ("deferred", "content", 1)
    assert refused["due_in"].days >= 4
    stopped = await relais.db.fetchrow(
        "SELECT kind, posting_id FROM relais.provider_state WHERE until > relais.now()"
    )
    assert stopped is not None
    assert stopped["kind"] == "pause"
    assert stopped["posting_id"] is not None

    postfix.providers.answer_at_end("@libre")
    await post(postfix, subject="Réunion")
    await until(lambda: len(dovecot.received(dora)) == 1)
    assert b"Gagnez" not in dovecot.received(dora)[0]
    await relais.pass_time("5 days 2 hours")
    await relais.until(
        "SELECT count(*) = 1 FROM relais.delivery WHERE address = $1"
        " AND state IN ('cancelled', 'expired')",
        dora,
    )
    assert len(dovecot.received(dora)) == 1
    assert await failures(relais, dora) == []
    assert await health(relais, dora) is None


async def test_delayed_then_delivered(relais: Relais, dovecot: Dovecot, postfix: Postfix) -> None:
    """The host warns that it still tries: nothing has failed, and then the copy arrives."""
    postfix.configure(delay_warning_time="1s")
    postfix.providers.answer("^lent@", "451 4.3.2 System busy, please wait")
    await members(relais, AUTHOR, "lent@libre.test")
    await relais.start()

    await post(postfix)
    await relais.until_outcomes("delayed", "posted")
    await until(lambda: len(dovecot.received(folder="relais/taken")) == 2)
    [report] = [
        raw for raw in dovecot.received(folder="relais/taken") if b"multipart/report" in raw
    ]
    assert b"Action: delayed" in report
    assert (await delivery(relais, "lent@libre.test"))["state"] == "handed_over"
    assert dovecot.received("lent@libre.test") == []

    postfix.providers.answer("^lent@")
    await until(lambda: len(dovecot.received("lent@libre.test")) == 1)
    await relais.until_settled()
    await relais.until_outcomes("delayed", "posted")
    assert await relais.states() == {"handed_over": 2}
    assert await failures(relais, "lent@libre.test") == []
    assert await health(relais, "lent@libre.test") is None


@pytest_asyncio.fixture
async def relais_of_a_member_file(
    tmp_path: Path, database: Database, dovecot: Dovecot, postfix: Postfix
) -> AsyncIterator[Relais]:
    """A worker whose lists are made of what `relais members import` brings."""
    async with Relais(
        tmp_path,
        database,
        imap=f"imap://catchall@127.0.0.1:{dovecot.imap_port}",
        smtp=f"smtp://127.0.0.1:{postfix.smtp_port}",
    ) as relais:
        await relais.define((ROOT / "migrations/site/0001_club.sql").read_text())
        await relais.define(MEMBER_FILE_LISTS)
        yield relais


async def imported(relais: Relais, folder: Path, *addresses: str) -> None:
    """Import a member file in which the members have *addresses*."""
    rows = [person(number, email=address) for number, address in enumerate(addresses)]
    file = folder / "licences-2026-11-12.csv"
    file.write_text(as_csv(rows), "utf-8")
    await relais.verb(
        "members", "import", str(file), "--map", str(ROOT / "migrations/site/map.toml")
    )


def brought_to(postfix: Postfix, address: str) -> int:
    """Count the copies that the host has taken for *address*."""
    handovers = [one for taken in postfix.accepted() for one in taken.handovers]
    return sum(handover.recipient == address for handover in handovers)


async def test_an_address_that_is_given_up_and_mended(
    relais_of_a_member_file: Relais, dovecot: Dovecot, postfix: Postfix, tmp_path: Path
) -> None:
    """Unknown on two days: held on every list. Mended in the member file: it is written to."""
    relais = relais_of_a_member_file
    wrong, right = "unknown@free.test", "helene@free.test"
    await imported(relais, tmp_path, AUTHOR, "anne@free.test", wrong)
    # Noon, and then 20 hours: another day, and sooner than a suspect is written to.
    await relais.db.execute(
        "UPDATE relais.clock SET since = clock_timestamp(),"
        " origin = date_trunc('day', relais.now(), 'UTC') + interval '36 hours'"
    )
    await relais.start()

    await post(postfix, f"bureau@{DOMAIN}", subject="un")
    await relais.until_outcomes("posted", "bounced")
    assert await health(relais, wrong) == "suspect"
    await relais.pass_time("20 hours")
    await post(postfix, f"licencies@{DOMAIN}", subject="deux")
    await relais.until_outcomes("posted", "bounced", "posted", "bounced")
    assert await failures(relais, wrong) == [("unknown_user", True)] * 2
    assert await health(relais, wrong) == "held"

    for name in ("bureau", "licencies"):
        await post(postfix, f"{name}@{DOMAIN}", subject=f"trois, {name}")
    await until(lambda: len(dovecot.received("anne@free.test")) == 4)
    await relais.until_settled()
    assert brought_to(postfix, wrong) == 2
    assert await relais.db.fetchval(
        "SELECT array_agg(held ORDER BY posting_id) FROM relais.posting"
    ) == [0, 0, 1, 1]

    await imported(relais, tmp_path, AUTHOR, "anne@free.test", right)
    await post(postfix, f"bureau@{DOMAIN}", subject="quatre")
    await until(lambda: len(dovecot.received(right)) == 1)
    await relais.until_settled()
    assert (await delivery(relais, right))["state"] == "handed_over"
    assert await health(relais, right) is None
    assert brought_to(postfix, wrong) == 2
