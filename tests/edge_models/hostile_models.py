"""Model files that somebody should not have put there: small ones that take everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.edge_models.onnx_models import FLOAT, INT64, model

_X, _Y = ("x", FLOAT, ["n", 1]), ("y", FLOAT, ["n", 1])
ENDLESS = 1 << 62


def _body(node: Any) -> Any:
    return helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), node],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v2", FLOAT, None),
        ],
    )


def loop(trips: int = ENDLESS, rows: str | int = "n") -> bytes:
    """x [n, 1] → y [n, 1], after ``trips`` additions."""
    nodes = [
        helper.make_node(
            "Loop", ["t", "c", "x"], ["l"], body=_body(helper.make_node("Add", ["v", "v"], ["v2"]))
        ),
        helper.make_node("Add", ["x", "l"], ["y"]),
    ]
    shape = [rows, 1]
    return model(nodes, [("x", FLOAT, shape)], [("y", FLOAT, shape)], t=np.int64(trips), c=np.array(True))


def loop_by_value(rows: str | int = 1) -> bytes:
    """x [1, 1] → y [1, 1]: as many additions as x says, so zeros end at once."""
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["t"], to=INT64),
        helper.make_node(
            "Loop", ["t", "c", "x"], ["l"], body=_body(helper.make_node("Add", ["v", "v"], ["v2"]))
        ),
        helper.make_node("Add", ["x", "l"], ["y"]),
    ]
    shape = [rows, 1]
    return model(nodes, [("x", FLOAT, shape)], [("y", FLOAT, shape)], c=np.array(True))


def growing() -> bytes:
    """x [n, 1] → y: twice as large with every trip, for ever."""
    nodes = [
        helper.make_node(
            "Loop",
            ["t", "c", "x"],
            ["l"],
            body=_body(helper.make_node("Concat", ["v", "v"], ["v2"], axis=0)),
        ),
        helper.make_node("ReduceSum", ["l"], ["z"], keepdims=0),
        helper.make_node("Add", ["x", "z"], ["y"]),
    ]
    return model(nodes, [_X], [_Y], t=np.int64(1 << 40), c=np.array(True))


def sized(items: int) -> bytes:
    """x [n, 1] → y [n, 1], by way of a constant of so many floats that the file only names."""
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["z"], keepdims=0),
        helper.make_node("Add", ["x", "z"], ["y"]),
    ]
    return model(nodes, [_X], [_Y], s=np.array([items], np.int64))


def sized_by_value() -> bytes:
    """x [n, 1] → y [n, 1], by way of as many floats as x says."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["s"], to=INT64),
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["z"], keepdims=0),
        helper.make_node("Add", ["x", "z"], ["y"]),
    ]
    return model(nodes, [_X], [_Y], axes=np.array([0]))


def sparse(items: int) -> bytes:
    """x [n, 1] → y [n, 1], with weights that the file has as one number and a size."""
    nodes = [
        helper.make_node("ReduceSum", ["w"], ["z"], keepdims=0),
        helper.make_node("Add", ["x", "z"], ["y"]),
    ]
    made = onnx.load_from_string(model(nodes, [_X], [_Y]))
    values = numpy_helper.from_array(np.array([1], np.float32), "w")
    indices = numpy_helper.from_array(np.array([0], np.int64), "w_i")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1, items]))
    return bytes(made.SerializeToString())


def one_operator() -> bytes:
    """x [1, 1] → y [1, 1]: one product of squares whose side x says; it cannot be stopped on its way."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["side"], keepdims=0),
        helper.make_node("Cast", ["side"], ["one"], to=INT64),
        helper.make_node("Concat", ["one", "one"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["square"]),
        helper.make_node("MatMul", ["square", "square"], ["product"]),
        helper.make_node("ReduceSum", ["product"], ["z"], keepdims=0),
        helper.make_node("Add", ["x", "z"], ["y"]),
    ]
    shape = [1, 1]
    return model(nodes, [("x", FLOAT, shape)], [("y", FLOAT, shape)], axes=np.array([0]))


def external(location: str) -> bytes:
    """x [n, 1] → y [n, 1], whose weights are said to lie at ``location``."""
    made = onnx.load_from_string(model([helper.make_node("Add", ["x", "w"], ["y"])], [_X], [_Y]))
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[1, 1], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    made.graph.initializer.append(tensor)
    return bytes(made.SerializeToString())


def stamped(*, ir: int = 9, opset: int = 17, kind: str = "Identity", domain: str = "") -> bytes:
    """x [n, 1] → y [n, 1] by one operator, with other numbers and names than are usual."""
    made = onnx.load_from_string(model([helper.make_node(kind, ["x"], ["y"], domain=domain)], [_X], [_Y]))
    made.ir_version = ir
    del made.opset_import[:]
    made.opset_import.append(helper.make_opsetid("", opset))
    if domain:
        made.opset_import.append(helper.make_opsetid(domain, 1))
    return bytes(made.SerializeToString())
