"""TLS for a listener: its certificate, the clients' certificates, and new certificates without a restart."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gateway.http.ciphers import narrow
from gateway.http.server.client_hello import AlpnContext

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Files in PEM form.

    ``certificate``: ours, with what stands between it and a root. ``key``: its private key. ``client_ca``:
    clients must show a certificate that one of these has signed (mTLS); absent, none is required.
    ``min_version``: of TLS, 1.2 by default.
    """

    certificate: str
    key: str
    client_ca: str | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"


class TlsError(Exception):
    """A file cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class LoadedTls:
    """Certificates that can be used, and the content of the files that they came from."""

    context: ssl.SSLContext
    contents: tuple[bytes, ...]


class Tls:
    """``context`` is for the next connection; ``read`` and ``use`` replace it by one of the changed files."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._in_use = _load(settings)

    def __repr__(self) -> str:
        return f"<Tls {self._settings.certificate}{', mutual' if self._settings.client_ca else ''}>"

    @property
    def files(self) -> tuple[str, ...]:
        """Return the paths of the files."""
        return _files(self._settings)

    @property
    def context(self) -> ssl.SSLContext:
        """Return what the next connection is accepted with."""
        return self._in_use.context

    def read(self) -> LoadedTls | None:
        """Read the files again; None when they have not changed. What is in use stays in use.

        Raises:
            TlsError: they cannot be used.
        """
        contents = _contents(self._settings)
        return None if contents == self._in_use.contents else _load(self._settings)

    def use(self, loaded: LoadedTls) -> None:
        """Accept the connections to come with ``loaded``."""
        # A new context: the old one would keep a certificate of another kind of key, and roots that are gone.
        self._in_use = loaded


def _load(settings: TlsSettings) -> LoadedTls:
    contents = _contents(settings)
    return LoadedTls(_context(settings), contents)


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = AlpnContext(ssl.PROTOCOL_TLS_SERVER)
    narrow(context)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # Without a password OpenSSL would ask the terminal for one.
        context.load_cert_chain(settings.certificate, settings.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"{settings.certificate}, {settings.key}: cannot be used: {error}") from None
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"{settings.client_ca}: cannot be used: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _contents(settings: TlsSettings) -> tuple[bytes, ...]:
    return tuple(_read(file) for file in _files(settings))


def _files(settings: TlsSettings) -> tuple[str, ...]:
    files = (settings.certificate, settings.key, settings.client_ca)
    return tuple(file for file in files if file is not None)


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise TlsError(f"{file}: cannot be read: {error.strerror}") from None
