"""The protocol's URL paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.oip_paths import Ask, Target, model_path, parse_path


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
    ],
)
def test_paths_of_the_protocol(path, target):
    """Each path asks for one thing; a query changes nothing."""
    assert parse_path(path) == target


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        "/v1",
        "/v2/health",
        "/v2/health/live/",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/m/",
        "/v2/models/m/infer/",
        "/v2/models/m/infer/x",
        "/v2/models/m/config",
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
    assert parse_path(path) is None


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(
        lambda name: name not in {".", ".."}
    ),
    st.sampled_from(["", "1", "42"]),
    st.sampled_from([("", Ask.MODEL), ("ready", Ask.MODEL_READY), ("infer", Ask.INFER)]),
)
def test_round_trip(model, version, verb):
    """Every name that can be printed survives its path."""
    assert parse_path(model_path(model, version, verb[0])) == Target(verb[1], model, version)
