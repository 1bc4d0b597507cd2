"""The conformance suite notices a server that breaks a rule over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.conformance.suite import CHECKS
from tests.fakes.conformance import (
    HttpLie,
    ProxyAnswer,
    ProxyRequest,
    Stage,
    conformance,
    failed,
)


def on(path: str, change: Callable[[Any], Any]) -> HttpLie:
    """Change the JSON of successful answers to a path that ends so."""

    def lie(request: ProxyRequest, answer: ProxyAnswer) -> ProxyAnswer:
        fits = request.path.split("?")[0].endswith(path) and answer.status == 200
        return answer.with_json(change) if fits else answer

    return lie


def on_header(name: str, value: str | None, path: str = "") -> HttpLie:
    """Change a header of answers to a path that ends so; None takes it away."""

    def lie(request: ProxyRequest, answer: ProxyAnswer) -> ProxyAnswer:
        if not request.path.endswith(path):
            return answer
        kept = {key: old for key, old in answer.headers.items() if key.lower() != name}
        return answer.but(headers={**kept, name: value} if value is not None else kept)

    return lie


def put(key: str, value: Any) -> Callable[[Any], Any]:
    """Set a member of an object; None takes it away."""

    def change(body: Any) -> None:
        if value is None:
            body.pop(key, None)
        else:
            body[key] = value

    return change


def each_output(change: Callable[[Any], Any]) -> HttpLie:
    """Change every output of an inference."""
    return on("/infer", lambda body: [change(output) for output in body["outputs"]] and None)


def as_success(request: ProxyRequest, answer: ProxyAnswer) -> ProxyAnswer:
    """Say 200 whatever happened."""
    return answer.but(status=200)


def blames_itself(request: ProxyRequest, answer: ProxyAnswer) -> ProxyAnswer:
    """Say 500 for what the client did wrong."""
    return answer.but(status=500) if 400 <= answer.status < 500 else answer


def fastapi_errors(request: ProxyRequest, answer: ProxyAnswer) -> ProxyAnswer:
    """Refuse as web frameworks do by themselves."""
    return answer.but(body=b'{"detail": "Unprocessable"}') if answer.status >= 400 else answer


def cut(request: ProxyRequest, answer: ProxyAnswer) -> ProxyAnswer:
    """End the connection instead of answering an inference."""
    return answer.but(status=0) if request.path.endswith("/infer") else answer


def remembers_an_id(request: ProxyRequest, answer: ProxyAnswer) -> ProxyAnswer:
    """Answer with the id of whoever asked first, as a careless cache does."""
    return answer.with_json(lambda body: body.setdefault("id", "somebody-else") and None)


def swaps_rows(output: Any) -> None:
    """Mix the rows of a batch up."""
    width = output["shape"][-1]
    output["data"] = output["data"][width:] + output["data"][:width]


def statistic(change: Callable[[Any], Any]) -> HttpLie:
    """Change the statistics of each model."""
    return on("/stats", lambda body: [change(entry) for entry in body["model_stats"]] and None)


def duration(name: str, value: Any) -> HttpLie:
    """Change one duration of the statistics."""
    return statistic(lambda entry: put(name, value)(entry["inference_stats"]))


def index(change: Callable[[Any], Any]) -> HttpLie:
    """Change each entry of the repository's index."""
    return on("/index", lambda body: [change(entry) for entry in body] and None)


def only_on(part: str, lie: HttpLie) -> HttpLie:
    """Lie where the path holds ``part``."""
    return lambda request, answer: lie(request, answer) if part in request.path else answer


INFERENCES = {
    "as-described",
    "basic",
    "batch",
    "flat",
    "id",
    "nested",
    "null",
    "no-content-type",
    "no-id",
    "parameters",
    "selected",
    "spelling",
    "versioned",
}
TENSORS = {name for check in CHECKS if check.area == "parity" for name in [check.id.split(".")[1]]} - {
    "server",
    "model",
    "outputs",
    "statistics",
}

HTTP_LIES: dict[str, tuple[str, HttpLie, set[str]]] = {
    "dead": ("server", on("/live", put("live", False)), {"live-body"}),
    "no words of health": (
        "server",
        only_on("/health/", lambda _, answer: answer.but(body=b"")),
        {"live-body", "ready-body"},
    ),
    "no name": ("server", on("/v2", put("name", 7)), {"metadata"}),
    "extensions in one word": ("server", on("/v2", put("extensions", "all")), {"metadata"}),
    "JSON called HTML": ("server", on_header("content-type", "text/html"), {"metadata-type"}),
    "queries are lost": ("server", only_on("?", lambda _, answer: answer.but(status=404)), {"query"}),
    "another model's name": ("model", on("/digits", put("name", "other")), {"metadata"}),
    "a datatype of its own": (
        "model",
        on("/digits", lambda body: body["outputs"][0].update(datatype="FLOAT")),
        {"tensors", "config", "config-datatypes"},
    ),
    "versions in numbers": ("model", on("/digits", put("versions", [1])), {"versions"}),
    "nothing about readiness": ("model", on("/ready", put("ready", None)), {"ready-body"}),
    "every model exists": (
        "model",
        as_success,
        {"unknown-ready", "unknown-metadata", "unknown-version", "config-unknown"},
    ),
    "no max_batch_size": ("model", on("/config", put("max_batch_size", None)), {"config"}),
    "the wrong words for datatypes": (
        "model",
        on("/config", lambda body: body["input"][0].update(data_type="FP32")),
        {"config-datatypes"},
    ),
    "somebody else's id": ("infer", remembers_an_id, {"no-id"}),
    "no id": ("infer", on("/infer", put("id", None)), {"id"}),
    "no outputs": ("infer", on("/infer", put("outputs", [])), {"basic", "as-described", "selected"}),
    "another datatype": ("infer", each_output(put("datatype", "FP64")), {"as-described"}),
    "another rank": ("infer", each_output(lambda out: out["shape"].insert(0, 1)), {"as-described", "batch"}),
    "an element is missing": ("infer", each_output(lambda out: out["data"].pop()), INFERENCES),
    "rows mixed up": ("infer", each_output(swaps_rows), {"batch"}),
    "a version in a number": ("infer", on("/infer", put("model_version", 1)), {"version"}),
    "JSON called text": ("infer", on_header("content-type", "text/plain", "/infer"), {"content-type"}),
    "no answers": ("infer", cut, INFERENCES | {"content-type", "version"}),
    "errors of a web framework": (
        "errors",
        fastapi_errors,
        {"body-model", "body-metadata", "body-json", "body-request", "body-tensor", "body-path"},
    ),
    "a binary answer without its length": (
        "binary",
        on_header("inference-header-content-length", None),
        {"output", "output-all", "both", "output-type", "length-of-everything", "raw-body"},
    ),
    "binary data called JSON": (
        "binary",
        on_header("content-type", "application/json", "/infer"),
        {"output-type"},
    ),
    "sizes do not matter": (
        "binary",
        as_success,
        {
            "short",
            "left-over",
            "length-too-large",
            "length-negative",
            "length-no-number",
            "size-of-shape",
            "negative-size",
        },
    ),
    "plain bytes called gzip": (
        "compression",
        on_header("content-encoding", "gzip", "/infer"),
        {"response-plain", "response-deflate"},
    ),
    "a duration is missing": ("statistics", duration("cache_miss", None), {"durations"}),
    "a duration in text": ("statistics", duration("queue", {"count": 1, "ns": "7"}), {"durations"}),
    "a version in a number, again": ("statistics", statistic(put("version", 1)), {"model", "versioned"}),
    "no time of the last inference": ("statistics", statistic(put("last_inference", 0)), {"counts"}),
    "nothing is counted": (
        "statistics",
        duration("success", {"count": 7, "ns": 7}),
        {"success-counts"},
    ),
    "a state of its own": ("repository", index(put("state", "SERVING")), {"index", "index-ready"}),
    "a version in a number, in the index": ("repository", index(put("version", 1)), {"index-versions"}),
    "a log setting is missing": ("repository", on("/logging", put("log_info", None)), {"logging"}),
    "no trace level": ("repository", on("/setting", put("trace_level", None)), {"trace"}),
    "events called JSON": (
        "generate",
        on_header("content-type", "application/json", "/generate_stream"),
        {"stream"},
    ),
    "no events": (
        "generate",
        lambda _, answer: answer.but(body=answer.body.replace(b"data:", b"date:")),
        {"stream"},
    ),
    "no id, in generate": ("generate", on("/generate", put("id", None)), {"id"}),
    "an output is missing": ("generate", on("/generate", put("probabilities", None)), {"generate"}),
    "classes in numbers": (
        "parameters",
        each_output(lambda out: out["datatype"] == "BYTES" and out.update(datatype="FP32")),
        {"classification", "classification-all"},
    ),
    "an unknown provenance": (
        "policy-headers",
        on_header("x-edgeway-provenance", "somewhere"),
        {"provenance", "grpc"},
    ),
    "no generation": (
        "policy-headers",
        on_header("x-edgeway-policy-generation", ""),
        {"generation", "grpc"},
    ),
    "the client's own words": (
        "policy-headers",
        on_header("x-edgeway-served-by", "suite"),
        {"not-ours", "grpc"},
    ),
    "no word of other methods": ("http", on_header("allow", ""), {"allow"}),
    "one id for all": ("http", on("/infer", put("id", "k0")), {"keep-alive"}),
    "another version of the server": ("parity", on("/v2", put("version", "7")), {"server"}),
    "the blame is its own": ("parity", blames_itself, TENSORS),
    "not ready once clients have left": (
        "leaving",
        only_on("/health/ready", lambda _, answer: answer.but(status=503)),
        {"afterwards"},
    ),
    "numbers are lost": (
        "datatypes",
        each_output(lambda out: out["datatype"] == "INT64" and out.update(data=[0] * len(out["data"]))),
        {"json-INT64"},
    ),
}
"""An area, what the proxy says instead of the truth, and the checks that fail for it."""


@pytest.mark.parametrize(("area", "lie", "noticed"), HTTP_LIES.values(), ids=HTTP_LIES)
def test_a_lie_over_http_is_noticed(stage: Stage, area: str, lie: HttpLie, noticed: set[str]) -> None:
    """Exactly the checks whose clause it breaks fail."""
    stage.http_lie = lie

    assert failed(conformance(stage, area, lying=True)) == {f"{area}.{name}" for name in noticed}


@pytest.mark.parametrize(
    ("lie", "spared"),
    [
        (as_success, set()),
        (
            blames_itself,
            {
                "body-model",
                "body-metadata",
                "body-json",
                "body-request",
                "body-tensor",
                "body-path",
                "no-traces",
            },
        ),
    ],
    ids=["everything is a success", "everything is its own fault"],
)
def test_errors_that_are_none_are_noticed(stage: Stage, lie: HttpLie, spared: set[str]) -> None:
    """All checks of wrong requests fail, but for those that look at the body alone."""
    stage.http_lie = lie
    results = conformance(stage, "errors", lying=True)

    assert failed(results) == {name for name in results if name.split(".")[1] not in spared}


def test_a_server_that_ignores_what_is_asked_for_is_noticed(stage: Stage) -> None:
    """All outputs, and none of them in binary, whatever the request says."""

    def forget(request: ProxyRequest) -> None:
        if request.path.endswith("/infer") and b'"outputs"' in request.body and request.body.startswith(b"{"):
            body = json.loads(request.body)
            body["outputs"] = []
            body.pop("parameters", None)
            request.body = json.dumps(body).encode()

    stage.http_ask = forget

    assert failed(conformance(stage, "binary", "parameters", lying=True)) >= {"binary.output"}


def test_what_is_not_advertised_is_unsupported(stage: Stage) -> None:
    """A server without an extension cannot fail it, unless it does not answer at all."""
    stage.http_lie = lambda request, answer: (
        answer.with_json(put("extensions", []))
        if request.path == "/v2"
        else duration("queue", None)(request, answer)
    )

    results = conformance(stage, "statistics", lying=True)

    assert results["statistics.durations"] == ("unsupported", "'statistics' is not advertised")

    stage.http_lie = lambda request, answer: (
        answer.with_json(put("extensions", []))
        if request.path == "/v2"
        else answer.but(status=0 if "stats" in request.path else 200)
    )

    assert "statistics.durations" in failed(conformance(stage, "statistics", lying=True))


@pytest.mark.parametrize(
    ("status", "verdict"), [(404, "unsupported"), (501, "unsupported"), (403, "n/a"), (500, "fail")]
)
def test_what_is_not_offered_is_unsupported(stage: Stage, status: int, verdict: str) -> None:
    """404, 405 and 501 say that there is no such thing; 403 that it is not for us; 500 is a failure."""
    stage.http_lie = only_on("/generate", lambda _, answer: answer.but(status=status))

    assert conformance(stage, "generate", lying=True)["generate.generate"].verdict == verdict
