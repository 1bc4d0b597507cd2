"""A model cut in two and compared with what it was: the work of `edgeway model split`, without its words.

Nothing is returned that was not run: both parts, in the sessions that serve, must give what the whole gives,
bit for bit, or the difference is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_models.exported_model import import_once, read_whole_model
from edge_models.model_files import ModelFiles
from edge_models.output_differences import compare_specs
from edge_models.session import Session
from edge_models.split_session import FEATURES_FILE, HEAD_FILE, SplitSession
from edge_models.splitting.cut import Cut, CutError, find_cut
from edge_models.splitting.model_graph import ModelGraph
from edge_models.splitting.parts import cut_apart
from edge_models.splitting.probe import Feed, Probe, made_feeds, probe_all
from edge_models.splitting.suggestions import Suggestion, suggestions, work
from gateway.core.spelling import shown
from gateway.core.tensor import Array

Progress = Callable[[str, int, int], None]
"""Hears the step, how many feeds of it are done, and of how many."""

_MOST_OF_COMPANY: Final = 0.1
"""Part of the largest value by which a row may differ in company: dynamic quantization does by less."""

_PROBED: Final = 3
"""Feeds that tell what tensors are like."""


def _quiet(_step: str, _done: int, _of: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class SplitModel:
    """A model in two files.

    ``features``, ``head``: their contents. ``digest``: of both together; ``features_digest``: of the
    backbone, by which what it computes is kept. ``rows``: on how many both were compared with the whole.
    ``difference``: the largest between values, 0 where they are equal bit for bit; infinite where values
    cannot be compared. ``row_bytes``: what is kept of one row. ``share``: of the work before the cut.
    """

    features: bytes
    head: bytes
    cut: Cut
    digest: str
    features_digest: str
    rows: int
    difference: float
    row_bytes: int
    share: float


class Splitter:
    """One model, read, and ready to be cut.

    Args:
        onnx: the library.
        path: of the model's file.
        feeds: makes what it is run on; without it: made-up values.

    Raises:
        ValueError, ModelError: the file is no model that can be served.
        OSError: it cannot be opened.
    """

    def __init__(
        self, onnx: Any, path: Path, feeds: Callable[[Session], Iterable[Feed]] = made_feeds
    ) -> None:
        self._onnx = onnx
        self._path = path
        self._model, _ = read_whole_model(onnx, path)
        import_once(self._model)
        self.whole = Session(path)
        self.graph = ModelGraph(self._model.graph)
        self._feeds = list(feeds(self.whole))

    def __repr__(self) -> str:
        return f"<Splitter {self._path}, {self.graph!r}>"

    def suggest(self, passed: Sequence[str] = ()) -> list[Suggestion]:
        """Return where the model may well be cut, the best first.

        Raises:
            GatewayError: it cannot be run.
        """
        shapes, sizes = self._measured()
        return suggestions(self.graph, shapes, sizes, passed)

    def split(self, at: Sequence[str], passed: Iterable[str] = (), progress: Progress = _quiet) -> SplitModel:
        """Cut the model at ``at``, and compare both parts with it; ``passed``: inputs that the head takes.

        Raises:
            CutError: it cannot be cut there.
            ModelError: ONNX Runtime does not take the parts.
            GatewayError: the model, or a part, cannot be run.
        """
        cut = find_cut(self.graph, at, passed)
        progress("cutting", 0, 1)
        probe = Probe(self._onnx, self._model, cut.tensors)
        forms = probe.forms(cut, self._feeds[:_PROBED], self.whole)
        parts = cut_apart(self._onnx, self._model, cut, forms)
        features, head = (part.SerializeToString(deterministic=True) for part in parts)
        split = SplitSession(
            self._path.parent,
            Session(self._path.parent / FEATURES_FILE, ModelFiles(features)),
            Session(self._path.parent / HEAD_FILE, ModelFiles(head)),
        )
        self._check_same_tensors(split)
        rows, difference = self._compare(split, progress)
        if self.whole.batchable:
            self._check_rows(split)
        shapes, sizes = self._measured()
        costs = work(self.graph, shapes)
        return SplitModel(
            features,
            head,
            cut,
            split.digest,
            split.features.digest,
            rows,
            difference,
            sum(sizes[name] for name in cut.tensors),
            sum(costs[place] for place in cut.backbone) / (sum(costs) or 1),
        )

    def _check_same_tensors(self, split: SplitSession) -> None:
        """Check that clients cannot tell the parts from the whole, but for the order of inputs."""
        inputs = {spec.name: spec for spec in split.inputs}
        if missing := [spec.name for spec in self.whole.inputs if spec.name not in inputs]:
            raise CutError(f"no output needs the input '{missing[0]}': take it out of the model first")
        compare_specs("input", self.whole.inputs, [inputs[spec.name] for spec in self.whole.inputs])
        compare_specs("output", self.whole.outputs, split.outputs)
        if self.whole.batchable and not split.batchable:
            raise CutError(
                "requests could not share a run of both parts as they can of the whole: cut elsewhere"
            )

    def _check_rows(self, split: SplitSession) -> None:
        """Check that a row has about the same features in whatever company it comes."""
        names = [spec.name for spec in split.features.outputs]
        for feed in self._feeds[:_PROBED]:
            together = split.for_features(feed)
            alone = {name: array[-1:] for name, array in together.items()}
            for name, many, one in zip(
                names, split.features.run(together), split.features.run(alone), strict=True
            ):
                largest = np.abs(many[np.isfinite(many)].astype(np.float64)).max(initial=0)
                if difference(many[-1:], one) > _MOST_OF_COMPANY * float(largest) + math.ulp(0.0):
                    raise CutError(
                        f"a row of '{shown(name)}' depends on the rows beside it, and features are kept and "
                        "found row by row: cut elsewhere"
                    )

    def _compare(self, split: SplitSession, progress: Progress) -> tuple[int, float]:
        rows, worst = 0, 0.0
        for done, feed in enumerate(self._feeds, 1):
            pairs = zip(self.whole.run(feed), split.run(feed), strict=True)
            worst = max([worst, *(difference(one, other) for one, other in pairs)])
            rows += len(feed[self.whole.inputs[0].name]) if self.whole.batchable else 1
            progress("comparing", done, len(self._feeds))
        return rows, worst

    def _measured(self) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
        """Return shape and bytes of each tensor for one row, weights included."""
        feed = self._feeds[0]
        if self.whole.batchable:
            feed = {name: array[:1] for name, array in feed.items()}
        found = probe_all(self._onnx, self._model, self.graph).shapes(feed)
        shapes = {each.name: tuple(each.dims) for each in self._model.graph.initializer}
        shapes |= {name: array.shape for name, array in feed.items()}
        return shapes | {name: shape for name, (shape, _) in found.items()}, {
            name: size for name, (_, size) in found.items()
        }


def difference(one: Array, other: Array) -> float:
    """Return the largest difference between two outputs: 0 for equal bits, infinite for what has none."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return math.inf
    if one.dtype == object:
        return 0.0 if one.tolist() == other.tolist() else math.inf
    if one.tobytes() == other.tobytes():
        return 0.0
    first, second = one.astype(np.float64), other.astype(np.float64)
    if not np.array_equal(np.isfinite(first), np.isfinite(second)):
        return math.inf
    finite = np.isfinite(first)
    # Bits that differ in numbers that do not (0 and -0, two NaN): as little as there is.
    return max(float(np.abs(first[finite] - second[finite]).max(initial=0.0)), math.ulp(0.0))
