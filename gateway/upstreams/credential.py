"""What this gateway shows to an endpoint: read from a file or the environment, and shown to nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.http.client.rotating import Rotating
from gateway.http.client.small_file import OwnFileError, read_small

_MAX_BYTES: Final = 16 << 10
_HIDDEN: Final = "\N{HORIZONTAL ELLIPSIS}"
_SHORTEST: Final = 4
"""Shorter values are not looked for in what a server says: they would be found in any sentence."""
_FORMER: Final = 4
"""Values before this one that are hidden, too: a server may speak of what it was shown a moment ago."""


class CredentialSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is, and how it is sent.

    ``file`` or ``env`` holds it: a file, or the name of a variable of the environment. ``header``: in small
    letters. ``scheme``: the word before it; empty: none.
    """

    file: str | None = None
    env: str | None = None
    header: str = "authorization"
    scheme: str = "Bearer"


class ClientCredential(Rotating[str]):
    """``value`` is the credential alone. ``environment`` returns a variable's value; empty: there is none.

    Raises:
        OwnFileError: there is none, or no header can carry it.
    """

    def __init__(self, settings: CredentialSettings, environment: Callable[[str], str]) -> None:
        self._settings, self._environment = settings, environment
        self._former: tuple[str, ...] = ()
        source = settings.file or f"environment variable {settings.env}"
        super().__init__(self._newer, f"credential for endpoints ({source})")

    @property
    def pair(self) -> tuple[str, str]:
        """The header that carries it now."""
        scheme = self._settings.scheme
        return self._settings.header, f"{scheme} {self.value}" if scheme else self.value

    def hidden(self, text: str) -> str:
        """Return ``text``, which a server wrote and which may have been cut, without the credential."""
        for value in (self.value, *self._former):
            text = _without(text, value)
        return text

    def _newer(self, known: str | None) -> str | None:
        found = _read(self._settings, self._environment, known)
        if found is not None and known is not None:
            self._former = (known, *self._former)[:_FORMER]
        return found


def _without(text: str, value: str) -> str:
    if len(value) < _SHORTEST:
        return text
    text = text.replace(value, _HIDDEN)
    kept = text.removesuffix("...")
    for length in range(min(len(value) - 1, len(kept)), _SHORTEST - 1, -1):
        if kept.endswith(value[:length]):
            return kept[:-length] + _HIDDEN
    return text


def _read(settings: CredentialSettings, environment: Callable[[str], str], known: str | None) -> str | None:
    if settings.file is not None:
        source, found = settings.file, read_small(settings.file, _MAX_BYTES).decode("utf-8", "replace")
    else:
        source, found = f"environment variable {settings.env}", environment(settings.env or "")
    # An editor ends a file with a line break, which is no part of it.
    value = found.strip(" \t\r\n")
    if not value:
        raise OwnFileError(f"{source}: holds nothing, and should hold the credential")
    if not value.isascii() or not value.isprintable():
        raise OwnFileError(f"{source}: should hold one line of printable ASCII, and holds something else")
    return None if value == known else value
