"""stack()."""

from __future__ import annotations

from gateway.core.service import stack
from tests.fakes.service import ScriptedService, answer, request


async def test_first_named_is_outermost() -> None:
    """The list reads in the order in which a request meets the filters."""
    met = []

    def filter_(name):
        async def call(request, service):
            met.append(name)
            return await service(request)

        return call

    response = await stack(filter_("a"), filter_("b"), service=ScriptedService(answer()))(request())

    assert met == ["a", "b"]
    assert response == answer()


async def test_stack_of_nothing_is_the_service() -> None:
    """A route that uses no filter pays for none."""
    service = ScriptedService()

    assert stack(service=service) is service
