"""What the tensors inside a model are, found out by running it with all of them as outputs.

ONNX's own shape inference knows no operators of other domains; ONNX Runtime knows all that it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edge_models.configuration.session_parameters import SessionParameters
from edge_models.model_files import ModelFiles
from edge_models.onnxruntime_errors import run_error
from edge_models.sample_feeds import Feeds, Sample
from edge_models.session import CPU, Session, open_session, protocol_datatype
from edge_models.splitting.cut import Cut, CutError
from edge_models.splitting.model_graph import ModelGraph
from edge_models.splitting.parts import TensorForm
from gateway.core.catalog import TensorSpec
from gateway.core.spelling import shown
from gateway.core.tensor import BYTES, DATATYPES, Array

Feed = Mapping[str, Array]

_UNOPTIMIZED: Final = SessionParameters(graph="none", intra_op_threads=1)
_ROWS: Final = (1, 2, 3, 8)
_SIZE: Final = 8
"""Of a dimension that the model leaves open and that is not the batch."""


class Probe:
    """A model that gives ``names`` beside its outputs, one operator after the other.

    Raises:
        ModelError: ONNX Runtime cannot load it so.
    """

    def __init__(self, onnx: Any, model: Any, names: Iterable[str]) -> None:
        self._onnx = onnx
        probed = onnx.ModelProto()
        probed.CopyFrom(model)
        there = {each.name for each in model.graph.output}
        probed.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in there
        )
        files = ModelFiles(probed.SerializeToString())
        self._session = open_session(files, [CPU], _UNOPTIMIZED, 0)
        self._outputs = {each.name: each for each in self._session.get_outputs()}

    def __repr__(self) -> str:
        return f"<Probe of {len(self._outputs)} tensors>"

    def shapes(self, feed: Feed) -> dict[str, tuple[tuple[int, ...], int]]:
        """Return the shape of each tensor in a run on ``feed``, and its bytes.

        Raises:
            GatewayError: it cannot run on it.
        """
        return {
            name: (value.shape, value.nbytes)
            for name, value in self._run(feed).items()
            if isinstance(value, np.ndarray)
        }

    def forms(self, cut: Cut, feeds: Sequence[Feed], whole: Session) -> dict[str, TensorForm]:
        """Return what the tensors of ``cut`` are; ``whole``: the model, whose rows they must have as well.

        Raises:
            CutError: one cannot be a feature.
            GatewayError: the model cannot run on ``feeds``.
        """
        rows = [{name: shape for name, (shape, _) in self.shapes(feed).items()} for feed in feeds]
        batches = [_rows_of(feed, whole) for feed in feeds]
        batch = str(self._session.get_inputs()[0].shape[0]) if whole.batchable else ""
        forms = {}
        for name in cut.tensors:
            has_rows = all(shapes[name][:1] == (count,) for shapes, count in zip(rows, batches, strict=True))
            if batch and not has_rows:
                raise CutError(
                    f"'{shown(name)}' does not have one row for each of the input's (it is "
                    f"{list(rows[-1][name])} for {batches[-1]} rows), so requests could not share a run: "
                    "cut elsewhere"
                )
            forms[name] = self._form(name, batch)
        return forms

    def _run(self, feed: Feed) -> dict[str, Any]:
        try:
            values = self._session.run(list(self._outputs), _with_texts(feed))
        except Exception as error:  # ONNX Runtime's errors share no base class.
            raise run_error(error) from error
        return dict(zip(self._outputs, values, strict=True))

    def _form(self, name: str, batch: str) -> TensorForm:
        node = self._outputs[name]
        datatype = protocol_datatype(node.type)
        if datatype is None or datatype == BYTES:
            raise CutError(
                f"'{shown(name)}' is a {node.type}, and features are tensors of numbers: cut elsewhere"
            )
        # Dimensions have names of their own, for ONNX Runtime's depend on the rest of the graph.
        shape = [
            size if isinstance(size, int) else f"{name}_{place}" for place, size in enumerate(node.shape)
        ]
        if batch:
            shape[0] = batch
        return TensorForm(self._onnx.helper.np_dtype_to_tensor_dtype(DATATYPES[datatype]), shape)


def probe_all(onnx: Any, model: Any, graph: ModelGraph) -> Probe:
    """Return a probe of every tensor that depends on the inputs."""
    return Probe(onnx, model, [name for name in graph.makers if name in graph.varying])


def made_feeds(session: Session, rows: Iterable[int] = _ROWS) -> Iterator[dict[str, Array]]:
    """Yield feeds of made-up values: normal numbers, zeros and ones for whole numbers, short texts."""
    chance = np.random.default_rng(1)
    for count in rows if session.batchable else (1, 1, 1):
        yield {spec.name: _made(spec, count, chance, is_batch=session.batchable) for spec in session.inputs}


def feeds_of(sample: Sample) -> Callable[[Session], Iterator[Feed]]:
    """Return what makes the feeds of a sample: a row alone, two, and then all of them in large runs.

    What it returns raises ValueError: the sample does not fit the model.
    """

    def feeds(session: Session) -> Iterator[Feed]:
        found = Feeds(sample, session.inputs)
        if session.batchable:
            first = next(iter(found))
            for rows in (1, 2):
                yield {name: array[:rows] for name, array in first.items()}
        yield from found

    return feeds


def _made(spec: TensorSpec, rows: int, chance: np.random.Generator, *, is_batch: bool) -> Array:
    shape = [_SIZE if size < 0 else size for size in spec.shape]
    if is_batch:
        shape[0] = rows
    if spec.datatype == BYTES:
        texts = np.empty(shape, object)
        texts.ravel()[:] = [b"edge %d" % place for place in range(texts.size)]
        return texts
    dtype = DATATYPES[spec.datatype]
    if dtype.kind == "f":
        return chance.normal(size=shape).astype(dtype)
    return chance.integers(0, 2, size=shape).astype(dtype)


def _rows_of(feed: Feed, whole: Session) -> int:
    return len(feed[whole.inputs[0].name]) if whole.batchable else 1


def _with_texts(feed: Feed) -> dict[str, Array]:
    found = {}
    for name, array in feed.items():
        if array.dtype == object:
            texts = np.empty(array.shape, object)
            texts.ravel()[:] = [item.decode() for item in array.ravel()]
            found[name] = texts
        else:
            found[name] = array
    return found
