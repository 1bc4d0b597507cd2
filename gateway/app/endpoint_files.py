"""What endpoints need of this machine: TLS files and credentials, read once for all who use the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from gateway.config.environment import from_environment
from gateway.http.client.rotating import SharedByName
from gateway.http.client.small_file import OwnFileError
from gateway.http.client.tls import ClientTls, ClientTlsSettings
from gateway.upstreams.credential import ClientCredential, CredentialSettings
from gateway.upstreams.outgoing import (
    problem_of_credential_header,
    problem_of_host,
    problem_of_server_name,
    problems_of_headers,
)
from routing.endpoint import Credential, Endpoint, EndpointTls

_ALPN: Final = {"grpc": ("h2",), "h2": ("h2",), "http": ("http/1.1",)}
_OTHERS: Final = {"grpc": ("http/1.1", "http/1.0"), "h2": ("http/1.1", "http/1.0"), "http": ("h2",)}
"""Protocols that may not be offered: an endpoint that took one would not be understood."""

_MAX_ALPN_BYTES: Final = 255


class EndpointError(Exception):
    """``endpoint`` cannot be connected to as the policy has it; the message names the field."""

    def __init__(self, endpoint: str, message: str) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class EndpointFiles:
    """``environment`` returns the value of a variable; empty: there is none."""

    def __init__(self, environment: Callable[[str], str] = from_environment) -> None:
        self._tls: SharedByName[ClientTlsSettings, ClientTls] = SharedByName(ClientTls)
        self._credentials: SharedByName[CredentialSettings, ClientCredential] = SharedByName(
            lambda settings: ClientCredential(settings, environment)
        )
        self.paths: tuple[str, ...] = ()
        """The files of the endpoints that were checked last."""

    def __repr__(self) -> str:
        return f"<EndpointFiles, {len(self._tls)} of TLS, {len(self._credentials)} credentials>"

    def check(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Read what ``endpoints`` need, and forget what none of them does; it blocks: call it in a thread.

        What is in use already, and cannot be read now, is no error: the last that was good stays.

        Raises:
            EndpointError: the first that cannot be connected to.
        """
        tls = {_tls_settings(each.tls, each.protocol) for each in endpoints.values() if each.tls is not None}
        credentials = {
            _credential_settings(each.credential) for each in endpoints.values() if each.credential
        }
        files = [file for settings in tls for file in settings.files]
        self.paths = (*sorted({*files, *(each.file for each in credentials if each.file)}),)
        for name, endpoint in endpoints.items():
            for problem in _problems(endpoint):
                raise EndpointError(name, problem)
            self.tls(name, endpoint)
            self.credential(name, endpoint)
        self._tls.keep(frozenset(tls))
        self._credentials.keep(frozenset(credentials))

    def tls(self, name: str, endpoint: Endpoint) -> ClientTls | None:
        """Return how an endpoint is encrypted; None: it is not.

        Raises:
            EndpointError: a file cannot be used.
        """
        if endpoint.tls is None:
            return None
        with _of(name, "tls"):
            return self._tls.get(_tls_settings(endpoint.tls, endpoint.protocol))

    def credential(self, name: str, endpoint: Endpoint) -> ClientCredential | None:
        """Return what is shown to an endpoint; None: nothing.

        Raises:
            EndpointError: there is none where the policy says that it is.
        """
        if endpoint.credential is None:
            return None
        with _of(name, "credential"):
            return self._credentials.get(_credential_settings(endpoint.credential))


@contextmanager
def _of(name: str, part: str) -> Iterator[None]:
    try:
        yield
    except OwnFileError as error:
        raise EndpointError(name, f"{part}: {error}") from None


def _tls_settings(tls: EndpointTls, protocol: str) -> ClientTlsSettings:
    return ClientTlsSettings(
        ca=tls.ca, certificate=tls.certificate, key=tls.key, alpn=tls.alpn or _ALPN[protocol]
    )


def _credential_settings(credential: Credential) -> CredentialSettings:
    return CredentialSettings(
        file=credential.file,
        env=credential.env,
        header=credential.header.lower(),
        scheme=credential.scheme,
    )


def _problems(endpoint: Endpoint) -> Iterator[str]:
    if problem := problem_of_host(endpoint.host):
        yield problem
    yield from problems_of_headers(endpoint.headers)
    if (credential := endpoint.credential) is not None:
        if (credential.file is None) == (credential.env is None):
            yield "credential: needs either `file` or `env`, and not both"
        if problem := problem_of_credential_header(credential.header):
            yield problem
    if (tls := endpoint.tls) is not None:
        if tls.key is not None and tls.certificate is None:
            yield "tls.key: is of no use without tls.certificate"
        if problem := problem_of_server_name(tls.server_name or ""):
            yield problem
        yield from _problems_of_alpn(tls.alpn, endpoint.protocol)


def _problems_of_alpn(alpn: tuple[str, ...], protocol: str) -> Iterator[str]:
    for each in alpn:
        if each in _OTHERS[protocol]:
            yield f"tls.alpn: {each!r} is another protocol than `protocol: {protocol}`; leave it out"
        elif not each.isascii() or len(each) > _MAX_ALPN_BYTES:
            yield f"tls.alpn: {each!r} is no name of a protocol"
