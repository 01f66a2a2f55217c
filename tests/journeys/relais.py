"""A worker as its users run it: `relais run`, a process of its own, and what it left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers.postfix import AUTHORS_NETWORK
from worker.mail.return_address import Purpose, Tokens, read_service_address
from worker.store.database import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import asyncpg

    from tests.servers.postgres import Database

ROOT = Path(__file__).resolve().parents[2]
SECRET = "5ec2e7" * 16
DOMAIN = "listes.test"
PATIENCE_SECONDS = 60.0
AUTHORS_PROVIDER = f"{AUTHORS_NETWORK}9"
STRANGERS_SERVER = "198.51.100.66"

CONFIG = """
[site]
domain = "listes.test"
public_url = "https://listes.test"
locale = "fr"
timezone = "Europe/Paris"
help_address = "aide@example.org"
member_space = "https://membres.example.org"
secret_file = "relais.secret"
[database]
url = "{database}"
[mailbox]
imap = "{imap}"
password_file = "imap.secret"
poll_seconds = 1
recipient_headers = ["Delivered-To"]
trusted_authserv_id = 'mx[.]hote[.]test'
{mailbox}
[[accounts]]
name = "main"
smtp = "{smtp}"
connections = {connections}
{account}
[limits]
other = []
[worker]
lease_seconds = {lease}
in_doubt_minutes = {in_doubt}
[web]
listen = "127.0.0.1:{web}"
[metrics]
listen = "127.0.0.1:{metrics}"
"""


class Relais:
    """Its configuration in *folder*, its database, and the process while it runs."""

    def __init__(self, folder: Path, database: Database, **settings: object) -> None:
        self._folder = folder
        self._database = database
        self._settings = {
            "mailbox": "",
            "account": "",
            "connections": 2,
            "lease": 2,
            "in_doubt": 30,
            "web": 0,
            "metrics": 0,
        } | settings
        self._process: asyncio.subprocess.Process | None = None
        self._kept: asyncpg.Connection[asyncpg.Record] | None = None
        for name in ("relais.secret", "imap.secret", "smtp.secret"):
            path = folder / name
            path.write_text(SECRET if name == "relais.secret" else "mot-de-passe")
            path.chmod(0o600)
        self.config = folder / "relais.toml"
        self.config.write_text(CONFIG.format(database=database.url, **self._settings))
        self.log = folder / "worker.log"
        self.tokens = Tokens((bytes.fromhex(SECRET),))

    async def __aenter__(self) -> Self:
        self._kept = await connect(self._database.admin_url)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.stop()
        await self.db.close()

    @property
    def db(self) -> asyncpg.Connection[asyncpg.Record]:
        """The database as its owner sees it."""
        if self._kept is None:
            raise AssertionError("use `async with`")
        return self._kept

    async def start(self) -> None:
        """Start the worker and wait until it reads the mailbox."""
        before = await self.db.fetchval("SELECT count(*) FROM relais.worker")
        await self.start_unready()
        await self.until(
            "SELECT count(*) > $1 AND EXISTS (SELECT FROM relais.leader l JOIN relais.worker w"
            " USING (worker_id) WHERE w.alive_until > clock_timestamp()) FROM relais.worker",
            before,
        )

    async def start_unready(self) -> None:
        """Start the worker and wait for nothing."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "worker", "run", "--config", self.config,
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process that runs now."""
        if self._process is None:
            raise AssertionError("not started")
        return self._process.pid

    async def stop(self) -> int:
        """Ask the worker to end, and return its exit code."""
        self._signal(signal.SIGTERM)
        return await self.wait()

    async def kill(self) -> None:
        """End the worker where it is."""
        self._signal(signal.SIGKILL)
        await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise AssertionError("not started")
        self._process.send_signal(number)

    async def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the worker's end and return its exit code."""
        if self._process is None:
            raise AssertionError("not started")
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    async def verb(self, *words: str) -> str:
        """Run another verb of the command line, and return what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", *words, "--config", self.config,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"RELAIS_DATABASE__ADMIN_URL": self._database.admin_url},
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode != 0:
            raise AssertionError(f"{words} ended with {process.returncode}: {err.decode()}")
        return out.decode()

    async def define(self, sql: str) -> None:
        """Run a migration of the admin's."""
        await self.db.execute(sql)

    async def until(self, question: str, *arguments: object, seconds: float = 60.0) -> None:
        """Wait until the database answers *question* with true."""
        end = time.monotonic() + seconds
        while not await self.db.fetchval(question, *arguments):
            if self._process is not None and self._process.returncode is not None:
                raise AssertionError(f"the worker ended:\n{self.tail()}")
            if time.monotonic() > end:
                raise AssertionError(
                    f"never true: {question}\n{await self.states()}\n{self.tail()}"
                )
            await asyncio.sleep(0.02)

    async def until_settled(self, seconds: float = 60.0) -> None:
        """Wait until every arrival is settled and every delivery final or in doubt."""
        await self.until(
            "SELECT NOT EXISTS (SELECT FROM relais.arrival WHERE state <> 'settled')"
            " AND NOT EXISTS (SELECT FROM relais.delivery"
            " WHERE state IN ('queued', 'claimed', 'dotting', 'deferred'))",
            seconds=seconds,
        )

    async def until_outcomes(self, *outcomes: str, seconds: float = 60.0) -> None:
        """Wait until the arrivals have just these outcomes, in any order."""
        await self.until(
            "SELECT (SELECT coalesce(array_agg(outcome ORDER BY outcome), '{}')"
            " FROM relais.arrival WHERE state = 'settled') = $1::text[]",
            sorted(outcomes),
            seconds=seconds,
        )

    async def states(self) -> dict[str, int]:
        """Count the deliveries by state."""
        rows = await self.db.fetch(
            "SELECT state::text, count(*) AS n FROM relais.delivery GROUP BY 1"
        )
        return {row["state"]: row["n"] for row in rows}

    async def pass_time(self, interval: str) -> None:
        """Let the database's clock jump forward."""
        await self.db.execute(
            "UPDATE relais.clock SET origin = relais.now() + $1::text::interval,"
            " since = clock_timestamp()",
            interval,
        )

    async def run_clock(self, rate: float) -> None:
        """Let the database's clock run at *rate* from now on."""
        await self.db.execute(
            "UPDATE relais.clock SET rate = $1, origin = relais.now(), since = clock_timestamp()",
            rate,
        )
        await self.wake()

    async def wake(self) -> None:
        """Tell those who sleep that the clock is another; by themselves they wake in seconds."""
        for topic in ("delivery", "receipt"):
            await self.db.execute("SELECT pg_notify('relais', $1)", topic)

    def tail(self, lines: int = 30) -> str:
        """Return the end of the worker's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


@dataclass
class Audit:
    """Deliveries against what the host really accepted. Every copy has one owner."""

    lost: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    duplicates: int = 0
    resends: int = 0
    in_doubt: int = 0
    received: int = 0

    @property
    def balances(self) -> bool:
        """Whether nothing is lost and nothing unexplained."""
        return not self.lost and not self.unexplained


SUBMITTED = {"handed_over", "bounced"}


async def audit(relais: Relais, accepted: Iterable[tuple[str, str]]) -> Audit:
    """Compare the database with *accepted*: (name, recipient) per accepted copy.

    The name is its return address; of an answer, which has none, its Message-ID.
    """
    copies = Counter(_delivery_of(relais.tokens, name) for name, _ in accepted)
    rows = await relais.db.fetch(
        "SELECT delivery_id, address, state::text, resends FROM relais.delivery"
    )
    found = Audit(received=sum(copies.values()), resends=sum(row["resends"] for row in rows))
    for row in rows:
        got = copies.pop(row["delivery_id"], 0)
        what = f"{row['address']} ({row['state']}): {got} copies, {row['resends']} resends"
        if row["state"] == "in_doubt":
            found.in_doubt += 1
        if row["state"] in SUBMITTED and got == 0:
            found.lost.append(what)
        if row["state"] not in SUBMITTED | {"in_doubt"} and got > row["resends"]:
            found.unexplained.append(what)
        if got > 1 + row["resends"]:
            found.unexplained.append(what)
        found.duplicates += max(0, got - 1)
    found.unexplained += [
        f"delivery {number}: {n} copies of nobody" for number, n in copies.items()
    ]
    return found


def _delivery_of(tokens: Tokens, name: str) -> int | None:
    local_part = name.strip("<>").partition("@")[0]
    service = read_service_address(local_part)
    return tokens.read(Purpose.RETURN, service.token if service else local_part)


def message(
    to: str, *, author: str = "president@membres.test", subject: str = "Réunion", body: str = ""
) -> bytes:
    """Write a message as a mail program does."""
    return (
        f"From: Le Président <{author}>\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{time.time_ns()}@membres.test>\r\nDate: {formatdate()}\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{body or 'Bonjour à tous,'}\r\n"
    ).encode()


LINK = re.compile(rb"/u/(?:=\r?\n)?([a-z2-7]{32})")


def unsubscribe_token(copy: bytes) -> str:
    """Return the personal token in the footer of a copy."""
    found = LINK.search(copy)
    if found is None:
        raise AssertionError(f"no link in {copy[:2000]!r}")
    return found[1].decode()


async def submit(
    port: int, return_address: str, recipient: str, raw: bytes, *, client: str = AUTHORS_PROVIDER
) -> None:
    """Bring one message to the host, as the server at *client* does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    commands: list[bytes] = [
        b"EHLO auteur.test\r\n",
        f"XCLIENT ADDR={client} NAME=[UNAVAILABLE]\r\n".encode(),
        b"EHLO auteur.test\r\n",
        f"MAIL FROM:<{return_address}> BODY=8BITMIME\r\n".encode(),
        f"RCPT TO:<{recipient}>\r\n".encode(),
        b"DATA\r\n",
        raw.replace(b"\r\n.", b"\r\n..") + b".\r\n",
        b"QUIT\r\n",
    ]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await _reply(reader)
        for command in commands:
            writer.write(command)
            reply = await _reply(reader)
            if reply[:1] not in b"23":
                raise AssertionError(f"{command[:60]!r} was answered {reply!r}")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _reply(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    while line[3:4] == b"-":
        line = await reader.readline()
    return line


async def until(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until *true* says so."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


def as_table(rows: Mapping[str, str]) -> str:
    """Write rows of SQL values for an INSERT: name -> address."""
    return ", ".join(f"('{name}', '{address}')" for name, address in rows.items())
