"""What a certificate covers while serving: by which outputs, for which task, and while central is the certified one."""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from edge_models.certificate import Certificate
from gateway.commands.certify import certify_models
from gateway.commands.certify_decision import DecisionOptions
from gateway.core.errors import GatewayError
from tests.edge_models.onnx_models import ensemble, linear, linear_of, write
from tests.scenarios.world import CONFIDENT, PIXELS, UNSURE, World, certificate, digits

VALID = 'edgeway_certificate_valid{model="digits"}'


def another(folder: Path) -> Path:
    """A repository with the central model in another version: the same answers, another digest."""
    model = onnx.load(digits.model_path(digits.CENTRAL_REPOSITORY))
    model.doc_string = "version 2"
    return write(folder / "another", "digits", model.SerializeToString())


def serve_at_central(world: World, repository: Path, before: Path = digits.CENTRAL_REPOSITORY) -> None:
    file = world.folder / "central.yaml"
    file.write_text(file.read_text().replace(str(before), str(repository)))


async def origin(world: World, image: int, **changes: object) -> tuple[str, bool]:
    source = (await world.ask(image, **changes)).provenance
    return source.origin, source.certified


async def answered(world: World, is_done: Callable[[tuple[str, bool]], bool], start: int) -> int:
    """Ask for one picture after the other until an answer is of the kind; return the number of the next."""
    number = start
    async with asyncio.timeout(60):
        while True:
            number += 1
            if is_done(await origin(world, number)):
                return number + 1
            await asyncio.sleep(0.02)


async def readyz(world: World) -> dict[str, object]:
    admin = world.edge.servers.admin
    assert admin is not None
    url = f"http://127.0.0.1:{admin.port}/readyz"
    with await asyncio.to_thread(urllib.request.urlopen, url) as response:
        report: dict[str, object] = json.loads(response.read())
    certificates = report["certificates"]
    assert isinstance(certificates, dict)
    return dict(certificates["digits"])


async def test_the_edge_answers_again_once_central_is_back_at_the_certified_version(tmp_path: Path) -> None:
    """Central goes to version 2 and back: nothing certified meanwhile, and no operator has to do anything after."""
    async with World(tmp_path) as world:
        assert await origin(world, CONFIDENT) == ("edge", True)
        assert (world.metric(VALID), await readyz(world)) == (1, {"valid": True})

        await world.stop_central()
        version_2 = another(tmp_path)
        serve_at_central(world, version_2)
        await world.start_central()
        await answered(world, lambda source: source == ("central", True), UNSURE)
        assert await origin(world, CONFIDENT) == ("central", True)
        assert world.metric(VALID) == 0
        assert (await readyz(world))["reason"] == "central_digest"

        await world.stop_central()
        serve_at_central(world, digits.CENTRAL_REPOSITORY, before=version_2)
        await world.start_central()
        await answered(world, lambda source: source == ("edge", True), UNSURE + 200)
        assert await origin(world, CONFIDENT) == ("edge", True)
        assert (world.metric(VALID), await readyz(world)) == (1, {"valid": True})


async def test_a_replica_that_the_route_names_defers_only_what_it_answers(tmp_path: Path) -> None:
    """Its answers pass as central's; what the edge is sure of it goes on answering."""
    version_2 = another(tmp_path)
    other = f"sha256:{hashlib.sha256(digits.model_path(version_2).read_bytes()).hexdigest()}"
    world = World(tmp_path)
    serve_at_central(world, version_2)
    world.write_policy(1, digest=f"['{certificate().central_digest}', '{other}']")

    async with world:
        response = await world.ask(UNSURE)
        assert (response.provenance.origin, response.provenance.digest) == ("central", other)
        assert await origin(world, CONFIDENT) == ("edge", True)
        assert world.metric(VALID) == 1
        # What a replica has answered is kept like any other answer of central's.
        assert (await world.ask(UNSURE)).provenance.level == "l1"


async def test_a_route_whose_digests_lack_the_certified_one_defers_everything(tmp_path: Path) -> None:
    """However many it names."""
    world = World(tmp_path)
    world.write_policy(1, digest=f"['sha256:{'0' * 64}', 'sha256:{'1' * 64}']")

    async with world:
        assert (await origin(world, CONFIDENT))[0] == "central"
        assert (await readyz(world))["reason"] == "central_digest"


async def test_who_gets_an_output_that_was_left_out_gets_no_certified_answer(tmp_path: Path) -> None:
    """By naming it, or by naming none; who names only what decides is answered by the edge."""
    proof = msgspec.structs.replace(certificate(), left_out=("embedding",))

    async with World(tmp_path, proof=proof) as world:
        assert await origin(world, CONFIDENT) == ("central", True)
        assert await origin(world, CONFIDENT, outputs=(digits.OUTPUT,)) == ("edge", True)
        decided = 'edgeway_cascade_decisions_total{model="digits",outcome="deferred",reason="undecided"}'
        assert world.metric(decided) == 1

        await world.stop_central()
        assert await origin(world, CONFIDENT + 1) == ("edge", False)


async def test_a_certificate_of_before_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """It is there, it cannot be used, and /readyz says why and what to run."""
    world = World(tmp_path)
    file = tmp_path / "certificates" / "digits.json"
    fields = json.loads(file.read_text())
    for name in ("task", "outputs", "left_out", "score_output"):
        del fields[name]
    file.write_text(json.dumps(fields))

    async with world:
        assert await origin(world, CONFIDENT) == ("central", True)
        report = await readyz(world)

    assert (report["valid"], report["reason"]) == (False, "unreadable")
    assert "run `edgeway model certify` again" in str(report["detail"])


async def test_an_edge_model_whose_outputs_are_not_the_certified_ones(tmp_path: Path) -> None:
    """A certificate that was made to name another output than the artefact has."""
    proof = certificate()
    renamed = msgspec.structs.replace(proof.outputs[0], name="likelihoods")

    async with World(tmp_path, proof=msgspec.structs.replace(proof, outputs=(renamed,))) as world:
        assert await origin(world, CONFIDENT) == ("central", True)
        assert (await readyz(world))["reason"] == "outputs"


async def test_a_model_that_is_not_there_has_no_certificate(tmp_path: Path) -> None:
    """Unloaded, it is neither valid nor not; loaded again, it is what it was."""
    async with World(tmp_path) as world:
        repository = world.edge.tier.repository
        await repository.unload("digits")
        assert VALID not in world.edge.prometheus.render().decode()

        await repository.load("digits", {})
        assert (world.metric(VALID), await readyz(world)) == (1, {"valid": True})


class Models:
    """A pair of other models under the name of the digits', certified as it is wished, and served."""

    def __init__(self, folder: Path, edge: bytes, central: bytes, **chosen: object) -> None:
        self.repositories = (
            write(folder / "edge", "digits", edge),
            write(folder / "central", "digits", central),
        )
        paths = [digits.model_path(repository) for repository in self.repositories]
        self.proof: Certificate = certify_models(
            "digits", *paths, PIXELS[:1000], chosen=DecisionOptions(**chosen)
        )

    def world(self, folder: Path) -> World:
        world = World(folder, repository=self.repositories[0], proof=self.proof)
        serve_at_central(world, self.repositories[1])
        world.write_policy(1, digest=self.proof.central_digest)
        return world


@pytest.mark.parametrize(
    ("columns", "kind", "chosen"),
    [
        (1, "Sigmoid", {"task": "binary"}),
        (3, "Sigmoid", {"task": "multilabel"}),
        (3, "Identity", {"task": "multiclass"}),
        (4, "Softmax", {}),
    ],
)
async def test_each_task_is_served_as_it_was_certified(
    tmp_path: Path, columns: int, kind: str, chosen: dict[str, object]
) -> None:
    """What the edge answers certified is central's answer; what it is not sure of is central's own."""
    chance = np.random.default_rng(8)
    weights = chance.normal(size=(784, columns)).astype(np.float32)
    noise = chance.normal(size=weights.shape).astype(np.float32) * (0.02 if kind == "Sigmoid" else 0.15)
    models = Models(tmp_path, linear_of(weights + noise, kind), linear_of(weights, kind), **chosen)
    assert 0.1 < models.proof.coverage < 1
    rule = models.proof.outputs[0]

    async with models.world(tmp_path) as world:
        origins: dict[str, int] = {}
        unlike = 0
        for image in range(1000, 1300):
            response = await world.ask(image)
            origins[response.provenance.origin] = origins.get(response.provenance.origin, 0) + 1
            assert response.provenance.certified
            mine = response.outputs[0].numpy()
            theirs = linear_answer(weights, kind, PIXELS[image : image + 1])
            unlike += int(rule.differs(mine, theirs).any())

    assert set(origins) == {"edge", "central"}
    # 300 requests at a risk of at most 2 %: 16 are more than such a certificate leaves room for.
    assert unlike < 16


def linear_answer(weights: np.ndarray, kind: str, rows: np.ndarray) -> np.ndarray:
    """What central would say, by numpy."""
    logits = rows @ weights
    if kind == "Sigmoid":
        return 1 / (1 + np.exp(-logits))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) if kind == "Softmax" else logits


async def test_what_only_the_edge_gives_is_in_no_certified_answer(tmp_path: Path) -> None:
    """The spread of its ensemble says how sure it is; central gives none, so a client gets none."""
    weights = np.random.default_rng(3).normal(size=(784, 1)).astype(np.float32)
    chosen = {"task": "regression", "tolerance": 0.1, "score_output": "members"}
    models = Models(tmp_path, ensemble(weights), linear(weights, "value"), **chosen)

    async with models.world(tmp_path) as world:
        response = await world.ask(CONFIDENT)
        named = await world.ask(CONFIDENT, outputs=("value",))
        with pytest.raises(GatewayError, match="members"):
            await world.ask(CONFIDENT, outputs=("value", "members"))

    assert (response.provenance.origin, response.provenance.certified) == ("edge", True)
    assert [output.name for output in response.outputs] == ["value"]
    assert (named.provenance.origin, named.outputs) == ("edge", response.outputs)


@pytest.mark.parametrize("text", ['{"task": "multiclass", "k": %s}' % (10**400), "[" * 100_000])
async def test_a_file_that_is_no_certificate_at_all_stops_nobody(tmp_path: Path, text: str) -> None:
    """Neither at the start, which goes on without one, nor at SIGHUP, at which the one in use stays."""
    world = World(tmp_path)
    file = tmp_path / "certificates" / "digits.json"
    good = file.read_text()
    file.write_text(text)

    async with world:
        assert await origin(world, CONFIDENT) == ("central", True)
        report = await readyz(world)
        assert (report["valid"], report["reason"]) == (False, "unreadable")
        assert "digits.json: " in str(report["detail"])

        file.write_text(good)
        await world.edge.reload()
        assert (await origin(world, CONFIDENT), await readyz(world)) == (("edge", True), {"valid": True})

        file.write_text(text)
        await world.edge.reload()
        assert (await origin(world, CONFIDENT + 1), await readyz(world)) == (("edge", True), {"valid": True})


@pytest.mark.parametrize("named", ["", "1"])
async def test_both_names_of_a_version_are_suspended_and_hold_again_together(
    tmp_path: Path, named: str
) -> None:
    """Who names version 1 and who names none are answered by the same artefact: what one sees goes for both."""
    async with World(tmp_path) as world:
        for version in ("", "1"):
            # Central is seen to be the certified one under either name.
            assert await origin(world, UNSURE, version=version) == ("central", True)
            assert await origin(world, CONFIDENT, version=version) == ("edge", True)

        await world.stop_central()
        version_2 = another(tmp_path)
        serve_at_central(world, version_2)
        await world.start_central()
        await deferred(world, UNSURE + 1, named)

        for version in ("", "1"):
            assert await origin(world, CONFIDENT, version=version) == ("central", True)
        assert (world.metric(VALID), (await readyz(world))["reason"]) == (0, "central_digest")

        await world.stop_central()
        serve_at_central(world, digits.CENTRAL_REPOSITORY, before=version_2)
        await world.start_central()
        await deferred(world, UNSURE + 300, named)
        for version in ("", "1"):
            assert await origin(world, CONFIDENT, version=version) == ("edge", True)
        assert (world.metric(VALID), await readyz(world)) == (1, {"valid": True})


async def deferred(world: World, start: int, version: str) -> None:
    """Ask for other pictures, by one name alone, until central has answered one."""
    number = start
    async with asyncio.timeout(60):
        while await origin(world, number, version=version) != ("central", True):
            number += 1
            await asyncio.sleep(0.02)


async def test_a_certificate_of_another_execution_provider_is_refused(tmp_path: Path) -> None:
    """Sums are rounded otherwise on an accelerator: what was measured there says nothing of the CPU."""
    proof = msgspec.structs.replace(certificate(), provider="CUDAExecutionProvider")
    assert certificate().provider == "CPUExecutionProvider"

    async with World(tmp_path, proof=proof) as world:
        assert await origin(world, CONFIDENT) == ("central", True)
        assert (await readyz(world))["reason"] == "provider"
