"""The protocol's log and trace settings, as far as this process can change them while it runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from gateway.core.errors import Fault, GatewayError, printable

Setting = bool | int | str

_FLAGS: Final = ("log_info", "log_warning", "log_error")
_FIXED: Final[dict[str, Setting]] = {"log_file": "", "log_format": "default"}
_LEVELS: Final = (logging.INFO, logging.WARNING, logging.ERROR)
_OFF: Final = logging.CRITICAL + 10
_OFF_LEVEL, _ON_LEVEL = "OFF", "TIMESTAMPS"
_RATE: Final = re.compile(r"[1-9][0-9]{0,8}")


class Log(Protocol):
    """What is logged, by one process or by several as one."""

    def read(self) -> dict[str, Setting]:
        """Return the settings in force."""
        ...

    async def change(self, wanted: Mapping[str, object]) -> dict[str, Setting]:
        """Change the settings named in ``wanted``, all or none, and return those in force.

        Raises:
            GatewayError: INVALID; UNSUPPORTED.
        """
        ...


class LogSwitches:
    """Turns the log on and off: the levels of the protocol are thresholds of Python's ``loggers``."""

    def __init__(
        self, loggers: Sequence[str] = ("edgeway", "gateway", "edge_models", "routing", "cache")
    ) -> None:
        self._loggers = [logging.getLogger(name) for name in loggers]

    def __repr__(self) -> str:
        return f"<LogSwitches {logging.getLevelName(self._level())}>"

    def read(self) -> dict[str, Setting]:
        """Return the settings in force."""
        level = self._level()
        flags: dict[str, Setting] = {
            name: level <= least for name, least in zip(_FLAGS, _LEVELS, strict=True)
        }
        return {**_FIXED, **flags, "log_verbose_level": int(level <= logging.DEBUG)}

    async def change(self, wanted: Mapping[str, object]) -> dict[str, Setting]:
        """Change the settings named in ``wanted``, all or none, and return those in force.

        Raises:
            GatewayError: INVALID for an unknown setting or a value of the wrong type; UNSUPPORTED for a file
                or a format, which belong to whoever started the process.
        """
        settings = self.read()
        for name, value in wanted.items():
            now = settings.get(name)
            if now is None:
                raise GatewayError(Fault.INVALID, f"unknown log setting '{printable(name)}'")
            if type(value) is not type(now) or (type(value) is int and value < 0):
                raise GatewayError(Fault.INVALID, f"log setting '{name}' must be of type {_TYPES[type(now)]}")
            if name in _FIXED and value != now:
                raise GatewayError(
                    Fault.UNSUPPORTED, f"log setting '{name}' is fixed when the process starts"
                )
            settings[name] = value
        self._apply(settings)
        return self.read()

    def _level(self) -> int:
        return self._loggers[0].getEffectiveLevel()

    def _apply(self, settings: Mapping[str, Setting]) -> None:
        on = [least for name, least in zip(_FLAGS, _LEVELS, strict=True) if settings[name]]
        level = logging.DEBUG if settings["log_verbose_level"] else min(on, default=_OFF)
        for logger in self._loggers:
            logger.setLevel(level)


_TYPES: Final = {bool: "boolean", int: "unsigned integer", str: "string"}


class Tracing(Protocol):
    """What is traced, by one process or by several as one."""

    def read(self) -> dict[str, list[str]]:
        """Return the settings in force, each a list of words."""
        ...

    async def change(self, wanted: Mapping[str, Sequence[str] | None]) -> dict[str, list[str]]:
        """Change the settings named in ``wanted``, all or none, and return those in force.

        None and nothing: as it was when the process started.

        Raises:
            GatewayError: INVALID; UNSUPPORTED.
        """
        ...


class TraceSwitches:
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
        return f"<TraceSwitches {self._settings['trace_level'][0]}, one of {self._settings['trace_rate'][0]}>"

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
        elif name != "trace_level" or words not in ([_OFF_LEVEL], [_ON_LEVEL]):
            raise GatewayError(Fault.UNSUPPORTED, f"trace setting '{name}' is fixed when the process starts")
        if self._sample is None:
            raise GatewayError(
                Fault.UNSUPPORTED, "nothing can be traced: the process was started without a collector"
            )


_: tuple[type[Log], type[Tracing]] = (LogSwitches, TraceSwitches)
