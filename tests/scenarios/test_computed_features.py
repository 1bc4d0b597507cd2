"""A model in two files in a whole gateway: its certificate, its features, and who may find them."""

from __future__ import annotations

from pathlib import Path

import onnx

from edge_models.certificate import Certificate
from edge_models.samples import digits
from edge_models.splitting.split_model import Splitter
from gateway.commands.certify import certify_models
from tests.scenarios.world import CONFIDENT, World

LOOKED_UP = 'edgeway_cache_lookups_total{{level="l3",outcome="{}"}}'
RUNS = 'edgeway_backbone_runs_total{model="digits"}'


def split(folder: Path) -> Path:
    """The edge's model, cut in two, in a repository of its own: its version's folder."""
    made = Splitter(onnx, digits.model_path(digits.EDGE_REPOSITORY)).split(["gemm0"])
    version = folder / "models" / "digits" / "1"
    version.mkdir(parents=True)
    (version / "features.onnx").write_bytes(made.features)
    (version / "head.onnx").write_bytes(made.head)
    return version


def certified(version: Path) -> Certificate:
    sample = digits.as_input(digits.load_split("calibration")[0])
    return certify_models(digits.MODEL, version, digits.model_path(digits.CENTRAL_REPOSITORY), sample)


async def test_what_misses_the_caches_of_answers_finds_features(tmp_path: Path) -> None:
    """Requests for other outputs are other answers of the same features."""
    version = split(tmp_path)
    async with World(tmp_path, repository=version.parent.parent, proof=certified(version)) as world:
        first = (await world.ask(CONFIDENT)).provenance
        other = (await world.ask(CONFIDENT, outputs=(digits.OUTPUT,))).provenance
        again = (await world.ask(CONFIDENT, outputs=(digits.OUTPUT,))).provenance

        assert (first.origin, first.certified, first.level, first.feature_level) == ("edge", True, "", "")
        assert (other.origin, other.certified, other.level, other.feature_level) == ("edge", True, "", "l3")
        assert (again.level, again.certified) == ("l1", True)
        assert (world.metric(LOOKED_UP.format("hit")), world.metric(LOOKED_UP.format("miss"))) == (1, 1)
        assert world.metric(RUNS) == 1


async def test_a_certificate_of_the_whole_is_none_of_the_parts(tmp_path: Path) -> None:
    """They give the same bits here, and are other files: central answers until they have their own."""
    version = split(tmp_path)
    async with World(tmp_path, repository=version.parent.parent) as world:
        assert (await world.ask(CONFIDENT)).provenance.origin == "central"
        assert world.metric('edgeway_certificates_refused_total{field="edge_digest",model="digits"}') == 1


async def test_a_route_that_keeps_no_answers_keeps_no_features(tmp_path: Path) -> None:
    version = split(tmp_path)
    world = World(tmp_path, repository=version.parent.parent, proof=certified(version))
    policy = (tmp_path / "policy.yaml").read_text()
    assert "cascade:" in policy
    (tmp_path / "policy.yaml").write_text(
        policy.replace("cascade:", "cache: {enabled: false}\n  cascade:", 1)
    )
    async with world:
        found = [(await world.ask(CONFIDENT)).provenance for _ in range(2)]

        assert [(each.origin, each.feature_level) for each in found] == [("edge", ""), ("edge", "")]
        assert world.metric(RUNS) == 2
