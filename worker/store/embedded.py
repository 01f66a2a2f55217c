"""PostgreSQL for a site, a demo or a test that brings no server of its own.

Any number of processes may start() the same directory: the first one starts
the server, the others join it, and it ends when the last of them has left or
died (embedded_keeper.py). It listens on a Unix socket only, in a folder that
only its own user can enter, and asks for no password.

    directory/data          the cluster, as initdb made it
    directory/socket        where it listens
    directory/postgres.log  what it said; never a statement, never a row
    directory/users         the pipe that every user holds
    directory/lock          held while somebody starts, joins or stops

As root the server runs as the owner of the cluster, which for a new one is
nobody. Raises EmbeddedPostgresError.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from worker.store import embedded_keeper
from worker.store.embedded_binaries import (
    EmbeddedPostgresError,
    find_programs,
    readable_by_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Any, Self

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

PORT = 5432  # Only a part of the socket's name.
MEMORY = Path("/dev/shm")  # noqa: S108 - We make a folder of our own in it.
LONGEST_SOCKET = 103  # Of sun_path: 104 bytes on macOS, 108 on Linux, with a NUL.
LOOK_SECONDS = 0.01
LEAVE_SECONDS = 5.0

ALWAYS = {
    "listen_addresses": "",
    "port": str(PORT),
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Addresses are personal data, and statements are full of them.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# What is lost is only what a crash of the machine loses; synchronous_commit
# stays on, so that a crash of the server alone loses nothing.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A server in *directory*, or in a temporary one that disappears with it.

    *durable* survives a power cut. *in_memory* keeps a temporary directory off
    the disk where the system can.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        durable: bool = False,
        in_memory: bool = False,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        if in_memory and (directory or durable):
            raise ValueError("in_memory has no directory and cannot be durable")
        self._is_temporary = directory is None
        self._in_memory = in_memory
        self._given = directory
        self._bin_dir = bin_dir
        self._settings = ALWAYS | ({} if durable else NOT_DURABLE) | dict(settings or {})
        self._directory: Path | None = None
        self._held: int | None = None  # Our end of the pipe.

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """Where everything is; it exists once start() was called."""
        if self._directory is None:
            raise EmbeddedPostgresError("The server was not started")
        return self._directory

    @property
    def pid(self) -> int:
        """The server's main process."""
        return int(self._facts()[0])

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return what asyncpg, psql and every other client of libpq's kind takes."""
        where = urlencode({"host": self._facts()[4], "port": PORT})
        return f"postgresql://{quote(user, '')}@/{quote(database, '')}?{where}"

    def start(self) -> Self:
        """Start the server, or join the one that runs in our directory."""
        if self._held is not None and self._answers():
            return self
        self.stop()
        self._directory = self._make_directory()
        try:
            with self._locked():
                if not self._join():
                    self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Leave the server; wait for its end if we were its last user."""
        if self._held is not None:
            with self._locked():
                os.close(self._held)
                self._held = None
                is_last = self._is_unused()
            if is_last:
                self._wait_for_the_end()
        if self._is_temporary and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    # Who uses it

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._give(self.directory / "lock")
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _join(self) -> bool:
        """Hold the pipe of a running server, or say that there is none."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while True:
            try:
                self._held = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # No pipe, or no keeper that reads it.
                return False
            if self._answers():
                return True
            # Its server has just died, and the keeper goes as well.
            os.close(self._held)
            self._held = None
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"PostgreSQL in {self.directory} has a keeper but does not answer;"
                    f" read {self.directory / 'postgres.log'}"
                )
            time.sleep(LOOK_SECONDS)

    def _is_unused(self) -> bool:
        """Say whether nobody holds the pipe; only true under the lock."""
        try:
            pipe = os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return True
        try:
            return os.read(pipe, 1) == b""
        except BlockingIOError:
            return False
        finally:
            os.close(pipe)

    def _wait_for_the_end(self) -> None:
        deadline = time.monotonic() + embedded_keeper.STOP_SECONDS
        while time.monotonic() < deadline:
            try:
                os.close(os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # Nobody reads it: the keeper is gone.
                return
            time.sleep(LOOK_SECONDS)

    # What runs

    def _launch(self) -> None:
        if self._answers():
            raise EmbeddedPostgresError(
                f"PostgreSQL runs in {self.directory} without its keeper, which was"
                f" killed; end it with: kill -INT {self.pid}"
            )
        owner = self._owner()
        self._check_entry(owner)
        programs = self._programs()
        if not (self._data / "PG_VERSION").exists():
            self._make_cluster(programs)
        self._pipe.unlink(missing_ok=True)
        os.mkfifo(self._pipe, 0o600)
        self._give(self._pipe)
        # We hold both ends first: the keeper finds a user, the user a keeper.
        keepers = os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self._held = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
            self._run_keeper(keepers, programs)
        finally:
            os.close(keepers)

    def _run_keeper(self, pipe: int, programs: Path) -> None:
        log = self.directory / "postgres.log"
        log_start = log.stat().st_size if log.exists() else 0
        listen = self._make_socket_folder()
        owner = self._owner()
        keeper = subprocess.run(  # noqa: S603 - Every word of it is ours.
            [
                *(sys.executable, "-I", "-S", embedded_keeper.__file__),
                *(str(pipe), str(self.directory), str(listen)),
                *((str(owner.pw_uid), str(owner.pw_gid)) if owner else ("-1", "-1")),
                "DISCARD" if self._is_temporary else "KEEP",
                *(str(programs / "postgres"), "-D", str(self._data), "-k", str(listen)),
                *(f"--{name}={value}" for name, value in self._settings.items()),
            ],
            cwd="/",
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            pass_fds=(pipe,),
            start_new_session=True,  # Ctrl-C is for us, not for the server.
            check=False,
        )
        if keeper.stdout != "ready\n":
            said = log.read_text(errors="replace")[log_start:] if log.exists() else ""
            raise EmbeddedPostgresError(
                f"PostgreSQL did not start in {self.directory}:\n" + (keeper.stderr + said)[-2000:]
            )

    def _make_cluster(self, programs: Path) -> None:
        if not self._data.exists():
            self._data.mkdir(mode=0o700)
            self._give(self._data)
        # macOS has no C.UTF-8; with C it sorts by bytes and knows no accents.
        locale = "C.UTF-8" if sys.platform == "linux" else "C"
        initdb = subprocess.run(  # noqa: S603 - Every word of it is ours.
            [
                *(str(programs / "initdb"), "-D", str(self._data), "-U", "postgres"),
                *("--auth=trust", "--encoding=UTF8", f"--locale={locale}"),
                "--no-instructions",
                *(["--no-sync"] if "fsync" in self._settings else []),
            ],
            cwd="/",
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self._as_owner(),
        )
        if initdb.returncode:
            raise EmbeddedPostgresError(f"initdb failed in {self._data}:\n{initdb.stderr}")

    def _programs(self) -> Path:
        version = self._data / "PG_VERSION"
        programs = find_programs(
            int(version.read_text()) if version.exists() else None, self._bin_dir
        )
        return readable_by_all(programs) if os.geteuid() == 0 else programs

    # Where and as whom

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _pipe(self) -> Path:
        return self.directory / "users"

    def _make_directory(self) -> Path:
        if self._given is not None:
            self._given.mkdir(parents=True, exist_ok=True)
            return self._given.resolve()
        in_memory = self._in_memory and os.access(MEMORY, os.W_OK | os.X_OK)
        made = tempfile.mkdtemp(prefix="relais-", dir=MEMORY if in_memory else None)
        if os.geteuid() == 0:
            Path(made).chmod(0o711)  # The server's user must pass, not look.
        return Path(made).resolve()

    def _make_socket_folder(self) -> Path:
        folder = self.directory / "socket"
        if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) > LONGEST_SOCKET:
            folder = Path(tempfile.mkdtemp(prefix="relais-", dir="/tmp"))
        folder.mkdir(mode=0o700, exist_ok=True)
        self._give(folder)
        return folder

    def _owner(self) -> pwd.struct_passwd | None:
        """Return whose process the server must be, or None for our own."""
        if os.geteuid() != 0:
            return None
        owner = self._data.stat().st_uid if self._data.exists() else 0
        return pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")

    def _as_owner(self) -> dict[str, Any]:  # Any: keywords of subprocess.
        owner = self._owner()
        if owner is None:
            return {}
        return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    def _give(self, path: Path) -> None:
        if owner := self._owner():
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)

    def _check_entry(self, owner: pwd.struct_passwd | None) -> None:
        """Refuse a directory below one that the server's user may not enter."""
        if owner is None:
            return
        for place in (self.directory, *self.directory.parents):
            facts = place.stat()
            if facts.st_uid != owner.pw_uid and not facts.st_mode & stat.S_IXOTH:
                raise EmbeddedPostgresError(
                    f"{place} is closed to {owner.pw_name}, as whom PostgreSQL runs"
                    " because it refuses root; choose a directory such as"
                    " /var/lib/relais, or run Relais as a user of its own"
                )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "TZ": "UTC",
            "HOME": str(self.directory),
        }

    # What postmaster.pid says

    def _facts(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except OSError as error:
            raise EmbeddedPostgresError(
                f"No PostgreSQL runs in {self.directory}; start it first"
            ) from error

    def _answers(self) -> bool:
        try:
            folder = self._facts()[4]
        except (EmbeddedPostgresError, IndexError):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(f"{folder}/.s.PGSQL.{PORT}")
            except OSError:
                return False
        return True
