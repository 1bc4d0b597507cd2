"""The protocol's URL paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.oip.paths import Operation, ParsedPath, model_path, read_path


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v2", ParsedPath(Operation.SERVER)),
        ("/v2/", ParsedPath(Operation.SERVER)),
        ("/v2?verbose=1", ParsedPath(Operation.SERVER)),
        ("/v2/health/live", ParsedPath(Operation.LIVE)),
        ("/v2/health/ready?x", ParsedPath(Operation.READY)),
        ("/v2/models/m", ParsedPath(Operation.MODEL, "m")),
        ("/v2/models/m/versions/12", ParsedPath(Operation.MODEL, "m", "12")),
        ("/v2/models/m/ready", ParsedPath(Operation.MODEL_READY, "m")),
        ("/v2/models/m/versions/1/ready", ParsedPath(Operation.MODEL_READY, "m", "1")),
        ("/v2/models/m/infer", ParsedPath(Operation.INFER, "m")),
        ("/v2/models/m/versions/1/infer?a=/b/", ParsedPath(Operation.INFER, "m", "1")),
        ("/v2/models/a%2Fb%20c/infer", ParsedPath(Operation.INFER, "a/b c")),
        ("/v2/models/m/versions/v1.2.0/infer", ParsedPath(Operation.INFER, "m", "v1.2.0")),
        ("/v2/models/m/versions/v%201%2F2%2b%C3%B6/ready", ParsedPath(Operation.MODEL_READY, "m", "v 1/2+ö")),
        ("/v2/models/m/versions/-1", ParsedPath(Operation.MODEL, "m", "-1")),
        ("/v2/models/m/versions/" + "1" * 256, ParsedPath(Operation.MODEL, "m", "1" * 256)),
        ("/v2/models/M.2%20b/versions/infer/infer", ParsedPath(Operation.INFER, "M.2 b", "infer")),
        ("/v2/models/versions/infer", ParsedPath(Operation.INFER, "versions")),
        ("/v2/models", ParsedPath(Operation.MODELS)),
        ("/v2/models/stats", ParsedPath(Operation.STATISTICS)),
        ("/v2/models/m/stats", ParsedPath(Operation.STATISTICS, "m")),
        ("/v2/models/m/versions/2/stats", ParsedPath(Operation.STATISTICS, "m", "2")),
        ("/v2/models/m/versions/2/config", ParsedPath(Operation.CONFIG, "m", "2")),
        ("/v2/models/m/generate", ParsedPath(Operation.GENERATE, "m")),
        ("/v2/models/m/versions/2/generate_stream", ParsedPath(Operation.GENERATE_STREAM, "m", "2")),
        ("/v2/repository/index", ParsedPath(Operation.INDEX)),
        ("/v2/repository/models/m/load", ParsedPath(Operation.LOAD, "m")),
        ("/v2/repository/models/m/unload", ParsedPath(Operation.UNLOAD, "m")),
        ("/v2/logging", ParsedPath(Operation.LOGGING)),
        ("/v2/trace/setting", ParsedPath(Operation.TRACING)),
        ("/v2/models/m/trace/setting", ParsedPath(Operation.TRACING, "m")),
        ("/v2/systemsharedmemory/status", ParsedPath(Operation.SHARED_MEMORY, memory="system")),
        (
            "/v2/cudasharedmemory/region/r%20s/status",
            ParsedPath(Operation.SHARED_MEMORY, memory="cuda", region="r s"),
        ),
        (
            "/v2/systemsharedmemory/region/r/register",
            ParsedPath(Operation.SHARE_MEMORY, memory="system", region="r"),
        ),
        ("/v2/cudasharedmemory/unregister", ParsedPath(Operation.UNSHARE_MEMORY, memory="cuda")),
    ],
)
def test_paths_of_the_protocol(path, target):
    """Each path asks for one thing; a query changes nothing."""
    assert read_path(path) == target


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        "/v1",
        "/v2/health",
        "/v2/health/live/",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/m/",
        "/v2/models/m/infer/",
        "/v2/models/m/infer/x",
        "/v2/models/m/configs",
        "/v2/models/m/versions/1/trace/setting",
        "/v2/trace",
        "/v2/repository",
        "/v2/repository/models/m",
        "/v2/repository/models/m/reload",
        "/v2/repository/models//load",
        "/v2/systemsharedmemory",
        "/v2/systemsharedmemory/region/status",
        "/v2/systemsharedmemory/region/%0a/status",
        "/v2/cudasharedmemory/region/r/erase",
        "/v2/models/m/versions",
        "/v2/models/m/versions/",
        "/v2/models/m/versions//infer",
        "/v2/models/m/versions/1/2",
        "/v2/models/m/versions/../infer",
        "/v2/models/m/versions/%2e/infer",
        "/v2/models/m/versions/%0a/infer",
        "/v2/models/m/versions/%ff",
        "/v2/models/m/versions/" + "v" * 257,
        "/v2/models/%ff/infer",
        "/v2/models/%0a/infer",
        "/v2/models/../infer",
        "/v2/models/%2e%2E/infer",
        "/v2/models/" + "m" * 257,
        "/V2",
        "//v2",
    ],
)
def test_other_paths(path):
    """What is no path of the protocol is nobody's, and no name is guessed."""
    assert read_path(path) is None


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(
        lambda name: name not in {".", ".."}
    ),
    st.sampled_from(["", "1", "v1.2.0", "2024-05 beta/ö+%"]),
    st.sampled_from([("", Operation.MODEL), ("ready", Operation.MODEL_READY), ("infer", Operation.INFER)]),
)
def test_round_trip(model, version, verb):
    """Every name that can be printed survives its path."""
    assert read_path(model_path(model, version, verb[0])) == ParsedPath(verb[1], model, version)
