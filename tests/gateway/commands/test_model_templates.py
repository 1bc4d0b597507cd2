"""What `edgeway model init` writes."""

from __future__ import annotations

from pathlib import Path

from gateway.commands import model_templates

VALUES = {
    "name": "digits",
    "digest": f"sha256:{'0' * 64}",
    "http": 1,
    "grpc": 2,
    "admin": 3,
    "central_http": 4,
    "central_grpc": 5,
}


def test_without_an_edge_model_the_way_to_one_is_a_comment() -> None:
    """What is commented out is what the other variant has."""
    without, with_one = (model_templates.documents(VALUES, cascade=cascade) for cascade in (False, True))

    wanted = [
        line for line in with_one["edge.yaml"].splitlines() if line not in without["edge.yaml"].splitlines()
    ]
    assert [line.split()[0] for line in wanted] == ["models:", "repository:", "certificates:"]
    for line in wanted:
        assert f"# {line.split('#')[0].rstrip()}" in without["edge.yaml"]
    assert "  # cascade: " in without["policy.yaml"]


def test_the_next_steps_can_be_copied() -> None:
    """Paths and ports are filled in."""
    told = model_templates.next_steps(Path("here"), "digits", {"http": 1}, cascade=False)

    assert "edgeway serve here/central.yaml" in told
    assert "curl http://127.0.0.1:1/v2/models/digits" in told
