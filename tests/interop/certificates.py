"""An authority and one certificate for this machine, made by openssl for one run of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from interop.peers.peer import Certificates


def make(folder: Path, name: str = "127.0.0.1") -> Certificates:
    """Make them in a folder, for 127.0.0.1 and localhost, valid for two days."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    certificate, key, both = folder / "certificate.pem", folder / "certificate.key", folder / "both.pem"
    fresh = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(
        *fresh, "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", authority_key,
        "-out", authority, "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    request, extra = folder / "request.pem", folder / "extra.cnf"
    extra.write_text(f"subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:{name}\nbasicConstraints=CA:FALSE\n")
    _openssl(*fresh, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    _openssl(
        "x509", "-req", "-days", "2", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial",
        "-extfile", extra, "-out", certificate,
    )  # fmt: skip
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return Certificates(authority, certificate, key, both)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
