"""Who may use the admin port: under which names, from which pages, with which token or certificate."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web

from gateway.admin.errors import error_response
from gateway.admin.settings import is_loopback
from gateway.core.address import canonical
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.operator import OperatorTokens
from gateway.wire.headers import is_of_web_page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

IS_OPERATOR: Final = web.RequestKey("is_operator", bool)
"""Whether the request may see everything; where it is not set, all may."""

_PROBES: Final = frozenset({"/healthz", "/readyz"})
_METRICS: Final = frozenset({"/metrics"})
_READS: Final = frozenset({"GET", "HEAD"})
_HOST: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[^:\[\]]+))(?::\d{1,5})?")
NOBODY: Final = (
    "others than this machine may reach this port, and nobody is its operator: set"
    " listen.admin_access.tokens_sha256 (printf %s TOKEN | sha256sum), .token_file, or .tls with client_ca;"
    " or let it listen on 127.0.0.1"
)
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="edgeway admin"'}


class AdminAccess:
    """Decides about requests at the admin port before they are read.

    Args:
        tokens: of the operator. Without any, and without certificates, whoever reaches the port is one.
        takes_certificates: whether a client's certificate does as well as a token; it was verified by TLS.
        hosts: names and addresses by which the port is called, beside its own and those of this machine. A
            web page whose name was rebound to this address is known by the name that its browser sends.
        open_metrics: whether everybody may read ``/metrics``.
        is_local: whether only this machine reaches the port. One that others reach, and that has neither
            tokens nor certificates, has no operator.
    """

    def __init__(
        self,
        tokens: OperatorTokens | None = None,
        *,
        takes_certificates: bool = False,
        hosts: Iterable[str] = (),
        open_metrics: bool = False,
        is_local: bool = True,
    ) -> None:
        self._is_local = is_local
        self._tokens = tokens or OperatorTokens()
        self._takes_certificates = takes_certificates
        self._hosts = frozenset(map(_one_spelling, hosts))
        self._open = _PROBES | _METRICS if open_metrics else _PROBES

    def __repr__(self) -> str:
        certificates = ", certificates" if self._takes_certificates else ""
        return f"<AdminAccess {self._tokens!r}{certificates}, hosts {' '.join(sorted(self._hosts)) or 'own'}>"

    @property
    def is_restricted(self) -> bool:
        """Whether a token or a certificate is needed."""
        return bool(self._tokens) or self._takes_certificates

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass, or answer why not."""
        if not self._is_called_so(request):
            name = printable(request.headers.get("Host", ""))
            return error_response(
                GatewayError(
                    Fault.FORBIDDEN,
                    f"this port is not called '{name}'; if it is, add the name to listen.admin_access.hosts",
                ),
                status=421,
            )
        if request.method not in _READS and is_of_web_page(request.headers.items()):
            return error_response(GatewayError(Fault.FORBIDDEN, "requests of web pages are refused here"))
        is_operator = self._is_operator(request)
        if not is_operator and _resource(request) not in self._open:
            return self._refusal()
        request[IS_OPERATOR] = is_operator
        return await handler(request)

    def _is_called_so(self, request: web.Request) -> bool:
        """Whether the request names this port; one of HTTP/1.0, which no browser sends, may name nothing."""
        named = request.headers.getall("Host", [])
        if not named:
            return request.version < (1, 1)
        found = _HOST.fullmatch(named[0].strip()) if len(named) == 1 else None
        if found is None or not request.raw_path.startswith(("/", f"{request.scheme}://{named[0]}/")):
            # Of a target in absolute form the authority counts, not the Host.
            return False
        host = _one_spelling(found["v6"] or found["name"])
        transport = request.transport
        own = transport.get_extra_info("sockname")[0] if transport is not None else ""
        return is_loopback(host) or host in self._hosts or host == canonical(own)

    def _is_operator(self, request: web.Request) -> bool:
        if not self.is_restricted:
            return self._is_local
        # It is there only where TLS has verified it.
        if self._takes_certificates and request.get_extra_info("peercert"):
            return True
        named = request.headers.getall("Authorization", [])
        return len(named) == 1 and self._tokens.accepts(named[0])

    def _refusal(self) -> web.Response:
        if not self.is_restricted:
            return error_response(GatewayError(Fault.FORBIDDEN, NOBODY))
        return error_response(
            GatewayError(Fault.UNAUTHENTICATED, f"{self._needed()} is needed here"), headers=_CHALLENGE
        )

    def _needed(self) -> str:
        token = "the operator's token, as 'Authorization: Bearer TOKEN'," if self._tokens else ""
        certificate = "a client certificate" if self._takes_certificates else ""
        return " or ".join(filter(None, (token, certificate))).rstrip(",")


def _resource(request: web.Request) -> str:
    """Return the path of the route that will answer; a request for none has none."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


def _one_spelling(host: str) -> str:
    return canonical(host) or host.lower().rstrip(".")
