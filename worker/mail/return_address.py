"""Tokens, and the service addresses that carry them.

A token names a number and proves that we wrote it: 64 bits of number, 96 bits
of HMAC-SHA256 over the purpose, the number and what it stands for, in 32
characters of lower-case base32 (RFC 4648), because some gateways lower-case
addresses and paths. No address is in it, and it does not expire.

An unsubscription is signed for its list and its person by name. Numbers may be
given a second time, by a database that was restored from last week's backup;
a link that is older then opens nothing, where it would open a stranger's page.
"""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import b32decode, b32encode
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_LENGTH = 32
_NUMBER_OCTETS = 8
_MAC_OCTETS = 12


class Purpose(Enum):
    """What a token is good for; it is also its prefix in an address."""

    RETURN = "return"
    UNSUBSCRIBE = "unsubscribe"
    CONFIRM = "confirm"
    MODERATE = "moderate"
    POSTING = "posting"  # Its author's page, and the address that a receipt is answered to.


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """An address of ours that is no list: ``return-TOKEN``, ``unsubscribe-TOKEN`` ..."""

    purpose: Purpose
    token: str


class Tokens:
    """Signs with the newest of the site's secrets, and reads what any of them signed."""

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._secrets = {key_id(secret): secret for secret in secrets}
        self.key_id = key_id(secrets[0])

    def sign(
        self, purpose: Purpose, number: int, *, stands_for: bytes = b"", key: str | None = None
    ) -> bytes:
        """Return the token of *number*, signed by the secret called *key*.

        A copy is rendered with the key that its posting has frozen, so that a
        second submission is byte-identical though the secrets have rotated.
        KeyError if that secret is gone.
        """
        secret = self._secrets[key or self.key_id]
        packed = number.to_bytes(_NUMBER_OCTETS, "big")
        return b32encode(packed + _mac(secret, purpose, packed, stands_for)).lower()

    def read(self, purpose: Purpose, token: str, *, stands_for: bytes = b"") -> int | None:
        """Return the number in *token*, or None if we never signed it for *purpose*."""
        octets = _octets(token)
        packed, mac = octets[:_NUMBER_OCTETS], octets[_NUMBER_OCTETS:]
        genuine = [
            hmac.compare_digest(mac, _mac(secret, purpose, packed, stands_for))
            for secret in self._secrets.values()
        ]
        return int.from_bytes(packed, "big") if any(genuine) else None


def alleged_number(token: str) -> int:
    """Return the number in *token*, which anybody may have written; 0 if it is no token.

    What it stands for has to be looked up before read() can tell a forgery.
    """
    return int.from_bytes(_octets(token)[:_NUMBER_OCTETS], "big")


def _octets(token: str) -> bytes:
    if len(token) != TOKEN_LENGTH:
        return b""
    try:
        return b32decode(token.upper())
    except (binascii.Error, ValueError):
        return b""


def key_id(secret: bytes) -> str:
    """Name a secret without telling anything of it."""
    return sha256(b"relais key id\0" + secret).hexdigest()[:8]


def _mac(secret: bytes, purpose: Purpose, packed: bytes, stands_for: bytes) -> bytes:
    message = b"%s\0%s%s" % (purpose.value.encode(), packed, stands_for)
    return hmac.digest(secret, message, "sha256")[:_MAC_OCTETS]


def subscriber_number(list_id: int, person_id: int) -> int:
    """Join the two numbers that an unsubscription needs: 24 bits and 40 bits."""
    if not (0 <= list_id < 1 << 24 and 0 <= person_id < 1 << 40):
        raise ValueError(f"list {list_id} or person {person_id} is out of range")
    return list_id << 40 | person_id


def list_and_person(number: int) -> tuple[int, int]:
    """Undo subscriber_number()."""
    return number >> 40, number & ((1 << 40) - 1)


def subscription(definition: str, parts: Mapping[str, str], person: str) -> bytes:
    """Return what an unsubscription token stands for: a list, and a person's key."""
    return json.dumps([definition, dict(parts), person], sort_keys=True).encode()


def read_service_address(local_part: str) -> ServiceAddress | None:
    """Return what ``return-TOKEN``, ``unsubscribe-TOKEN`` and their like say, or None."""
    prefix, _, token = local_part.lower().partition("-")
    for purpose in Purpose:
        if prefix == purpose.value and len(token) == TOKEN_LENGTH:
            return ServiceAddress(purpose, token)
    return None
