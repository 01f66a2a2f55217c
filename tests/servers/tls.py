"""A certificate authority for one test session; openssl makes it."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = localhost
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1
"""


class Certificates:
    """ca.pem, and what it signed for localhost and 127.0.0.1: cert.pem, key.pem."""

    def __init__(self, folder: Path) -> None:
        self.ca, self.cert, self.key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        configuration = folder / "openssl.cnf"
        configuration.write_text(CONFIGURATION)
        ca_key = folder / "ca-key.pem"
        for section, cert, key, signer in (
            ("ca", self.ca, ca_key, []),
            ("server", self.cert, self.key, ["-CA", str(self.ca), "-CAkey", str(ca_key)]),
        ):
            subprocess.run(
                [
                    *("openssl", "req", "-x509", "-config", str(configuration)),
                    *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                    *("-nodes", "-days", "2", "-subj", f"/CN={section}.relais.test"),
                    *("-extensions", section, "-out", str(cert)),
                    *("-keyout", str(key), *signer),
                ],
                check=True,
                capture_output=True,
            )

    def server_context(self) -> ssl.SSLContext:
        """Return what a server of ours uses."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return what a client uses that trusts our servers, and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca))
