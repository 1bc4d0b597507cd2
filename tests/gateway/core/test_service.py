"""stack()."""

from __future__ import annotations

from gateway.core.service import fast_path, stack
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


async def test_an_answer_that_is_there_can_be_awaited() -> None:
    """Whoever awaits need not know whether there was anything to wait for."""
    there = answer("edge")

    assert await there is there


class Path:
    """A Filter and a Service with a fast path; ``met`` tells in which order they were asked."""

    def __init__(self, name: str, met: list[str]) -> None:
        self.name, self.met = name, met

    def __call__(self, request, service=None):
        return answer()

    def fast_path(self, like, service=None):
        self.met.append(self.name)
        return fast_path(service, like) if service else lambda data: answer(self.name)


async def test_a_fast_path_leads_through_every_filter() -> None:
    """Each is asked in the order in which a request meets them."""
    met: list[str] = []
    path = fast_path(stack(Path("a", met), Path("b", met), service=Path("c", met)), request())

    assert path is not None
    assert path([b""]) == answer("c")
    assert met == ["a", "b", "c"]


async def test_whoever_has_none_stands_in_the_way() -> None:
    """A filter or a service without a fast path sees every request."""

    async def watching(request, service):
        return await service(request)

    assert fast_path(stack(Path("a", []), watching, service=Path("c", [])), request()) is None
    assert fast_path(stack(Path("a", []), service=ScriptedService(answer())), request()) is None
