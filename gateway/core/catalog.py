"""What models there are and what they take: the metadata side of the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.core.errors import Fault, GatewayError, printable


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model's input or output. ``shape`` has -1 where any size goes; the first is the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's metadata. ``platform`` as Triton names it, ``onnxruntime_onnx``."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Catalog(Protocol):
    """Answers questions about models; each tier, and each upstream, is one."""

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata of ``model`` (``version`` empty: of the one that would answer).

        Raises:
            GatewayError: NOT_FOUND, or UNAVAILABLE when no tier that has the model can be reached.
        """
        ...

    async def is_ready(self, model: str, version: str) -> bool:
        """Whether a request for ``model`` would be served now.

        Raises:
            GatewayError: NOT_FOUND.
        """
        ...


def unknown_model(model: str, version: str = "") -> GatewayError:
    """Return the error for a model, or a version of a known one, that nobody here serves.

    The words are Triton's; clients look for them.
    """
    which = f" version {printable(version)}" if version else ""
    message = f"Request for unknown model: '{printable(model)}'{which} is not found"
    return GatewayError(Fault.NOT_FOUND, message)
