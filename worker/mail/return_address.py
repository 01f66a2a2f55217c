"""Tokens, and the service addresses that carry them.

A token names a number and proves that we wrote it: 64 bits of number, 96 bits
of HMAC-SHA256 over the purpose and the number, in 32 characters of lower-case
base32 (RFC 4648), because some gateways lower-case addresses and paths. No
address is in it, no row is needed to check it, and it does not expire.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b32decode, b32encode
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

TOKEN_LENGTH = 32
_NUMBER_OCTETS = 8
_MAC_OCTETS = 12


class Purpose(Enum):
    """What a token is good for; it is also its prefix in an address."""

    RETURN = "return"
    UNSUBSCRIBE = "unsubscribe"
    CONFIRM = "confirm"
    MODERATE = "moderate"
    POSTING = "posting"  # Its author's page; no address has it.


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

    def sign(self, purpose: Purpose, number: int, *, key: str | None = None) -> bytes:
        """Return the token of *number*, signed by the secret called *key*.

        A copy is rendered with the key that its posting has frozen, so that a
        second submission is byte-identical though the secrets have rotated.
        KeyError if that secret is gone.
        """
        secret = self._secrets[key or self.key_id]
        packed = number.to_bytes(_NUMBER_OCTETS, "big")
        return b32encode(packed + _mac(secret, purpose, packed)).lower()

    def read(self, purpose: Purpose, token: str) -> int | None:
        """Return the number in *token*, or None if we never signed it for *purpose*."""
        if len(token) != TOKEN_LENGTH:
            return None
        try:
            octets = b32decode(token.upper())
        except (binascii.Error, ValueError):
            return None
        packed, mac = octets[:_NUMBER_OCTETS], octets[_NUMBER_OCTETS:]
        genuine = [
            hmac.compare_digest(mac, _mac(secret, purpose, packed))
            for secret in self._secrets.values()
        ]
        return int.from_bytes(packed, "big") if any(genuine) else None


def key_id(secret: bytes) -> str:
    """Name a secret without telling anything of it."""
    return sha256(b"relais key id\0" + secret).hexdigest()[:8]


def _mac(secret: bytes, purpose: Purpose, packed: bytes) -> bytes:
    message = b"%s\0%s" % (purpose.value.encode(), packed)
    return hmac.digest(secret, message, "sha256")[:_MAC_OCTETS]


def subscriber_number(list_id: int, person_id: int) -> int:
    """Join the two numbers that an unsubscription needs: 24 bits and 40 bits."""
    if not (0 <= list_id < 1 << 24 and 0 <= person_id < 1 << 40):
        raise ValueError(f"list {list_id} or person {person_id} is out of range")
    return list_id << 40 | person_id


def list_and_person(number: int) -> tuple[int, int]:
    """Undo subscriber_number()."""
    return number >> 40, number & ((1 << 40) - 1)


def read_service_address(local_part: str) -> ServiceAddress | None:
    """Return what ``return-TOKEN``, ``unsubscribe-TOKEN`` and their like say, or None."""
    prefix, _, token = local_part.lower().partition("-")
    for purpose in Purpose:
        if prefix == purpose.value and len(token) == TOKEN_LENGTH:
            return ServiceAddress(purpose, token) if purpose is not Purpose.POSTING else None
    return None
