"""One ONNX file, loaded and run by the real ONNX Runtime."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from edge_models.errors import ModelError
from edge_models.model_files import ModelFiles
from edge_models.session import CPU, CUDA, Session, choose_providers
from gateway.core.catalog import TensorSpec
from gateway.core.errors import Fault, GatewayError
from tests.edge_models import onnx_models


def load(tmp_path, content: bytes) -> Session:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return Session(path)


def test_a_session_knows_what_the_file_takes_and_gives(tmp_path):
    """Free dimensions are -1, datatypes are the protocol's, the digest is the file's."""
    content = onnx_models.softmax()

    session = load(tmp_path, content)

    assert session.inputs == (TensorSpec("image", "FP32", (-1, 4)),)
    assert session.outputs == (
        TensorSpec("label", "INT64", (-1,)),
        TensorSpec("probabilities", "FP32", (-1, 3)),
    )
    assert session.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert session.providers == ("CPUExecutionProvider",)
    assert "on CPUExecutionProvider" in repr(session)


def test_run_returns_all_outputs_or_the_named_ones(tmp_path):
    """Outputs come in the order of the model, or of the names."""
    session = load(tmp_path, onnx_models.softmax())
    image = np.array([[9, 0, 0, 0], [0, 0, 9, 0]], np.float32)

    label, probabilities = session.run({"image": image})
    (only,) = session.run({"image": image}, ["probabilities"])

    assert label.tolist() == [0, 2]
    assert np.array_equal(only, probabilities)


@pytest.mark.parametrize(
    ("content", "batchable"),
    [
        (onnx_models.affine(), True),
        (onnx_models.affine(batch=None), True),
        (onnx_models.softmax(), True),
        (onnx_models.affine(batch=1), False),
        (onnx_models.total(), False),
        (onnx_models.kept(), False),
    ],
    ids=["named", "nameless", "two outputs", "fixed", "sum over the batch", "some of the batch"],
)
def test_only_one_free_first_dimension_makes_a_batch(tmp_path, content, batchable):
    """Rows of several requests may share a run only when every output has a row for each."""
    assert load(tmp_path, content).batchable is batchable


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", onnx_models.affine()[:40], b"\x00" * 1000],
    ids=["empty", "garbage", "truncated", "zeros"],
)
def test_a_corrupt_file_is_named(tmp_path, content):
    """What is no model does not start, and the message says which file."""
    with pytest.raises(ModelError, match=r"model\.onnx: is not a model"):
        load(tmp_path, content)


def test_a_missing_file_is_named(tmp_path):
    """A file that cannot be read is a clear error."""
    with pytest.raises(ModelError, match=r"model\.onnx: cannot be read: No such file"):
        Session(tmp_path / "model.onnx")


def test_weights_in_other_files_are_refused(tmp_path, monkeypatch):
    """Unless they were read: the digest covers all files, so ONNX Runtime looks for none itself."""
    path = tmp_path / "model.onnx"
    onnx_models.write_external(path)
    monkeypatch.chdir(tmp_path)
    assert Session(path).inputs

    with pytest.raises(ModelError, match="is not a model that ONNX Runtime can load"):
        Session(path, ModelFiles(path.read_bytes()))


def test_an_output_that_the_protocol_cannot_carry_is_refused(tmp_path):
    """Sequences and maps have no datatype."""
    with pytest.raises(ModelError, match=r"'parts' is a seq\(tensor\(float\)\)"):
        load(tmp_path, onnx_models.sequence_output())


def test_values_that_the_model_cannot_use_are_the_clients_fault(tmp_path):
    """An index out of range is INVALID and no evidence against the tier."""
    session = load(tmp_path, onnx_models.lookup())

    with pytest.raises(GatewayError) as caught:
        session.run({"index": np.array([[99]])})

    assert (caught.value.fault, caught.value.counts) == (Fault.INVALID, False)
    assert "99" not in caught.value.message


@pytest.mark.parametrize(
    ("model", "feed", "words"),
    [
        (
            onnx_models.refold(),
            {"image": np.zeros((1, 4), np.float32)},
            "the input tensor cannot be reshaped",
        ),
        (
            onnx_models.product(),
            {"image": np.zeros((1, 5), np.float32)},
            "MatMul node 'fold': Compute MatMul dimension mismatch",
        ),
    ],
    ids=["reshape", "product"],
)
def test_a_run_that_fails_on_its_values_is_the_clients_fault(tmp_path, model, feed, words):
    """It is told in ONNX Runtime's words: no values, no places in its source."""
    session = load(tmp_path, model)

    with pytest.raises(GatewayError) as caught:
        session.run(feed)

    assert (caught.value.fault, caught.value.counts) == (Fault.INVALID, False)
    assert words.lower() in caught.value.message.lower()
    assert not any(character.isdigit() for character in caught.value.message)
    assert not any(place in caught.value.message for place in (".h", "::", "onnxruntime"))


@pytest.mark.parametrize(
    "text",
    [
        "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: an illegal memory access was encountered",
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 8",
    ],
)
def test_a_failure_of_the_machine_is_internal_and_counts(tmp_path, monkeypatch, caplog, text):
    """Other values would have met it, too; what ONNX Runtime says goes to the log."""
    session = load(tmp_path, onnx_models.refold())

    def fail(*_):
        raise RuntimeError(text)

    monkeypatch.setattr(session, "_session", SimpleNamespace(run=fail))

    with pytest.raises(GatewayError) as caught:
        session.run({"image": np.zeros((1, 4), np.float32)})

    assert (caught.value.fault, caught.value.counts) == (Fault.INTERNAL, True)
    assert caught.value.message == "the model failed to run"
    assert "of ONNX Runtime failed" in caplog.text


def test_text_goes_in_and_out_as_utf8(tmp_path):
    """BYTES elements are text to ONNX Runtime; their bytes never show up as a literal."""
    session = load(tmp_path, onnx_models.echo_text())
    text = np.array([["grüß".encode()], [b""]], object)

    (echo,) = session.run({"text": text})

    assert echo.tolist() == [["grüß"], [""]]


def test_text_that_is_not_utf8_is_invalid(tmp_path):
    """Bytes that are no text cannot be given to the model."""
    session = load(tmp_path, onnx_models.echo_text())

    with pytest.raises(GatewayError, match="input 'text' holds text that is not UTF-8") as caught:
        session.run({"text": np.array([[b"\xff\xfe"]], object)})

    assert caught.value.fault is Fault.INVALID


def test_a_buffer_may_start_anywhere(tmp_path):
    """A tensor that the wire left at an odd address gives the same answer."""
    session = load(tmp_path, onnx_models.affine())
    raw = b"x" + np.arange(8, dtype="<f4").tobytes()
    odd = np.frombuffer(memoryview(raw)[1:], "<f4").reshape(2, 4)

    (doubled,) = session.run({"image": odd})

    assert not odd.flags.aligned
    assert np.array_equal(doubled, odd * 2)


def test_providers_keep_their_order_and_pass_over_what_is_absent():
    """CUDA first where it is there, else the CPU."""
    assert choose_providers(["cuda", "cpu", "cuda"], [CPU[0], CUDA[0]], None) == [CUDA, CPU]
    assert choose_providers(["cuda", "cpu"], [CPU[0]], None) == [CPU]


def test_a_required_provider_must_be_there():
    """Required and absent: no start, and the message says what to do."""
    with pytest.raises(ModelError, match=r"'cuda' is required.*the extra `gpu`"):
        choose_providers(["cuda", "cpu"], [CPU[0]], "cuda")
    with pytest.raises(ModelError, match="add cpu"):
        choose_providers(["cuda"], [CPU[0]], None)


def test_a_silent_fallback_is_found_out(tmp_path):
    """ONNX Runtime that took the CPU instead of the required CUDA does not start."""
    session = load(tmp_path, onnx_models.affine())

    session.require("cpu")
    with pytest.raises(ModelError, match="fell back to CPUExecutionProvider"):
        session.require("cuda")
