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
from gateway.app.models import Models, open_models
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
    _warn_of_uncached(models)
    owner = make_sequence_owner(foundation.inheritance, predictor, predictor.holds_sequences)
    if owner is not None:
        lifetimes.push_async_callback(owner.aclose)
        await owner.start()
    stack = shared_stack(parts, None, central_stack(parts, predictor, owner), unchecked)
    foundation.in_force.swap(Generation(0, stack))
    reload = TlsReload(foundation.tls)

    def prepare(model: str) -> Callable[[], None]:
        def enforce() -> None:
            foundation.requests.expect(models.names())
            _warn_of_uncached(models, only=model)

        return enforce

    return Tier(
        catalogs=AllModels(models.registry),
        repository=ModelRepository(
            models.registry,
            models.predictor,
            settings.models.batching,
            telemetry=foundation.prometheus,
            prepare=prepare,
        ),
        policy_report=reload.report,
        health={"models": models.report},
        reload=reload.reload,
    )


def _warn_of_uncached(models: Models, only: str = "") -> None:
    """Name the models whose own configuration wants a cache: this tier has none."""
    for model in models.registry:
        if only in {"", model.name} and model.config is not None and model.config.response_cache:
            _LOG.warning(
                "model %s: response_cache is enabled, and a central tier keeps no answer: an edge before it "
                "does, with `cache` in its settings and a route that has a digest",
                model.name,
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
