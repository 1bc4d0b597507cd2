"""What lint says of folders that are sound, odd, and none."""

from __future__ import annotations

import pytest

from edge_models.errors import ModelError
from edge_models.lint import lint
from tests.edge_models import hostile_models, onnx_models


def lines(path) -> list[str]:
    return [f"{folder.name}/{each.where}: {each.severity}: {each.message}" for folder, each in lint(path)]


def test_a_sound_classifier_has_one_note(tmp_path):
    onnx_models.write(tmp_path, "Digits", onnx_models.softmax())

    (note,) = lines(tmp_path / "Digits")

    assert note.startswith(
        "Digits/1/model.onnx: note: output 'probabilities' holds probabilities: `edgeway model"
    )
    assert lines(tmp_path) == [note]


def test_a_whole_repository(tmp_path):
    """Each folder by its name; errors of one say nothing about the next."""
    onnx_models.write(tmp_path, "good", onnx_models.softmax())
    onnx_models.write(tmp_path, "odd", onnx_models.softmax())
    (tmp_path / "odd/config.pbtxt").write_text(
        "max_batch_size: 8\nbatch_input { }\nmodel_operations { op_library_filename: 'a.so' }"
    )
    (tmp_path / "python/1").mkdir(parents=True)
    (tmp_path / "python/1/model.py").touch()
    (tmp_path / "empty").mkdir()

    found = lines(tmp_path)

    assert found[0].startswith(
        "empty/.: error: holds no version; expected empty/1/model.onnx; make a folder 1"
    )
    assert found[1].startswith("good/1/model.onnx: note: ")
    assert found[2].startswith("odd/config.pbtxt:2: error: batch_input is not supported")
    assert found[3].startswith("odd/config.pbtxt:3: error: model_operations is not supported")
    assert found[4].startswith("python/.: warning: a model of the backend 'python' does not run here")


def test_a_classifier_of_texts_is_tried_too(tmp_path):
    """With empty texts: it is not said of an output that it holds no probabilities when it does."""
    onnx_models.write(tmp_path, "texts", onnx_models.text_classifier())

    assert [line for line in lines(tmp_path) if "output 'p' holds probabilities" in line]


def test_a_folder_of_repositories_is_told_from_one_of_models(tmp_path):
    """As `edgeway model init` makes it: the advice is to name the inner one, not to move files."""
    onnx_models.write(tmp_path / "out" / "my edge", "good", onnx_models.softmax())

    (found,) = lines(tmp_path / "out")

    assert found.endswith(
        f"it is a repository of models itself: `edgeway model lint '{tmp_path}/out/my edge'`"
    )


@pytest.mark.parametrize(
    ("content", "config", "words"),
    [
        (
            onnx_models.affine(batch=1),
            None,
            "1/model.onnx: warning: the first dimension of its inputs and outputs",
        ),
        (onnx_models.affine(), None, "1/model.onnx: note: no output holds probabilities"),
        (b"garbage", None, "1/model.onnx: error: is not a model that ONNX Runtime can load"),
        (hostile_models.stamped(opset=99), None, "export it for an older operator set"),
        (hostile_models.stamped(ir=99), None, "save it with an older onnx"),
        (
            hostile_models.external("weights"),
            None,
            "'weights' cannot be read: No such file or directory; put them",
        ),
        (onnx_models.affine(), "\nnonsense: 1", "config.pbtxt:2:1: error: Message type"),
        (
            onnx_models.affine(),
            "\nmetric_tags { key: 'a' }",
            "config.pbtxt:2: warning: metric_tags is not obeyed",
        ),
        (
            onnx_models.affine(),
            "name: 'b'",
            "config.pbtxt:1: error: unexpected directory name 'odd' for model 'b'",
        ),
        (hostile_models.sparse(1 << 29), None, "error: takes more than 1,024 MiB of memory to be loaded"),
    ],
)
def test_what_is_odd_about_a_model(tmp_path, content, config, words):
    onnx_models.write(tmp_path, "odd", content)
    if config is not None:
        (tmp_path / "odd/config.pbtxt").write_text(config)

    assert any(words in line for line in lines(tmp_path / "odd")), lines(tmp_path / "odd")


def test_what_is_neither(tmp_path):
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        lint(tmp_path / "absent")
    with pytest.raises(ModelError, match="holds no model"):
        lint(tmp_path)
