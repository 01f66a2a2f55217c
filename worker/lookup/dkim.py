"""Verifying DKIM ourselves, where the host has said nothing of use: the only importer of dkimpy.

It asks no server: the keys were fetched before. It reads the clock, for
signatures that have expired. It is run in the process that reads foreign mail,
for it takes long for long messages, and has loops that hostile ones could find.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import dkim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.mail.dkim_signature import Signature

# RFC 8301, section 3.2.
_KEY_BITS = 1024

# What it says of a message holds names of strangers.
_SILENT = logging.Logger("dkim", logging.CRITICAL + 1)  # noqa: LOG001 - no child of the root

# Beside its own: it indexes, converts and asserts without looking at what keys
# and tags hold, and base64 that is none raises a ValueError.
_REFUSALS = (
    dkim.DKIMException,
    ArithmeticError,
    AssertionError,
    LookupError,
    TypeError,
    ValueError,
)


def good_signer(
    raw: bytes, signatures: tuple[Signature, ...], keys: Mapping[str, bytes]
) -> str | None:
    """Return the domain of the first of *signatures* of *raw* that is good by its key."""
    return next(
        (
            signature.domain
            for signature in signatures
            if signature.key_name in keys and _is_good(raw, signature, keys[signature.key_name])
        ),
        None,
    )


def _is_good(raw: bytes, signature: Signature, key: bytes) -> bool:
    asked = f"{signature.key_name}.".encode("ascii")

    def published(name: bytes, **_: object) -> bytes | None:
        return key if name.lower() == asked else None

    try:
        verifier = dkim.DKIM(raw, logger=_SILENT, minkey=_KEY_BITS)
        return bool(verifier.verify(idx=signature.number, dnsfunc=published))
    except _REFUSALS:
        return False
