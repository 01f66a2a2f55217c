"""`relais` as processes that start at once: each is forked from one that has imported it all.

Importing takes a second, and these tests run the command two hundred times. What
is forked is a process like any other: own memory, own exit code, own folder.

    python -W error -m tests.edges.cli.forge     one JSON object a line, in and out
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPOSITORY = Path(__file__).parents[3]
_BUG = 1


class Forge:
    """The process to fork from, started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._turn = Lock()

    def run(
        self, arguments: Sequence[str], *, folder: Path, environ: Mapping[str, str]
    ) -> tuple[int, str, str]:
        """Run the command; return its exit code, and what it wrote to stdout and to stderr."""
        asked = {"arguments": list(arguments), "folder": str(folder), "environ": dict(environ)}
        with self._turn:
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            done = json.loads(process.stdout.readline())
        return done["code"], done["out"], done["err"]

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", __name__],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            atexit.register(self._process.terminate)
        return self._process


def _serve() -> None:
    """Fork for each line of stdin, and answer when the child has ended."""
    from worker.__main__ import main  # noqa: PLC0415 - what is imported once for all

    for line in sys.stdin:
        asked = json.loads(line)
        out, err = (os.memfd_create(name) for name in ("out", "err"))
        child = os.fork()
        if child == 0:
            _become(asked, out, err)
            _run(main, asked["arguments"])
        _, status = os.waitpid(child, 0)
        answer = {"code": _code(status), "out": _read(out), "err": _read(err)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _become(asked: Mapping[str, Any], out: int, err: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    time.tzset()
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w")


def _run(main: Any, arguments: Sequence[str]) -> None:
    """Run *main* and end the process as the interpreter would."""
    sys.argv = ["relais", *arguments]
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - the interpreter shows what nobody has caught
        sys.excepthook(*sys.exc_info())
        code = _BUG
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _code(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def _read(file: int) -> str:
    os.lseek(file, 0, os.SEEK_SET)
    with os.fdopen(file, encoding="utf-8", errors="replace") as text:
        return text.read()


if __name__ == "__main__":
    _serve()
