"""Where an endpoint is, as the wires see it: how it is connected to, and what its requests are called."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.http.client.dialer import Dialer
from gateway.http.client.tls import TlsSource
from gateway.upstreams.checks import dialer_of
from gateway.upstreams.outgoing import Outgoing, Pairs
from gateway.upstreams.settings import ConnectSettings
from gateway.wire import headers

_ALWAYS: Pairs = (("user-agent", "edgeway"),)
_LOAD: Pairs = ((headers.LOAD_FORMAT, "text"),)


@dataclass(frozen=True, slots=True)
class Destination:
    """``authority``: what requests call it. ``tls``: None: it is spoken to in the clear."""

    dialer: Dialer
    authority: str
    path_prefix: str
    outgoing: Outgoing
    tls: TlsSource | None = None

    @property
    def scheme(self) -> str:
        """Return the scheme of its URLs."""
        return "http" if self.tls is None else "https"

    def pairs(self) -> Pairs:
        """Return the headers that each request carries now."""
        load = _LOAD if self.outgoing.on_load is not None else ()
        return (*_ALWAYS, *load, *self.outgoing.pairs)


def destination_of(
    host: str,
    port: int,
    settings: ConnectSettings,
    *,
    authority: str,
    outgoing: Outgoing,
    tls: TlsSource | None,
    path_prefix: str = "",
) -> Destination:
    """Return what leads to ``host``, or to the address that ``outgoing`` gives for it."""
    dialer = dialer_of(outgoing.ip or host, port, settings, tls, outgoing.server_name or host)
    prefix = path_prefix.rstrip("/") + outgoing.path_prefix.rstrip("/")
    return Destination(dialer, outgoing.host or authority, prefix, outgoing, tls)
