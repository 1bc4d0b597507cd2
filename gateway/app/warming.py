"""Assembly of warm fail-over: a listener for neighbours' offers, and what offers our own to them.

The listener is of this purpose alone and serves no client. Each worker has one, at the same address: the
system deals connections out among them, and a neighbour says all of a round over one connection.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

from cache.key import derive_secret
from cache.levels.envelope import Envelope
from cache.levels.memory import MemoryLevel
from cache.warming.level import WarmLevel
from cache.warming.messages import Signer
from cache.warming.receiver import WarmingReceiver
from cache.warming.sender import WarmingSender
from cache.warming.settings import WarmingSettings
from gateway.app.errors import StartError
from gateway.app.foundation import Foundation
from gateway.app.parts import CacheParts
from gateway.app.warming_links import WarmingLinks
from gateway.app.warming_listener import WarmingListener
from gateway.config.addresses import host_and_port
from gateway.core.cache_levels import WARM
from gateway.http.client.tls import trusting_context
from gateway.http.server.tls import Tls, TlsError
from routing.rules.residency import regions_by_class

_log: Final = logging.getLogger("edgeway.warming")


async def open_warming(foundation: Foundation, cache: CacheParts | None, lifetimes: AsyncExitStack) -> None:
    """Begin to take offers of neighbours and to make them, as the settings have it, until ``lifetimes`` end.

    Raises:
        StartError: names the address or the file that cannot be used.
    """
    settings = None if cache is None else cache.settings.warming
    if cache is None or settings is None:
        return
    own = foundation.settings.region
    for region in settings.to:
        if region == own or region not in _regions(foundation):
            what = "this gateway's own region" if region == own else "no region of the policy"
            _log.warning("cache.warming.to: '%s' is %s: it gets nothing", region, what)
    signer = Signer(derive_secret(cache.settings.key_secret, "warming"))
    envelope = Envelope(derive_secret(cache.settings.key_secret, "warmed values"), WARM)
    if settings.listen is not None:
        await _listen(foundation, cache, settings, (signer, envelope), lifetimes)
    near = cache.levels[0]
    if settings.to and isinstance(near, MemoryLevel):
        links = WarmingLinks(own, settings, signer, _trust(settings), foundation.clock)
        lifetimes.push_async_callback(links.aclose)
        sender = WarmingSender(
            settings,
            near,
            links,
            envelope=envelope,
            instruction_set=cache.instruction_set,
            regions_of=_regions_of(foundation),
            clock=foundation.clock,
            telemetry=foundation.prometheus,
        )
        lifetimes.push_async_callback(_ended, asyncio.create_task(sender.run()))


async def _listen(
    foundation: Foundation,
    cache: CacheParts,
    settings: WarmingSettings,
    shared: tuple[Signer, Envelope],
    lifetimes: AsyncExitStack,
) -> None:
    assert settings.listen is not None, "the caller has checked it"
    level = next(each for each in cache.levels if isinstance(each, WarmLevel))
    signer, envelope = shared
    receiver = WarmingReceiver(
        foundation.settings.region,
        level,
        cache.levels[0],
        envelope=envelope,
        instruction_set=cache.instruction_set,
        regions_of=_regions_of(foundation),
        rate=settings.max_bytes_per_s,
        clock=foundation.clock,
        telemetry=foundation.prometheus,
    )
    listener = WarmingListener(
        foundation.settings.region,
        receiver,
        signer,
        is_region=lambda name: name in _regions(foundation),
        clock=foundation.clock,
        telemetry=foundation.prometheus,
    )
    lifetimes.push_async_callback(listener.aclose)
    try:
        tls = Tls(settings.tls).context if settings.tls is not None else None
        await listener.start(*host_and_port(settings.listen), tls)
    except TlsError as error:
        raise StartError(f"cache.warming.tls: {error}") from None
    except OSError as error:
        raise StartError(f"cache.warming.listen: {settings.listen}: {error.strerror or error}") from error


def _regions_of(foundation: Foundation) -> Callable[[], Mapping[str, frozenset[str]]]:
    """Return what gives the regions of each residency class by the policy in force."""
    last: tuple[object, Mapping[str, frozenset[str]]] = (None, {})

    def regions_of() -> Mapping[str, frozenset[str]]:
        nonlocal last
        policy = foundation.in_force.current().policy
        if policy is not last[0]:
            last = (policy, {} if policy is None else regions_by_class(policy))
        return last[1]

    return regions_of


def _regions(foundation: Foundation) -> frozenset[str]:
    policy = foundation.in_force.current().policy
    return frozenset() if policy is None else frozenset(policy.regions)


def _trust(settings: WarmingSettings) -> ssl.SSLContext:
    context = trusting_context(machine=settings.ca is None)
    if settings.ca is not None:
        try:
            context.load_verify_locations(settings.ca)
        except (OSError, ssl.SSLError) as error:
            raise StartError(f"cache.warming.ca: {settings.ca}: {error}") from None
    return context


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
