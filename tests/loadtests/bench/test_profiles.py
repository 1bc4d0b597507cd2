"""Samples by what the code is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.bench.profiles import AREAS, ELSE, area_of, shares, table

ROOT = Path(__file__).parents[3]
RUN = "main (gateway/__main__.py:43);run (uvloop/__init__.py:92)"
FRONT = f"{RUN};Http1ServerConnection.data_received (gateway/http/server/http1/connection.py:72)"


@pytest.mark.parametrize(
    ("stack", "area"),
    [
        (RUN, ELSE),
        (FRONT, "connections and streams"),
        (f"{FRONT};Http1Writer.flush (gateway/http/server/http1/writer.py:115)", "writing sockets"),
        (
            f"{FRONT};Http1Writer._head (gateway/http/server/http1/writer.py:90)",
            "connections and streams",
        ),
        (f"{FRONT};CacheLookup.__call__ (cache/lookup.py:3);copy (copy.py:10)", "cache: key, look-up"),
        (f"{FRONT};Session.run (edge_models/session.py:1);run (onnxruntime/x.py:3)", "ONNX Runtime"),
        (f"{FRONT};Infer.__call__ (gateway/listeners/oip/rest/infer.py:71)", "REST and gRPC"),
    ],
)
def test_the_innermost_frame_of_ours_counts(stack: str, area: str) -> None:
    """What it calls of others belongs to it."""
    assert area_of(stack) == area


def test_shares_add_up() -> None:
    """One line is a stack and its samples."""
    found = shares(f"{RUN} 3\n{FRONT} 1\n")

    assert found == {ELSE: 0.75, "connections and streams": 0.25}


def test_the_table_has_every_area_once() -> None:
    """Largest first; a case without it has 0 %."""
    text = table({"one": {"codecs": 0.1, ELSE: 0.9}, "two": {"telemetry": 1.0}})

    assert text.splitlines() == [
        "| share of the time | one | two |",
        "| --- | ---: | ---: |",
        "| telemetry | 0% | 100% |",
        f"| {ELSE} | 90% | 0% |",
        "| codecs | 10% | 0% |",
    ]


def test_every_area_is_of_a_file_that_exists() -> None:
    """A room that moves takes its area along."""
    for part, _ in AREAS:
        path = part.partition(":")[0]
        assert any(ROOT.glob(path)) or any(ROOT.glob(f"gateway/**/{path}")), part
