"""Models and settings of this process, as both protocols show and change them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.catalog import AllModels, IndexEntry
from gateway.core.errors import Fault, GatewayError
from gateway.core.statistics import Counted, ModelStatistics
from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from gateway.listeners.oip.model_control import ModelControl
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.data_plane import DIGITS, FakeCatalog
from tests.fakes.operator import OPEN, Counts, Loads, head


def control(*, is_admin: bool = True, **extensions: Any) -> ModelControl:
    fields = {
        "repository": Loads(),
        "statistics": Counts(3),
        "logging": LogSettings(),
        "tracing": TraceSettings(),
        **(OPEN if is_admin else {}),
    }
    return ModelControl(Extensions(**{**fields, **extensions}))


MODELS = AllModels(FakeCatalog())
HEAD = head()


class Several:
    """Statistics of the models that it is given, and one of three for a tenant."""

    def __init__(self, *names: str) -> None:
        self._names = names

    async def counted(self, tenant: str = "") -> Counted:
        count = 1 if tenant == "acme" else 0 if tenant else 3
        versions = {name: "2" if name == "old" else "1" for name in self._names}
        return Counted(
            ModelStatistics(name, version, execution_count=count) for name, version in versions.items()
        )


class Shared(AllModels):
    """Models of which the caller may use some, and others some of them, too."""

    tenant = "acme"

    def may_use(self, model: str) -> bool:
        return model != "hidden"

    def is_alone(self, model: str) -> bool:
        return model == "digits"


async def refused(call: Any) -> Fault:
    with pytest.raises(GatewayError) as caught:
        await call
    return caught.value.fault


async def test_configuration():
    """That of the catalog, with the settings of the repository."""
    config = await control().config(MODELS, "digits", "1")

    assert (config["name"], config["max_batch_size"]) == ("digits", len("digits"))
    assert await refused(control().config(MODELS, "unknown", "")) is Fault.NOT_FOUND


async def test_statistics():
    """Of one version, of all of a model, or of all models, also of those that have not run."""
    one = await control().statistics(MODELS, "digits", "1")
    all_versions = await control().statistics(MODELS, "digits", "")
    all_models = await control().statistics(MODELS, "", "")

    assert [found.execution_count for found in (*one, *all_versions)] == [3, 3]
    assert [(found.name, found.version) for found in all_models] == [("digits", "1"), ("old", "2")]
    assert await refused(control().statistics(MODELS, "unknown", "")) is Fault.NOT_FOUND


async def test_statistics_of_shared_models():
    """Of a model that others use, too, a tenant sees its own requests; the settings may show it all."""
    counts = Several("digits", "old", "hidden", "other")
    models = Shared(FakeCatalog(DIGITS, replace(DIGITS, name="old", versions=("2",))))

    def executions(found):
        return [(each.name, each.execution_count) for each in found]

    own = control(statistics=counts)
    assert executions(await own.statistics(models, "", "")) == [("digits", 3), ("old", 1)]
    assert executions(await own.statistics(models, "old", "2")) == [("old", 1)]

    sharing = control(statistics=counts, settings=ProtocolSettings(share_statistics=True))
    assert executions(await sharing.statistics(models, "", "")) == [("digits", 3), ("old", 3)]
    assert executions(await sharing.statistics(models, "old", "2")) == [("old", 3)]


async def test_index_of_others():
    """What the caller may not use is not there."""

    class Hidden(Loads):
        def index(self):
            return [*super().index(), IndexEntry("hidden", "1", "READY")]

    entries = await control(repository=Hidden()).index(Shared(FakeCatalog()), "", ready_only=False)

    assert [entry.name for entry in entries] == ["digits", "old"]


async def test_files_are_named_without_their_folders():
    """Of what cannot be loaded."""
    loads = Loads()
    loads.failure = GatewayError(Fault.INVALID, "failed to load 'm': /srv/models/m/1/model.onnx: no model")

    for call in (
        control(repository=loads).load(HEAD, "", "m", {}),
        control(repository=loads).unload(HEAD, "", "m", {}),
    ):
        with pytest.raises(GatewayError, match=r"^failed to load 'm': model.onnx: no model$") as caught:
            await call
        assert caught.value.fault is Fault.INVALID


async def test_clients_find_out_that_nothing_was_loaded():
    """They look for these words in the message."""
    loads = Loads()
    loads.failure = GatewayError(Fault.NOT_FOUND, "model 'm' is not known here")

    with pytest.raises(GatewayError, match=r"^failed to load 'm': model 'm' is not known here$") as caught:
        await control(repository=loads).load(HEAD, "", "m", {})
    assert caught.value.fault is Fault.NOT_FOUND
    with pytest.raises(GatewayError, match=r"^failed to unload 'm': model 'm' is not known here$"):
        await control(repository=loads).unload(HEAD, "", "m", {})


async def test_index():
    """Every version, or those that are ready; there is one repository, without a name."""
    everything = await control().index(MODELS, "", ready_only=False)
    assert [entry.name for entry in everything] == ["digits", "old"]
    assert [entry.name for entry in await control().index(MODELS, "", ready_only=True)] == ["digits"]
    with pytest.raises(GatewayError, match="'other'") as caught:
        await control().index(MODELS, "other", ready_only=False)
    assert caught.value.fault is Fault.UNSUPPORTED


class Behind(AllModels):
    """Models of a server behind this one; ``here``: they run here first."""

    def __init__(self, *entries: IndexEntry, here: bool = False) -> None:
        super().__init__(FakeCatalog())
        self.entries, self.here = entries, here

    async def config(self, model: str, version: str) -> bytes:
        return b'{"name": "theirs", "max_batch_size": 64, "backend": "python", "new": [1]}'

    async def index(self) -> tuple[IndexEntry, ...]:
        return self.entries

    def runs_here(self, model: str) -> bool:
        return self.here


async def test_configuration_of_the_server_behind():
    """It is passed on whole, under the name that was asked for; what runs here first takes what both take."""
    behind = await control().config(Behind(), "digits", "1")
    both = await control().config(Behind(here=True), "digits", "1")

    assert behind == {"name": "digits", "max_batch_size": 64, "backend": "python", "new": [1]}
    assert both["max_batch_size"] == len("digits")


async def test_index_of_the_server_behind():
    """Both are one list; of what both have, the one that is ready counts."""
    behind = Behind(
        IndexEntry("digits", "1", "UNAVAILABLE", "theirs"),
        IndexEntry("digits", "2", "READY"),
        IndexEntry("old", "2", "READY"),
    )

    found = await control().index(behind, "", ready_only=False)

    assert [(entry.name, entry.version, entry.state) for entry in found] == [
        ("digits", "1", "READY"),
        ("old", "2", "READY"),
        ("digits", "2", "READY"),
    ]


async def test_loads_are_handed_on():
    """With their parameters."""
    loads = Loads()
    allowed = control(repository=loads)

    await allowed.load(HEAD, "", "m", {"config": "{}"})
    await allowed.unload(HEAD, "", "m", {})
    await allowed.unload(HEAD, "", "m", {"unload_dependents": True})

    assert loads.done == [("load", "m", {"config": "{}"}), ("unload", "m", False), ("unload", "m", True)]


async def test_loads_are_refused():
    """For a repository by name, and for a parameter that is not true or false."""
    loads = Loads()
    allowed = control(repository=loads)

    assert await refused(allowed.load(HEAD, "other", "m", {})) is Fault.UNSUPPORTED
    assert await refused(allowed.unload(HEAD, "other", "m", {})) is Fault.UNSUPPORTED
    assert await refused(allowed.unload(HEAD, "", "m", {"unload_dependents": 1})) is Fault.INVALID
    assert loads.done == []


async def test_a_public_port_changes_nothing():
    """It shows the settings, and refuses every change of them."""
    loads, log = Loads(), LogSettings()
    public = control(is_admin=False, repository=loads, logging=log)
    before = log.read()

    for call in (
        public.load(HEAD, "", "m", {}),
        public.unload(HEAD, "", "m", {}),
        public.logging(HEAD, {"log_verbose_level": 1}),
        public.tracing(HEAD, MODELS, "", {"trace_rate": ["2"]}),
    ):
        assert await refused(call) is Fault.FORBIDDEN
    assert await public.logging(HEAD, {}) == log.read() == before
    assert (await public.tracing(HEAD, MODELS, "", {}))["trace_rate"] == ["1"]
    assert loads.done == []


async def test_trace_settings_are_those_of_all_models():
    """For one model they may be shown, and repeated, but not changed."""
    allowed = control()

    assert (await allowed.tracing(HEAD, MODELS, "digits", {}))["trace_level"] == ["OFF"]
    assert (await allowed.tracing(HEAD, MODELS, "digits", {"trace_rate": ["1"]}))["trace_rate"] == ["1"]
    assert await refused(allowed.tracing(HEAD, MODELS, "digits", {"trace_rate": ["2"]})) is Fault.UNSUPPORTED
    assert await refused(allowed.tracing(HEAD, MODELS, "unknown", {})) is Fault.NOT_FOUND
    assert await allowed.tracing(HEAD, None, "unknown", {})


def test_repr():
    """It shows the repository behind it."""
    assert repr(control(repository=Extensions().repository)) == "<ModelControl before <NoRepository>>"
