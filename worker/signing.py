"""Private keys for DKIM: made, read and used here, the only importer of cryptography."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from worker.mail.dkim_signing import Algorithm, Signer

if TYPE_CHECKING:
    from worker.mail.dkim_signing import Sign

# RFC 8301, section 3.2; a longer one does not fit into the answers of some name servers.
RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key of a domain."""

    signer: Signer
    public: bytes
    sign: Sign = field(repr=False, compare=False)

    @property
    def record(self) -> str:
        """The TXT record that publishes it (RFC 6376, section 3.6.1)."""
        kind = self.signer.algorithm.value.partition("-")[0]
        return f"v=DKIM1; k={kind}; p={b64encode(self.public).decode('ascii')}"


def make_key() -> str:
    """Return a new RSA key as PEM: the one algorithm that every receiver knows."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def read_key(pem: str, *, domain: str, selector: str) -> SigningKey:
    """Return the key in *pem*; ValueError says why it cannot be used."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("holds no private key in PEM without a password") from error
    if isinstance(key, rsa.RSAPrivateKey):
        return _rsa_key(key, domain, selector)
    if isinstance(key, Ed25519PrivateKey):
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return SigningKey(Signer(domain, selector, Algorithm.ED25519), public, key.sign)
    raise ValueError("holds a key that is neither RSA nor Ed25519")


def _rsa_key(key: rsa.RSAPrivateKey, domain: str, selector: str) -> SigningKey:
    if key.key_size < RSA_BITS:
        raise ValueError(
            f"holds an RSA key of {key.key_size} bits, which receivers do not trust; "
            f"{RSA_BITS} are needed"
        )
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    # PKCS #1 v1.5 has no chance in it, so a second copy is byte-identical.
    sign = partial(key.sign, padding=PKCS1v15(), algorithm=Prehashed(SHA256()))
    return SigningKey(Signer(domain, selector, Algorithm.RSA), public, sign)
