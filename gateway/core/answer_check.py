"""What an answer must be for the request that it answers and the model that gave it; pure functions.

Whatever is behind this gateway may be wrong: an endpoint, another gateway, a cache that others write to. The
codecs have checked that an answer is well-formed, every tensor filled; here it is compared with what was
wanted. A *misfit* depends on the request (a caller who names a version or an output that is not there may be
given another by a lenient server), so it is no evidence against anybody. A *flaw* is one in the face of the
model's own signature.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from msgspec.structs import replace

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.classes import is_classified
from gateway.core.errors import printable
from gateway.core.request import Request, Response
from gateway.core.tensor import BYTES, DATATYPES, Tensor

_MAX_VERSION: Final = 256


def misfit(response: Response, request: Request) -> str:
    """Return why ``response`` does not answer ``request``; empty: it does.

    A server that names no model or no version is believed to mean the ones that it was sent.
    """
    if response.model and response.model != request.model:
        return f"it is of model '{printable(response.model)}'"
    if request.version and response.version and response.version != request.version:
        return f"it is of version '{printable(response.version)}'"
    if request.outputs:
        missing = set(request.outputs).difference([output.name for output in response.outputs])
        if missing:
            return f"output '{printable(min(missing))}' is missing"
    for output in response.outputs:
        if output.parameters and is_classified(output) and not request.classes.get(output.name):
            return f"output '{printable(output.name)}' is classified"
    return ""


def flaw(response: Response, spec: ModelSpec | None, *, selected: bool) -> str:
    """Return what in ``response`` contradicts the model's signature; empty: nothing, as far as is known.

    ``selected``: the request named outputs, so that the others may be left out.
    """
    if len(response.version) > _MAX_VERSION or not response.version.isprintable():
        return "its version is no name"
    if spec is None or not spec.outputs:
        return ""
    known = {output.name: output for output in spec.outputs}
    for tensor in response.outputs:
        if contradiction := _contradiction(tensor, known.pop(tensor.name, None)):
            return contradiction
    return f"output '{min(known)}' is missing" if known and not selected else ""


def fitted(response: Response, request: Request) -> Response:
    """Return a response that fits, with the outputs that ``request`` names, in its order, and its model."""
    outputs = response.outputs
    if request.outputs and request.outputs != tuple([output.name for output in outputs]):
        by_name = {output.name: output for output in outputs}
        return replace(
            response, model=request.model, outputs=tuple([by_name[name] for name in request.outputs])
        )
    return response if response.model else replace(response, model=request.model)


def is_finite(outputs: Iterable[Tensor]) -> bool:
    """Whether no output holds NaN or an infinity; text and whole numbers cannot."""
    for output in outputs:
        dtype = DATATYPES.get(output.datatype)
        if dtype is not None and dtype.kind == "f" and not np.isfinite(output.numpy()).all():
            return False
    return True


def has_rows(response: Response, request: Request, spec: ModelSpec) -> bool:
    """Whether outputs have as many rows as the inputs, for a model whose first dimension is the batch."""
    rows = {tensor.shape[:1] for tensor in request.inputs}
    batched = {output.name for output in spec.outputs if output.shape[:1] == (-1,)}
    return len(rows) == 1 and all(
        output.shape[:1] in rows for output in response.outputs if output.name in batched
    )


def _contradiction(tensor: Tensor, expected: TensorSpec | None) -> str:
    if expected is None:
        return f"the model has no output '{printable(tensor.name)}'"
    if tensor.parameters and is_classified(tensor):
        return "" if tensor.datatype == BYTES else f"output '{tensor.name}' holds no classes"
    if tensor.datatype != expected.datatype:
        return f"output '{tensor.name}' is {printable(tensor.datatype)}, not {printable(expected.datatype)}"
    return (
        "" if _has_shape(tensor, expected) else f"output '{tensor.name}' has another shape than the model's"
    )


def _has_shape(tensor: Tensor, expected: TensorSpec) -> bool:
    return len(tensor.shape) == len(expected.shape) and all(
        want in {-1, got} for got, want in zip(tensor.shape, expected.shape, strict=True)
    )
