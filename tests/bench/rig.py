"""What a benchmark runs on: PostgreSQL on disk, a mailbox, a sink, and one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Self

from worker.config import Endpoint, Tls
from worker.inbox.imap import Inbox
from worker.store.database import connect
from worker.store.embedded import EmbeddedPostgres
from worker.store.migrations import Track, up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")

CONFIG = """
[site]
domain = "listes.example.fr"
public_url = "https://listes.example.fr"
locale = "fr"
help_address = "aide@example.fr"
member_space = "https://membres.example.fr"
secret_file = "relais.secret"
[database]
url = "{database}"
[mailbox]
imap = "imap://catchall@127.0.0.1:{imap}"
password_file = "imap.secret"
poll_seconds = 60
recipient_headers = ["Delivered-To"]
[[accounts]]
name = "main"
smtp = "smtp://127.0.0.1:{smtp}"
connections = {connections}
[limits]
other = []
[web]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
"""


@dataclass(frozen=True)
class Sink:
    """Postfix's smtp-sink, which accepts everything."""

    port: int


class Rig:
    """A worker that is running, and the world around it."""

    def __init__(
        self, db: asyncpg.Connection[asyncpg.Record], inbox: Inbox, sink: Sink, worker_pid: int
    ) -> None:
        self._db = db
        self._inbox = inbox
        self.sink = sink
        self.worker_pid = worker_pid
        self._posted = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, folder: Path, *, connections: int) -> AsyncIterator[Self]:
        """Start everything in *folder*; stop everything in the end."""
        async with contextlib.AsyncExitStack() as stack:
            postgres = EmbeddedPostgres(folder / "postgres", durable=True)
            await asyncio.to_thread(postgres.start)
            stack.callback(postgres.stop)
            await up(postgres.url(), [Track("relais", ROOT / "migrations")])
            db = await connect(postgres.url())
            stack.push_async_callback(db.close)
            imap = await start_pymap(stack)
            sink = await start_sink(stack)
            config = write_config(
                folder,
                database=postgres.url(user="relais_worker"),
                imap=imap,
                smtp=sink.port,
                connections=connections,
            )
            inbox = await Inbox.connect(Endpoint("127.0.0.1", imap, "catchall", "secret", Tls.NONE))
            stack.push_async_callback(inbox.close)
            worker = await start(stack, sys.executable, "-m", "worker", "run", "--config", config)
            rig = cls(db, inbox, sink, worker.pid)
            await rig._until("SELECT count(*) > 0 FROM relais.leader")
            yield rig

    async def fill(self, name: str, members: int) -> None:
        """Create the list *name* with *members* members, all at one provider."""
        await self._db.execute(
            f"create schema {name};"
            f"create table {name}.member as select n::text as person, "
            f"'m' || n || '@members.example' as email from generate_series(1, {members}) n;"
            f"create view lists.{name} as select email, person from {name}.member;"
            f"select lists.define('lists.{name}', '{name}', '{name}', post => 'anyone', "
            f"max_recipients => 10000000, grace => '0');"
        )
        await self._db.execute("analyze")

    async def post(self, list_name: str, size_bytes: int) -> float:
        """Put a message into the mailbox; return when the mailbox had it (Unix time)."""
        self._posted += 1
        head = (
            f"Delivered-To: {list_name}@listes.example.fr\r\nFrom: Jean <jean@example.org>\r\n"
            f"To: {list_name}@listes.example.fr\r\nSubject: No. {self._posted}\r\n"
            f"Message-ID: <{self._posted}.{time.time_ns()}@example.org>\r\n"
            f"Date: {formatdate()}\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\n"
        ).encode()
        line = b"x" * 70 + b"\r\n"
        raw = head + line * ((size_bytes - len(head) - 1200) // len(line))
        await self._inbox.append("INBOX", raw)
        return time.time()

    async def execute(self, sql: str) -> None:
        """Run *sql* as the database's owner."""
        await self._db.execute(sql, timeout=600)

    async def wait_until_posted(self) -> None:
        """Wait until the newest message is a posting with all its deliveries."""
        await self._until("SELECT (SELECT count(*) FROM relais.posting) = $1", self._posted)

    async def wait_until_handed_over(self, members: int) -> tuple[float, float]:
        """Wait for the newest posting; return when its first and its last copy were settled."""
        # The worker shares the machine with this question, so it is asked seldom
        # and costs little: one probe until nothing is left to do.
        await self._until(
            "SELECT (SELECT count(*) FROM relais.posting) = $1"
            " AND NOT EXISTS (SELECT FROM relais.delivery"
            " WHERE state IN ('queued', 'claimed', 'dotting', 'in_doubt', 'deferred'))",
            self._posted,
        )
        handed_over = await self._db.fetchval(
            "SELECT count(*) FROM relais.delivery WHERE state = 'handed_over'"
            " AND posting_id = (SELECT max(posting_id) FROM relais.posting)"
        )
        assert handed_over == members, f"{handed_over} of {members} handed over"
        row = await self._db.fetchrow(
            "SELECT extract(epoch from min(settled_at))::float8 AS first,"
            " extract(epoch from max(settled_at))::float8 AS last FROM relais.delivery"
            " WHERE posting_id = (SELECT max(posting_id) FROM relais.posting)"
        )
        assert row is not None
        return row["first"], row["last"]

    async def _until(self, question: str, *arguments: object) -> None:
        async with asyncio.timeout(300):
            while not await self._db.fetchval(question, *arguments):
                await asyncio.sleep(0.1)


async def start(
    stack: contextlib.AsyncExitStack, *command: str | Path
) -> asyncio.subprocess.Process:
    """Start a program that ends with *stack*."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )

    async def stop() -> None:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()

    stack.push_async_callback(stop)
    return process


async def start_sink(stack: contextlib.AsyncExitStack) -> Sink:
    """Start a host that takes everything."""
    sink = Sink(free_port())
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    path = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    await start(stack, path, *user, f"127.0.0.1:{sink.port}", "1000")
    await answers(sink.port)
    return sink


async def start_pymap(stack: contextlib.AsyncExitStack) -> int:
    """Start a mailbox server, and return its port."""
    port = free_port()
    await start(
        stack, Path(sys.executable).parent / "pymap", "--host", "127.0.0.1", "--port", str(port),
        "--no-tls", "dict", "--demo-user", "catchall", "--demo-password", "secret",
    )  # fmt: skip
    await answers(port)
    return port


async def answers(port: int) -> None:
    """Wait until somebody listens on *port*."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_config(folder: Path, **values: object) -> Path:
    """Write a configuration and its secrets into *folder*; return its path."""
    for name, text in {"relais.secret": "ab" * 32, "imap.secret": "secret"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    path = folder / "relais.toml"
    path.write_text(CONFIG.format(**values))
    return path


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_rss_mb(pid: int) -> float:
    """Return the largest resident set of a process so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024
