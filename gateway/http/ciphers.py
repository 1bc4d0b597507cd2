"""What may protect a connection, whichever side we are."""

from __future__ import annotations

import ssl
from typing import Final

_TLS_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
"""A fresh key for each connection, and authenticated encryption: no CBC, RC4, 3DES, nor MACs of SHA-1.

HTTP/2 forbids all others (RFC 9113, appendix A). TLS 1.3 has none but such.
"""


def narrow(context: ssl.SSLContext) -> None:
    """Let ``context`` agree to these ciphers only."""
    context.set_ciphers(_TLS_1_2)
