"""Models and settings of this process, as both protocols show and change them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from gateway.listeners.oip.model_control import ModelControl
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.operator import Counts, Loads


def control(*, is_admin: bool = True, **extensions: Any) -> ModelControl:
    fields = {
        "repository": Loads(),
        "statistics": Counts(3),
        "logging": LogSettings(),
        "tracing": TraceSettings(),
        "settings": ProtocolSettings(admin_calls=is_admin),
    }
    return ModelControl(fake_data_plane(EchoService()), Extensions(**{**fields, **extensions}))


async def refused(call: Any) -> Fault:
    with pytest.raises(GatewayError) as caught:
        await call
    return caught.value.fault


async def test_configuration():
    """That of the catalog, with the settings of the repository."""
    config = await control().config("digits", "1")

    assert (config["name"], config["max_batch_size"]) == ("digits", len("digits"))
    assert await refused(control().config("unknown", "")) is Fault.NOT_FOUND


async def test_statistics():
    """Of one version, of all of a model, or of all models, also of those that have not run."""
    one = await control().statistics("digits", "1")
    all_versions = await control().statistics("digits", "")
    all_models = await control().statistics("", "")

    assert [found.execution_count for found in (*one, *all_versions)] == [3, 3]
    assert [(found.name, found.version) for found in all_models] == [("digits", "1"), ("old", "2")]
    assert await refused(control().statistics("unknown", "")) is Fault.NOT_FOUND


def test_index():
    """Every version, or those that are ready; there is one repository, without a name."""
    assert [entry.name for entry in control().index("", ready_only=False)] == ["digits", "old"]
    assert [entry.name for entry in control().index("", ready_only=True)] == ["digits"]
    with pytest.raises(GatewayError, match="'other'") as caught:
        control().index("other", ready_only=False)
    assert caught.value.fault is Fault.UNSUPPORTED


async def test_loads_are_handed_on():
    """With their parameters."""
    loads = Loads()
    allowed = control(repository=loads)

    await allowed.load("", "m", {"config": "{}"})
    await allowed.unload("", "m", {})
    await allowed.unload("", "m", {"unload_dependents": True})

    assert loads.done == [("load", "m", {"config": "{}"}), ("unload", "m", False), ("unload", "m", True)]


async def test_loads_are_refused():
    """For a repository by name, and for a parameter that is not true or false."""
    loads = Loads()
    allowed = control(repository=loads)

    assert await refused(allowed.load("other", "m", {})) is Fault.UNSUPPORTED
    assert await refused(allowed.unload("other", "m", {})) is Fault.UNSUPPORTED
    assert await refused(allowed.unload("", "m", {"unload_dependents": 1})) is Fault.INVALID
    assert loads.done == []


async def test_a_public_port_changes_nothing():
    """It shows the settings, and refuses every change of them."""
    loads, log = Loads(), LogSettings()
    public = control(is_admin=False, repository=loads, logging=log)
    before = log.read()

    for call in (
        public.load("", "m", {}),
        public.unload("", "m", {}),
        public.logging({"log_verbose_level": 1}),
        public.tracing("", {"trace_rate": ["2"]}),
    ):
        assert await refused(call) is Fault.FORBIDDEN
    assert await public.logging({}) == log.read() == before
    assert (await public.tracing("", {}))["trace_rate"] == ["1"]
    assert loads.done == []


async def test_trace_settings_are_those_of_all_models():
    """For one model they may be shown, and repeated, but not changed."""
    allowed = control()

    assert (await allowed.tracing("digits", {}))["trace_level"] == ["OFF"]
    assert (await allowed.tracing("digits", {"trace_rate": ["1"]}))["trace_rate"] == ["1"]
    assert await refused(allowed.tracing("digits", {"trace_rate": ["2"]})) is Fault.UNSUPPORTED
    assert await refused(allowed.tracing("unknown", {})) is Fault.NOT_FOUND


def test_repr():
    """It shows the repository behind it."""
    assert repr(control(repository=Extensions().repository)) == "<ModelControl before <NoRepository>>"
