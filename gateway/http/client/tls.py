"""Whom a client of another server trusts, what it shows of itself, and how both change without a restart."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import msgspec

from gateway.http.ciphers import narrow
from gateway.http.client.rotating import Rotating
from gateway.http.client.small_file import OwnFileError, read_small

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"


class TlsSource(Protocol):
    """What connections are encrypted with; it may be another for each."""

    @property
    def context(self) -> ssl.SSLContext:
        """What the next connection is opened with."""
        ...

    @property
    def generation(self) -> int:
        """Grows with each other ``context``."""
        ...

    @property
    def problem(self) -> str:
        """Why there is no newer ``context``; empty: there is nothing newer."""
        ...

    async def refresh(self) -> None:
        """Take what is new; whatever is wrong with it, what is in use stays."""
        ...


class ClientTlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Files in PEM form, and the protocols to offer.

    ``ca``: the authorities that are trusted, None: the machine's. ``certificate``: what this side shows, with
    what stands between it and a root; None: nothing. ``key``: its private key; None: it is in the same file.
    ``alpn``: empty: none.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    alpn: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Return the paths, each once."""
        return tuple(dict.fromkeys(file for file in (self.ca, self.certificate, self.key) if file))


@dataclass(frozen=True, slots=True)
class FixedTls:
    """A context that stays."""

    context: ssl.SSLContext
    generation: int = 0
    problem: str = ""

    async def refresh(self) -> None:
        """Do nothing: there is nothing newer."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    contents: tuple[bytes, ...]


class ClientTls(Rotating[_Loaded]):
    """The context of files, another one after each change of theirs.

    Args:
        settings: the files.

    Raises:
        OwnFileError: they cannot be used.
    """

    def __init__(self, settings: ClientTlsSettings) -> None:
        what = ", ".join(settings.files) or "the authorities of this machine"
        super().__init__(partial(_read, settings), f"TLS to endpoints ({what})")

    @property
    def context(self) -> ssl.SSLContext:
        """What the next connection is opened with."""
        return self.value.context


def trusting_context(*, machine: bool = True) -> ssl.SSLContext:
    """Return a context that trusts the machine's own CAs, and verifies names, alike on every Python.

    Since 3.13 Python's default refuses CAs without a key usage (RFC 5280, strictly) and takes a trusted
    intermediate for a root. The first would end a private CA that worked until Python was updated, and that
    curl, Envoy and gRPC accept; the second is taken everywhere. ``machine`` False: it trusts nobody yet.
    """
    context = ssl.create_default_context() if machine else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    narrow(context)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _read(settings: ClientTlsSettings, known: _Loaded | None) -> _Loaded | None:
    contents = _contents(settings)
    if known is not None and known.contents == contents:
        return None
    context = _context(settings, dict(zip(settings.files, contents, strict=True)))
    if _contents(settings) != contents:
        raise OwnFileError(f"{', '.join(settings.files)}: they changed while they were read; try again")
    return _Loaded(context, contents)


def _contents(settings: ClientTlsSettings) -> tuple[bytes, ...]:
    return tuple(map(read_small, settings.files))


def _context(settings: ClientTlsSettings, contents: dict[str, bytes]) -> ssl.SSLContext:
    context = trusting_context(machine=settings.ca is None)
    if settings.alpn:
        context.set_alpn_protocols([*settings.alpn])
    if settings.ca is not None:
        _trust(context, settings.ca, contents[settings.ca])
    if settings.certificate is not None:
        _show(context, settings, contents)
    return context


def _trust(context: ssl.SSLContext, path: str, content: bytes) -> None:
    _check_whole(path, content)
    try:
        context.load_verify_locations(cadata=content.decode("ascii", "replace"))
    except ssl.SSLError as error:
        raise OwnFileError(f"{path}: holds a certificate that cannot be read ({_word(error)})") from None


def _show(context: ssl.SSLContext, settings: ClientTlsSettings, contents: dict[str, bytes]) -> None:
    certificate, key = settings.certificate or "", settings.key or settings.certificate or ""
    _check_whole(certificate, contents[certificate])
    if contents[key].count(_KEY) < 2:
        raise OwnFileError(f"{key}: holds no whole private key in PEM form")
    try:
        # Without a password OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, settings.key, password="")
    except (OSError, ssl.SSLError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise OwnFileError(f"{key}: is not the key of the certificate in {certificate}") from None
        if b"ENCRYPTED" in contents[key]:
            raise OwnFileError(f"{key}: is protected by a password; it is needed without one") from None
        raise OwnFileError(f"{certificate}, {key}: cannot be used together ({_word(error)})") from None


def _check_whole(path: str, content: bytes) -> None:
    begun = content.count(_BEGIN)
    if not begun:
        raise OwnFileError(f"{path}: holds no certificate in PEM form")
    if content.count(_END) != begun:
        raise OwnFileError(f"{path}: a certificate in it has no end; it may be half written")


def _word(error: OSError) -> str:
    return str(getattr(error, "reason", "") or error.strerror or "not PEM").lower().replace("_", " ")
