"""Several workers have the listening sockets together, and each sequence belongs to one of them.

The owner has the sequence's state, or knows which endpoint has it. It is found by rendezvous hashing over
the slots, which are as many as there are workers: no worker has to know what another does. A worker that
takes over a slot begins without sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.step_listener import StepListener
from gateway.app.workers.step_peer import StepPeer
from gateway.core.errors import GatewayError
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.service import Filter, Pending, Service
from routing.rules.sticky import rendezvous, sequence_key


class SequenceOwner:
    """Hands the steps of sequences to the workers to which these belong.

    Args:
        number: of this worker's slot.
        count: of the slots.
        folder: of the sockets.
        listener: this worker's.
        holds: whether a request, which names a sequence, is for a model with state.
        stands_in: whether this worker answers for one that is gone: its successor knows no more. Not where
            the state itself was with that one, and would be there twice.
    """

    def __init__(
        self,
        number: int,
        count: int,
        folder: Path,
        listener: StepListener,
        *,
        holds: Callable[[Request], bool],
        stands_in: bool = False,
    ) -> None:
        self._own, self._stands_in = str(number), stands_in
        self._listener, self._holds = listener, holds
        self._peers = {str(slot): StepPeer(step_path(folder, slot)) for slot in range(count)}
        self._slots = tuple(self._peers)

    def __repr__(self) -> str:
        return f"<SequenceOwner {self._own} of {len(self._slots)}, {self._listener!r}>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer by ``service``, or by the worker to which the sequence belongs.

        Raises:
            GatewayError: OVERLOADED when that one is gone.
        """
        if not (request.parameters and SEQUENCE in request.parameters and self._holds(request)):
            return service(request)
        owner = rendezvous(self._slots, sequence_key(request))[0]
        if owner == self._own and self._listener.is_owner():
            return service(request)
        peer = self._peers[owner]
        return self._or_here(peer, request, service) if self._stands_in else peer(request)

    async def start(self) -> None:
        """Take over the sequences of this worker's slot."""
        await self._listener.start()

    async def aclose(self) -> None:
        """Answer no more steps of other workers, and end the connections to them."""
        await self._listener.aclose()
        for peer in self._peers.values():
            await peer.aclose()

    async def _or_here(self, peer: StepPeer, request: Request, service: Service) -> Response:
        try:
            return await peer(request)
        except GatewayError as error:
            if not error.unsent:
                raise
        answer = service(request)
        return answer if isinstance(answer, Response) else await answer


def step_path(folder: Path, slot: int) -> Path:
    """Return where the worker of ``slot`` listens for steps."""
    return folder / f"steps-{slot}.sock"


def make_sequence_owner(
    inheritance: Inheritance | None,
    service: Service,
    holds: Callable[[Request], bool],
    *,
    stands_in: bool = False,
) -> SequenceOwner | None:
    """Return what hands steps to their workers once it has been started; None: this is the only worker.

    ``service``: answers the steps that other workers send. ``holds``, ``stands_in``: as ``SequenceOwner`` has
    them.
    """
    if inheritance is None or inheritance.count < 2:
        return None
    folder = Path(inheritance.parent).parent
    listener = StepListener(step_path(folder, inheritance.number), service)
    return SequenceOwner(
        inheritance.number, inheritance.count, folder, listener, holds=holds, stands_in=stands_in
    )


_: type[Filter] = SequenceOwner
