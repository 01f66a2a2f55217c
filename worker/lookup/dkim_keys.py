"""The public keys of DKIM signatures, from the DNS (RFC 6376, section 3.6.2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from worker.lookup.dns import Found
from worker.mail.dkim_signature import is_key_in_use

if TYPE_CHECKING:
    from worker.lookup.dns import Lookup
    from worker.mail.dkim_signature import Signature

_PATIENCE_SECONDS = 15.0


async def keys_of(signatures: tuple[Signature, ...], lookup: Lookup) -> dict[str, bytes]:
    """Return the keys by name; those that cannot be had in time, or do not count, are left out."""
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
