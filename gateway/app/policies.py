"""The policy in force, and how another one takes its place: parse, validate, build, swap one reference."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.app.stack_report import StacksReport
from gateway.config.document import ConfigError
from gateway.config.policy_file import load_policy
from gateway.core.clock import Clock
from gateway.core.service import Generation
from gateway.core.telemetry import PolicyLoaded, Telemetry
from routing.policy import ANY, Policy

_LOG: Final = logging.getLogger("edgeway.policy")
WATCH_S: Final = 1.0


class Built(Generation, Protocol):
    """A generation that is ready but not yet in force."""

    def report(self) -> StacksReport:
        """Describe its stacks."""
        ...

    def commit(self) -> None:
        """Take what the generation needs into use; called once, when it comes into force."""
        ...


class Policies:
    """Holds the generation in force. A load that fails in any way leaves it as it is and says why."""

    def __init__(
        self,
        file: Path,
        build: Callable[[Policy], Built],
        *,
        region: str,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._file, self._build, self._region = file, build, region
        self._clock, self._telemetry = clock, telemetry
        self._text = b""
        self._error = ""
        self._current: Built | None = None
        self._policy: Policy | None = None
        self._loading = asyncio.Lock()
        self._owes_rebuild = False

    def __repr__(self) -> str:
        number = self._current.number if self._current else "none"
        return f"<Policies generation {number}{', last load failed' if self._error else ''}>"

    def current(self) -> Generation:
        """Return the generation in force."""
        assert self._current is not None, "start() comes first"
        return self._current

    def report(self) -> Mapping[str, Any]:
        """Tell the generation in force and, if the last load failed, why."""
        return {
            "generation": self._current.number if self._current else 0,
            "file": str(self._file),
            "error": self._error,
        }

    def stacks(self) -> StacksReport:
        """Describe the stacks in force."""
        assert self._current is not None, "start() comes first"
        return self._current.report()

    def start(self) -> None:
        """Load the first policy.

        Raises:
            ConfigError: there is none to fall back to.
        """
        self._take(*load_policy(self._file, self._region), rebuild=False)

    async def reload(self, *, rebuild: bool = True) -> bool:
        """Load the file again; return whether its policy is in force.

        It is read and checked in a thread: of a large policy that takes a while, in which requests go on.
        ``rebuild``: also when its text did not change, for what is read along with it (certificates).
        """
        # One after the other: of two at once, the one that read the older text could end last.
        async with self._loading:
            try:
                policy, text = await asyncio.to_thread(load_policy, self._file, self._region)
                self._take(policy, text, rebuild=rebuild)
            except Exception as error:  # noqa: BLE001 - whatever is wrong, the last good policy stays
                self._owes_rebuild = rebuild
                self._refuse(error)
                return False
            return True

    def rebuild(self) -> None:
        """Build the stacks of the policy in force anew, because the models of this process are others.

        Whatever it raises, those in use stay.
        """
        assert self._policy is not None, "start() comes first"
        self._enforce(self._policy)

    async def watch(self) -> None:
        """Reload when the file's content changes; runs until cancelled.

        Content, not modification time: mounted config maps swap links, and clocks step.
        """
        seen, last = self._text, self._text
        while True:
            await self._clock.sleep(WATCH_S)
            before, last = last, await asyncio.to_thread(_content, self._file)
            is_mended = bool(self._error) and last == self._text
            # Empty once, it may be in the middle of being replaced; twice, it is gone.
            if is_mended or (last != seen and (last or not before)):
                seen = last
                await self.reload(rebuild=self._owes_rebuild)

    def _refuse(self, error: Exception) -> None:
        self._error = str(error)
        number = self._current.number if self._current else 0
        self._telemetry.emit(PolicyLoaded(number, self._error))
        if isinstance(error, ConfigError):
            _LOG.error("the policy was not taken, generation %d stays: %s", number, error)
        else:
            _LOG.error("the policy could not be built, generation %d stays", number, exc_info=error)

    def _take(self, policy: Policy, text: bytes, *, rebuild: bool) -> None:
        is_same = text == self._text
        if self._current is not None:
            if is_same and not rebuild:
                self._error = ""
                return
            if not is_same and policy.generation <= self._current.number:
                raise ConfigError(
                    self._file,
                    f"the content changed but generation {policy.generation} is not above the "
                    f"{self._current.number} in force; raise it",
                    field="generation",
                )
        self._enforce(policy)
        self._text, self._error = text, ""
        self._owes_rebuild = False
        models = {route.match.model for route in policy.routes if not route.match.model.endswith(ANY)}
        self._telemetry.emit(PolicyLoaded(policy.generation, "", tuple(sorted(models))))
        _LOG.info("policy generation %d is in force", policy.generation)

    def _enforce(self, policy: Policy) -> None:
        built = self._build(policy)
        built.commit()
        self._current, self._policy = built, policy


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
