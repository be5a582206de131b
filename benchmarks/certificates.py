"""A private CA and a certificate for loopback, by the `openssl` command."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_EXTENSIONS = """
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class PrivateCa:
    """`authority` is what a client has to trust; the others are the server's."""

    authority: Path
    certificate: Path
    key: Path


def make_private_ca(folder: Path) -> PrivateCa | None:
    """A CA that lives in this folder for a day; None where there is no `openssl` command."""
    if shutil.which("openssl") is None:
        return None
    made = PrivateCa(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    extensions, request, ca_key = folder / "ext.cnf", folder / "server.csr", folder / "ca.key"
    extensions.write_text(_EXTENSIONS)
    subject = ("-subj", "/CN=sipagent benchmark CA")
    ca_request = folder / "ca.csr"
    _openssl("req", *_NEW_KEY, *subject, "-keyout", ca_key, "-out", ca_request)
    signing = ("-days", "1", "-sha256", "-extfile", extensions)
    self_signed = ("-signkey", ca_key, "-extensions", "ca")
    _openssl("x509", "-req", "-in", ca_request, *self_signed, *signing, "-out", made.authority)
    subject = ("-subj", "/CN=127.0.0.1")
    _openssl("req", *_NEW_KEY, *subject, "-keyout", made.key, "-out", request)
    signed = ("-CA", made.authority, "-CAkey", ca_key, "-set_serial", "2", "-extensions", "server")
    _openssl("x509", "-req", "-in", request, *signed, *signing, "-out", made.certificate)
    return made


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
