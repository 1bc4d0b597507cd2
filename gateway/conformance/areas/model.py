"""Area `model`: metadata, readiness, versions and configuration of a model over HTTP."""

from __future__ import annotations

from typing import Any

from gateway.conformance.call import model_path
from gateway.conformance.check import Area
from gateway.conformance.clauses import (
    CONFIGURATION,
    REST_MODEL,
    REST_MODEL_ERROR,
    REST_READY,
    URI,
)
from gateway.conformance.expect import (
    offered,
    ok,
    ok_object,
    refused,
    strings,
    tensor_metadata,
    text,
    whole,
)
from gateway.conformance.faults import NO_SUCH_MODEL, NO_SUCH_VERSION
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import NotApplicable, require

AREA = Area("model")
CONFIG = "model_configuration"


def newest(tested: ServerUnderTest) -> str:
    """Return a version that a request may name.

    Raises:
        NotApplicable: when the model has none, as it may.
    """
    if not tested.model.versions:
        raise NotApplicable("the model's metadata name no versions")
    return tested.model.versions[-1]


@AREA.check("metadata", "metadata have the name and the platform", REST_MODEL)
def metadata(tested: ServerUnderTest) -> None:
    """The name is the one that was asked for."""
    body = ok_object(tested.get(model_path(tested.model.name)))
    require(body.get("name") == tested.model.name, f"'name' is {str(body.get('name'))[:40]!r}")
    text(body, "platform")


@AREA.check("tensors", "inputs and outputs have name, datatype and shape", REST_MODEL)
def tensors(tested: ServerUnderTest) -> None:
    """Variable dimensions are -1."""
    body = ok_object(tested.get(model_path(tested.model.name)))
    tensor_metadata(body.get("inputs"), "inputs")
    tensor_metadata(body.get("outputs"), "outputs")


@AREA.check("versions", "versions are texts", REST_MODEL)
def versions(tested: ServerUnderTest) -> None:
    """Optional, for servers without versions."""
    listed = ok_object(tested.get(model_path(tested.model.name))).get("versions")
    if not listed:
        raise NotApplicable("the model's metadata name no versions")
    strings(listed, "'versions'")


@AREA.check("versioned-metadata", "metadata of a version by its path", REST_MODEL)
def versioned_metadata(tested: ServerUnderTest) -> None:
    """The path with a version gives the same model."""
    version = newest(tested)
    body = ok_object(tested.get(model_path(tested.model.name, version)))
    require(body.get("name") == tested.model.name, "'name' differs from the one asked for")
    require(version in strings(body.get("versions"), "'versions'"), "'versions' lacks the one asked for")


@AREA.check("ready", "a served model is ready", REST_READY)
def ready(tested: ServerUnderTest) -> None:
    """Status 200 says so."""
    ok(tested.get(model_path(tested.model.name, verb="ready")))


@AREA.check("ready-body", "its readiness has its name", REST_READY)
def ready_body(tested: ServerUnderTest) -> None:
    """The body has the model's name and whether it is ready."""
    body = ok_object(tested.get(model_path(tested.model.name, verb="ready")))
    require(body.get("name") == tested.model.name, "'name' is not the model's")
    require(body.get("ready") is True, "'ready' is not true")


@AREA.check("versioned-ready", "a served version is ready", REST_READY)
def versioned_ready(tested: ServerUnderTest) -> None:
    """The same with the version in the path."""
    ok(tested.get(model_path(tested.model.name, newest(tested), "ready")))


@AREA.check("unknown-ready", "a model that does not exist is not ready", REST_READY)
def unknown_ready(tested: ServerUnderTest) -> None:
    """Anything but 200 says so."""
    answer = tested.get(model_path(NO_SUCH_MODEL, verb="ready"))
    require(400 <= answer.status < 600, f"status {answer.status}")


@AREA.check("unknown-metadata", "metadata of a model that does not exist are refused", REST_MODEL_ERROR)
def unknown_metadata(tested: ServerUnderTest) -> None:
    """With the error object."""
    refused(tested.get(model_path(NO_SUCH_MODEL)))


@AREA.check("unknown-version", "metadata of a version that does not exist are refused", REST_MODEL_ERROR)
def unknown_version(tested: ServerUnderTest) -> None:
    """With the error object."""
    refused(tested.get(model_path(tested.model.name, NO_SUCH_VERSION)))


@AREA.check("encoded-name", "a percent-encoded name is the same name", f"{URI} 6.2.2.2")
def encoded_name(tested: ServerUnderTest) -> None:
    """An encoded unreserved letter means itself."""
    name = tested.model.name
    encoded = f"/v2/models/%{ord(name[0]):02X}{name[1:]}"
    if not name[0].isalnum() or not name.isascii():
        raise NotApplicable("the model's name does not begin with a plain letter")
    require(ok_object(tested.get(encoded)).get("name") == name, "'name' is not the model's")


def _config(tested: ServerUnderTest, version: str = "") -> dict[str, Any]:
    return offered(tested.get(model_path(tested.model.name, version, "config"))).object()


@AREA.check(
    "config", "the configuration has name, max_batch_size, input and output", CONFIGURATION, extension=CONFIG
)
def config(tested: ServerUnderTest) -> None:
    """perf_analyzer reads these for every model, and fails where one is missing."""
    body = _config(tested)
    require(body.get("name") == tested.model.name, "'name' is not the model's")
    whole(body, "max_batch_size")
    for side, specs in (("input", tested.model.inputs), ("output", tested.model.outputs)):
        listed = body.get(side)
        require(isinstance(listed, list), f"'{side}' is no list")
        names = {entry.get("name") for entry in listed or () if isinstance(entry, dict)}
        require(names == {spec.name for spec in specs}, f"'{side}' names {sorted(map(str, names))}")


@AREA.check("config-datatypes", "its tensors have data_type and dims", CONFIGURATION, extension=CONFIG)
def config_datatypes(tested: ServerUnderTest) -> None:
    """A datatype is TYPE_ and the protocol's name; BYTES are TYPE_STRING."""
    known = {spec.name: spec.datatype for spec in (*tested.model.inputs, *tested.model.outputs)}
    body = _config(tested)
    for entry in (*(body.get("input") or ()), *(body.get("output") or ())):
        require(isinstance(entry, dict), "a tensor of the configuration is no object")
        wanted = known.get(str(entry.get("name")), "").replace("BYTES", "STRING")
        require(
            entry.get("data_type") == f"TYPE_{wanted}", f"data_type is {str(entry.get('data_type'))[:20]!r}"
        )
        require(isinstance(entry.get("dims"), list), "'dims' is no list")
    require(body.get("input"), "there are no inputs")


@AREA.check("config-versioned", "the configuration of a version by its path", CONFIGURATION, extension=CONFIG)
def config_versioned(tested: ServerUnderTest) -> None:
    """The same with the version in the path."""
    require(_config(tested, newest(tested)).get("name") == tested.model.name, "'name' is not the model's")


@AREA.check(
    "config-unknown", "the configuration of an unknown model is refused", CONFIGURATION, extension=CONFIG
)
def config_unknown(tested: ServerUnderTest) -> None:
    """With the error object."""
    offered(tested.get(model_path(tested.model.name, verb="config")))
    refused(tested.get(model_path(NO_SUCH_MODEL, verb="config")))
