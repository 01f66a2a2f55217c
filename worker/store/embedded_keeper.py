"""Keep one PostgreSQL running for as long as anybody holds its pipe.

    embedded_keeper.py PIPE_FD DIRECTORY SOCKET UID GID KEEP|DISCARD COMMAND...

EmbeddedPostgres runs this as a small process of its own, with nothing but the
standard library. Every process that uses the server holds the write end of one
pipe; the kernel closes it however that process ends, kill -9 included, so the
server outlives its last user by moments and no process ever has to clean up
after another. Says "ready" once, on standard output; silence is failure, and
postgres.log has the reason.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

START_SECONDS = 120.0  # Recovery after a power cut reads all WAL since a checkpoint.
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.01


def main(arguments: list[str]) -> None:
    """Start the server, wait until nobody uses it, stop it."""
    pipe, directory, socket, uid, gid, afterwards, *command = arguments
    if os.fork():
        os._exit(0)  # No user is our parent: none has to wait for us.
    # A terminal or a service manager ends our users first, and then it is over.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keeper = Keeper(int(pipe), Path(directory), discard=afterwards == "DISCARD")
    keeper.start(command, int(uid), int(gid))
    if keeper.wait_until_ready():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for stream in (sys.stdout, sys.stderr):  # Whoever started us waits for both.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not keeper.wait_until_abandoned():
            return  # The server died. Its next user starts it again.
    keeper.stop()
    if keeper.discard:
        shutil.rmtree(directory, ignore_errors=True)
    if not socket.startswith(directory):
        shutil.rmtree(socket, ignore_errors=True)


class Keeper:
    """The server's parent process, as it were its only thread."""

    def __init__(self, pipe: int, directory: Path, *, discard: bool) -> None:
        self.pipe = pipe
        self.directory = directory
        self.discard = discard

    def start(self, command: list[str], uid: int, gid: int) -> None:
        """Start *command*, which reads PostgreSQL's way of being started."""
        log = os.open(
            self.directory / "postgres.log",
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW,
            0o600,
        )
        # Every process of the server inherits the write end and none uses it:
        # the read end tells when the last of them is gone.
        self.life, death = os.pipe()
        # Only root may change who runs it; -1 says that nobody else is meant.
        other = {"user": uid, "group": gid, "extra_groups": []} if uid >= 0 else {}
        self.server = subprocess.Popen(  # noqa: S603 - The command is our caller's.
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(death,),
            **other,  # type: ignore[call-overload]
        )
        os.close(death)
        os.close(log)

    def wait_until_ready(self) -> bool:
        """Say whether the server accepts connections, before anything ends it."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._says_ready():
                return True
            if select.select([self.life, self.pipe], [], [], LOOK_SECONDS)[0]:
                return False
        return False

    def _says_ready(self) -> bool:
        try:
            lines = (self.directory / "data/postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # Line 1 may be a dead predecessor's until our own server overwrites it.
        return (
            len(lines) > 7  # noqa: PLR2004 - PostgreSQL's miscadmin.h numbers them.
            and lines[0] == str(self.server.pid)
            and lines[7].strip() == "ready"
        )

    def wait_until_abandoned(self) -> bool:
        """Return true, holding the lock, once no user is left; false if it died."""
        lock = os.open(self.directory / "lock", os.O_RDWR)
        while not select.select([self.life], [], [], 0)[0]:
            select.select([self.life, self.pipe], [], [])
            # Users come under the lock, so that none comes while we stop.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_abandoned():
                return True
            fcntl.flock(lock, fcntl.LOCK_UN)
        return False

    def _is_abandoned(self) -> bool:
        try:
            return os.read(self.pipe, 1) == b""
        except BlockingIOError:  # Nothing to read, and somebody who might write.
            return False

    def stop(self) -> None:
        """End the server: with a checkpoint, or at once if nobody wants its data."""
        gentle = [] if self.discard else [signal.SIGINT]
        for how in (*gentle, signal.SIGQUIT, signal.SIGKILL):
            self.server.send_signal(how)
            try:
                self.server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            break


if __name__ == "__main__":
    main(sys.argv[1:])
