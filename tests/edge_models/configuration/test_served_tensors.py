"""Shapes as clients have them, and as the graph has them."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.configuration.reading import parse_text
from edge_models.configuration.served_tensors import Reshape, ServedTensors, served_tensors
from edge_models.errors import ModelError
from gateway.core.catalog import TensorSpec

INPUTS = (TensorSpec("x", "FP32", (-1, 784)), TensorSpec("z", "FP32", (-1, -1)))
OUTPUTS = (TensorSpec("y", "FP32", (-1, 10)), TensorSpec("label", "INT64", (-1,)))


def tensors(text: str) -> ServedTensors:
    return served_tensors(parse_text(text.encode()), INPUTS, OUTPUTS)


def test_without_a_file_clients_have_what_the_graph_has():
    """Nothing is reshaped."""
    assert served_tensors(None, INPUTS, OUTPUTS) == ServedTensors(INPUTS, OUTPUTS)
    assert tensors("max_batch_size: 4") == ServedTensors(INPUTS, OUTPUTS)


def test_dims_are_what_clients_send():
    """The batch stands before them; a size that the graph leaves open may be fixed; the order is the file's."""
    found = tensors(
        """max_batch_size: 4
        input [ { name: "z" dims: 3 optional: true }, { name: "x" dims: [ 28, 28 ] reshape { shape: 784 } } ]
        output { name: "label" dims: 1 reshape { } }"""
    )

    assert [(spec.name, spec.shape) for spec in found.inputs] == [("z", (-1, 3)), ("x", (-1, 28, 28))]
    assert [(spec.name, spec.datatype, spec.shape) for spec in found.outputs] == [("label", "INT64", (-1, 1))]
    assert found.to_graph == {"x": Reshape((28, 28), (784,), 1)}
    assert found.from_graph == {"label": Reshape((), (1,), 1)}
    assert found.optional == {"z"}


def test_dims_may_be_none():
    """A request has the batch dimension alone, and the graph one of size 1."""
    found = served_tensors(
        parse_text(b'max_batch_size: 4 input { name: "x" dims: [] reshape { shape: [ 1 ] } }'),
        (TensorSpec("x", "FP32", (-1, 1)),),
        (),
    )

    assert found.inputs[0].shape == (-1,)
    assert found.to_graph["x"](np.zeros(5)).shape == (5, 1)


@pytest.mark.parametrize(
    ("given", "wanted", "lead", "shape", "expected"),
    [
        ((28, 28), (784,), 1, (3, 28, 28), (3, 784)),
        ((784,), (28, 28), 0, (784,), (28, 28)),
        ((1,), (), 1, (3, 1), (3,)),
        ((-1, 4), (-1, 2, 2), 1, (3, 5, 4), (3, 5, 2, 2)),
        ((-1, 2, 3, -1), (-1, 6, -1), 0, (7, 2, 3, 9), (7, 6, 9)),
        ((-1,), (-1, 1), 1, (3, 0), (3, 0, 1)),
    ],
)
def test_free_dimensions_keep_their_order(given, wanted, lead, shape, expected):
    """Each -1 of the one is that of the other; the data stays as it is."""
    array = np.arange(np.prod(shape)).reshape(shape)

    reshaped = Reshape(given, wanted, lead)(array)

    assert reshaped.shape == expected
    assert reshaped.ravel().tolist() == array.ravel().tolist()
    assert Reshape(wanted, given, lead)(reshaped).shape == shape


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('input { name: "x"\n dims: [ 28, 27 ]\n reshape { shape: [ 784 ] } }', "different size for dims"),
        ('input { name: "x"\n dims: [ -1 ]\n reshape { shape: [ 784 ] } }', "different size for dims"),
        ('input { name: "x"\n dims: [ -1, 4 ]\n reshape { shape: [ 4, -1 ] } }', "different size for dims"),
        (
            'output { name: "y"\n dims: [ 2, 5 ]\n reshape { shape: [ 11 ] } }',
            r"dims \[2,5\] and reshape \[11\]",
        ),
        ('output { name: "y"\n dims: [ 1 ]\n reshape { } }', "there is no batch dimension"),
        ('input { name: "x"\n dims: [ 0 ]\n reshape { shape: [ 0 ] } }', "must be integers >= 1, or -1"),
        ('input { name: "x"\n dims: [ -2 ]\n reshape { shape: [ -2 ] } }', "must be integers >= 1, or -1"),
    ],
)
def test_what_cannot_be_reshaped_is_named_with_its_line(text, words):
    """At load, not at the first request."""
    with pytest.raises(ModelError, match=words) as caught:
        tensors(text)

    assert str(caught.value).startswith("config.pbtxt:3")
