"""What a model takes and gives, checked before anything is queued or run. Texts are Triton's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Final

from edge_models.configuration.served_tensors import ServedTensors
from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.tensor import Array, Tensor

_MOST_DIMENSIONS: Final = 8
_MOST_NAMES: Final = 8
_INT64: Final = (1 << 63) - 1


class Signature:
    """The inputs and outputs of one model, and the most rows that one request may have.

    Args:
        spec: what clients send and get.
        max_rows: None: the first dimension is not a batch, and a request is one row.
        tensors: which inputs may be left out, and which have another shape in the graph.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        max_rows: int | None,
        tensors: ServedTensors | None = None,
    ) -> None:
        self._model = spec.name
        self._inputs = {tensor.name: tensor for tensor in spec.inputs}
        self._optional = tensors.optional if tensors is not None else frozenset()
        self._to_graph = tensors.to_graph if tensors is not None else {}
        self._outputs = {tensor.name: index for index, tensor in enumerate(spec.outputs)}
        self._all = tuple(self._outputs.items())
        self._max_rows = max_rows

    def __repr__(self) -> str:
        return f"<Signature {self._model} {', '.join(self._inputs)} -> {', '.join(self._outputs)}>"

    def accept(self, tensors: Sequence[Tensor]) -> tuple[dict[str, Array], int]:
        """Return the inputs by name, as arrays, and how many rows they are.

        Raises:
            GatewayError: INVALID, naming the first input that is wrong and what was expected.
        """
        feed: dict[str, Array] = {}
        rows = 0
        for tensor in tensors:
            spec = self._inputs.get(tensor.name)
            if spec is None:
                raise _invalid(
                    f"unexpected inference input '{printable(tensor.name)}' for model '{self._model}'"
                )
            if tensor.name in feed:
                raise _invalid(f"input '{tensor.name}' already exists in request for model '{self._model}'")
            self._check(tensor, spec)
            if self._max_rows is not None:
                if rows and tensor.shape[0] != rows:
                    raise _invalid(f"input batch size does not match other inputs for '{self._model}'")
                rows = tensor.shape[0]
            feed[tensor.name] = tensor.numpy()
        if len(feed) != len(self._inputs):
            self._check_missing(feed)
        for name, reshape in self._to_graph.items():
            if name in feed:
                feed[name] = reshape(feed[name])
        return feed, rows or 1

    def select(self, names: Sequence[str]) -> Sequence[tuple[str, int]]:
        """Return name and place of the outputs ``names``; of all when it is empty.

        Raises:
            GatewayError: INVALID for a name that is unknown or there twice.
        """
        if not names:
            return self._all
        places: dict[str, int] = {}
        for name in names:
            if name not in self._outputs:
                raise _invalid(f"unexpected inference output '{printable(name)}' for model '{self._model}'")
            if name in places:
                raise _invalid(f"output '{name}' already requested for model '{self._model}'")
            places[name] = self._outputs[name]
        return tuple(places.items())

    def _check_missing(self, feed: Mapping[str, Array]) -> None:
        missing = [name for name in self._inputs if name not in feed and name not in self._optional]
        if missing:
            least = len(self._inputs) - len(self._optional)
            expected = f"between {least} and {len(self._inputs)}" if self._optional else f"{least}"
            raise _invalid(
                f"expected {expected} inputs but got {len(feed)} inputs for model '{self._model}'. "
                f"Got input(s) {_listed(feed)}, but missing required input(s) {_listed(missing)}. "
                "Please provide all required input(s)."
            )

    def _check(self, tensor: Tensor, spec: TensorSpec) -> None:
        if tensor.datatype != spec.datatype:
            raise _invalid(
                f"inference input '{spec.name}' data-type is '{printable(tensor.datatype)}', "
                f"but model '{self._model}' expects '{spec.datatype}'"
            )
        shape, expected = tensor.shape, spec.shape
        if len(shape) != len(expected) or any(
            got != want for got, want in zip(shape, expected, strict=True) if want != -1
        ):
            raise _invalid(
                f"unexpected shape for input '{spec.name}' for model '{self._model}'. "
                f"Expected {_shape(expected)}, got {_shape(shape)}"
            )
        if self._max_rows is not None and not 0 < shape[0] <= self._max_rows:
            bound = "> 0" if shape[0] <= 0 else f"<= {self._max_rows}"
            raise _invalid(f"inference request batch-size must be {bound} for '{self._model}'")


def _listed(names: Collection[str]) -> str:
    # A message becomes a header over gRPC.
    some = [f"'{name}'" for name in islice(names, _MOST_NAMES)]
    return f"[{','.join(some)}{',...' if len(names) > _MOST_NAMES else ''}]"


def _shape(shape: Sequence[int]) -> str:
    # A stranger chose these numbers: neither their count nor their digits may make the message long.
    if len(shape) > _MOST_DIMENSIONS:
        return f"{len(shape)} dimensions"
    return f"[{','.join(str(max(-_INT64, min(size, _INT64))) for size in shape)}]"


def _invalid(message: str) -> GatewayError:
    return GatewayError(Fault.INVALID, message)
