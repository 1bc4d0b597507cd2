"""A Service that follows a script, and small builders of requests and answers.

Example::

    service = ScriptedService(answer("edge"), GatewayError(Fault.UNAVAILABLE, "down"), HANG)
    await service(request())            # the first answer
    await service(request())            # raises
    await service(request())            # hangs until service.release() or cancelled
    service.requests                    # all three requests; service.running == 0 afterwards
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import numpy as np

from gateway.core.request import Provenance, Request, Response
from gateway.core.tensor import Tensor


class Hang:
    """Script word: wait until ``release`` is called, then answer."""


HANG: Final = Hang()

Step = Response | BaseException | Hang | float


def request(value: float = 1.0, **changes: Any) -> Request:
    """A request for ``digits`` with one FP32 [1, 4] input filled with ``value``."""
    inputs = (Tensor.from_numpy("image", np.full((1, 4), value, np.float32)),)
    return Request(**{"model": "digits", "inputs": inputs, **changes})


def answer(origin: str = "central", value: float = 0.0, **provenance: Any) -> Response:
    """An answer of ``digits`` version 1 with one FP32 [1, 3] output filled with ``value``."""
    outputs = (Tensor.from_numpy("probabilities", np.full((1, 3), value, np.float32)),)
    return Response("digits", "1", outputs, Provenance(origin, **provenance))


class ScriptedService:
    """Plays its steps in order and repeats the last one. A float is seconds to wait before answering."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps) or [answer()]
        self.requests: list[Request] = []
        self.running = 0
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let every hanging call answer."""
        self._released.set()

    async def __call__(self, request: Request) -> Response:
        step = self.steps[min(len(self.requests), len(self.steps) - 1)]
        self.requests.append(request)
        self.running += 1
        try:
            match step:
                case Response():
                    return step
                case BaseException():
                    raise step
                case Hang():
                    await self._released.wait()
                case seconds:
                    await asyncio.sleep(seconds)
            return answer()
        finally:
            self.running -= 1

    def __repr__(self) -> str:
        return f"<ScriptedService {len(self.requests)} calls, {self.running} running>"
