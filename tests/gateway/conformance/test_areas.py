"""Edgeway passes the conformance suite; that the suite notices anything is told by the tests of lies."""

from __future__ import annotations

import pytest

from gateway.conformance.areas import AREAS
from gateway.conformance.suite import CHECKS
from tests.fakes.conformance import (
    ReportedResult,
    Stage,
    conformance,
    failed,
)
from tests.gateway.conformance.test_grpc_lies import GRPC_LIES
from tests.gateway.conformance.test_http_lies import HTTP_LIES

NOT_APPLICABLE = {"datatypes.binary-BF16", "datatypes.grpc-BF16"}
"""ONNX Runtime's Python cannot hand over BF16, so there is no such model here."""


@pytest.fixture(scope="module")
def results(conformance_running: Stage) -> dict[str, ReportedResult]:
    """What the whole suite finds out about Edgeway."""
    return conformance(conformance_running)


@pytest.mark.parametrize("area", AREAS)
def test_edgeway_passes(results: dict[str, ReportedResult], area: str) -> None:
    """Nothing fails, and nothing is left out."""
    within = {name: result for name, result in results.items() if name.startswith(f"{area}.")}

    assert len(within) == sum(check.area == area for check in CHECKS)
    assert not {name: result.reason for name, result in within.items() if result.verdict == "fail"}
    assert not {name for name in within if within[name].verdict == "unsupported"}
    assert {name for name in within if within[name].verdict == "n/a"} <= NOT_APPLICABLE


def test_nothing_that_does_not_apply_is_listed_in_vain(results: dict[str, ReportedResult]) -> None:
    """The list above holds nothing that passes."""
    assert {name for name in results if results[name].verdict == "n/a"} == NOT_APPLICABLE


def test_proxies_that_do_not_lie_change_nothing(stage: Stage) -> None:
    """So that what fails below fails for its lie."""
    assert not failed(conformance(stage, lying=True))


def test_every_area_notices_a_lie() -> None:
    """An area that no lie makes fail would pass whatever a server does."""
    assert {area for area, _, _ in (*HTTP_LIES.values(), *GRPC_LIES.values())} == set(AREAS)
