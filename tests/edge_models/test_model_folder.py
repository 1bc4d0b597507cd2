"""A folder with a `config.pbtxt`: it is obeyed, or the model is not served and the line says why."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.errors import ForeignModelError, ModelError
from edge_models.model_folder import FolderReader, Model
from edge_models.rehearsal import Rehearsal
from edge_models.session import CPU
from edge_models.settings import BatchingSettings, ModelsSettings
from tests.edge_models import onnx_models

WHOLE = """
max_batch_size: 8
input { name: "image" data_type: TYPE_FP32 dims: 4 }
output { name: "probabilities" data_type: TYPE_FP32 dims: 4 }
"""


@pytest.fixture
def repository(tmp_path):
    for version in ("1", "2", "10"):
        onnx_models.write(tmp_path, "digits", onnx_models.affine(float(version)), version)
    return tmp_path


def read(repository, text: str | None = None, name: str = "digits", **settings) -> list[Model]:
    if text is not None:
        (repository / name / "config.pbtxt").write_text(text)
    with Rehearsal() as rehearsal:
        made = ModelsSettings(repository=str(repository), **settings)
        return FolderReader(repository, [CPU], made, rehearsal).read(repository / name)


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        (None, ["1", "2", "10"]),
        ("", ["10"]),
        ("version_policy { latest { num_versions: 2 } }", ["2", "10"]),
        ("version_policy { all { } }", ["1", "2", "10"]),
        ("version_policy { specific { versions: [ 2, 1, 7 ] } }", ["1", "2"]),
    ],
)
def test_versions_are_those_of_the_policy(repository, policy, versions):
    """Without a configuration all are served; with one, the latest is the default."""
    models = read(repository, policy)

    assert [model.version for model in models] == versions
    assert models[0].spec.versions == tuple(versions)


def test_no_version_is_left(repository):
    with pytest.raises(ModelError, match="at least one version must be available under the version policy"):
        read(repository, "version_policy { specific { versions: 3 } }")


@pytest.mark.parametrize("place", ["net.onnx", "sub/net.onnx"])
def test_a_file_by_another_name(repository, place):
    path = repository / "digits/10" / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(onnx_models.affine(7.0))

    (model,) = read(repository, f"default_model_filename: '{place}'")

    assert model.session.run({"image": np.ones((1, 4), np.float32)})[0][0, 0] == 7


def test_a_file_that_is_a_folder(repository):
    (repository / "digits/10/net").mkdir()
    (repository / "digits/10/net/model.onnx").write_bytes(onnx_models.affine(7.0))

    (model,) = read(repository, "default_model_filename: 'net'")

    assert model.session.run({"image": np.ones((1, 4), np.float32)})[0][0, 0] == 7


@pytest.mark.parametrize("place", ["../1/model.onnx", "/etc/passwd", "a/../../x"])
def test_a_file_elsewhere(repository, place):
    with pytest.raises(ModelError, match=r"digits/config\.pbtxt:2: default_model_filename must be a file of"):
        read(repository, f"\ndefault_model_filename: '{place}'")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"default_model_filename: '{'x' * 3000}'", "cannot be read: File name too long"),
        (
            "\nparameters { key: 'execution_mode' value { string_value: '7' } }",
            "config.pbtxt:2: parameter 'exec",
        ),
        (
            "max_batch_size: 8\ndynamic_batching { priority_levels: 2 }",
            "config.pbtxt:2: default_priority_level",
        ),
        (
            "\nmodel_warmup { name: '\\033[31m' batch_size: 1 inputs { key: 'x' } }",
            "config.pbtxt:2: warm-up '?[31m'",
        ),
    ],
)
def test_whatever_is_wrong_is_this_folders(repository, text, words):
    """Its name stands before it, and nothing in it is more than a line of text."""
    with pytest.raises(ModelError) as refused:
        read(repository, text)

    assert str(refused.value).startswith(f"{repository}/digits")
    assert words in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1200


def test_the_name_is_the_folders(repository):
    read(repository, "name: 'digits'")
    with pytest.raises(
        ModelError, match=r"config\.pbtxt:1: unexpected directory name 'digits' for model 'Digits'"
    ):
        read(repository, "name: 'Digits'")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("backend: 'python'", "config.pbtxt:1: a model of the backend 'python'"),
        ("\nplatform: 'tensorrt_plan'", "config.pbtxt:2: a model of the backend 'tensorrt_plan'"),
        (
            "platform: 'ensemble' \nensemble_scheduling { }",
            "config.pbtxt:2: a model of the backend 'ensemble'",
        ),
        ("backend: 'onnxruntime' platform: 'pytorch_libtorch'", "of the backend 'pytorch_libtorch'"),
    ],
)
def test_another_backends_model(repository, text, named):
    """Nobody's mistake: it has its place elsewhere."""
    with pytest.raises(ForeignModelError) as refused:
        read(repository, text)
    assert named in str(refused.value)
    assert "(ONNX Runtime's have the backend 'onnxruntime', or the platform 'onnxruntime_onnx')" in str(
        refused.value
    )
    assert "leave it to the central Triton that has it, by a route" in str(refused.value)


@pytest.mark.parametrize("text", ["backend: 'onnxruntime'", "platform: 'onnxruntime_onnx'", "name: 'digits'"])
def test_our_backends_model(repository, text):
    assert read(repository, text)


@pytest.mark.parametrize(
    ("file", "backend"), [("model.py", "python"), ("model.plan", "tensorrt"), ("model.pt", "pytorch")]
)
def test_another_backends_file(tmp_path, file, backend):
    (tmp_path / "odd/1").mkdir(parents=True)
    (tmp_path / "odd/1" / file).touch()

    with pytest.raises(ForeignModelError, match=f"of the backend '{backend}' does not run here; leave it"):
        read(tmp_path, name="odd")


def test_a_whole_configuration_is_what_clients_see(repository):
    (model,) = read(repository, WHOLE.replace("[", "").replace("dims: 4 }\nout", "dims: 4 }\nout"))

    assert model.config.max_batch_size == 8
    assert model.config.dynamic_batching is None
    assert model.spec.inputs[0].shape == (-1, 4)
    assert model.session.batchable


def test_without_a_batch_the_first_dimension_is_none(repository):
    text = WHOLE.replace("max_batch_size: 8", "").replace("dims: 4", "dims: [ 2, 4 ]")

    (model,) = read(repository, text)

    assert model.spec.inputs[0].shape == (2, 4)
    assert not model.session.batchable


def test_what_is_left_out_is_completed(repository):
    (model,) = read(repository, "max_batch_size: 4")
    assert (model.config.max_batch_size, model.config.inputs[0].dims) == (4, (4,))
    (model,) = read(repository, "", batching={"digits": BatchingSettings(max_batch_size=5)})
    assert model.config.max_batch_size == 5


def test_outputs_are_those_that_are_declared_in_their_order(tmp_path):
    onnx_models.write(tmp_path, "words", onnx_models.softmax())
    text = """max_batch_size: 8
    output { name: "probabilities" data_type: TYPE_FP32 dims: 3 }
    output { name: "label" data_type: TYPE_INT64 dims: 1 reshape { } }"""
    rows = {"image": np.eye(1, 4, dtype=np.float32)}

    (model,) = read(tmp_path, text, "words")
    assert [each.name for each in model.spec.outputs] == ["probabilities", "label"]
    assert [each.shape for each in model.session.run(rows)] == [(1, 3), (1,)]

    (model,) = read(tmp_path, text[: text.index('output { name: "label"')], "words")
    assert [each.shape for each in model.session.run(rows)] == [(1, 3)]


def test_what_contradicts_the_graph_is_named_by_line(repository):
    with pytest.raises(ModelError, match=r"digits/config\.pbtxt:3: tensor 'image': the model expects shape"):
        read(repository, WHOLE.replace("dims: 4", "dims: 5"))


def test_all_errors_are_named_and_warnings_logged(repository, caplog):
    with pytest.raises(ModelError) as refused:
        read(repository, "batch_input { }\nbatch_output { }")
    assert "config.pbtxt:1: batch_input is not" in str(refused.value)
    assert "config.pbtxt:2: batch_output is not" in str(refused.value)

    assert read(repository, "\nmetric_tags { key: 'a' value: 'b' }")
    assert "model digits: config.pbtxt:2: metric_tags is not obeyed" in caplog.text


def test_parameters_reach_onnx_runtime(repository):
    with pytest.raises(ModelError, match="parameter 'execution_mode' must be from 0 to 1"):
        read(repository, "parameters { key: 'execution_mode' value { string_value: '7' } }")
    text = """parameters { key: 'execution_mode' value { string_value: '1' } }
    parameters { key: 'intra_op_thread_count' value { string_value: '2' } }"""
    (model,) = read(repository, text)
    assert model.session.run({"image": np.ones((1, 4), np.float32)})[0][0, 0] == 10
