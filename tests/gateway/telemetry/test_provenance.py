"""Tell."""

from __future__ import annotations

from gateway.telemetry.provenance import ProvenanceParameters
from tests.fakes.service import ScriptedService, answer, request


async def test_request_without_the_wish_passes_through() -> None:
    """Nobody who did not ask gets parameters that he does not know."""
    expected, asked = answer(), request(parameters={"priority": 1})
    service = ScriptedService(expected)

    assert await ProvenanceParameters("here", 3)(asked, service) is expected
    assert service.requests == [asked]


async def test_provenance_is_given_to_requests_that_want_it() -> None:
    """The facts of the headers stand among the parameters, and the wish goes no further."""
    service = ScriptedService(answer("edge", level="l1", certified=False))

    response = await ProvenanceParameters("here", 3)(
        request(parameters={"edgeway_provenance": True, "a": 1}), service
    )

    assert response.parameters == {
        "edgeway_served_by": "here",
        "edgeway_provenance": "l1",
        "edgeway_origin": "edge",
        "edgeway_certified": False,
        "edgeway_policy_generation": 3,
    }
    assert service.requests[0].parameters == {"a": 1}


async def test_false_is_no_wish() -> None:
    """`edgeway_provenance: false` is taken out and changes nothing else."""
    expected = answer()

    assert (
        await ProvenanceParameters("here", 3)(
            request(parameters={"edgeway_provenance": False}), ScriptedService(expected)
        )
        is expected
    )
