"""The protocol's trace settings, as far as this process can change them while it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.core.control import Tracing
from gateway.core.errors import Fault, GatewayError, printable

_OFF_LEVEL, _ON_LEVEL = "OFF", "TIMESTAMPS"
_RATE: Final = re.compile(r"[1-9][0-9]{0,8}")


class TraceSettings:
    """Turns tracing on and off, and says how many requests are traced.

    Args:
        sample: takes how many requests one is traced of, 0 for none; absent where there is no collector that
            spans could go to.
    """

    def __init__(self, sample: Callable[[int], None] | None = None) -> None:
        self._sample = sample
        self._at_start: dict[str, list[str]] = {
            "trace_level": [_OFF_LEVEL if sample is None else _ON_LEVEL],
            "trace_rate": ["1"],
            "trace_count": ["-1"],
            "log_frequency": ["0"],
            "trace_file": [""],
            "trace_mode": ["opentelemetry"],
        }
        self._settings = dict(self._at_start)

    def __repr__(self) -> str:
        return f"<TraceSettings {self._settings['trace_level'][0]}, one of {self._settings['trace_rate'][0]}>"

    def read(self) -> dict[str, list[str]]:
        """Return the settings in force, each a list of words."""
        return dict(self._settings)

    async def change(self, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
        """Change the settings named in ``wanted``, all or none, and return those in force.

        Raises:
            GatewayError: INVALID for an unknown setting or a value that it cannot have; UNSUPPORTED for what
                belongs to whoever started the process, and for tracing without a collector.
        """
        settings = self.read()
        for name, words in wanted.items():
            now, first = settings.get(name), self._at_start.get(name)
            if now is None or first is None:
                raise GatewayError(Fault.INVALID, f"unknown trace setting '{printable(name)}'")
            settings[name] = list(words) if words else first
            if settings[name] != now:
                self._check(name, settings[name])
        self._settings = settings
        if self._sample is not None:
            is_on = settings["trace_level"] == [_ON_LEVEL]
            self._sample(int(settings["trace_rate"][0]) if is_on else 0)
        return self.read()

    def _check(self, name: str, words: list[str]) -> None:
        if name == "trace_rate":
            if len(words) != 1 or not _RATE.fullmatch(words[0]):
                raise GatewayError(Fault.INVALID, "trace setting 'trace_rate' must be a number from 1")
        elif name == "trace_file":
            # In the words that clients look for.
            raise GatewayError(
                Fault.UNSUPPORTED, "trace file location can not be updated through network protocol"
            )
        elif name != "trace_level" or words not in ([_OFF_LEVEL], [_ON_LEVEL]):
            raise GatewayError(Fault.UNSUPPORTED, f"trace setting '{name}' is fixed when the process starts")
        if self._sample is None:
            raise GatewayError(
                Fault.UNSUPPORTED, "nothing can be traced: the process was started without a collector"
            )


_: type[Tracing] = TraceSettings
