"""What an edge gateway knows of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.catalogs import EdgeCatalog
from gateway.config.policy_file import load_policy
from gateway.core.catalog import ModelSpec
from gateway.core.errors import Fault, GatewayError
from tests.gateway.policies import GOOD, write_policy

# A cascade is of one model, so the route of many has none.
WIDE = GOOD.replace("model: digits", "model: d*").replace("  cascade: {on_central_down: serve_edge}\n", "")


class Known:
    """A catalog of the models named."""

    def __init__(self, *names: str, fault: Fault = Fault.NOT_FOUND) -> None:
        self.names, self.fault = names, fault

    async def describe(self, model: str, version: str) -> ModelSpec:
        if model not in self.names:
            raise GatewayError(self.fault, "no")
        return ModelSpec(model, ("1",), "test", (), ())

    async def is_ready(self, model: str, version: str) -> bool:
        await self.describe(model, version)
        return True


def catalog(
    tmp_path: Path, own: Known | None, central: Known, *, available: bool = True, text: str = WIDE
) -> EdgeCatalog:
    policy, _ = load_policy(write_policy(tmp_path, text))
    return EdgeCatalog(lambda: policy, own, ask=lambda _name: central, is_available=lambda _name: available)


async def test_own_model_is_described_without_asking_anybody(tmp_path: Path) -> None:
    """The nearest who knows answers."""
    spec = await catalog(tmp_path, Known("digits"), Known()).describe("digits", "")

    assert spec.name == "digits"


async def test_endpoint_is_asked_for_what_is_not_here(tmp_path: Path) -> None:
    """A route without an edge model is described by its endpoint."""
    made = catalog(tmp_path, Known(), Known("dogs"))

    assert (await made.describe("dogs", "")).name == "dogs"
    assert await made.is_ready("dogs", "")


@pytest.mark.parametrize("own", [None, Known("digits")])
async def test_model_without_a_route_does_not_exist(tmp_path: Path, own: Known | None) -> None:
    """Nobody can ask for it, so nobody is told of it."""
    made = catalog(tmp_path, own, Known("secret"))

    for ask in (made.describe, made.is_ready):
        with pytest.raises(GatewayError) as caught:
            await ask("secret", "")
        assert caught.value.fault is Fault.NOT_FOUND


async def test_name_with_control_characters_is_not_echoed(tmp_path: Path) -> None:
    """An error never repeats raw bytes."""
    with pytest.raises(GatewayError) as caught:
        await catalog(tmp_path, None, Known()).describe("x\x1b[31m", "")

    assert "\x1b" not in caught.value.message


async def test_last_failure_is_told_when_nobody_knows(tmp_path: Path) -> None:
    """An endpoint that cannot be asked is not the same as one that does not know."""
    made = catalog(tmp_path, Known(), Known(fault=Fault.UNAVAILABLE), available=False)

    with pytest.raises(GatewayError) as caught:
        await made.describe("dogs", "")

    assert caught.value.fault is Fault.UNAVAILABLE
    assert not await made.is_ready("dogs", "")


async def test_own_failure_that_is_no_absence_passes(tmp_path: Path) -> None:
    """Only NOT_FOUND means that somebody else may know."""
    text = GOOD.replace("model: digits", "model: dogs")
    made = catalog(tmp_path, Known(fault=Fault.INTERNAL), Known("dogs"), text=text)

    with pytest.raises(GatewayError) as caught:
        await made.is_ready("dogs", "")

    assert caught.value.fault is Fault.INTERNAL
