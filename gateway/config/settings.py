"""The settings of one process: the sum of the packages' settings, decoded strictly, once, at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from cache.features.settings import FeaturesSettings
from cache.invalidation.settings import InvalidationSettings
from cache.settings import CacheSettings
from edge_models.settings import ModelsSettings
from gateway.admin.settings import AdminAccessSettings
from gateway.config.addresses import is_address, listed, overlap
from gateway.config.document import Document, read
from gateway.core.request import CENTRAL, EDGE
from gateway.core.spelling import unknown
from gateway.http.server.settings import TransportSettings
from gateway.http.server.tls import TlsSettings
from gateway.listeners.cors import CorsSettings
from gateway.listeners.oip.extensions import ProtocolSettings
from gateway.upstreams.settings import UpstreamSettings
from gateway.wire.trace_context import ALL as PROPAGATORS
from gateway.wire.trace_context import Propagator
from resilience.settings import ResilienceSettings
from routing.settings import GeoSettings

_HTTP_URL: Final = r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[!-~]*)?\Z"
_LISTENERS: Final = ("http", "grpc", "admin")
_HASH_OF_NOTHING: Final = sha256(b"").hexdigest()


class ListenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to listen, each ``HOST:PORT``; port 0 takes a free one. An absent one is not opened.

    Each takes a list of addresses, too; ``[::]`` alone takes IPv4 as well.

    The defaults are Triton's ports, on the loopback interface.

    ``http``: where clients ask. ``grpc``: likewise; either port speaks HTTP/1.1 and HTTP/2, REST and gRPC,
    and two are there because clients expect two. ``admin``: health, metrics, and what an operator asks.
    ``admin_access``: who may use the admin port; where others than this machine reach it, all but probes
    needs a token or a certificate.
    ``max_body_mib``: MiB of the body of one request.
    ``transport``: limits of connections. ``protocol``: what clients may ask for. ``tls``: certificates;
    absent, connections are in the clear. ``proxy_protocol``: every connection begins with a PROXY header,
    version 1 or 2, and one that does not is closed. ``cors``: which pages in browsers may call.
    """

    http: str | tuple[str, ...] | None = "127.0.0.1:8000"
    grpc: str | tuple[str, ...] | None = "127.0.0.1:8001"
    admin: str | tuple[str, ...] | None = "127.0.0.1:8002"
    admin_access: AdminAccessSettings = AdminAccessSettings()
    max_body_mib: Annotated[int, msgspec.Meta(ge=1, le=2047)] = 64
    transport: TransportSettings = TransportSettings()
    protocol: ProtocolSettings = ProtocolSettings()
    tls: TlsSettings | None = None
    proxy_protocol: bool = False
    cors: CorsSettings | None = None

    def client_addresses(self) -> dict[str, str]:
        """Return the addresses for clients by listener: ``http``, the second of a list ``http[1]``."""
        found: dict[str, str] = {}
        for name, given in (("http", self.http), ("grpc", self.grpc)):
            for index, address in enumerate(listed(given)):
                found[f"{name}[{index}]" if index else name] = address
        return found

    def admin_addresses(self) -> tuple[str, ...]:
        """Return the addresses of the admin port; empty: it is not opened."""
        return listed(self.admin)

    def moved(self, before: ListenSettings) -> tuple[str, ...]:
        """Return which of the settings of addresses are others than ``before``."""
        return tuple(
            name for name in _LISTENERS if listed(getattr(self, name)) != listed(getattr(before, name))
        )


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the process reports about itself.

    ``otlp_endpoint``: an OpenTelemetry collector (OTLP over HTTP), ``http://host:4318``; absent: no
    tracing, at no cost. ``log_level``: of the process's log on standard error. ``propagators``: which
    headers of a trace are read and passed on, by the names of OTEL_PROPAGATORS: ``tracecontext``,
    ``baggage``, ``b3`` and ``b3multi``, all by default; what is not among them goes no further.
    """

    otlp_endpoint: Annotated[str, msgspec.Meta(pattern=_HTTP_URL)] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    propagators: tuple[Propagator, ...] = PROPAGATORS


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that one process needs to know. Relative paths start at the file's folder.

    ``role``: ``edge`` (caches, edge models, upstreams) or ``central`` (models with batching).
    ``region``: where it is, a region of the policy. ``zone``: where in the region, as the policy names the
    zones of endpoints' members; empty, the default: zones do not matter.
    ``workers``: processes that share the listening sockets; ``auto`` is one per CPU that this process may
    use. Each has caches, breakers and limits of its own. Default 1.
    ``policy``: path of the policy; an edge needs one. ``trusted_proxies``: networks whose header for
    the client's address (X-Forwarded-For) is believed. ``trusted_gateways``: networks of other gateways,
    and of proxies that authenticate clients themselves, whose header for the tenant (x-edgeway-tenant)
    is believed as well, and from which forwarded requests are taken.
    """

    role: Literal["edge", "central"]
    region: str
    zone: Annotated[str, msgspec.Meta(max_length=64)] = ""
    listen: ListenSettings = ListenSettings()
    workers: Literal["auto"] | Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    policy: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    trusted_gateways: tuple[str, ...] = ()
    geo: GeoSettings | None = None
    models: ModelsSettings | None = None
    cache: CacheSettings | None = None
    features: FeaturesSettings | None = None
    invalidation: InvalidationSettings | None = None
    resilience: ResilienceSettings = ResilienceSettings()
    upstreams: UpstreamSettings = UpstreamSettings()
    telemetry: TelemetrySettings = TelemetrySettings()


def load_settings(file: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings; ``environment`` (the process's, unless given) fills in ``${NAME}``.

    Raises:
        ConfigError: names the file, the line and the field.
    """
    document = read(file, os.environ if environment is None else environment)  # noqa: TID251 - here
    settings = document.decode(Settings)
    _check_addresses(document, settings)
    _check_admin(document, settings.listen)
    _check_role(document, settings)
    _check_invalidation(document, settings)
    _check_networks(document, "trusted_proxies", settings.trusted_proxies)
    _check_networks(document, "trusted_gateways", settings.trusted_gateways)
    return _absolute(settings, file.resolve().parent)


def _check_addresses(document: Document, settings: Settings) -> None:
    listen = settings.listen
    lists = {name: listed(getattr(listen, name)) for name in _LISTENERS}
    for name, addresses in lists.items():
        for address in addresses:
            if not is_address(address):
                what = f"'{address}' is not HOST:PORT, such as 127.0.0.1:8000"
                raise document.error(("listen", name), what)
        if getattr(listen, name) == ():
            raise document.error(("listen", name), "the list is empty; null opens nothing")
    if (found := overlap(lists)) is not None:
        raise document.error(("listen", found.name), found.why)
    if listen.http is None and listen.grpc is None:
        raise document.error(("listen",), "neither http nor grpc is open: nobody could ask anything")


def _check_admin(document: Document, listen: ListenSettings) -> None:
    if _HASH_OF_NOTHING in listen.admin_access.tokens_sha256:
        raise document.error(
            ("listen", "admin_access", "tokens_sha256"),
            "this is the hash of no token at all; take one of `openssl rand -hex 32`",
        )


def _check_networks(document: Document, field: str, networks: tuple[str, ...]) -> None:
    for index, network in enumerate(networks):
        try:
            ip_network(network)
        except ValueError as error:
            hint = "it has host bits set" if "host bits" in str(error) else "it is no network"
            raise document.error((field, index), f"'{network}': {hint}; write one as 10.0.0.0/8") from None


def _check_role(document: Document, settings: Settings) -> None:
    if settings.role == EDGE and settings.policy is None:
        raise document.error(("role",), "an edge needs a policy; add `policy: PATH`")
    if settings.role == CENTRAL:
        if settings.models is None:
            raise document.error(("role",), "a central tier needs models; add `models: {repository: PATH}`")
        for name in ("policy", "cache", "invalidation", "features", "geo"):
            if getattr(settings, name) is not None:
                raise document.error((name,), "a central tier has no use for this; take it out")


def _check_invalidation(document: Document, settings: Settings) -> None:
    if settings.invalidation is None:
        return
    if settings.cache is None:
        raise document.error(("invalidation",), "nothing is kept here; add `cache: {}`, or take it out")
    if settings.region not in settings.invalidation.redis:
        what = unknown("region", settings.region, settings.invalidation.redis)
        raise document.error(
            ("invalidation", "redis"),
            f"this gateway's own region has no log here, it has to be named: {what}",
        )


def _absolute(settings: Settings, folder: Path) -> Settings:
    def path(text: str) -> str:
        return str(folder / text)

    models, geo = settings.models, settings.geo
    if models is not None:
        certificates = models.certificates and path(models.certificates)
        models = msgspec.structs.replace(
            models, repository=path(models.repository), certificates=certificates
        )
    if geo is not None:
        paths = tuple(map(path, geo.databases))
        geo = msgspec.structs.replace(geo, database=paths if len(paths) > 1 else paths[0])
    cache = settings.cache
    if cache is not None and cache.warming is not None:
        warming = msgspec.structs.replace(
            cache.warming,
            tls=_absolute_tls(cache.warming.tls, folder),
            ca=cache.warming.ca and path(cache.warming.ca),
        )
        cache = msgspec.structs.replace(cache, warming=warming)
    policy = settings.policy and path(settings.policy)
    listen = settings.listen
    access = listen.admin_access
    listen = msgspec.structs.replace(
        listen,
        tls=_absolute_tls(listen.tls, folder),
        admin_access=msgspec.structs.replace(
            access,
            token_file=access.token_file and path(access.token_file),
            tls=_absolute_tls(access.tls, folder),
        ),
    )
    return msgspec.structs.replace(
        settings, models=models, geo=geo, policy=policy, listen=listen, cache=cache
    )


def _absolute_tls(tls: TlsSettings | None, folder: Path) -> TlsSettings | None:
    if tls is None:
        return None
    client_ca = tls.client_ca and str(folder / tls.client_ca)
    return msgspec.structs.replace(
        tls, certificate=str(folder / tls.certificate), key=str(folder / tls.key), client_ca=client_ca
    )
