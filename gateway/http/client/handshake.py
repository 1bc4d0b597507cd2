"""Why a TLS handshake failed: in words, with what to do about it, and without anything that is secret."""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple

_ENDED: Final = "ENDED_AT_ONCE"


class NoProtocolError(ssl.SSLError):
    """The peer agreed to none of the protocols that it was offered (ALPN)."""

    def __init__(self) -> None:
        super().__init__(1, "no protocol was agreed on")
        self.reason = "NO_APPLICATION_PROTOCOL"


class EndedAtOnceError(ssl.SSLError):
    """The peer ended the connection after the handshake, and before it sent anything."""

    def __init__(self) -> None:
        super().__init__(1, "the connection ended right after the handshake")
        self.reason = _ENDED


class TlsFinding(NamedTuple):
    """``what`` is wrong, in words that a client may read, and what an operator can ``do``."""

    what: str
    do: str


_UNKNOWN_AUTHORITY: Final = TlsFinding(
    "its certificate is of an authority that is not trusted here",
    "add the certificate of that authority to the file tls.ca, or have the server send what stands between",
)
_OTHER_NAME: Final = TlsFinding(
    "its certificate is for another name",
    "name one that the certificate has in tls.server_name, or have this one added to the certificate",
)
NOT_TRUSTED: Final = TlsFinding(
    "it does not accept the certificate of this gateway",
    "tls.certificate must be of an authority that the server trusts for clients, with what stands between",
)
WANTS_ONE: Final = TlsFinding(
    "it wants a certificate of this gateway, and got none that it takes",
    "name one in tls.certificate and tls.key (mTLS), of an authority that the server trusts for clients",
)
_OURS_IS_OLD: Final = TlsFinding(
    "it says that the certificate of this gateway has expired", "renew the files tls.certificate and tls.key"
)
_NO_TLS: Final = TlsFinding(
    "what answers does not speak TLS", "leave tls out, or give the address at which the server speaks TLS"
)
NO_TLS_HERE: Final = TlsFinding(
    "it wants to be spoken to in TLS",
    "give the endpoint tls, or the address at which it is spoken to in the clear",
)
_VERSIONS: Final = TlsFinding(
    "no version of TLS that both sides take",
    "the server must take TLS 1.2 or 1.3; older ones are not offered",
)
_SUITES: Final = TlsFinding(
    "no common parameters, or it wants a certificate of this gateway",
    "the server must offer ECDHE or DHE with AES-GCM or ChaCha20; if it wants a certificate, name one in "
    "tls.certificate and tls.key",
)
_NO_PROTOCOL: Final = TlsFinding(
    "no common protocol above TLS (ALPN)",
    "HTTP/2 needs a server that offers h2; else choose another protocol, or name its own in tls.alpn",
)
_OTHER: Final = TlsFinding("", "look into the log of the server")

_OF_VERIFICATION: Final = {
    9: TlsFinding("its certificate is not valid yet", "compare the clocks of both machines"),
    10: TlsFinding("its certificate, or one above it, has expired", "renew it at the server"),
    18: _UNKNOWN_AUTHORITY,
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    23: TlsFinding("its certificate was revoked", "renew it at the server"),
    26: TlsFinding(
        "its certificate is not one of a server", "issue one with the extended key usage serverAuth"
    ),
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
"""By OpenSSL's verify codes (x509_vfy.h)."""

_OF_REASONS: Final = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "UNSUPPORTED_PROTOCOL": _VERSIONS,
    "TLSV1_ALERT_PROTOCOL_VERSION": _VERSIONS,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _SUITES,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _SUITES,
    "NO_APPLICATION_PROTOCOL": _NO_PROTOCOL,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": _NO_PROTOCOL,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": WANTS_ONE,
    "SSLV3_ALERT_NO_CERTIFICATE": WANTS_ONE,
    "TLSV1_ALERT_UNKNOWN_CA": NOT_TRUSTED,
    "SSLV3_ALERT_BAD_CERTIFICATE": NOT_TRUSTED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": NOT_TRUSTED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": NOT_TRUSTED,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": NOT_TRUSTED,
    "TLSV1_ALERT_ACCESS_DENIED": NOT_TRUSTED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": _OURS_IS_OLD,
    _ENDED: TlsFinding(
        "it ended the connection right after the handshake",
        "servers that want a certificate of this gateway, or do not trust tls.certificate, do so silently",
    ),
    "TLSV1_UNRECOGNIZED_NAME": TlsFinding(
        "it does not know the name that it is asked for", "name one that it serves in tls.server_name"
    ),
}
"""By OpenSSL's reasons: those of this side, and the alerts that the other side sends."""


def finding_of(error: ssl.SSLError) -> TlsFinding:
    """Return what is known of a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        found = _OF_VERIFICATION.get(getattr(error, "verify_code", 0))
        message = getattr(error, "verify_message", "") or "not valid"
        return found or TlsFinding(f"its certificate was refused: {message}", "renew it at the server")
    reason = getattr(error, "reason", None) or ""
    found = _OF_REASONS.get(reason)
    return found or _OTHER._replace(what=reason.lower().replace("_", " "))


def tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the failure of TLS that ``error`` is, or was caused by: with TLS 1.3 servers complain late."""
    if isinstance(error, ssl.SSLError):
        return error
    cause = error.__cause__ if error is not None else None
    return cause if isinstance(cause, ssl.SSLError) and cause.reason in _OF_REASONS else None
