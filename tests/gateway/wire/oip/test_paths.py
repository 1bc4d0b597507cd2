"""The protocol's URL paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.oip.paths import Ask, Target, model_path, read_path


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v2", Target(Ask.SERVER)),
        ("/v2/", Target(Ask.SERVER)),
        ("/v2?verbose=1", Target(Ask.SERVER)),
        ("/v2/health/live", Target(Ask.LIVE)),
        ("/v2/health/ready?x", Target(Ask.READY)),
        ("/v2/models/m", Target(Ask.MODEL, "m")),
        ("/v2/models/m/versions/12", Target(Ask.MODEL, "m", "12")),
        ("/v2/models/m/ready", Target(Ask.MODEL_READY, "m")),
        ("/v2/models/m/versions/1/ready", Target(Ask.MODEL_READY, "m", "1")),
        ("/v2/models/m/infer", Target(Ask.INFER, "m")),
        ("/v2/models/m/versions/1/infer?a=/b/", Target(Ask.INFER, "m", "1")),
        ("/v2/models/a%2Fb%20c/infer", Target(Ask.INFER, "a/b c")),
        ("/v2/models/versions/infer", Target(Ask.INFER, "versions")),
        ("/v2/models", Target(Ask.MODELS)),
        ("/v2/models/stats", Target(Ask.STATISTICS)),
        ("/v2/models/m/stats", Target(Ask.STATISTICS, "m")),
        ("/v2/models/m/versions/2/stats", Target(Ask.STATISTICS, "m", "2")),
        ("/v2/models/m/versions/2/config", Target(Ask.CONFIG, "m", "2")),
        ("/v2/models/m/generate", Target(Ask.GENERATE, "m")),
        ("/v2/models/m/versions/2/generate_stream", Target(Ask.GENERATE_STREAM, "m", "2")),
        ("/v2/repository/index", Target(Ask.INDEX)),
        ("/v2/repository/models/m/load", Target(Ask.LOAD, "m")),
        ("/v2/repository/models/m/unload", Target(Ask.UNLOAD, "m")),
        ("/v2/logging", Target(Ask.LOGGING)),
        ("/v2/trace/setting", Target(Ask.TRACING)),
        ("/v2/models/m/trace/setting", Target(Ask.TRACING, "m")),
        ("/v2/systemsharedmemory/status", Target(Ask.SHARED_MEMORY)),
        ("/v2/cudasharedmemory/region/r/status", Target(Ask.SHARED_MEMORY)),
        ("/v2/systemsharedmemory/region/r/register", Target(Ask.SHARE_MEMORY)),
        ("/v2/cudasharedmemory/unregister", Target(Ask.SHARE_MEMORY)),
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
        "/v2/models/m/versions/a",
        "/v2/models/m/versions/-1/infer",
        "/v2/models/m/versions/1/2",
        "/v2/models/m/versions/%31",
        "/v2/models/m/versions/" + "1" * 21,
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
    st.sampled_from(["", "1", "42"]),
    st.sampled_from([("", Ask.MODEL), ("ready", Ask.MODEL_READY), ("infer", Ask.INFER)]),
)
def test_round_trip(model, version, verb):
    """Every name that can be printed survives its path."""
    assert read_path(model_path(model, version, verb[0])) == Target(verb[1], model, version)
