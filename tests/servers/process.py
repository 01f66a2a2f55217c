"""Real servers as child processes that end with the tests, however those end."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Ends the server once it reads a line from us, or the end, which says that we
# died: then nobody else removes the folder. The server's own early death is
# noticed by whoever waits for it to be ready.
GUARD = """
exec 3<&0 0</dev/null
"$@" 3<&- &
read -r _ <&3 || died=yes
kill $! 2>&-
wait $! 2>&-
[ -z "$died" ] || rm -rf -- "$0"
"""
LOOK_SECONDS = 0.01


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Look until *true* says so; AssertionError after *seconds*."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(LOOK_SECONDS)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on.

    They are below what the kernel gives to outgoing connections, so that only
    another rig that starts in the same moment can take them.
    """
    found: list[int] = []
    for port in random.sample(range(10240, 32000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("No free ports")


def accepts(port: int) -> bool:
    """Say whether anybody listens on *port*."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def remove(folder: Path) -> None:
    """Remove *folder*, in which a dying child may still write a last file."""

    def removed() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    wait_until(removed, 5, f"{folder} removed")


def memory_folder(prefix: str) -> Path:
    """Make a folder that lives in memory, where the system has such a thing."""
    memory = Path("/dev/shm")
    in_memory = os.access(memory, os.W_OK | os.X_OK)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=memory if in_memory else None))


def ordinary_user() -> pwd.struct_passwd:
    """Return us, or nobody if we are root: who may own mail and databases."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


class Process:
    """A server in the foreground, with all it says in *log*, and all it has in *home*."""

    def __init__(self, command: Sequence[str | Path], log: Path, home: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", GUARD, str(home), *command],
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_ready(self, true: Callable[[], bool], seconds: float = 10) -> None:
        """Wait for *true*; show the log if it does not come."""
        try:
            wait_until(true, seconds, "Ready")
        except AssertionError as error:
            said = self.log.read_text(errors="replace")[-4000:]
            self._guard.communicate(timeout=20)  # Without a line: the folder goes, too.
            raise AssertionError(f"{error}\n{said}") from error

    def stop(self) -> None:
        """End the server with SIGTERM and wait for it."""
        self._guard.communicate(b"\n", timeout=20)

    def kill(self) -> None:
        """End the server and its children at once: nobody wants what they hold."""
        if self._guard.poll() is None:
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.communicate(timeout=20)
