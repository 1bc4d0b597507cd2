"""A CA of the test's own, and certificates that it signs, made by ``openssl``.

Example::

    ca = Authority(tmp_path)          # skips the test where there is no openssl
    server = ca.issue("localhost")    # server.certificate, server.key: files in PEM form
    ca.root                           # what clients trust
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Issued(NamedTuple):
    """Two files in PEM form."""

    certificate: Path
    key: Path


class Authority:
    """``has_usage``: whether its certificate says what its key is for, as older private CAs do not."""

    def __init__(self, folder: Path, name: str = "root", *, has_usage: bool = True) -> None:
        self._folder = folder
        self._serial = 0
        self.root, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        files = ("-keyout", self._key, "-out", self.root)
        # Python 3.13 and later ask a CA for its key usage.
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign") if has_usage else ()
        self._run("req", "-x509", *EC, *files, "-days", "2", "-subj", f"/CN={name}", *usage)

    def issue(self, name: str, *, key: tuple[str, ...] = (), days: int = 2, usage: str = "") -> Issued:
        """Return a certificate for ``name`` that ends in ``days``; -1: it has ended.

        ``key`` says what kind of key, an elliptic curve by default; ``usage`` what it is for, all by default.
        """
        self._serial += 1
        stem = self._folder / f"{self.root.stem}-{name}-{self._serial}"
        made = Issued(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        purpose = f"extendedKeyUsage={usage}\n" if usage else ""
        extensions.write_text(
            f"subjectAltName=DNS:{name},IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n{purpose}"
        )
        self._run("req", "-new", *(key or EC), "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
        signer = ("-CA", self.root, "-CAkey", self._key, "-CAcreateserial", "-days", days)
        self._run("x509", "-req", "-in", request, *signer, "-extfile", extensions, "-out", made.certificate)
        return made

    def _run(self, *arguments: object) -> None:
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("openssl is needed to make a certificate")
        subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
RSA = ("-newkey", "rsa:2048", "-nodes")
