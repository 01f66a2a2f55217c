"""``relais``, also ``python -m worker``."""

from __future__ import annotations

import sys

from worker.cli.command import relais


def main() -> None:
    """Run the verb that the arguments name, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a name must not end the verb.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # text streams, always
    relais()


if __name__ == "__main__":
    main()
