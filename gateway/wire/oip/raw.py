"""A request without JSON: the body is the data of a model's one input, which its metadata describe."""

from __future__ import annotations

import math
import struct

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import NO_PARAMETERS
from gateway.core.tensor import BYTES, ITEM_SIZES, Buffer, Tensor, check_size, element_count
from gateway.wire.oip.inference import BINARY_OUTPUTS, Inference


def raw_inference(spec: ModelSpec, body: Buffer) -> Inference:
    """Read a body that holds nothing but the elements of the model's one input, for a batch of 1.

    A BYTES input is one element, which the whole body is. Outputs are wanted as binary data.

    Raises:
        GatewayError: INVALID when the model has more than one input, or more than one dimension of free
            size beside the batch, or when the body does not fill the shape. The words are Triton's.
    """
    if len(spec.inputs) != 1:
        raise GatewayError(
            Fault.INVALID,
            "Raw request must only have 1 input (found 1) to be deduced but got "
            f"{len(spec.inputs)} inputs in '{spec.name}' model configuration",
        )
    (only,) = spec.inputs
    data = struct.pack("<I", len(body)) + body if only.datatype == BYTES else body
    tensor = Tensor(only.name, only.datatype, _shape(only, len(body)), data)
    if only.datatype == BYTES and element_count(tensor.shape) != 1:
        raise GatewayError(
            Fault.INVALID,
            f"For BYTE datatype raw input '{only.name}', the model must have input shape [1]",
        )
    check_size(tensor, spec.name)
    return Inference("", (tensor,), (), BINARY_OUTPUTS, NO_PARAMETERS, math.inf)


def _shape(spec: TensorSpec, size: int) -> tuple[int, ...]:
    shape = list(spec.shape)
    if shape.count(-1) > 1 and shape[0] == -1:
        shape[0] = 1
    if shape.count(-1) > 1:
        raise GatewayError(
            Fault.INVALID,
            f"The shape of the raw input '{spec.name}' can not be deduced because there are more than one "
            "variable-sized dimension",
        )
    if -1 in shape:
        place = shape.index(-1)
        others = math.prod(shape[:place] + shape[place + 1 :]) * ITEM_SIZES.get(spec.datatype, 1)
        is_batch = place == 0 and len(shape) > 1
        shape[place] = 1 if is_batch or spec.datatype == BYTES or not others else size // others
    return tuple(shape)
