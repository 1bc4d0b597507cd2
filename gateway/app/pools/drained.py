"""Endpoints and members that an operator has taken out of service; a reload does not bring them back."""

from __future__ import annotations


class Drained:
    """Names of what gets no new work, each ENDPOINT or ENDPOINT/MEMBER, until it is undrained."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Drained {' '.join(sorted(self._names)) or 'nothing'}>"

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def names(self) -> frozenset[str]:
        """What is drained."""
        return self._names

    def drain(self, name: str) -> None:
        """Send nothing new to ``name``."""
        self._names |= {name}

    def undrain(self, name: str) -> None:
        """Send to ``name`` again."""
        self._names -= {name}
