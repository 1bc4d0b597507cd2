"""Bodies of requests over HTTP, sound ones and others, and how one is refused."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.core.errors import GatewayError
from gateway.core.request import Provenance
from gateway.core.tensor import DATATYPES, Tensor
from gateway.wire.oip.json import (
    decode_request,
)

CENTRAL = Provenance("central")
DTYPES = tuple(DATATYPES.values())
NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
PARAMETERS = st.dictionaries(
    NAMES.filter(lambda name: name not in {"timeout", "binary_data_output", "sequence_id", "priority"}),
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    max_size=3,
)


@st.composite
def arrays(draw, dtypes=DTYPES, **elements):
    if draw(st.integers(0, 5)) == 0:
        words = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=5))
        return np.array([word.encode() for word in words], dtype=object)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    return draw(hnp.arrays(draw(st.sampled_from(dtypes)), shape, elements=elements or None))


@st.composite
def tensors(draw, **options):
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    return tuple(Tensor.from_numpy(name, draw(arrays(**options))) for name in names)


def body_of(**changes):
    image = {"name": "image", "datatype": "FP32", "shape": [2], "data": [1, 2]}
    return msgspec.json.encode({"inputs": [image], **changes})


def binary(tail=b"\0" * 8, **changes):
    """A body with one binary FP32 [2] input: JSON, tail, length of the JSON."""
    image = {"name": "image", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}
    header = msgspec.json.encode({"inputs": [{**image, **changes}]})
    return header + tail, len(header)


def refused(body, header_length=None):
    with pytest.raises(GatewayError) as caught:
        decode_request(body, header_length)
    return caught.value


def texts(*counts: int, cut: int = 0) -> tuple[bytes, int]:
    """A body of as many inputs of empty BYTES elements, and the length of its JSON."""
    inputs = [
        {"name": str(i), "datatype": "BYTES", "shape": [count], "parameters": {"binary_data_size": 4 * count}}
        for i, count in enumerate(counts)
    ]
    header = msgspec.json.encode({"inputs": inputs})
    return header + bytes(4 * sum(counts) - cut), len(header)
