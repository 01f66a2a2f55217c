"""`relais queue --watch`, on a terminal and without one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.edges.cli.forge import REPOSITORY
from worker.cli.watch import with_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.edges.cli.site import Site

ALTERNATE, MAIN = b"\x1b[?1049h", b"\x1b[?1049l"
HIDDEN, SHOWN = b"\x1b[?25l", b"\x1b[?25h"
WATCH = ("queue", "--watch", "0.2")


class Screen:
    """A terminal of 80 columns, and the command that runs on it."""

    def __init__(self, site: Site, *arguments: str) -> None:
        self.terminal, its_end = pty.openpty()
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
        self.before = termios.tcgetattr(its_end)
        self.its_end = its_end
        environ = {k: v for k, v in os.environ.items() if not k.startswith("RELAIS_")}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "worker", *arguments],
            cwd=site.folder,
            env={**environ, "PYTHONPATH": str(REPOSITORY), "TZ": "UTC", "TERM": "xterm"},
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            start_new_session=True,
        )
        self.all = b""

    def until(self, pattern: bytes) -> None:
        """Read until *pattern* has come, after whatever was read before."""
        deadline = time.monotonic() + 20
        unread = b""
        while re.search(pattern, unread) is None:
            assert time.monotonic() < deadline, unread[-2000:]
            if select.select([self.terminal], [], [], 0.1)[0]:
                new = os.read(self.terminal, 65536)
                self.all += new
                unread += new

    def rest(self) -> bytes:
        """Read what is left, when the command has ended."""
        while select.select([self.terminal], [], [], 0.1)[0]:
            self.all += os.read(self.terminal, 65536)
        return self.all

    def close(self) -> None:
        """End what may still run."""
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)
        os.close(self.its_end)


@contextmanager
def screen(site: Site, *arguments: str) -> Iterator[Screen]:
    """A command on a terminal."""
    opened = Screen(site, *arguments)
    try:
        yield opened
    finally:
        opened.close()


def _severable(site: Site) -> Path:
    """Let the configuration reach the database by a link, and return the link."""
    text = (site.folder / "relais.toml").read_text()
    url = next(line for line in text.splitlines() if line.startswith("url")).split('"')[1]
    socket = parse_qs(urlsplit(url).query)["host"][0]
    link = site.folder / "s"
    link.symlink_to(socket)
    site.configured(f'\nurl = "{url}"', f'\nurl = "{url.replace(quote(socket, ""), str(link))}"')
    return link


@pytest.mark.parametrize("by", ["provider", "list", "posting"])
async def test_watch(busy: Site, by: str) -> None:
    """Each look is a new one; Ctrl-C ends it well, and the terminal is as before."""
    with screen(busy, *WATCH, "--by", by) as seen:
        seen.until(rb"every 0.2 s; Ctrl-C ends")
        seen.until(rb" 53 ")
        await busy.sql("update relais.delivery set state = 'cancelled' where state = 'queued'")
        seen.until(rb"  2 ")
        os.kill(seen.process.pid, signal.SIGINT)
        assert seen.process.wait(timeout=10) == 0
        everything = seen.rest()
        assert termios.tcgetattr(seen.its_end) == seen.before
    assert everything.index(ALTERNATE) < everything.rindex(MAIN)
    assert everything.rindex(HIDDEN) < everything.rindex(SHOWN)
    assert everything.count(ALTERNATE) == everything.count(MAIN) == 1
    assert b"Traceback" not in everything
    assert b"Abort" not in everything


async def test_a_database_that_goes_away(busy: Site) -> None:
    """The view says so, keeps what it saw, and goes on when it is back."""
    link = _severable(busy)
    with screen(busy, *WATCH) as seen:
        seen.until(rb"Ctrl-C ends")
        away = link.rename(busy.folder / "away")
        seen.until(rb"(?s)the database does not answer.*trying again.*orange")
        away.rename(link)
        seen.until(rb"Ctrl-C ends")
        os.kill(seen.process.pid, signal.SIGINT)
        assert seen.process.wait(timeout=10) == 0


def test_a_database_that_is_not_there_at_the_start(busy: Site) -> None:
    """It is probably the wrong one: the verb ends as without --watch."""
    _severable(busy).unlink()

    ended = busy.relais(*WATCH)

    assert (ended.code, ended.out) == (3, "")
    assert "does not answer" in ended.err


def test_without_a_terminal(busy: Site) -> None:
    """One table comes after the other, each with its time, and one that is lost is told."""
    link = _severable(busy)
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TZ": "UTC"}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "worker", *WATCH],
        cwd=busy.folder,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        away = busy.folder / "away"
        for line in process.stdout:
            lines.append(line)
            tables = sum(line.startswith("provider") for line in lines)
            if tables == 2 and link.is_symlink():
                link.rename(away)
            if "the database does not answer" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n", lines[0])
    assert "\n" in lines
    assert not any("\x1b" in line for line in lines)


def test_not_for_scripts(site: Site) -> None:
    """One JSON object is one answer."""
    for arguments in (("--watch", "--json"), ("--json", "--watch"), ("--json", "--watch", "1")):
        ended = site.relais("queue", *arguments)
        assert ended.code == 2
        assert ended.answer == {"error": "--watch is for people: leave out --watch or --json"}
    for seconds in ("0", "-1", "soon"):
        assert site.relais("queue", f"--watch={seconds}").code == 2


def test_seconds_may_be_left_out() -> None:
    """A number is written where none is; what follows is another option."""
    assert with_seconds([]) == []
    assert with_seconds(["--watch"]) == ["--watch", "2"]
    assert with_seconds(["--watch", "--by", "list"]) == ["--watch", "2", "--by", "list"]
    assert with_seconds(["--watch", "5"]) == ["--watch", "5"]
    assert with_seconds(["--watch=5", "--json"]) == ["--watch=5", "--json"]
