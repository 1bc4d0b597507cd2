"""Edgeway passes the conformance suite; that the suite notices anything is told by the tests of lies."""

from __future__ import annotations

import pytest

from gateway.conformance.suite import CHECKS, NAMES
from tests.fakes.conformance import (
    Finding,
    Stage,
    conformance,
    failed,
)

NOT_APPLICABLE = {"datatypes.binary-BF16", "datatypes.grpc-BF16"}
"""ONNX Runtime's Python cannot hand over BF16, so there is no such model here."""


@pytest.fixture(scope="module")
def findings(conformance_running: Stage) -> dict[str, Finding]:
    """What the whole suite finds out about Edgeway."""
    return conformance(conformance_running)


@pytest.mark.parametrize("area", NAMES)
def test_edgeway_passes(findings: dict[str, Finding], area: str) -> None:
    """Nothing fails, and nothing is left out."""
    within = {name: finding for name, finding in findings.items() if name.startswith(f"{area}.")}

    assert len(within) == sum(check.area == area for check in CHECKS)
    assert not {name: finding.reason for name, finding in within.items() if finding.verdict == "fail"}
    assert not {name for name in within if within[name].verdict == "unsupported"}
    assert {name for name in within if within[name].verdict == "n/a"} <= NOT_APPLICABLE


def test_nothing_that_does_not_apply_is_listed_in_vain(findings: dict[str, Finding]) -> None:
    """The list above holds nothing that passes."""
    assert {name for name in findings if findings[name].verdict == "n/a"} == NOT_APPLICABLE


def test_proxies_that_do_not_lie_change_nothing(stage: Stage) -> None:
    """So that what fails below fails for its lie."""
    assert not failed(conformance(stage, lying=True))
