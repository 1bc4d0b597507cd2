"""How another generation comes into force: load, validate, build, swap one reference.

Whatever fails before the swap leaves the generation in force as it is; the error is in the log, in the
metrics and in the report.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from gateway.app.certificates import Certificates
from gateway.app.generation import InForce, PolicyGeneration
from gateway.app.loading import Loaded, Sources
from gateway.config.document import ConfigError
from gateway.core.clock import Clock
from gateway.core.telemetry import PolicyLoaded, Telemetry
from gateway.http.server.tls import TlsError
from routing.policy import ANY, Policy

_LOG: Final = logging.getLogger("edgeway.policy")
WATCH_S: Final = 1.0


class GenerationBuilder(Protocol):
    """Builds generations (``gateway.app.builder.Builder``)."""

    def build(self, loaded: Loaded) -> PolicyGeneration:
        """Return the generation of ``loaded``; nothing in force changes."""
        ...

    def replaced(self, old: PolicyGeneration, new: PolicyGeneration) -> None:
        """Close what the swap leaves behind; ``new`` is in force."""
        ...


class Policies:
    """Loads generations and puts them in force."""

    def __init__(
        self,
        sources: Sources,
        builder: GenerationBuilder,
        in_force: InForce,
        *,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._sources, self._builder, self._in_force = sources, builder, in_force
        self._clock, self._telemetry = clock, telemetry
        self._error = ""
        self._tried = b""
        self._loading = asyncio.Lock()
        self._owes_everything = False

    def __repr__(self) -> str:
        failed = ", last load failed" if self._error else ""
        return f"<Policies generation {self._in_force.current().number}{failed}>"

    def report(self) -> Mapping[str, Any]:
        """Return the number of the generation in force and, if the last load failed, why."""
        return {
            "generation": self._in_force.current().number,
            "file": str(self._sources.file),
            "error": self._error,
        }

    async def start(self) -> None:
        """Load the first policy.

        Raises:
            ConfigError: it cannot be used, and there is none to fall back to.
        """
        self._take(await self._load(everything=False))

    async def reload(self, *, everything: bool = True) -> bool:
        """Load again what is on disk; return whether it is in force.

        Files are read and checked in a thread: a large policy takes a while, and requests go on meanwhile.
        ``everything``: build a new generation even if the policy did not change, take the TLS certificates
        too, and give every model's certificate another chance. If that fails, the next reload owes it.
        """
        # One after the other: of two at once, the one that read the older text could end last.
        async with self._loading:
            everything = everything or self._owes_everything
            try:
                loaded = await self._load(everything=everything)
                if everything or loaded.text != self._in_force.current().text:
                    self._take(loaded)
            except Exception as error:  # noqa: BLE001 - whatever is wrong, the last good policy stays
                self._owes_everything = everything
                self._report_failure(error)
                return False
            self._error, self._owes_everything = "", False
            return True

    def rebuild(self, certificates: Certificates) -> None:
        """Build the stacks of the policy in force anew, because this process has other models now.

        ``certificates``: those of the models that changed. Whatever it raises, the stacks in use stay.
        """
        current = self._in_force.current()
        self._enforce(Loaded(self._in_force.policy(), current.text, certificates))

    async def watch(self) -> None:
        """Reload when the file's content changes; runs until cancelled.

        Content, not modification time: mounted config maps swap links, and clocks step.
        """
        last = self._tried
        while True:
            await self._clock.sleep(WATCH_S)
            before, last = last, await asyncio.to_thread(self._content)
            # If it is empty once, it may be in the middle of being replaced; if twice, it is gone.
            if last != self._tried and (last or not before):
                await self.reload(everything=False)

    async def _load(self, *, everything: bool) -> Loaded:
        names = self._sources.model_names()
        try:
            text = await asyncio.to_thread(self._sources.text)
        except ConfigError:
            self._tried = b""
            raise
        self._tried = text
        return await asyncio.to_thread(self._sources.load, text, names, everything=everything)

    def _content(self) -> bytes:
        try:
            return self._sources.text()
        except ConfigError:
            return b""

    def _take(self, loaded: Loaded) -> None:
        current = self._in_force.current()
        is_other = bool(current.text) and loaded.text != current.text
        if is_other and loaded.policy.generation <= current.number:
            raise ConfigError(
                self._sources.file,
                f"the content changed but generation {loaded.policy.generation} is not above the "
                f"{current.number} in force; raise it",
                field="generation",
            )
        self._enforce(loaded)
        self._telemetry.emit(PolicyLoaded(loaded.policy.generation, "", _models(loaded.policy)))
        _LOG.info("policy generation %d is in force", loaded.policy.generation)

    def _enforce(self, loaded: Loaded) -> None:
        generation = self._builder.build(loaded)
        before = self._in_force.swap(generation)
        self._builder.replaced(before, generation)
        self._sources.use_tls(loaded)

    def _report_failure(self, error: Exception) -> None:
        self._error = str(error)
        number = self._in_force.current().number
        self._telemetry.emit(PolicyLoaded(number, self._error))
        if isinstance(error, ConfigError):
            _LOG.error("the policy was not taken, generation %d stays: %s", number, error)
        elif isinstance(error, TlsError):
            _LOG.error("the certificates were not taken, the old ones stay: %s", error)
        else:
            _LOG.error("the policy could not be built, generation %d stays", number, exc_info=error)


def _models(policy: Policy) -> tuple[str, ...]:
    """Return the models that routes name, without those that stand for many."""
    return tuple(sorted({r.match.model for r in policy.routes if not r.match.model.endswith(ANY)}))
