"""Servers that are away, go away, refuse, or share the work: nothing is lost, nothing loops."""

from __future__ import annotations

import asyncio
import email
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.journeys.conftest import MEMBERS, members
from tests.journeys.relais import DOMAIN, Relais, audit, message, until
from tests.servers.postgres import Database
from tests.servers.process import free_ports, memory_folder, remove
from tests.servers.smtp import Act, SmtpServer
from tests.servers.smtp import Stage as At
from worker.config import Endpoint, Tls
from worker.inbox.imap import Inbox
from worker.store.embedded import EmbeddedPostgres
from worker.store.migrations import shipped_track, up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.servers.dovecot import Dovecot
    from tests.servers.tls import Certificates

pytestmark = pytest.mark.real_servers

ALL = f"tous@{DOMAIN}"


@asynccontextmanager
async def a_relais(
    folder: Path, database: Database, dovecot: Dovecot, server: SmtpServer, **settings: object
) -> AsyncIterator[Relais]:
    """A worker between a real mailbox and a scripted host; 60 members."""
    settings = {"smtp": f"smtp://127.0.0.1:{server.port}", **settings}
    imap = f"imap://catchall@127.0.0.1:{dovecot.imap_port}"
    async with Relais(folder, database, imap=imap, **settings) as relais:
        await relais.define(MEMBERS)
        await members(relais, *(f"m{n}@free.test" for n in range(60)))
        yield relais


async def put(dovecot: Dovecot, *, subject: str = "Bonjour", to: str = ALL) -> None:
    """Put a message into the mailbox as the host does."""
    inbox = await Inbox.connect(
        Endpoint("127.0.0.1", dovecot.imap_port, "catchall", "mot-de-passe", Tls.NONE)
    )
    raw = f"Return-Path: <a@b.test>\r\nDelivered-To: {to}\r\n".encode()
    await inbox.append("INBOX", raw + message(to, subject=subject))
    await inbox.close()


def taken(server: SmtpServer) -> list[tuple[str, str]]:
    """Return (name, recipient) of each copy that the host accepted, as audit() asks."""
    return [
        (accepted.return_address or _message_id(accepted.message), accepted.recipient)
        for accepted in server.accepted
    ]


def _message_id(message: bytes) -> str:
    return str(email.message_from_bytes(message)["message-id"])


async def test_the_database_drops_every_session(
    tmp_path: Path, database: Database, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """As after a restart of PostgreSQL: everybody connects again, the audit balances."""
    smtp_server.fail(At.MAIL, delay_seconds=0.02)
    async with a_relais(tmp_path, database, dovecot, smtp_server) as relais:
        await relais.start()
        await put(dovecot)
        await smtp_server.wait_accepted(5)
        for _ in range(3):
            await relais.db.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where usename = 'relais_worker' and datname = current_database()"
            )
            await asyncio.sleep(0.2)  # Outages are apart: this is the distance, not a wait.
        await relais.until(
            "select not exists (select from relais.delivery"
            " where state in ('queued', 'claimed', 'dotting')) and"
            " exists (select from relais.delivery)"
        )
        await relais.pass_time("31 minutes")
        await relais.until_settled()
        found = await audit(relais, taken(smtp_server))
        assert found.balances, found
        assert found.duplicates <= found.resends
        assert await relais.stop() == 0


async def test_the_database_is_away_at_the_start(
    tmp_path: Path, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """The worker waits for it, and then does its work."""
    port = free_ports(1)[0]
    settings = {"listen_addresses": "127.0.0.1", "port": str(port)}
    folder = memory_folder("relais-pg-")
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "data", settings=settings)
    await asyncio.to_thread(server.start)
    database = Database(
        "postgres",
        f"postgresql://relais_worker@127.0.0.1:{port}/postgres",
        f"postgresql://postgres@127.0.0.1:{port}/postgres",
    )
    await up(database.admin_url, [shipped_track()])
    try:
        async with a_relais(tmp_path, database, dovecot, smtp_server) as relais:
            await asyncio.to_thread(server.stop)
            await relais.start_unready()
            await until(lambda: "database.awaited" in relais.tail())
            await asyncio.to_thread(server.start)
            await put(dovecot)
            await smtp_server.wait_accepted(60, seconds=30)
            assert await relais.stop() == 0
    finally:
        await asyncio.to_thread(server.stop)
        remove(folder)


async def test_the_mailbox_goes_away(
    tmp_path: Path, database: Database, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """At the start and in the middle of IDLE; what came meanwhile is taken afterwards."""
    async with a_relais(tmp_path, database, dovecot, smtp_server) as relais:
        await asyncio.to_thread(dovecot.pause)
        await relais.start_unready()
        await until(lambda: "inbox.interrupted" in relais.tail())
        await asyncio.to_thread(dovecot.start)
        await put(dovecot, subject="un")
        await smtp_server.wait_accepted(60, seconds=30)
        await asyncio.to_thread(dovecot.pause)
        await asyncio.to_thread(dovecot.start)
        await put(dovecot, subject="deux")
        await smtp_server.wait_accepted(120, seconds=30)
        assert await relais.stop() == 0


async def test_the_host_goes_away(
    tmp_path: Path, database: Database, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """The account is left alone for a while; members have nothing to do with it."""
    async with a_relais(tmp_path, database, dovecot, smtp_server) as relais:
        await smtp_server.stop()
        await relais.start()
        await put(dovecot)
        await relais.until("select exists (select from relais.account_state)")
        await relais.until("select count(*) = 60 from relais.delivery where state = 'queued'")
        await smtp_server.start()
        await relais.pass_time("1 minute")
        await smtp_server.wait_accepted(60, seconds=30)
        await relais.until_settled()
        found = await audit(relais, taken(smtp_server))
        assert found.balances, found
        assert found.resends == 0


async def test_the_password_is_refused(
    tmp_path: Path, database: Database, dovecot: Dovecot, certificates: Certificates
) -> None:
    """One attempt, then half an hour of silence: more would lock the account."""
    server = SmtpServer(
        tls=certificates.server_context(), implicit_tls=True, users={}, auth_required=True
    )
    async with (
        server,
        a_relais(
            tmp_path,
            database,
            dovecot,
            server,
            smtp=f"smtps://listes@127.0.0.1:{server.port}",
            account=f'ca_file = "{certificates.ca}"\npassword_file = "smtp.secret"',
            connections=4,
        ) as relais,
    ):
        await relais.start()
        await put(dovecot)
        await relais.until(
            "select exists (select from relais.account_state"
            " where paused_until > relais.now() + interval '29 minutes')"
        )
        await relais.until(
            "select count(*) = 60 from relais.delivery where state = 'queued' and attempts = 0"
        )
        assert server.auth_attempts == 1
        assert await relais.stop() == 0
        await relais.start()
        await put(dovecot, subject="encore")
        await relais.until("select count(*) = 120 from relais.delivery")
        assert server.auth_attempts == 1, "a restart does not forget"


async def test_sigterm_lets_dots_finish(
    tmp_path: Path, database: Database, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """A planned restart leaves nothing in doubt, and no claim behind."""
    smtp_server.fail(At.DOT, delay_seconds=0.05)
    async with a_relais(tmp_path, database, dovecot, smtp_server, lease=60) as relais:
        await relais.start()
        await put(dovecot)
        for stopped_after in (10, 30):
            await smtp_server.wait_accepted(stopped_after)
            assert await relais.stop() == 0
            states = await relais.states()
            assert set(states) == {"handed_over", "queued"}, states
            assert states["handed_over"] == len(smtp_server.accepted)
            await relais.start()
        await smtp_server.wait_accepted(60)
        await relais.until_settled()
        found = await audit(relais, taken(smtp_server))
        assert found.balances, found
        assert found.duplicates == 0


async def test_two_workers_share_one_database(
    tmp_path: Path, database: Database, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """One of them is killed; each copy leaves once, and a limit holds over both."""
    smtp_server.fail(At.MAIL, delay_seconds=0.02)
    other = tmp_path / "other"
    other.mkdir()
    async with (
        a_relais(tmp_path, database, dovecot, smtp_server) as relais,
        Relais(
            other,
            database,
            imap=f"imap://catchall@127.0.0.1:{dovecot.imap_port}",
            smtp=f"smtp://127.0.0.1:{smtp_server.port}",
        ) as second,
    ):
        await relais.db.execute(
            "insert into relais.limit_rule"
            " (account, amount, period, spacing, set_at, set_by, reason)"
            " values ('main', 40, '1 hour', '0', relais.now(), 'test', 'test')"
        )
        await relais.start()
        await second.start_unready()
        await relais.until("select count(*) = 2 from relais.worker")
        await put(dovecot)
        await smtp_server.wait_accepted(10)
        await second.kill()
        await relais.until(
            "select count(*) filter (where state in ('claimed', 'dotting')) = 0"
            " and count(*) filter (where marked_at is not null) >= 38 from relais.delivery",
            seconds=30,
        )
        assert len(smtp_server.accepted) <= 40, "the limit of both together"
        await relais.pass_time("62 minutes")
        await relais.until_settled()
        found = await audit(relais, taken(smtp_server))
        assert found.balances, found
        assert found.duplicates <= found.resends <= 2


async def test_uidvalidity_changes(
    tmp_path: Path, database: Database, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """Old mail under new numbers must not go out again: taking stops until a person looks."""
    async with a_relais(tmp_path, database, dovecot, smtp_server) as relais:
        await relais.start()
        await put(dovecot, subject="un")
        await smtp_server.wait_accepted(60)
        await relais.db.execute("update relais.mailbox set uidvalidity = uidvalidity - 1")
        await put(dovecot, subject="deux")
        await until(lambda: "inbox.halted" in relais.tail())
        assert await relais.db.fetchval("select halted from relais.mailbox")
        assert len(dovecot.received()) == 1, "it waits in INBOX"
        assert len(smtp_server.accepted) == 60

        shown = await relais.verb("mailbox")
        assert "HALTED" in shown
        await relais.verb("mailbox", "resume", "--reason", "the host has moved our mailbox")
        await smtp_server.wait_accepted(120)
        assert "HALTED" not in await relais.verb("mailbox")


async def test_a_copy_in_doubt_is_resent_once_and_byte_identical(
    tmp_path: Path, database: Database, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """The host took it and hung up: half an hour later the same bytes go out once more."""
    smtp_server.fail(At.ACCEPTED, Act.DROP, recipient="^m7@", times=2)
    async with a_relais(tmp_path, database, dovecot, smtp_server) as relais:
        await relais.start()
        await put(dovecot)
        await relais.until("select count(*) = 59 from relais.delivery where state = 'handed_over'")
        assert (await relais.states())["in_doubt"] == 1
        await relais.pass_time("31 minutes")
        await relais.until(
            "select resends = 1 and state = 'in_doubt' from relais.delivery"
            " where address = 'm7@free.test'"
        )
        await relais.pass_time("31 minutes")
        await relais.until("select count(*) = 59 from relais.delivery where state = 'handed_over'")
        copies = [m.message for m in smtp_server.accepted if m.recipient == "m7@free.test"]
        assert len(copies) == 2, "never a third time"
        assert copies[0] == copies[1]


async def test_a_wrong_role_is_told_and_ends_the_worker(
    tmp_path: Path, database: Database, dovecot: Dovecot, smtp_server: SmtpServer
) -> None:
    """What only a person can mend is not waited for."""
    wrong = Database(
        database.name, database.url.replace("relais_worker", "nobody_here"), database.admin_url
    )
    async with a_relais(tmp_path, wrong, dovecot, smtp_server) as relais:
        await relais.start_unready()
        assert await relais.wait() == 3
        assert "does not let us in" in relais.tail()


def test_the_limits_table_is_not_the_workers_to_drop(database: Database) -> None:
    """The worker's role writes rows, and owns nothing."""

    async def try_it() -> None:
        db = await asyncpg.connect(database.url)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await db.execute("drop table relais.limit_rule")
        finally:
            await db.close()

    asyncio.run(try_it())
