"""The protocol's log settings, as far as this process can change them while it runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.core.control import Log, Setting
from gateway.core.errors import Fault, GatewayError, printable

_FLAGS: Final = ("log_info", "log_warning", "log_error")
_FIXED: Final[dict[str, Setting]] = {"log_file": "", "log_format": "default"}
_WHY_FIXED: Final = {
    "log_file": "log file location can not be updated through network protocol",
    "log_format": "log setting 'log_format' is fixed when the process starts",
}
"""In the words that clients look for."""

_LEVELS: Final = (logging.INFO, logging.WARNING, logging.ERROR)
_OFF: Final = logging.CRITICAL + 10


class LogSettings:
    """Turns the log on and off: the levels of the protocol are thresholds of Python's ``loggers``."""

    def __init__(
        self, loggers: Sequence[str] = ("edgeway", "gateway", "edge_models", "routing", "cache")
    ) -> None:
        self._loggers = [logging.getLogger(name) for name in loggers]

    def __repr__(self) -> str:
        return f"<LogSettings {logging.getLevelName(self._level())}>"

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
                raise GatewayError(Fault.INVALID, f"expect {_TYPES[type(now)]} for '{name}'")
            if name in _FIXED and value != now:
                raise GatewayError(Fault.UNSUPPORTED, _WHY_FIXED[name])
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


_: type[Log] = LogSettings
