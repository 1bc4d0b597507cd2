"""A certificate covers requests like those of its sample: other lengths, constants and numbers of rows are central's."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from onnx import helper

from edge_models.certificate import load_certificate
from gateway.commands.certify import certify_models
from gateway.commands.certify_decision import DecisionOptions
from gateway.core.tensor import Array, Tensor
from tests.edge_models.onnx_models import FLOAT, model, write
from tests.scenarios.test_certificates import readyz, serve_at_central
from tests.scenarios.world import CONFIDENT, PIXELS, World, digits

CHANCE = np.random.default_rng(5)
UNSEEN = 'edgeway_cascade_decisions_total{model="digits",outcome="deferred",reason="unseen"}'


class Pair:
    """Two models under the name of the digits', certified on ``sample`` and served; rows may have any size."""

    def __init__(self, folder: Path, edge: bytes, central: bytes, sample: dict[str, Array]) -> None:
        self.folder = folder
        self.repositories = (
            write(folder / "edge", "digits", edge),
            write(folder / "central", "digits", central),
        )
        paths = [digits.model_path(repository) for repository in self.repositories]
        self.proof = certify_models("digits", *paths, sample, chosen=DecisionOptions(task="multiclass"))

    def world(self) -> World:
        world = World(self.folder, repository=self.repositories[0], proof=self.proof)
        serve_at_central(world, self.repositories[1])
        world.write_policy(1, digest=self.proof.central_digest)
        # Rows of a free size must not run on the event loop.
        world.change_settings("  batching: {digits: {inline_max_rows: 8}}\n", "")
        return world


async def served(world: World, **inputs: Array) -> tuple[str, bool]:
    tensors = tuple(Tensor.from_numpy(name, array.astype(np.float32)) for name, array in inputs.items())
    source = (await world.ask(inputs=tensors)).provenance
    return source.origin, source.certified


def likeliest_mean(most: int) -> bytes:
    """image [batch, length, 3] → p [batch, 3] of the mean of the first ``most``."""
    return model(
        [
            helper.make_node("Slice", ["image", "start", "most", "axis"], ["some"]),
            helper.make_node("ReduceMean", ["some"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("Mul", ["mean", "sharp"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["p"], axis=-1),
        ],
        [("image", FLOAT, ["batch", "length", 3])],
        [("p", FLOAT, ["batch", 3])],
        start=np.array([0]),
        most=np.array([most]),
        axis=np.array([1]),
        sharp=np.float32(30),
    )


async def test_a_length_that_was_not_measured_is_deferred(tmp_path: Path) -> None:
    """The edge reads the first eight, which is all that the sample had; of longer ones it knows nothing."""
    sample = CHANCE.normal(size=(1000, 8, 3)).astype(np.float32)
    pair = Pair(tmp_path, likeliest_mean(8), likeliest_mean(1000), {"image": sample})
    assert [(each.name, each.shape) for each in pair.proof.inputs] == [("image", (-1, 8, 3))]

    async with pair.world() as world:
        origins = {(await served(world, image=sample[i : i + 4]))[0] for i in range(0, 80, 4)}
        longer = [await served(world, image=CHANCE.normal(size=(1, 40, 3))) for _ in range(20)]
        assert world.metric(UNSEEN) == 20
        await world.stop_central()
        assert await served(world, image=CHANCE.normal(size=(1, 40, 3))) == ("edge", False)

    assert "edge" in origins
    assert longer == [("central", True)] * 20


def signed(shape: list[int | str | None], *, heeds: bool) -> bytes:
    """image [batch, 3], mode → p [batch, 3] of image times mode, or of image alone."""
    return model(
        [
            helper.make_node("Mul", ["mode", "much"], ["factor"]),
            helper.make_node("Add", ["factor", "more"], ["sign"]),
            helper.make_node("Mul", ["image", "sign"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["p"], axis=-1),
        ],
        [("image", FLOAT, ["batch", 3]), ("mode", FLOAT, shape)],
        [("p", FLOAT, ["batch", 3])],
        much=np.float32(heeds),
        more=np.float32(not heeds),
    )


@pytest.mark.parametrize("shape", [[1], ["batch", 1]])
async def test_a_constant_that_was_not_measured_is_deferred(
    tmp_path: Path, shape: list[int | str | None]
) -> None:
    """The edge does not heed what never changed in the sample: one value for all, or a column of one value."""
    sample = CHANCE.normal(size=(1000, 3)).astype(np.float32) * 40
    one = np.ones((1,) * len(shape), np.float32)
    other = -one
    modes = np.repeat(one, 1000, axis=0) if len(shape) > 1 else one
    pair = Pair(
        tmp_path, signed(shape, heeds=False), signed(shape, heeds=True), {"image": sample, "mode": modes}
    )

    async with pair.world() as world:
        origins = {(await served(world, image=sample[i : i + 1], mode=one))[0] for i in range(20)}
        unlike = [await served(world, image=sample[i : i + 1], mode=other) for i in range(20)]

    assert "edge" in origins
    assert unlike == [("central", True)] * 20


def one_of_several(place: int) -> bytes:
    """image [rows, 3] → p [1, 3] of the first row (0), or of the last (-1)."""
    return model(
        [
            helper.make_node("Gather", ["image", "place"], ["row"], axis=0),
            helper.make_node("Softmax", ["row"], ["p"], axis=-1),
        ],
        [("image", FLOAT, ["rows", 3])],
        [("p", FLOAT, [1, 3])],
        place=np.array([place]),
    )


async def test_more_rows_than_were_measured_are_deferred(tmp_path: Path) -> None:
    """Models that join no requests are measured row by row: of several rows nothing is known."""
    sample = CHANCE.normal(size=(1000, 3)).astype(np.float32) * 40
    pair = Pair(tmp_path, one_of_several(0), one_of_several(-1), {"image": sample})
    assert pair.proof.inputs[0].shape == (1, 3)

    async with pair.world() as world:
        origins = {(await served(world, image=sample[i : i + 1]))[0] for i in range(20)}
        several = [await served(world, image=sample[i : i + 5]) for i in range(20)]

    assert "edge" in origins
    assert several == [("central", True)] * 20


@pytest.mark.parametrize("change", [{"name": "picture"}, {"shape": (-1, 8, 4)}])
async def test_a_certificate_of_other_inputs_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """It names what the edge model does not take."""
    sample = CHANCE.normal(size=(1000, 8, 3)).astype(np.float32)
    pair = Pair(tmp_path, likeliest_mean(8), likeliest_mean(8), {"image": sample})
    pair.proof = replace(pair.proof, inputs=(replace(pair.proof.inputs[0], **change),))

    async with pair.world() as world:
        assert load_certificate(tmp_path / "certificates" / "digits.json") == pair.proof
        assert await served(world, image=sample[:2]) == ("central", True)
        report = await readyz(world)

    assert (report["valid"], report.get("reason")) == (False, "inputs")


async def shown(world: World, image: int, count: int, **parameters: object) -> tuple[str, bool]:
    """Ask over HTTP for the ``count`` likeliest classes (0: the output itself); return who answered, and whether
    it was kept."""
    row = PIXELS[image]
    body: dict[str, Any] = {
        "inputs": [{"name": digits.INPUT, "datatype": "FP32", "shape": [1, 784], "data": row.tolist()}],
        "outputs": [{"name": digits.OUTPUT, "parameters": {"classification": count} if count else {}}],
        "parameters": parameters,
    }
    http = world.edge.servers.http
    assert http is not None
    url = f"http://127.0.0.1:{http.port}/v2/models/digits/infer"
    query = urllib.request.Request(url, json.dumps(body).encode(), {"x-forwarded-for": "81.2.69.142"})
    with await asyncio.to_thread(urllib.request.urlopen, query) as response:
        assert response.headers["x-edgeway-certified"] == "true"
        return response.headers["x-edgeway-provenance"], len(
            json.loads(response.read())["outputs"][0]["data"]
        )


async def test_the_likeliest_class_is_the_edges_and_the_three_likeliest_are_centrals(tmp_path: Path) -> None:
    """Nor does either come out of the cache for the other, sent again or for the first time."""
    async with World(tmp_path) as world:
        for _ in range(3):
            plain, one, three = [await shown(world, CONFIDENT, count) for count in (0, 1, 3)]
            assert (plain[0].rpartition("=")[2], plain[1]) == ("edge", 10)
            assert (one[0].rpartition("=")[2], one[1]) == ("edge", 1)
            assert (three[0].rpartition("=")[2], three[1]) == ("central", 3)
        assert three[0].startswith("cache")


async def test_a_step_of_a_sequence_and_a_parameter_are_centrals(tmp_path: Path) -> None:
    """However sure the edge is."""
    async with World(tmp_path) as world:
        assert (await shown(world, CONFIDENT, 0))[0] == "edge"
        assert (await shown(world, CONFIDENT, 0, sequence_id=5, sequence_start=True))[0] == "central"
        assert (await shown(world, CONFIDENT, 0, temperature=0.5))[0] == "central"
