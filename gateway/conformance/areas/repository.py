"""Area `repository`: the model repository, logging, tracing and shared memory over HTTP, read only.

Nothing is loaded, unloaded or set: a suite that anyone runs against any server changes nothing there.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.conformance.check import Area
from gateway.conformance.clauses import LOGGING, REPOSITORY, SHARED_MEMORY, TRACE
from gateway.conformance.expect import error_object, offered, text
from gateway.conformance.faults import NO_SUCH_MODEL
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import require

AREA = Area("repository")
EXTENSION: Final = "model_repository"
STATES: Final = frozenset({"UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING", ""})
LOG_SETTINGS: Final = ("log_info", "log_warning", "log_error", "log_verbose_level", "log_format")


def _index(tested: ServerUnderTest, body: bytes) -> list[dict[str, Any]]:
    listed = offered(tested.post("/v2/repository/index", body)).json()
    require(isinstance(listed, list), "the index is no list")
    for entry in listed:
        require(isinstance(entry, dict), "an entry is no object")
        text(entry, "name")
    return list(listed)


@AREA.check("index", "the index has the model, READY", REPOSITORY, extension=EXTENSION)
def index(tested: ServerUnderTest) -> None:
    """Every entry has a state that the extension knows."""
    listed = _index(tested, b"{}")
    for entry in listed:
        state = entry.get("state", "")
        require(state in STATES, f"'{entry['name']}' is in the state {str(state)[:20]!r}")
    states = {entry["name"]: entry.get("state") for entry in listed}
    require(
        states.get(tested.model.name) == "READY", f"the model is {states.get(tested.model.name)!r}, not READY"
    )


@AREA.check("index-versions", "versions in the index are texts", REPOSITORY, extension=EXTENSION)
def index_versions(tested: ServerUnderTest) -> None:
    """The version is one of those in the metadata."""
    versions = {
        text(entry, "version") for entry in _index(tested, b"{}") if entry["name"] == tested.model.name
    }
    require(versions and versions <= {*tested.model.versions, ""}, f"the versions are {sorted(versions)}")


@AREA.check("index-empty", "an empty body asks for everything", REPOSITORY, extension=EXTENSION)
def index_empty(tested: ServerUnderTest) -> None:
    """The body is optional."""
    names = {entry["name"] for entry in _index(tested, b"")}
    require(tested.model.name in names, "the model is missing")


@AREA.check("index-ready", "ready: true leaves out what is not", REPOSITORY, extension=EXTENSION)
def index_ready(tested: ServerUnderTest) -> None:
    """Only models that can answer."""
    listed = _index(tested, b'{"ready": true}')
    require(any(entry["name"] == tested.model.name for entry in listed), "the model is missing")
    require(all(entry.get("state") == "READY" for entry in listed), "an entry is not READY")


@AREA.check("load-unknown", "loading a model that does not exist is refused", REPOSITORY, extension=EXTENSION)
def load_unknown(tested: ServerUnderTest) -> None:
    """With the error object; 403 where strangers may not load is a refusal too."""
    answer = tested.post(f"/v2/repository/models/{NO_SUCH_MODEL}/load", b"{}")
    require(answer.status >= 400, f"status {answer.status}")
    error_object(answer)


@AREA.check("logging", "the log settings can be read", LOGGING, extension="logging")
def logging(tested: ServerUnderTest) -> None:
    """The settings have the names that clients know."""
    body = offered(tested.get("/v2/logging")).object()
    missing = [name for name in LOG_SETTINGS if name not in body]
    require(not missing, f"{missing} are missing")


@AREA.check("trace", "the trace settings can be read", TRACE, extension="trace")
def trace(tested: ServerUnderTest) -> None:
    """Of the server and of a model; `trace_level` at least."""
    for path in ("/v2/trace/setting", f"/v2/models/{tested.model.name}/trace/setting"):
        body = offered(tested.get(path)).object()
        require("trace_level" in body, "'trace_level' is missing")


@AREA.check(
    "system-memory", "the status of system shared memory", SHARED_MEMORY, extension="system_shared_memory"
)
def system_memory(tested: ServerUnderTest) -> None:
    """A list of regions."""
    require(isinstance(offered(tested.get("/v2/systemsharedmemory/status")).json(), list), "it is no list")


@AREA.check("cuda-memory", "the status of CUDA shared memory", SHARED_MEMORY, extension="cuda_shared_memory")
def cuda_memory(tested: ServerUnderTest) -> None:
    """A list of regions."""
    require(isinstance(offered(tested.get("/v2/cudasharedmemory/status")).json(), list), "it is no list")
