"""Keys, and another implementation that verifies what they have signed."""

from __future__ import annotations

import logging

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from worker.signing import SigningKey, make_key, read_key

_SILENT = logging.Logger("dkim", logging.CRITICAL + 1)  # noqa: LOG001 - no child of the root


def _ed25519_pem() -> str:
    private = Ed25519PrivateKey.generate()
    octets = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets.decode("ascii")


RSA = read_key(make_key(), domain="listes.example.fr", selector="relais1")
ED25519 = read_key(_ed25519_pem(), domain="example.fr", selector="2026.relais")
KEYS = {"RSA": RSA, "Ed25519": ED25519}


def is_verified(received: bytes, key: SigningKey) -> bool:
    """Return what dkimpy says of the topmost signature, the DNS being *key*'s record."""
    asked = f"{key.signer.key_name}.".encode("ascii")

    def published(name: bytes, **_: object) -> bytes | None:
        return key.record.encode("ascii") if name == asked else None

    try:
        return bool(dkim.DKIM(received, logger=_SILENT).verify(dnsfunc=published))
    except dkim.DKIMException:
        return False
