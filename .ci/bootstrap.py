"""Build .venv from a hash-pinned lock file, once; needs nothing but Python 3.11.

    python3 .ci/bootstrap.py requirements.lock

A second call with the same lock file and the same Python does nothing. Debian
and Ubuntu ship Python without ensurepip; pip is then borrowed from outside.
"""

import hashlib
import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def main(lock_name: str) -> None:
    """Install what *lock_name* pins into .venv, unless it is there already."""
    if sys.version_info < (3, 11):
        sys.exit(f"Relais needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    lock = ROOT / lock_name
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    mark = VENV / f"{lock.stem}.installed"
    if mark.exists() and mark.read_text() == wanted:
        return
    has_pip = importlib.util.find_spec("ensurepip") is not None
    if not PYTHON.exists():
        venv.EnvBuilder(with_pip=has_pip).create(VENV)
    print(f"Installing {lock_name} into .venv (first run only) ...", flush=True)
    pip = (
        [str(PYTHON), "-m", "pip"]
        if has_pip
        else [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    )
    subprocess.check_call(
        [
            *(*pip, "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--requirement", str(lock)),
        ],
    )
    mark.write_text(wanted)


if __name__ == "__main__":
    main(sys.argv[1])
