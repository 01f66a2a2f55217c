"""Verifying DKIM ourselves, where the host has said nothing of use: the only importer of dkimpy.

It asks no server: the keys were fetched before. It reads the clock, for
signatures that have expired, and works in a thread, for it takes long for long
messages.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import dkim

from worker.lookup.dns import Found
from worker.mail.authentication import Authenticity
from worker.mail.dkim_signature import is_key_in_use, signatures_of_author
from worker.mail.header import read_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.lookup.dns import Lookup
    from worker.mail.authentication import Authentication
    from worker.mail.dkim_signature import Signature

# RFC 8301, section 3.2.
_KEY_BITS = 1024
_PATIENCE_SECONDS = 15.0

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


async def verify_author(raw: bytes, found: Authentication, *, lookup: Lookup) -> Authentication:
    """Return *found*, what the host says, or a proof by a good signature of the author's domain.

    A bad signature proves nothing either way: many hosts change what they store.
    """
    signatures = signatures_of_author(raw, read_message(raw))
    keys = await _keys(signatures, lookup)
    good = await asyncio.to_thread(_first_good, raw, signatures, keys) if keys else None
    if good is None:
        return found
    return replace(found, verdict=Authenticity.PROVEN, method="dkim", domain=good.domain)


async def _keys(signatures: tuple[Signature, ...], lookup: Lookup) -> dict[str, bytes]:
    """Return the keys by name; those that cannot be had in time are left out."""
    keys: dict[str, bytes] = {}
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            for name in dict.fromkeys(signature.key_name for signature in signatures):
                answer = await lookup.texts(name)
                # RFC 6376, section 3.6.2.2: of several, none is meant.
                if answer.found is Found.RECORDS and len(answer.records) == 1:
                    keys[name] = answer.records[0]
    except TimeoutError:
        pass
    return {name: record for name, record in keys.items() if is_key_in_use(record)}


def _first_good(
    raw: bytes, signatures: tuple[Signature, ...], keys: Mapping[str, bytes]
) -> Signature | None:
    return next(
        (
            signature
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
