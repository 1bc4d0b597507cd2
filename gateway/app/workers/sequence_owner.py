"""Several workers have the listening sockets together, and each sequence belongs to one of them.

The owner is found by rendezvous hashing over the slots, which are as many as there are workers: no worker has
to know what another does. A worker that takes over a slot begins without sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.step_listener import StepListener
from gateway.app.workers.step_peer import StepPeer
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.service import Filter, Pending, Service
from routing.rules.sticky import rendezvous, sequence_key


class SequenceOwner:
    """Hands the steps of sequences to the workers that have their states.

    Args:
        number: of this worker's slot.
        count: of the slots.
        folder: of the sockets.
        listener: this worker's.
        holds: whether a request is for a model with state.
    """

    def __init__(
        self,
        number: int,
        count: int,
        folder: Path,
        listener: StepListener,
        *,
        holds: Callable[[Request], bool],
    ) -> None:
        self._own = str(number)
        self._listener, self._holds = listener, holds
        self._peers = {str(slot): StepPeer(step_path(folder, slot)) for slot in range(count)}
        self._slots = tuple(self._peers)

    def __repr__(self) -> str:
        return f"<SequenceOwner {self._own} of {len(self._slots)}, {self._listener!r}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer by ``service``, or by the worker that has the state.

        Raises:
            GatewayError: UNAVAILABLE when that one is gone.
        """
        if not (request.parameters and SEQUENCE in request.parameters and self._holds(request)):
            return service(request)
        owner = rendezvous(self._slots, sequence_key(request))[0]
        if owner == self._own and self._listener.is_owner():
            return service(request)
        return self._peers[owner](request)

    async def aclose(self) -> None:
        """End the connections to the others."""
        for peer in self._peers.values():
            await peer.aclose()


def step_path(folder: Path, slot: int) -> Path:
    """Return where the worker of ``slot`` listens for steps."""
    return folder / f"steps-{slot}.sock"


async def open_sequence_owner(
    inheritance: Inheritance | None,
    models: Service,
    holds: Callable[[Request], bool],
    lifetimes: AsyncExitStack,
) -> SequenceOwner | None:
    """Take over the sequences of this worker's slot; None: it is the only worker.

    ``models``: answers the steps that other workers send. ``holds``: whether a request is for a model with
    state.
    """
    if inheritance is None or inheritance.count < 2:
        return None
    folder = Path(inheritance.parent).parent
    listener = StepListener(step_path(folder, inheritance.number), models)
    owner = SequenceOwner(inheritance.number, inheritance.count, folder, listener, holds=holds)
    lifetimes.push_async_callback(owner.aclose)
    lifetimes.push_async_callback(listener.aclose)
    await listener.start()
    return owner


_: type[Filter] = SequenceOwner
