"""Tiny models with state, and the configuration that stands beside them.

Example::

    repository = write(tmp_path, "sums", accumulator(), config("sums", OLDEST))
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from onnx import TensorProto, helper

from gateway.wire.proto.messages import message
from tests.edge_models import onnx_models

INT32, INT64, UINT64 = TensorProto.INT32, TensorProto.INT64, TensorProto.UINT64
STRING, FLOAT = TensorProto.STRING, TensorProto.FLOAT

CONTROLS = """
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] } }
  control_input { name: "END" control { kind: CONTROL_SEQUENCE_END int32_false_true: [0, 1] } }
  control_input { name: "READY" control { kind: CONTROL_SEQUENCE_READY int32_false_true: [0, 1] } }
  control_input { name: "CORRID" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
"""
STATE = 'state { input_name: "sum_in" output_name: "sum_out" data_type: TYPE_INT32 dims: [1] }'


def accumulator(batch: str | None = "n", *, rank: int = 2) -> bytes:
    """INPUT → OUTPUT: the sum of all inputs of the sequence. FLAGS: START + 10 END + 100 READY. ID: CORRID."""
    shape: list[Any] = [batch, 1] if rank == 2 else [1]
    return onnx_models.model(
        [
            helper.make_node("Add", ["INPUT", "sum_in"], ["sum_out"]),
            helper.make_node("Identity", ["sum_out"], ["OUTPUT"]),
            helper.make_node("Mul", ["END", "ten"], ["tens"]),
            helper.make_node("Mul", ["READY", "hundred"], ["hundreds"]),
            helper.make_node("Add", ["START", "tens"], ["some"]),
            helper.make_node("Add", ["some", "hundreds"], ["FLAGS"]),
            helper.make_node("Identity", ["CORRID"], ["ID"]),
        ],
        [
            *((name, INT32, shape) for name in ("INPUT", "START", "END", "READY", "sum_in")),
            ("CORRID", UINT64, shape),
        ],
        [
            *((name, INT32, shape) for name in ("OUTPUT", "FLAGS", "sum_out")),
            ("ID", UINT64, shape),
        ],
        ten=np.int32(10),
        hundred=np.int32(100),
    )


def bare() -> bytes:
    """INPUT → OUTPUT: the sum of all inputs of the sequence, without any control input."""
    return onnx_models.model(
        [
            helper.make_node("Add", ["INPUT", "sum_in"], ["OUTPUT"]),
            helper.make_node("Identity", ["OUTPUT"], ["sum_out"]),
        ],
        [(name, INT32, ["n", 1]) for name in ("INPUT", "sum_in")],
        [(name, INT32, ["n", 1]) for name in ("OUTPUT", "sum_out")],
    )


def simple_sequence() -> bytes:
    """As Triton's example of that name: OUTPUT = READY * (INPUT + START), and no state."""
    return onnx_models.model(
        [
            helper.make_node("Add", ["INPUT", "START"], ["sum"]),
            helper.make_node("Mul", ["sum", "READY"], ["OUTPUT"]),
        ],
        [(name, INT32, ["n", 1]) for name in ("INPUT", "START", "READY")],
        [("OUTPUT", INT32, ["n", 1])],
    )


def simple_dyna_sequence(correlation: int = UINT64) -> bytes:
    """As Triton's examples: INPUT + START, and the id added at the end; with a text as id the sum so far."""
    before = "sum_in" if correlation == STRING else "START"
    names = ("INPUT", "START", "END", "READY", *(("sum_in",) if correlation == STRING else ()))
    return onnx_models.model(
        [
            helper.make_node("Cast", ["CORRID"], ["id"], to=INT32),
            helper.make_node("Mul", ["END", "id"], ["at_end"]),
            helper.make_node("Add", ["INPUT", before], ["sum_out"]),
            helper.make_node("Add", ["sum_out", "at_end"], ["OUTPUT"]),
        ],
        [*((name, INT32, ["n", 1]) for name in names), ("CORRID", correlation, ["n", 1])],
        [(name, INT32, ["n", 1]) for name in ("OUTPUT", "sum_out")],
    )


def table() -> bytes:
    """index [n, 1] → value [n, 1], which fails for any but four; total [n, 1]: the sum so far (``kept``)."""
    return onnx_models.model(
        [
            helper.make_node("Gather", ["table", "index"], ["value"]),
            helper.make_node("Add", ["value", "kept_in"], ["kept_out"]),
        ],
        [("index", INT64, ["n", 1]), ("kept_in", FLOAT, ["n", 1])],
        [("value", FLOAT, ["n", 1]), ("kept_out", FLOAT, ["n", 1])],
        table=np.array([10, 11, 12, 13], np.float32),
    )


def words() -> bytes:
    """word [n, 1] → last [n, 1]: the word of the step before. id [n, 1]: CORRID, a text."""
    return onnx_models.model(
        [
            helper.make_node("Identity", ["word"], ["word_out"]),
            helper.make_node("Identity", ["word_in"], ["last"]),
            helper.make_node("Identity", ["CORRID"], ["id"]),
        ],
        [(name, STRING, ["n", 1]) for name in ("word", "word_in", "CORRID")],
        [(name, STRING, ["n", 1]) for name in ("word_out", "last", "id")],
    )


def grower() -> bytes:
    """piece [1, some] → all [1, any]: every piece so far, which is the state as well."""
    return onnx_models.model(
        [
            helper.make_node("Concat", ["all_in", "piece"], ["all"], axis=1),
            helper.make_node("Identity", ["all"], ["all_out"]),
        ],
        [("piece", FLOAT, ["n", "some"]), ("all_in", FLOAT, ["n", "before"])],
        [("all", FLOAT, ["n", "after"]), ("all_out", FLOAT, ["n", "after"])],
    )


TEXT_CONTROLS = CONTROLS.replace("TYPE_UINT64", "TYPE_STRING")


def config(sequence_batching: str, *, max_batch_size: int = 8, more: str = "") -> str:
    """A `config.pbtxt`."""
    return f"max_batch_size: {max_batch_size}\n{more}\nsequence_batching {{ {sequence_batching} }}\n"


def write(repository: Path, name: str, content: bytes, configuration: str) -> Path:
    """Write a model with its configuration and return the repository's folder."""
    onnx_models.write(repository, name, content)
    (repository / name / "config.pbtxt").write_text(configuration)
    return repository


def batching(text: str) -> Any:
    """An ``inference.ModelSequenceBatching``."""
    parsed = message("inference.ModelConfig")()
    text_format.Parse(f"sequence_batching {{ {text} }}", parsed)
    return parsed.sequence_batching
