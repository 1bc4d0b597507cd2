"""TLS for a listener: who we are, whom we ask for a certificate, and new certificates without a restart."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal

import msgspec

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Files in PEM form.

    ``certificate``: ours, with what stands between it and a root. ``key``: its private key. ``client_ca``:
    clients must show a certificate that one of these has signed (mTLS); absent, they are not asked for one.
    ``min_version``: of TLS, 1.2 by default.
    """

    certificate: str
    key: str
    client_ca: str | None = None
    min_version: Literal["1.2", "1.3"] = "1.2"


class TlsError(Exception):
    """A file cannot be used; the message names it."""


class Tls:
    """The context of a listener. ``reload`` takes the files as they are now for the connections to come."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._seen = b""
        self.context = _context(settings)
        self.reload()

    def __repr__(self) -> str:
        return f"<Tls {self._settings.certificate}{', mutual' if self._settings.client_ca else ''}>"

    def reload(self) -> bool:
        """Read the files again if they have changed; tell whether they had.

        Raises:
            TlsError: they cannot be used; the certificate in use stays.
        """
        settings = self._settings
        now = b"\0".join(_read(file) for file in (settings.certificate, settings.key))
        if now == self._seen:
            return False
        # Tried on a context of its own first: one that took a certificate and not its key is of no use.
        _load(_context(settings), settings)
        _load(self.context, settings)
        self._seen = now
        return True


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"{settings.client_ca}: cannot be used: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, settings: TlsSettings) -> None:
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"{settings.certificate}, {settings.key}: cannot be used: {error}") from None


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise TlsError(f"{file}: cannot be read: {error.strerror}") from None
