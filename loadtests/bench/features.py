"""Case `features`: a request whose features are held, against a run of the backbone that would make them.

The sample's models are too small for it: a digit takes less than a look-up. So the backbone is a network over
the same images that is as heavy as a small vision model, cut as `edgeway model split` does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import uvloop
from onnx import numpy_helper, parser

from cache.features.computed import FeatureScope
from cache.features.computed_settings import FeatureSettings, open_features
from cache.levels.level import LevelParts
from edge_models.executors import ThreadExecutor
from edge_models.predictor import Predictor
from edge_models.registry import Registry
from edge_models.samples import digits
from edge_models.settings import ModelsSettings
from edge_models.split_session import SplitSession
from edge_models.splitting.split_model import Splitter
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from gateway.core.request import Request
from gateway.core.telemetry import Silence
from gateway.core.tensor import Tensor
from loadtests.bench.results import Result, Row, Target
from loadtests.bench.rounds import Bench, cores

IMAGES: Final = 200
TARGET: Final = Target(3.0)
NETWORK: Final = """
<ir_version: 9, opset_import: ["" : 17]>
digits (float[n, 784] image) => (float[n, 10] probabilities) {
  pixels = Reshape (image, square)
  c0 = Conv <pads = [1, 1, 1, 1]> (pixels, k0)
  r0 = Relu (c0)
  c1 = Conv <pads = [1, 1, 1, 1]> (r0, k1)
  r1 = Relu (c1)
  c2 = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (r1, k2)
  r2 = Relu (c2)
  c3 = Conv <pads = [1, 1, 1, 1]> (r2, k3)
  mean = GlobalAveragePool (c3)
  [pooled] features = Flatten (mean)
  logits = MatMul (features, w)
  probabilities = Softmax <axis = 1> (logits)
}
"""


def measure(bench: Bench) -> Result:
    """Time single rows, pinned to one core."""
    repository = bench.folder / "features"
    write_model(repository)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        backbone, held = uvloop.run(_rounds(repository, bench.effort.rounds))
    finally:
        os.sched_setaffinity(0, before)
    row = Row.against(
        "runs of the backbone",
        backbone,
        what="requests whose features are held, one row, one after the other",
        unit="1/s",
        target=TARGET,
        ours=held,
        note="the request's time has its key, the look-up, both hops to the thread, and the head",
    )
    return Result(rows=(row,), details={"images": IMAGES})


def write_model(repository: Path) -> None:
    """Write the network as a model in two files, `digits/1`, with weights by chance."""
    chance = np.random.default_rng(1)
    model = parser.parse_model(NETWORK)
    shapes = {"k0": (64, 1, 3, 3), **dict.fromkeys(("k1", "k2", "k3"), (64, 64, 3, 3)), "w": (64, 10)}
    weights: dict[str, Any] = {
        name: chance.normal(0, 0.06, shape).astype(np.float32) for name, shape in shapes.items()
    }
    weights["square"] = np.array([-1, 1, 28, 28])
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    version = repository / "digits" / "1"
    shutil.rmtree(repository, ignore_errors=True)
    version.mkdir(parents=True)
    whole = repository / ".whole.onnx"
    whole.write_bytes(model.SerializeToString())
    made = Splitter(onnx, whole).split(["pooled"])
    (version / "features.onnx").write_bytes(made.features)
    (version / "head.onnx").write_bytes(made.head)


async def _rounds(repository: Path, rounds: int) -> tuple[list[float], list[float]]:
    registry = Registry.load(ModelsSettings(repository=str(repository)))
    session = registry.get("digits").session
    if not isinstance(session, SplitSession):
        raise TypeError("the model is not in two files")
    clock, silence = LoopClock(), Silence()
    parts = LevelParts(lambda _name, _settings: OpenGate(), clock, silence)
    scope = FeatureScope(per_tenant=True, instruction_set="bench")
    store, _ = open_features(FeatureSettings(), None, parts, key_secrets=(None,), scope=scope)
    predictor = Predictor(
        registry,
        ThreadExecutor(1),
        batching={},
        region="here",
        origin="edge",
        clock=clock,
        telemetry=silence,
        features=store,
    )
    images = digits.as_input(digits.load_split("test")[0][:IMAGES])
    asked = [
        Request("digits", (Tensor.from_numpy("image", images[nth : nth + 1]),), key=b"k")
        for nth in range(IMAGES)
    ]
    for request in asked:
        _ = await predictor(request)
    backbone, held = [], []
    for _ in range(rounds):
        times = []
        for request in asked:
            began = time.perf_counter()
            answer = await predictor(request)
            times.append(time.perf_counter() - began)
            if not answer.provenance.features:
                raise RuntimeError("features were not held")
        held.append(1 / float(np.median(times)))
        times = []
        for nth in range(IMAGES):
            began = time.perf_counter()
            session.features.run({"image": images[nth : nth + 1]})
            times.append(time.perf_counter() - began)
        backbone.append(1 / float(np.median(times)))
        await asyncio.sleep(0)
    await predictor.close()
    return backbone, held
