"""Which member has the state of which sequence."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.app.pools.member import PoolMember
from gateway.core.request import SEQUENCE_END, SEQUENCE_START, Request
from routing.placements import Placements
from routing.rules.sticky import rendezvous, sequence_key


class SequenceMembers:
    """The members of one endpoint that have the states of sequences.

    One that begins goes where its key leads among the members that are well; so do the steps of one of which
    this process knows nothing, which other workers or gateways have sent. Its further steps go to the same
    member, also while that gets no new work.
    """

    def __init__(self, endpoint: str, placements: Placements) -> None:
        self._prefix, self._placements = f"{endpoint}\0".encode(), placements

    def __repr__(self) -> str:
        return f"<SequenceMembers {self._placements!r}>"

    def member(self, request: Request, members: Sequence[PoolMember]) -> tuple[PoolMember | None, bool]:
        """Return the member for a step; where that is None, also whether one that is out has its state."""
        key = self._prefix + sequence_key(request)
        held = None if request.parameters.get(SEQUENCE_START) else self._placements.get(key)
        found = _held(held, members) if held is not None else _first(key, request.model, members)
        if found is None:
            return None, held is not None
        if request.parameters.get(SEQUENCE_END):
            self._placements.forget(key)
        else:
            self._placements.put(key, found.name)
        return found, False


def _held(name: str, members: Sequence[PoolMember]) -> PoolMember | None:
    return next((each for each in members if each.name == name and each.is_up), None)


def _first(key: bytes, model: str, members: Sequence[PoolMember]) -> PoolMember | None:
    by_name = {each.name: each for each in members}
    order = [by_name[name] for name in rendezvous(tuple(by_name), key)]
    available = [each for each in order if each.is_available]
    return next((each for each in available if each.is_preferred(model)), next(iter(available), None))
