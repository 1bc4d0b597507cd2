"""Outputs that an endpoint has classified, because it alone has the names of the classes.

Answers hold outputs as the model gives them, and what a client is shown of them is made last. Such an output
is the exception: it holds texts, ``value:index:label``, and is marked by a parameter of its own, which goes
along into caches and to no client.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from gateway.core.tensor import BYTES, NO_PARAMETERS, Tensor

CLASSIFICATION: Final = "classification"
"""The parameter of a requested output: so many of its highest elements are wanted instead of it."""


def classified(tensor: Tensor, count: int) -> Tensor:
    """Mark what an endpoint was asked to classify; one that has not done so has sent no texts."""
    if tensor.datatype != BYTES:
        return tensor
    return replace(tensor, parameters={**tensor.parameters, CLASSIFICATION: count})


def is_classified(tensor: Tensor) -> bool:
    """Whether an endpoint has classified it."""
    return CLASSIFICATION in tensor.parameters


def unmarked(tensor: Tensor) -> Tensor:
    """Return it as it is shown to clients."""
    rest = {name: value for name, value in tensor.parameters.items() if name != CLASSIFICATION}
    return replace(tensor, parameters=rest or NO_PARAMETERS)
