"""Sizes of messages as people write and read them.

As lists.define takes them: 5 MB are 5 times 1024 times 1024 octets.
"""

from __future__ import annotations

import re

from worker.cli.show import visible
from worker.cli.verb import USAGE, VerbError

_UNITS = {"": 1, "B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3}
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)\s?([kmg]?)b?", re.IGNORECASE)


def read_size(text: str) -> int:
    """Return the octets of ``2MB``, ``500 kB`` or ``20000``; a VerbError for what is no size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise VerbError(f"{visible(text)} is no size; write one as 2MB, 500kB or 20000", code=USAGE)
    factors = {unit[:1].lower(): factor for unit, factor in _UNITS.items() if unit != "B"}
    return int(float(match[1]) * factors[match[2].lower()])


def octets(size: int) -> str:
    """Write a number of octets with the largest unit that it fills."""
    unit = next((u for u in ("GB", "MB", "kB") if size >= _UNITS[u]), "B")
    return f"{size / _UNITS[unit]:.1f}".removesuffix(".0") + f" {unit}"
