"""Requests that are run before a model is ready, with the real ONNX Runtime."""

from __future__ import annotations

import struct
import threading

import numpy as np
import pytest

from edge_models.configuration.reading import parse_text
from edge_models.configuration.warmup import WarmupLimits, warm_up
from edge_models.errors import ModelError
from edge_models.registry import Registry
from edge_models.settings import ModelLimits, ModelsSettings
from edge_models.threads import unfinished
from gateway.core.errors import Fault, GatewayError
from tests.edge_models import onnx_models
from tests.edge_models.hostile_models import loop_by_value

LIMITS = WarmupLimits(10.0, 1 << 20)
X = 'key: "x" value { data_type: TYPE_FP32 dims: [ 2, 3 ] '


class Runs(list):
    """Remembers what was run."""

    def __call__(self, tensors):
        self.append({tensor.name: tensor.numpy() for tensor in tensors})


def warmed(tmp_path, text: str, run=None, stop=lambda: None, limits=LIMITS) -> Runs:
    runs = Runs()
    warm_up(parse_text(text.encode()), tmp_path, run or runs, stop, limits)
    return runs


def test_without_an_order_nothing_is_run(tmp_path):
    """The model is ready at once."""
    assert warmed(tmp_path, "max_batch_size: 2") == []


def test_each_sample_is_run_as_often_as_it_says(tmp_path):
    """With the rows of its batch; once when it does not say; 0 rows: not at all."""
    runs = warmed(
        tmp_path,
        f"""max_batch_size: 4
        model_warmup {{ name: "three" batch_size: 3 count: 2 inputs {{ {X} zero_data: true }} }} }}
        model_warmup {{ name: "none" inputs {{ {X} zero_data: true }} }} }}
        model_warmup {{ name: "one" batch_size: 1 inputs {{ {X} zero_data: true }} }} }}""",
    )

    assert [run["x"].shape for run in runs] == [(3, 2, 3), (3, 2, 3), (1, 2, 3)]
    assert not any(run["x"].any() for run in runs)


def test_without_a_batch_dimension(tmp_path):
    """The dimensions are all there are, whether the size of a batch is 1 or not said."""
    runs = warmed(
        tmp_path,
        f"""model_warmup {{ name: "a" batch_size: 1 inputs {{ {X} zero_data: true }} }} }}
        model_warmup {{ name: "b" inputs {{ {X} zero_data: true }} }} }}""",
    )

    assert [run["x"].shape for run in runs] == [(2, 3), (2, 3)]


def test_random_data(tmp_path):
    """Of every kind of number, the same at each start; texts are empty."""
    types = ("FP16", "FP32", "FP64", "INT8", "UINT8", "INT64", "UINT64", "BOOL", "STRING")
    inputs = " ".join(
        f'inputs {{ key: "{kind}" value {{ data_type: TYPE_{kind} dims: 50 random_data: true }} }}'
        for kind in types
    )
    text = f'max_batch_size: 2 model_warmup {{ name: "all" batch_size: 2 {inputs} }}'

    (first,), (second,) = warmed(tmp_path, text), warmed(tmp_path, text)

    assert set(first["STRING"].ravel()) == {b""}
    for kind in types[:-1]:
        assert len(set(first[kind][0].tolist())) > 1, kind
        assert first[kind][0].tolist() == first[kind][1].tolist()
        assert first[kind].tolist() == second[kind].tolist()


def test_data_of_a_file(tmp_path):
    """One row, in the bytes of the protocol; each row of the batch has it."""
    (tmp_path / "warmup").mkdir()
    row = np.arange(6, dtype="<f4")
    (tmp_path / "warmup" / "x.bin").write_bytes(row.tobytes())
    (tmp_path / "warmup" / "text.bin").write_bytes(struct.pack("<I", 2) + b"hi")

    (run,) = warmed(
        tmp_path,
        f"""max_batch_size: 2
        model_warmup {{ name: "files" batch_size: 2 inputs {{ {X} input_data_file: "x.bin" }} }}
          inputs {{ key: "t" value {{ data_type: TYPE_STRING dims: 1 input_data_file: "text.bin" }} }} }}""",
    )

    assert run["x"].tolist() == [row.reshape(2, 3).tolist()] * 2
    assert run["t"].tolist() == [[b"hi"], [b"hi"]]


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (f"batch_size: 3 inputs {{ {X} zero_data: true }} }}", "batch_size must be at most 2"),
        (f"batch_size: 1 count: 10001 inputs {{ {X} zero_data: true }} }}", "count must be at most 10,000"),
        (
            'batch_size: 1 inputs { key: "x" value { data_type: TYPE_FP32 dims: -1 zero_data: true } }',
            "input 'x': warm-up expects all variable-size dimensions",
        ),
        ('batch_size: 1 inputs { key: "x" value { dims: 1 zero_data: true } }', "must specify 'data_type'"),
        (
            'batch_size: 1 inputs { key: "x" value { data_type: TYPE_BF16 dims: 1 zero_data: true } }',
            "must specify 'data_type'",
        ),
        (
            f'batch_size: 1 inputs {{ key: "x" value {{ data_type: TYPE_FP32 dims: {1 << 62} zero_data: true }} }}',
            "has more than 1 MiB",
        ),
        (
            'batch_size: 1 inputs { key: "x" value { data_type: TYPE_STRING dims: 65537 zero_data: true } }',
            "has more than 65,536 texts",
        ),
        (
            f'batch_size: 1 inputs {{ {X} input_data_file: "none.bin" }} }}',
            "warmup/none.bin cannot be read: No such file",
        ),
        (f'batch_size: 1 inputs {{ {X} input_data_file: "../secret" }} }}', "in the folder 'warmup'"),
        (f'batch_size: 1 inputs {{ {X} input_data_file: "/etc/hostname" }} }}', "in the folder 'warmup'"),
        (f'batch_size: 1 inputs {{ {X} input_data_file: "link" }} }}', "leads out"),
        (f'batch_size: 1 inputs {{ {X} input_data_file: "short" }} }}', "Expected 24, got 3"),
        (f'batch_size: 1 inputs {{ {X} input_data_file: "large" }} }}', "MiB"),
    ],
)
def test_what_is_no_request_is_refused_with_its_line(tmp_path, sample, words):
    """Before anything is run, and before much memory is taken."""
    folder = tmp_path / "model" / "warmup"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to("/etc/hostname")
    (folder / "short").write_bytes(b"abc")
    (folder / "large").write_bytes(bytes((1 << 20) + 1))

    with pytest.raises(ModelError, match=words) as caught:
        warmed(
            tmp_path / "model", f'max_batch_size: 2\nmodel_warmup {{ name: "first" {sample} }}', pytest.fail
        )

    assert str(caught.value).startswith("config.pbtxt:2: warm-up 'first'")


def test_a_run_that_fails_is_why_the_model_is_not_loaded(tmp_path):
    """With its text; nothing is run after it."""
    runs: list[object] = []

    def fail(tensors):
        runs.append(tensors)
        raise GatewayError(Fault.INVALID, "no such row")

    with pytest.raises(ModelError, match=r"config\.pbtxt:1: warm-up 'first': no such row"):
        warmed(
            tmp_path, f'model_warmup {{ name: "first" count: 3 inputs {{ {X} zero_data: true }} }} }}', fail
        )
    assert len(runs) == 1


def test_a_warm_up_that_does_not_end_is_stopped(tmp_path):
    """It is told to, and no further sample is begun."""
    stopped = threading.Event()
    runs: list[object] = []

    def wait(tensors):
        runs.append(tensors)
        stopped.wait(10)

    with pytest.raises(ModelError, match=r"config\.pbtxt:1: the warm-up has not ended in 0\.1 s"):
        warmed(
            tmp_path,
            f'model_warmup {{ name: "first" count: 9 inputs {{ {X} zero_data: true }} }} }}',
            wait,
            stopped.set,
            WarmupLimits(0.1, 1 << 20),
        )
    assert len(runs) == 1


IN = 'input { name: "index" data_type: TYPE_INT64 dims: 1 }\n'
OUT = 'output { name: "value" data_type: TYPE_FP32 dims: 1 }\n'


def loaded(tmp_path, content: bytes, config: str, **limits) -> Registry:
    onnx_models.write(tmp_path, "lookup", content)
    (tmp_path / "lookup" / "config.pbtxt").write_text(config)
    return Registry.load(ModelsSettings(repository=str(tmp_path), limits={"lookup": ModelLimits(**limits)}))


@pytest.mark.parametrize(("value", "is_good"), [(3, True), (4, False)])
def test_a_model_is_loaded_when_its_warm_up_went_well(tmp_path, value, is_good):
    """The run is a client's: the same checks, the same shapes, the same words."""
    onnx_models.write(tmp_path, "lookup", onnx_models.lookup())
    (tmp_path / "lookup" / "warmup").mkdir()
    (tmp_path / "lookup" / "warmup" / "index").write_bytes(np.array([value], "<i8").tobytes())
    config = f"""max_batch_size: 4
    {IN}{OUT}model_warmup {{ name: "of a file" batch_size: 2
      inputs {{ key: "index" value {{ data_type: TYPE_INT64 dims: 1 input_data_file: "index" }} }} }}"""

    if is_good:
        assert loaded(tmp_path, onnx_models.lookup(), config).get("lookup").version == "1"
    else:
        with pytest.raises(
            ModelError, match=r"lookup/config\.pbtxt:4: warm-up 'of a file': the model cannot"
        ):
            loaded(tmp_path, onnx_models.lookup(), config)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("", "expected 1 inputs but got 0"),
        (
            'inputs { key: "index" value { data_type: TYPE_FP32 dims: 1 zero_data: true } }',
            "data-type is 'FP32'",
        ),
        ('inputs { key: "index" value { data_type: TYPE_INT64 dims: 2 zero_data: true } }', "got \\[1,2\\]"),
        ('inputs { key: "other" value { data_type: TYPE_INT64 dims: 1 zero_data: true } }', "'other'"),
    ],
)
def test_a_warm_up_that_no_client_could_send(tmp_path, inputs, words):
    """It is refused as a client's request would be."""
    config = f'max_batch_size: 4 {IN}{OUT}model_warmup {{ name: "odd" batch_size: 1 {inputs} }}'

    with pytest.raises(ModelError, match=words):
        loaded(tmp_path, onnx_models.lookup(), config)


def test_a_real_run_that_takes_too_long_is_stopped(tmp_path):
    """ONNX Runtime ends it between two operators, and the model is not loaded."""
    config = """input { name: "x" data_type: TYPE_FP32 dims: [ 1, 1 ] }
    output { name: "y" data_type: TYPE_FP32 dims: [ 1, 1 ] }
    model_warmup { name: "long" inputs {
      key: "x" value { data_type: TYPE_FP32 dims: [ 1, 1 ] input_data_file: "many" } } }"""
    (tmp_path / "lookup" / "warmup").mkdir(parents=True)
    (tmp_path / "lookup" / "warmup" / "many").write_bytes(np.array([1e12], "<f4").tobytes())

    with pytest.raises(ModelError, match=r"lookup/config\.pbtxt:3: the warm-up has not ended in 3 s"):
        loaded(tmp_path, loop_by_value(), config, startup_timeout_s=3)
    assert not [name for name in unfinished() if "warmup" in name]
