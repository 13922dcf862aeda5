"""Authorities and certificates made for a test."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass
class Certificates:
    """An authority, and a folder in which the server's files are."""

    folder: Path
    authority: trustme.CA

    def issue(self, name: str, *identities: str, authority: trustme.CA | None = None) -> None:
        """Write `name`.pem (the chain) and `name`.key."""
        issued = (authority or self.authority).issue_cert(*identities)
        (self.folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        (self.folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())

    def client(self, *identities: str, authority: trustme.CA | None = None) -> ssl.SSLContext:
        """What a client connects with: it trusts the authority, and shows a certificate where identities are given."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        self.authority.configure_trust(context)
        if identities:
            (authority or self.authority).issue_cert(*identities).configure_cert(context)
        return context


def certificates(folder: Path) -> Certificates:
    """A folder with server.pem, server.key and ca.pem, and with files that are wrong in one way each."""
    made = Certificates(folder, trustme.CA())
    made.issue("server", "localhost", "127.0.0.1")
    made.issue("other", "localhost")
    made.authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "empty.pem").write_text("")
    lines = (folder / "server.pem").read_text().splitlines()
    (folder / "damaged.pem").write_text("\n".join([lines[0], "A" * 64, *lines[2:]]))
    key = load_pem_private_key((folder / "server.key").read_bytes(), password=None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    (folder / "encrypted.key").write_bytes(encrypted)
    return made
