"""How another generation comes into force: load, validate, build, swap one reference.

Whatever fails before the swap leaves the generation in force as it is; the error is in the log, in the
metrics and in the report.

SIGHUP takes the policy with the models' certificates, and the TLS certificates. They do not wait for each
other. What could not be taken is owed, and taken by a later load: the watch makes one when one of these files
changes.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from gateway.app.certificates import Certificates
from gateway.app.collector import held_off
from gateway.app.generation import Generation, InForce
from gateway.app.loading import Contents, Loaded, Sources, use_tls
from gateway.config.document import ConfigError
from gateway.core.clock import Clock
from gateway.core.telemetry import PolicyLoaded, Telemetry
from gateway.http.server.tls import TlsError
from routing.policy import ANY, Policy

_LOG: Final = logging.getLogger("edgeway.policy")
WATCH_S: Final = 0.5
"""Between two looks at the policy file, of which the second takes what both have found."""


class Owed(enum.Enum):
    """What a SIGHUP was to take and has not taken yet."""

    NOTHING = enum.auto()
    TLS = enum.auto()
    EVERYTHING = enum.auto()


class GenerationBuilder(Protocol):
    """Builds generations (``gateway.app.builder.Builder``)."""

    async def prebuild(self, loaded: Loaded) -> Loaded:
        """Return ``loaded`` with what takes long to build; the loop goes on meanwhile."""
        ...

    def let_go(self, loaded: Loaded) -> None:
        """Close what ``prebuild`` has made of what is not built after all."""
        ...

    def build(self, loaded: Loaded) -> Generation:
        """Return the generation of ``loaded``; nothing in force changes."""
        ...

    def after_swap(self, old: Generation, new: Generation) -> None:
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
        self._error = self._tls_error = ""
        self._tried = Contents()
        self._loading = asyncio.Lock()
        self._owed = Owed.NOTHING
        self._num_rebuilds = 0

    def __repr__(self) -> str:
        failed = ", last load failed" if self._is_incomplete else ""
        return f"<Policies generation {self._in_force.current().number}{failed}>"

    def report(self) -> Mapping[str, Any]:
        """Return the number of the generation in force and why something is not taken; empty: all is."""
        return {
            "generation": self._in_force.current().number,
            "file": str(self._sources.file),
            "error": "; ".join(filter(None, (self._error, self._tls_error))),
        }

    async def start(self) -> None:
        """Load the first policy.

        Raises:
            ConfigError: it cannot be used, and there is none to fall back to.
        """
        loaded = await self._load(serves=False)
        self._take(await self._builder.prebuild(loaded))

    async def reload(self, *, everything: bool = True) -> bool:
        """Load again what is on disk; return whether all of it is in force.

        Files are read and checked in a thread: a large policy takes a while, and requests go on meanwhile.
        ``everything`` (SIGHUP): build a new generation even if the policy did not change, take the TLS
        certificates too, and give every model's certificate another chance. Otherwise the policy, if it
        changed, and what is owed. The policy and the TLS certificates do not wait for each other: whichever
        cannot be used stays as it was, and is owed.
        """
        # One after the other: of two at once, the one that read the older text could end last.
        async with self._loading:
            before = self._tried.text
            if everything:
                self._owed = Owed.EVERYTHING
            try:
                await self._take_latest()
            except Exception as error:  # noqa: BLE001 - whatever is wrong, the last good policy stays
                self._report_failure(error, is_news=everything or self._tried.text != before)
                await self._take_tls(is_news=everything)
                return False
            self._error = ""
            await self._take_tls(is_news=everything)
            self._owed = Owed.TLS if self._tls_error else Owed.NOTHING
            return self._owed is Owed.NOTHING

    def rebuild(self, certificates: Certificates) -> None:
        """Build the stacks of the policy in force anew, because this process has other models now.

        ``certificates``: those of the models that changed. Whatever it raises, the stacks in use stay.
        """
        current = self._in_force.current()
        known = current.endpoints.rivals
        self._enforce(Loaded(self._in_force.policy(), current.text, certificates, rivals=known))
        self._num_rebuilds += 1

    async def watch(self) -> None:
        """Reload when the policy file's content changes; runs until cancelled.

        After a load that failed, and while something is owed, also when a model's certificate or a TLS file
        does. Content, not modification time: mounted config maps swap links, and clocks step.
        """
        last = self._tried.text
        while True:
            await self._clock.sleep(WATCH_S)
            found = await asyncio.to_thread(
                self._sources.contents, self._sources.model_names(), others=self._is_incomplete
            )
            before, last = last, found.text
            # What was found once may be in the middle of being written: a policy that ends at any line may be
            # one as well, and the whole file would have the same generation, for another text.
            if last == before and self._differs(found):
                await self.reload(everything=False)

    @property
    def _is_incomplete(self) -> bool:
        """Whether something on disk was to come into force and has not."""
        return bool(self._error) or self._owed is not Owed.NOTHING

    def _differs(self, found: Contents) -> bool:
        """Whether to load again: the files are not those of the last load, as far as they were read."""
        if found.text != self._tried.text or str(found.error) != str(self._tried.error):
            return True
        return bool(found.others) and found.others != self._tried.others

    async def _load(self, *, serves: bool = True) -> Loaded:
        names = self._sources.model_names()
        # Before the load, which reads these files again: what changes in between is seen by the watch.
        self._tried = await asyncio.to_thread(self._sources.contents, names)
        return await asyncio.to_thread(
            self._sources.load,
            self._tried,
            names,
            forget=self._owed is Owed.EVERYTHING,
            serves=serves,
        )

    async def _take_latest(self) -> None:
        """Load and take it; again if another model has come into force meanwhile, with its certificates."""
        while True:
            before = self._num_rebuilds
            loaded = await self._load()
            if before != self._num_rebuilds:
                continue
            if self._owed is not Owed.EVERYTHING and loaded.text == self._in_force.current().text:
                if self._error:
                    self._report_mended()
                return
            self._check_generation(loaded)
            loaded = await self._builder.prebuild(loaded)
            if before == self._num_rebuilds:
                self._take(loaded)
                return
            self._builder.let_go(loaded)

    async def _take_tls(self, *, is_news: bool) -> None:
        """Use new TLS certificates, if they are owed; say once why they cannot be used."""
        if self._owed is Owed.NOTHING:
            return
        tls = await asyncio.to_thread(self._sources.read_tls)
        if isinstance(tls, TlsError):
            why = str(tls)
            if is_news or why != self._tls_error:
                _LOG.error("the TLS certificates were not taken, the old ones stay: %s", why)
            self._tls_error = why
        else:
            self._tls_error = ""
            use_tls(self._sources.tls, tls)

    def _check_generation(self, loaded: Loaded) -> None:
        current = self._in_force.current()
        is_other = bool(current.text) and loaded.text != current.text
        if is_other and loaded.policy.generation <= current.number:
            raise ConfigError(
                self._sources.file,
                f"the content changed but generation {loaded.policy.generation} is not above the "
                f"{current.number} in force; raise it",
                field="generation",
            )

    def _take(self, loaded: Loaded) -> None:
        self._enforce(loaded)
        self._telemetry.emit(PolicyLoaded(loaded.policy.generation, "", _models(loaded.policy)))
        _LOG.info("policy generation %d is in force", loaded.policy.generation)

    def _enforce(self, loaded: Loaded) -> None:
        with held_off():
            generation = self._builder.build(loaded)
        before = self._in_force.swap(generation)
        self._builder.after_swap(before, generation)

    def _report_mended(self) -> None:
        """Report that the file is again what is in force, after one that was refused."""
        number = self._in_force.current().number
        self._telemetry.emit(PolicyLoaded(number, "", _models(self._in_force.policy())))
        _LOG.info("the policy file is again that of generation %d, which is in force", number)

    def _report_failure(self, error: Exception, *, is_news: bool) -> None:
        """Report why no policy was taken; in the log if ``is_news``, or for another reason than before."""
        why, before = str(error) or repr(error), self._error
        self._error = why
        number = self._in_force.current().number
        self._telemetry.emit(PolicyLoaded(number, why))
        if is_news or why != before:
            trace = None if isinstance(error, ConfigError) else error
            _LOG.error("the policy was not taken, generation %d stays: %s", number, why, exc_info=trace)


def _models(policy: Policy) -> tuple[str, ...]:
    """Return the models that routes name, without those that stand for many."""
    return tuple(sorted({r.match.model for r in policy.routes if not r.match.model.endswith(ANY)}))
