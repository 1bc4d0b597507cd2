"""A model in two files, loaded and served as one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_models.errors import ModelError, ProviderError
from edge_models.registry import Registry
from edge_models.session import Session, StoppableRun
from edge_models.settings import ModelsSettings
from edge_models.split_session import SplitSession, open_model
from gateway.core.errors import Fault, GatewayError
from tests.edge_models.splitting import models


def feed(rows: int = 2) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(7)
    return {
        "x": chance.normal(size=(rows, 4)).astype(np.float32),
        "user": chance.normal(size=(rows, 3)).astype(np.float32),
    }


def served(repository: Path) -> Registry:
    return Registry.load(ModelsSettings(repository=str(repository)))


def test_it_answers_as_the_whole_model_does(tmp_path):
    whole = Session(models.write(tmp_path / "whole", models.TWO))
    split = open_model(models.write_split(tmp_path / "split", models.TWO, ["embedding"], ["user"]))

    for one, other in zip(whole.run(feed()), split.run(feed()), strict=True):
        assert one.tobytes() == other.tobytes()
    assert split.run(feed(), ["embedding"])[0].shape == (2, 6)
    assert (split.inputs, split.outputs, split.batchable) == (whole.inputs, whole.outputs, True)
    assert "two/1" in repr(split)


def test_the_digest_is_of_both_parts_and_of_no_other_file(tmp_path):
    """Another head is another model, as is another backbone; the whole model is a third."""
    folder = models.write_split(tmp_path / "a", models.TWO, ["embedding"], ["user"])
    other = models.write_split(tmp_path / "b", models.TWO, ["embedding"], ["user"], w1=-models.WEIGHTS["w1"])
    split, anew = open_model(folder), open_model(other)
    whole = Session(models.write(tmp_path, models.TWO))

    assert isinstance(split, SplitSession)
    assert isinstance(anew, SplitSession)
    assert split.features.digest == anew.features.digest
    digests = {each.digest for each in (split, anew, whole, split.features, split.head)}
    assert len(digests) == 5
    assert open_model(folder).digest == split.digest


def test_a_run_of_both_is_stopped_as_one(tmp_path):
    run = StoppableRun(open_model(models.write_split(tmp_path, models.TOWER, ["second"])))
    run.stop()

    with pytest.raises(GatewayError) as stopped:
        run({"x": feed()["x"]})
    assert stopped.value.fault is Fault.DEADLINE


def test_a_provider_is_required_of_both(tmp_path):
    split = open_model(models.write_split(tmp_path, models.TOWER, ["second"]))

    split.require("cpu")
    with pytest.raises(ProviderError, match="fell back"):
        split.require("cuda")


def test_parts_of_two_cuts_are_refused(tmp_path):
    """A head takes what its backbone makes, as it makes it, and all of it."""
    one = models.write_split(tmp_path / "one", models.TOWER, ["second"])
    more = models.write_split(tmp_path / "more", models.SKIP, ["second", "a"])
    shutil.copy(more / "features.onnx", one)
    with pytest.raises(ModelError, match=r"head.onnx: does not take 'a', which features.onnx makes"):
        open_model(one)


def test_another_form_of_a_tensor_is_refused(tmp_path):
    folder = models.write_split(tmp_path, models.TOWER, ["second"])
    features = onnx.load(folder / "features.onnx")
    features.graph.node.add(op_type="Cast", input=["b"], output=["wide"]).attribute.add(
        name="to", type=onnx.AttributeProto.INT, i=onnx.TensorProto.DOUBLE
    )
    features.graph.node[-2].output[0] = "narrow"
    features.graph.node[-1].input[0], features.graph.node[-1].output[0] = "narrow", "b"
    features.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(features, folder / "features.onnx")

    with pytest.raises(ModelError, match=r"takes 'b' as FP32 \[-1, 6\], but features.onnx has it as FP64"):
        open_model(folder)


def test_texts_between_the_parts_are_refused(tmp_path):
    folder = tmp_path / "1"
    folder.mkdir()
    for name, text in (
        ("features", "f (string[n, 1] t) => (string[n, 1] a) { a = Identity (t) }"),
        ("head", "h (string[n, 1] a) => (string[n, 1] y) { y = Identity (a) }"),
    ):
        (folder / f"{name}.onnx").write_bytes(models.proto(text).SerializeToString())

    with pytest.raises(ModelError, match="'a' holds texts, and features are numbers"):
        open_model(folder)


def test_a_repository_serves_a_version_in_two_files(tmp_path):
    """Beside one in one file, and each by its own digest."""
    models.write_split(tmp_path, models.TOWER, ["second"]).rename(tmp_path / "tower" / "2")
    models.write(tmp_path, models.TOWER)

    registry = served(tmp_path)

    assert isinstance(registry.get("tower").session, SplitSession)
    assert isinstance(registry.get("tower", "1").session, Session)
    assert registry.get("tower").spec.inputs == registry.get("tower", "1").spec.inputs


def test_a_configuration_beside_it_holds(tmp_path):
    """Its shapes, its order of outputs, and its batches."""
    folder = models.write_split(tmp_path, models.TWO, ["embedding"], ["user"])
    (folder.parent / "config.pbtxt").write_text(
        """backend: "onnxruntime" max_batch_size: 4
        input [{ name: "user" data_type: TYPE_FP32 dims: 3 }, { name: "x" data_type: TYPE_FP32 dims: 4 }]
        output [{ name: "embedding" data_type: TYPE_FP32 dims: 6 }, { name: "y" data_type: TYPE_FP32 dims: 3 }]
        model_warmup { name: "one" batch_size: 1
          inputs { key: "x" value: { data_type: TYPE_FP32 dims: 4 random_data: true } }
          inputs { key: "user" value: { data_type: TYPE_FP32 dims: 3 zero_data: true } } }"""
    )

    model = served(tmp_path).get("two")

    assert [spec.name for spec in model.spec.inputs] == ["user", "x"]
    assert [array.shape for array in model.session.run(feed())] == [(2, 6), (2, 3)]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (["features.onnx", "model.onnx"], "holds model.onnx and features.onnx, and only one"),
        (["features.onnx", "head.onnx", "model.onnx"], "holds model.onnx and features.onnx and head.onnx"),
        (["features.onnx"], "holds features.onnx but no head.onnx"),
        (["head.onnx"], "holds head.onnx but no features.onnx"),
    ],
)
def test_half_a_model_or_one_and_a_half_is_refused(tmp_path, kept, message):
    folder = models.write_split(tmp_path, models.TOWER, ["second"])
    (folder / "model.onnx").write_bytes(models.proto(models.TOWER).SerializeToString())
    for name in {"features.onnx", "head.onnx", "model.onnx"}.difference(kept):
        (folder / name).unlink()

    with pytest.raises(ModelError, match=message):
        served(tmp_path)


def test_what_a_configuration_names_is_in_one_file(tmp_path):
    """Parts beside it are left alone, as other files are."""
    folder = models.write_split(tmp_path, models.TOWER, ["second"])
    (folder / "int8.onnx").write_bytes(models.proto(models.TOWER).SerializeToString())
    (folder.parent / "config.pbtxt").write_text(
        'backend: "onnxruntime" max_batch_size: 4 default_model_filename: "int8.onnx"'
    )

    assert isinstance(served(tmp_path).get("tower").session, Session)


def test_a_part_that_is_no_model_is_named(tmp_path):
    folder = models.write_split(tmp_path, models.TOWER, ["second"])
    (folder / "head.onnx").write_bytes(b"no model")

    with pytest.raises(ModelError, match=r"1/head.onnx: is not a model that ONNX Runtime can load"):
        served(tmp_path)
