"""A gate that a test opens and shuts, and that keeps the verdicts that it is given.

Example::

    gate = RecordingGate()
    gate.is_open = False
    gate.verdicts              # ["succeeded", "failed", "left"], in order
"""

from __future__ import annotations

from gateway.core.gate import Gate


class RecordingGate:
    def __init__(self) -> None:
        self.is_open = True
        self.admitted = 0
        self.verdicts: list[str] = []
        self.reasons: list[str] = []

    def admit(self) -> RecordingGate | None:
        self.admitted += self.is_open
        return self if self.is_open else None

    def succeeded(self) -> None:
        self.verdicts.append("succeeded")

    def failed(self, reason: str = "") -> None:
        self.verdicts.append("failed")
        self.reasons.append(reason)

    def left(self) -> None:
        self.verdicts.append("left")


_: type[Gate] = RecordingGate
