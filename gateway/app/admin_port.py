"""The operator's port of a process, as its settings have it."""

from __future__ import annotations

import logging
import ssl
from contextlib import AsyncExitStack
from typing import Final

from gateway.admin.access import NOBODY, AdminAccess
from gateway.admin.listener import AdminListener
from gateway.admin.settings import AdminAccessSettings, is_loopback, read_tokens
from gateway.app.errors import StartError
from gateway.config.addresses import host_and_port
from gateway.config.settings import ListenSettings
from gateway.core.operator import OperatorTokens
from gateway.http.server.tls import Tls, TlsError, TlsSettings

_LOG: Final = logging.getLogger("edgeway.admin")


async def open_admin_port(
    admin: AdminListener, settings: ListenSettings, lifetimes: AsyncExitStack
) -> AdminListener | None:
    """Open the operator's port; None: the settings name none. It closes with ``lifetimes``.

    Raises:
        StartError: names the address or the file that cannot be used.
    """
    addresses = settings.admin_addresses()
    if not addresses:
        return None
    access_settings = settings.admin_access
    hosts = [host for host, _ in map(host_and_port, addresses)]
    # One that others reach has all of them ask who comes.
    is_local = all(map(is_loopback, hosts))
    access = AdminAccess(
        operator_tokens(access_settings),
        takes_certificates=access_settings.takes_certificates,
        hosts=(*hosts, *access_settings.hosts),
        open_metrics=access_settings.open_metrics,
        is_local=is_local,
    )
    tls = None if access_settings.tls is None else _context(access_settings.tls)
    lifetimes.push_async_callback(admin.aclose)
    for address in addresses:
        try:
            await admin.start(*host_and_port(address), access, tls)
        except OSError as error:
            raise StartError(f"cannot listen on {address}: {error.strerror or error}") from error
    if access.is_restricted:
        return admin
    if is_local:
        _LOG.warning(
            "listen.admin asks nobody who they are: whoever has an account on this machine may unload models"
            " and read the policy; set listen.admin_access.tokens_sha256 or .token_file"
        )
    else:
        _LOG.warning("listen.admin answers probes and nothing else: %s", NOBODY)
    return admin


def operator_tokens(settings: AdminAccessSettings) -> OperatorTokens:
    """Return the operator's tokens.

    Raises:
        StartError: the file with the tokens cannot be used.
    """
    try:
        return read_tokens(settings)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise StartError(f"listen.admin_access.token_file: {settings.token_file}: {what}") from None


def _context(settings: TlsSettings) -> ssl.SSLContext:
    try:
        context = Tls(settings).context
    except TlsError as error:
        raise StartError(f"listen.admin_access.tls: {error}") from None
    context.set_alpn_protocols(["http/1.1"])
    if settings.client_ca is not None:
        # Probes show none. Whoever shows one has to show a good one, and the port asks for it.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
