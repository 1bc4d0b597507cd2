"""ONNX Runtime's sentences, as real files and runs bring them about."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_models.errors import ModelError
from edge_models.model_files import ModelFiles
from edge_models.onnxruntime_errors import load_sentence
from edge_models.session import Session
from tests.edge_models import hostile_models, onnx_models


def refusal(content: bytes) -> str:
    with pytest.raises(ModelError) as refused:
        Session(Path("digits/1/model.onnx"), ModelFiles(content))
    return str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (hostile_models.stamped(ir=99), "Unsupported model IR version: 99, max supported IR version: "),
        (hostile_models.stamped(opset=99), "Current official support for domain ai.onnx is till opset "),
        (hostile_models.stamped(kind="Evil", domain="evil"), "evil:Evil(-1) is not a registered function/op"),
        (hostile_models.stamped(kind="NoSuch"), "No Op registered for NoSuch with domain_version of 17"),
        (b"", "No graph was found"),
        (b"root:x:0:0:root", "protobuf parsing failed"),
        (onnx_models.affine()[:-9], "protobuf parsing failed"),
        (hostile_models.sparse(1 << 34), "exceeds the 2147483648 byte limit"),
    ],
)
def test_why_a_file_cannot_be_loaded(content, words):
    """ONNX Runtime's own sentence, in one line, without places in its source and without other files."""
    message = refusal(content)

    assert message.startswith("digits/1/model.onnx: is not a model that ONNX Runtime can load: ")
    assert words in message
    assert "onnxruntime_src" not in message
    assert "ONNXRuntimeError" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : Load model from /srv/m/a.onnx failed:File doesn't exist", None),
        (
            "[ONNXRuntimeError] : 1 : FAIL : /b/x.cc:7 void a::b(std::map<int, int>&) const Too odd\n",
            "Too odd",
        ),
        ("[ONNXRuntimeError] : 1 : FAIL : /b/x.cc:7 a::b((", "a::b(("),
        ("", "RuntimeError"),
        ("x" * 100_000, None),
    ],
)
def test_sentences(raised, sentence):
    """Whatever it is, it is short and names no file of the machine."""
    found = load_sentence(RuntimeError(raised))

    assert sentence is None or found == sentence
    assert len(found) <= 600
    assert "/srv" not in found
