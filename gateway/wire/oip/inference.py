"""An infer request as it is decoded, from JSON or from protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.core.partitions import Lesson
from gateway.core.request import NO_CLASSES, NO_OUTPUT_PARAMETERS, Parameter
from gateway.core.tensor import Tensor


class OutputFormat(msgspec.Struct, frozen=True):
    """How the client wants its outputs written.

    ``binary_names``: by output, whether it goes into the binary section of an HTTP body; ``is_binary``: the
    same for all others. Protobuf has no such choice. ``classes``: output → how many of its highest elements
    are sent instead of the output. ``parameters``: output → what the client says of it to the server.
    """

    is_binary: bool = False
    binary_names: Mapping[str, bool] | None = None
    classes: Mapping[str, int] = NO_CLASSES
    parameters: Mapping[str, Mapping[str, Parameter]] = NO_OUTPUT_PARAMETERS

    def writes_binary(self, output: str) -> bool:
        """Whether ``output`` is to be written as binary data."""
        return self.is_binary if self.binary_names is None else self.binary_names.get(output, self.is_binary)


PLAIN_OUTPUTS: Final = OutputFormat()
BINARY_OUTPUTS: Final = OutputFormat(is_binary=True)


class Inference(msgspec.Struct, frozen=True):
    """The content of an infer request, without its path and headers.

    ``timeout_s`` is the parameter ``timeout``, which is no longer among ``parameters``. ``model`` and
    ``version`` are empty over HTTP, where the path names them. ``marks_final``: the last answer of a gRPC
    stream is to be marked. ``lesson``: what may be remembered of how it was read, once it is answered.
    """

    id: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...]
    output_format: OutputFormat
    parameters: Mapping[str, Parameter]
    timeout_s: float
    model: str = ""
    version: str = ""
    marks_final: bool = False
    lesson: Lesson | None = None
