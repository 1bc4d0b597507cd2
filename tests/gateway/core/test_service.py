"""Answers that are there, and fast paths of services."""

from __future__ import annotations

from gateway.core.service import fast_path
from tests.fakes.service import ScriptedService, answer, request


async def test_an_answer_that_is_there_can_be_awaited() -> None:
    """Whoever awaits need not know whether there was anything to wait for."""
    there = answer("edge")

    assert await there is there


def test_only_a_service_that_declares_one_has_a_fast_path() -> None:
    """Any other is called for every request."""

    class Quick(ScriptedService):
        def fast_path(self, like):
            return lambda data: answer(value=len(data))

    path = fast_path(Quick(), request())

    assert path is not None
    assert path([b"", b""]) == answer(value=2)
    assert fast_path(ScriptedService(), request()) is None
