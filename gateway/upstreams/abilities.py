"""What an endpoint can do is read from its metadata before the first request."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service


@runtime_checkable
class Learner(Protocol):
    """The part of an upstream that must know its endpoint's metadata before it sends requests there."""

    @property
    def has_learned(self) -> bool:
        """Whether the metadata have been read, or could not be a while ago."""
        ...

    async def learn(self) -> None:
        """Read the metadata; whatever goes wrong, nothing is raised."""
        ...


class Abilities:
    """Has the endpoint's metadata read before the first request goes there."""

    def __init__(self, upstream: Learner) -> None:
        self._upstream = upstream

    def __repr__(self) -> str:
        return f"<Abilities {'known' if self._upstream.has_learned else 'not known'}>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Have the metadata read if they are not known, then send the request."""
        if not self._upstream.has_learned:
            await self._upstream.learn()
        return await service(request)


_: type[Filter] = Abilities
