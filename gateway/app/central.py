"""Assembly of a central tier: models with dynamic batching, without cache, policy or another tier."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from edge_models.repository import ModelRepository
from gateway.app.foundation import Foundation
from gateway.app.generation import Generation, unchecked
from gateway.app.loading import use_tls
from gateway.app.models import open_models
from gateway.app.stacks import central_stack, shared_stack
from gateway.app.tier import Tier
from gateway.app.workers.sequence_owner import make_sequence_owner
from gateway.core.catalog import AllModels
from gateway.http.server.tls import Tls, TlsError

_LOG: Final = logging.getLogger("edgeway")


async def open_central(foundation: Foundation, lifetimes: AsyncExitStack) -> Tier:
    """Load the models and put their stack in force.

    Raises:
        ModelError: names the file that cannot be served.
    """
    settings, parts = foundation.settings, foundation.parts
    assert settings.models is not None, "load_settings has checked it"
    models = open_models(foundation, settings.models, lifetimes)
    predictor = models.predictor
    owner = make_sequence_owner(foundation.inheritance, predictor, predictor.holds_sequences)
    if owner is not None:
        lifetimes.push_async_callback(owner.aclose)
        await owner.start()
    stack = shared_stack(parts, None, central_stack(parts, predictor, owner), unchecked)
    foundation.in_force.swap(Generation(0, stack))
    reload = TlsReload(foundation.tls)

    def prepare(_model: str) -> Callable[[], None]:
        return lambda: foundation.requests.expect(models.names())

    return Tier(
        catalogs=AllModels(models.registry),
        repository=ModelRepository(
            models.registry, models.predictor, settings.models.batching, prepare=prepare
        ),
        policy_report=reload.report,
        health={},
        reload=reload.reload,
    )


class TlsReload:
    """Takes new TLS certificates: a process without a policy has nothing else to load again."""

    def __init__(self, tls: Tls | None) -> None:
        self._tls, self._error = tls, ""

    def __repr__(self) -> str:
        return f"<TlsReload{', the last one failed' if self._error else ''}>"

    async def reload(self) -> None:
        """Take the TLS certificates as they are on disk now; those that cannot be used change nothing."""
        if self._tls is None:
            return
        try:
            use_tls(self._tls, await asyncio.to_thread(self._tls.read))
            self._error = ""
        except TlsError as error:
            self._error = str(error)
            _LOG.error("the TLS certificates were not taken, the old ones stay: %s", error)

    def report(self) -> Mapping[str, Any]:
        """Return that there is no policy and, if the last reload failed, why."""
        return {"generation": 0, "file": "", "error": self._error}
