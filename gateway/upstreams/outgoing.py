"""What all requests to an endpoint have in common: where they go, what they are called, what they carry."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.upstreams.credential import ClientCredential
from gateway.upstreams.load import LoadObserver
from gateway.wire import headers
from gateway.wire.travelling import problem_of

Pairs = tuple[tuple[str, str], ...]

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]+\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9._~-]+(:[0-9]{1,5})?\Z|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?\Z")
_SECRET: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
_WRITTEN: Final = frozenset({headers.TIMEOUT_MS, headers.INFERENCE_HEADER_LENGTH, headers.LOAD_FORMAT})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Absent fields: requests are called by the endpoint's address, and carry nothing more.

    ``ip``: what is connected to instead of looking up the host's name. ``host``: what requests call it (Host,
    ``:authority``). ``path_prefix``: before each path. ``headers``: sent with each request, as is
    ``credential``. ``server_name``: what TLS asks for. ``on_load``: gets what the endpoint says of its load.
    """

    ip: str = ""
    host: str = ""
    path_prefix: str = ""
    headers: Pairs = ()
    credential: ClientCredential | None = None
    server_name: str = ""
    on_load: LoadObserver | None = None

    @property
    def pairs(self) -> Pairs:
        """The headers that each request carries now, the credential's among them; names in small letters."""
        pairs = tuple((name.lower(), value) for name, value in self.headers)
        return pairs if self.credential is None else (*pairs, self.credential.pair)

    def without_own(self, found: Pairs) -> Pairs:
        """Return the client's headers ``found`` without those that each request carries anyway."""
        own = {name for name, _ in self.pairs}
        return tuple(pair for pair in found if pair[0] not in own)

    def hidden(self, text: str) -> str:
        """Return ``text``, which the endpoint wrote, without this gateway's credential."""
        return text if self.credential is None else self.credential.hidden(text)


PLAIN: Final = Outgoing()


def problems_of_headers(found: Mapping[str, str]) -> Iterable[str]:
    """Return what is wrong with headers that a policy adds to each request."""
    for name, value in found.items():
        lower = name.lower()
        if lower in _SECRET:
            yield f"headers.{name}: what is secret does not stand in a policy; name its file in `credential`"
        elif not _NAME.match(name):
            yield f"headers: {name!r} is no name of a header"
        elif lower in _WRITTEN or problem_of(lower):
            yield f"headers.{name}: the gateway writes it itself"
        elif not (value.isascii() and value.isprintable()) or value != value.strip():
            yield f"headers.{name}: its value must be printable ASCII without blanks at its ends"


def problem_of_host(host: str) -> str:
    """Return why requests cannot call an endpoint ``host``; empty: they can."""
    return "" if not host or _HOST.match(host) else f"host: {host!r} is no HOST or HOST:PORT"


def problem_of_credential_header(name: str) -> str:
    """Return why a credential cannot be sent in the header ``name``; empty: it can."""
    lower = name.lower()
    # A proxy before the endpoint may want one, too.
    if _NAME.match(name) and (
        lower == "proxy-authorization" or (lower not in _WRITTEN and not problem_of(lower))
    ):
        return ""
    return f"credential.header: {name!r} is no header that can carry a credential"


def problem_of_server_name(name: str) -> str:
    """Return why TLS cannot ask for ``name``; empty: it can."""
    if not name:
        return ""
    try:
        name.encode("idna")
        is_name = not name.startswith(".") and _HOST.match(name) is not None and ":" not in name
    except UnicodeError:
        is_name = False
    return "" if is_name or _is_address(name) else f"tls.server_name: {name!r} is no name of a host"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
