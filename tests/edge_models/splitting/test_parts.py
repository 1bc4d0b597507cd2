"""The two files of a cut model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from edge_models.splitting.cut import find_cut
from edge_models.splitting.model_graph import ModelGraph
from edge_models.splitting.parts import TensorForm, cut_apart
from tests.edge_models.splitting import models

FORM = TensorForm(TensorProto.FLOAT, ["n", 6])


def apart(model, at, passed=(), forms=None):
    cut = find_cut(ModelGraph(model.graph), at, passed)
    return cut_apart(onnx, model, cut, forms or dict.fromkeys(cut.tensors, FORM))


def run(part, **feed):
    session = onnxruntime.InferenceSession(part.SerializeToString())
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def test_each_part_has_the_weights_that_it_needs_and_both_run():
    backbone, head = apart(models.proto(models.TOWER), ["second"])
    x = np.ones((2, 4), np.float32)

    assert [each.name for each in backbone.graph.initializer] == ["w0"]
    assert [each.name for each in head.graph.initializer] == ["w1"]
    made = run(backbone, x=x)
    assert run(head, **made)["y"].tobytes() == run(models.proto(models.TOWER), x=x)["y"].tobytes()
    onnx.checker.check_model(backbone)
    onnx.checker.check_model(head)


def test_an_output_at_the_cut_goes_through_the_head_as_it_is():
    model = models.proto(models.TWO)
    backbone, head = apart(model, ["embedding"], ["user"])
    x, user = np.ones((2, 4), np.float32), np.ones((2, 3), np.float32)

    made = run(backbone, x=x)
    whole, split = run(model, x=x, user=user), run(head, user=user, **made)

    assert [each.name for each in head.graph.input] == ["embedding", "user"]
    assert {name: value.tobytes() for name, value in split.items()} == {
        name: value.tobytes() for name, value in whole.items()
    }


def test_equal_backbones_are_equal_files():
    """Whatever exporters wrote around them, and whatever the head has become."""
    old, new = models.proto(models.TOWER), models.proto(models.TOWER)
    new.graph.name, new.producer_name, new.doc_string = "trained anew", "another", "long"
    new.graph.node[0].doc_string = new.graph.input[0].doc_string = "of a class"
    new.metadata_props.add(key="run", value="7")
    for each in new.graph.initializer:
        if each.name == "w1":
            each.raw_data = bytes(reversed(each.raw_data))

    first, second = apart(old, ["second"]), apart(new, ["second"])

    assert first[0].SerializeToString() == second[0].SerializeToString()
    assert first[1].SerializeToString() != second[1].SerializeToString()
    assert [(each.key, each.value) for each in second[1].metadata_props] == [("run", "7")]


def test_local_functions_go_where_they_are_called():
    """And with them those that they call."""
    text = """
<ir_version: 9, opset_import: ["" : 17, "own" : 1]>
g (float[n, 6] x) => (float[n, 6] y) { [first] a = own.twice (x)  y = own.less (a) }
<domain: "own", opset_import: ["" : 17, "own" : 1]> twice (v) => (w) { u = own.plus (v)  w = Neg (u) }
<domain: "own", opset_import: ["" : 17]> plus (v) => (w) { w = Add (v, v) }
<domain: "own", opset_import: ["" : 17]> less (v) => (w) { w = Sub (v, v) }
"""
    model = onnx.parser.parse_model(text)

    backbone, head = apart(model, ["first"])

    assert [each.name for each in backbone.functions] == ["twice", "plus"]
    assert [each.name for each in head.functions] == ["less"]
    assert run(head, **run(backbone, x=np.ones((1, 6), np.float32)))["y"].tolist() == [[0.0] * 6]


def test_sparse_weights_and_a_weight_that_is_an_output_are_not_lost(tmp_path: Path):
    text = "g (float[n, 6] x) => (float[n, 6] y, float[6] k) { [first] a = Relu (x)  y = Mul (a, k) }"
    model = models.proto(text, k=np.ones(6, np.float32))
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [2.0])
    places = helper.make_tensor("places", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [6]))
    model.graph.node.append(helper.make_node("Neg", ["s"], ["unused"]))

    backbone, head = apart(model, ["first"])

    assert [each.name for each in backbone.graph.initializer] == []
    assert [each.name for each in head.graph.initializer] == ["k"]
    model.graph.node[1].input[1] = "s"
    assert len(apart(model, ["first"])[1].graph.sparse_initializer) == 1
