"""Area `parity`: HTTP and gRPC mean the same, in success and in failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.conformance import messages
from gateway.conformance.areas.grpc import EMPTY, named
from gateway.conformance.call import model_path
from gateway.conformance.check import Area
from gateway.conformance.clauses import GRPC, GRPC_CODES
from gateway.conformance.expect import offered, offered_grpc, ok_object
from gateway.conformance.faults import FAULTY, FaultyCall
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import Violation, require

AREA = Area("parity")
CLAUSE: Final = f"{GRPC}: the API closely follows the concepts of the HTTP/REST API"
CODES: Final[dict[int, frozenset[str]]] = {
    200: frozenset({"OK"}),
    400: frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"}),
    404: frozenset({"NOT_FOUND"}),
    413: frozenset({"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}),
    422: frozenset({"INVALID_ARGUMENT"}),
    429: frozenset({"RESOURCE_EXHAUSTED"}),
    500: frozenset({"INTERNAL", "UNKNOWN"}),
    501: frozenset({"UNIMPLEMENTED"}),
    503: frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"}),
    504: frozenset({"DEADLINE_EXCEEDED"}),
}


@AREA.check("server", "the same server metadata", CLAUSE)
def server(tested: ServerUnderTest) -> None:
    """Name, version and extensions."""
    body = ok_object(tested.get("/v2"))
    metadata = tested.call_ok("ServerMetadata", EMPTY, messages.ServerMetadataResponse)
    got = (metadata.name, metadata.version, list(metadata.extensions))
    wanted = (body.get("name"), body.get("version"), body.get("extensions"))
    require(got == wanted, f"gRPC tells {got}, HTTP {wanted}")


@AREA.check("model", "the same model metadata", CLAUSE)
def model(tested: ServerUnderTest) -> None:
    """Versions, platform and tensors."""
    body = ok_object(tested.get(model_path(tested.model.name)))
    metadata = tested.call_ok("ModelMetadata", named(tested.model.name), messages.ModelMetadataResponse)
    require(metadata.name == body.get("name"), "the names differ")
    require(list(metadata.versions) == (body.get("versions") or []), "the versions differ")
    require(metadata.platform == body.get("platform"), "the platforms differ")
    for side, tensors in (("inputs", metadata.inputs), ("outputs", metadata.outputs)):
        listed = [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
            for tensor in tensors
        ]
        plain = [_tensor(entry) for entry in body.get(side) or ()]
        require(listed == plain, f"the {side} differ")


def _tensor(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise Violation("a tensor's metadata are no object")
    return {key: entry.get(key) for key in ("name", "datatype", "shape")}


@AREA.check("outputs", "the same outputs for the same inputs", CLAUSE)
def outputs(tested: ServerUnderTest) -> None:
    """For three requests; floats may differ as far as another batch's do."""
    for seed in range(3):
        call = tested.model.call(seed=seed).but(id=f"p{seed}")
        over_http, over_grpc = tested.infer(call), tested.infer_grpc(call)
        over_http.same_outputs(over_grpc)
        require(over_http.id == over_grpc.id, "the ids differ")
        require(over_http.version == over_grpc.version, "the versions differ")


def _of(faulty: FaultyCall) -> Callable[[ServerUnderTest], None]:
    def check(tested: ServerUnderTest) -> None:
        call = faulty.make(tested.model)
        status = tested.post(f"{call.path}/infer", call.as_json()).status
        code = tested.call("ModelInfer", call.as_message(), messages.ModelInferResponse).code
        require(code in CODES.get(status, frozenset()), f"HTTP {status}, gRPC {code}")

    return check


for _faulty in FAULTY:
    AREA.check(_faulty.id, f"{_faulty.title}: matching codes", f"{GRPC_CODES}; {CLAUSE}")(_of(_faulty))


@AREA.check("statistics", "the same statistics", CLAUSE, extension="statistics")
def statistics(tested: ServerUnderTest) -> None:
    """The count of answers, read over one protocol after the other."""
    body = offered(tested.get(model_path(tested.model.name, verb="stats"))).object()
    request = named(tested.model.name)
    reply = offered_grpc(tested.call("ModelStatistics", request, messages.ModelStatisticsResponse))
    listed = body.get("model_stats")
    require(isinstance(listed, list) and listed and reply.model_stats, "'model_stats' is empty")
    plain = {entry.get("version"): _successes(entry) for entry in listed or () if isinstance(entry, dict)}
    theirs = {entry.version: entry.inference_stats.success.count for entry in reply.model_stats}
    require(plain == theirs, f"HTTP counts {plain}, gRPC {theirs}")


def _successes(entry: dict[str, Any]) -> Any:
    stats = entry.get("inference_stats")
    success = stats.get("success") if isinstance(stats, dict) else None
    return success.get("count") if isinstance(success, dict) else None
