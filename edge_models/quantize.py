"""A float model made into the int8 model that serves at the edge.

Static QDQ: the scales of activations are constants, measured once on calibration rows. Dynamic
quantization takes them from the batch at hand, so that an answer would depend on its batch-mates; no
cache, certificate or tenant could live with that.

Nothing is returned that was not compared: both models run over the whole sample, in the session that serves.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from edge_models.errors import ModelError
from edge_models.exported_model import LAYERS, ExportedModel, every_node, read_exported_model, weighty_layers
from edge_models.output_differences import OutputComparison, OutputDifference, compare_specs
from edge_models.sample_feeds import Feeds, Sample
from edge_models.session import Session
from edge_models.static_qdq import (
    FLOAT_MODEL,
    Progress,
    StaticQdq,
    Toolkit,
    first_line,
    integer_layers,
    load_toolkit,
    quiet,
)
from gateway.core.errors import GatewayError
from gateway.core.tensor import Array

_FEW_ROWS: Final = 100

_EXPORTABLE: Final = re.compile(
    r"No Op registered for|is not a registered function/op|Could not find an implementation for"
    r"|Opset \d+ is under development|Type '[^']*' of input parameter"
)
"""ONNX Runtime's messages for an operator, a version or a type that it lacks: another export has another."""


class Quantization(msgspec.Struct, frozen=True):
    """What came of quantizing a model.

    Attributes:
        useless: why the float model is to be kept; empty when ``content`` is worth having.
        content: the int8 model's file; empty when it is useless.
        size: bytes of the float model, as one file.
        layers: how many layers with weights are int8, and how many there are.
        rows: how many rows both models answered.
        differences: each output, compared.
        notes: what was left out or put right, a sentence each.
    """

    useless: str
    content: bytes
    size: int
    layers: tuple[int, int]
    rows: int
    differences: tuple[OutputDifference, ...]
    notes: tuple[str, ...]


def quantize(
    model: Path,
    sample: Sample,
    *,
    reduce_range: bool = True,
    progress: Progress = lambda _step, _done, _of: None,
) -> Quantization:
    """Quantize ``model`` to int8 and compare both over ``sample``. Writes nothing that stays.

    For a process of its own: it changes the working directory and silences logging while it works.

    Args:
        model: a float ONNX file, as an exporter made it.
        sample: rows as the model takes them; see ``sample_feeds``. Take them from the training data: rows
            on which a certificate is measured must not have shaped the model.
        reduce_range: 7-bit weights, with which no x86 kernel saturates.
        progress: gets each feed.

    Raises:
        ValueError: in one sentence: the extra ``models`` is not installed; the file is no float model that
            can be served; the sample does not fit; the int8 model's answers cannot be compared.
        OSError: when a file cannot be opened.
    """
    toolkit = load_toolkit()
    with tempfile.TemporaryDirectory(prefix="quantize-") as folder, quiet(toolkit.runtime):
        exported = read_exported_model(toolkit.onnx, model)
        work = _Work(toolkit, model, exported, Path(folder), progress)
        feeds = Feeds(sample, work.original.inputs)
        # A model that cannot run on the sample is found before minutes are spent on it.
        work.answer(work.original, next(iter(feeds)))
        return work.quantize(feeds, reduce_range=reduce_range)


def quantize_static_qdq(
    model: Path, out: Path, calibration: Array, *, input_name: str = "", reduce_range: bool = True
) -> Quantization:
    """Quantize ``model`` on rows of one input and write it to ``out``, replaced whole or not touched.

    Raises:
        ValueError: as ``quantize``, and when the result is useless.
        OSError: when a file cannot be read or written.
    """
    sample: Sample = {input_name: calibration} if input_name else calibration
    made = quantize(model, sample, reduce_range=reduce_range)
    if made.useless:
        raise ValueError(f"{model}: {made.useless}")
    write_whole(out, made.content)
    return made


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside ``path`` and rename it: what is there is the old file or the new one, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class _Work:
    """One model on its way to int8, with the folder for what lies between."""

    def __init__(
        self, toolkit: Toolkit, model: Path, exported: ExportedModel, folder: Path, progress: Progress
    ) -> None:
        self._toolkit = toolkit
        self._model = model
        self._exported = exported
        self._folder = folder
        self._progress = progress
        file = folder / FLOAT_MODEL
        file.write_bytes(exported.proto.SerializeToString())
        try:
            self.original = Session(file)
        except ModelError as error:
            # The session names a temporary file.
            problem = str(error).replace(str(file), str(model))
            advice = "; export it in float32, for an operator set that ONNX Runtime has"
            raise ValueError(problem + (advice if _EXPORTABLE.search(problem) else "")) from error
        except UnicodeError as error:
            raise ValueError(f"{model}: is damaged: it has names that are no text") from error

    def __repr__(self) -> str:
        return f"<_Work {self._model} in {self._folder}>"

    def answer(self, session: Session, feed: dict[str, Array]) -> list[Array]:
        """Run a model on one feed.

        Raises:
            ValueError: when it cannot, with ONNX Runtime's message.
        """
        try:
            return session.run(feed)
        except GatewayError as error:
            which = "it" if session is self.original else "its int8 form"
            raise ValueError(
                f"{self._model}: {which} cannot run on the sample, fed {_shapes(feed)}: "
                f"{first_line(error.__cause__ or error)}; if its exporter fixed a size that it declares "
                "free, export it so that any number of rows runs"
            ) from error

    def quantize(self, feeds: Feeds, *, reduce_range: bool) -> Quantization:
        """Return the int8 model, compared, or the verdict that there is none worth having."""
        total = self._float_layers()
        if not total:
            operators = ", ".join(sorted({node.op_type for node in every_node(self._exported.proto.graph)}))
            return self._useless(
                f"it has nothing to quantize, no {_or(LAYERS)} with constant weights, only {operators}"
            )
        self._progress("preparing", 0, 1)
        maker = StaticQdq(self._toolkit, self._folder, self._progress)
        try:
            proto, skipped = maker.make(self._exported.proto, feeds, reduce_range=reduce_range)
        except ValueError as error:
            raise ValueError(f"{self._model}: {error}") from error
        layers = (min(integer_layers(proto.graph), total), total)
        if not layers[0]:
            return self._useless(f"none of its {total} layers with weights could be made int8", layers)
        content = proto.SerializeToString()
        if len(content) >= self._exported.size:
            sizes = f"{len(content):,} bytes instead of {self._exported.size:,}"
            return self._useless(f"quantizing made it larger ({sizes})", layers)
        differences = self._compared(content, feeds)
        notes = (*self._exported.notes, *([skipped] if skipped else ()), *_remarks(feeds))
        return Quantization("", content, self._exported.size, layers, feeds.rows, differences, notes)

    def _useless(self, reason: str, layers: tuple[int, int] = (0, 0)) -> Quantization:
        notes = self._exported.notes
        return Quantization(f"{reason}: keep the original", b"", self._exported.size, layers, 0, (), notes)

    def _float_layers(self) -> int:
        types = weighty_layers(self._toolkit.onnx, self._exported.proto.graph)
        floats = types.count("FLOAT")
        if types and not floats:
            raise ValueError(
                f"{self._model}: its weights are {_or(sorted(set(types)))}, but int8 is made of FLOAT ones: "
                "export the model in float32 (skl2onnx takes the type from the rows that it is given)"
            )
        return floats

    def _compared(self, content: bytes, feeds: Feeds) -> tuple[OutputDifference, ...]:
        file = self._folder / "int8.onnx"
        file.write_bytes(content)
        session = Session(file)
        try:
            compare_specs("input", self.original.inputs, session.inputs)
            compare_specs("output", self.original.outputs, session.outputs)
            comparisons = [OutputComparison(spec) for spec in self.original.outputs]
            for done, feed in enumerate(feeds, 1):
                pairs = zip(self.answer(self.original, feed), self.answer(session, feed), strict=True)
                for comparison, (old, new) in zip(comparisons, pairs, strict=True):
                    comparison.add(old, new)
                self._progress("comparing", done, len(feeds))
        except ValueError as error:
            raise ValueError(f"{self._model}: the int8 model is not kept: {error}") from error
        return tuple(comparison.result() for comparison in comparisons)


def _shapes(feed: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in feed.items())


def _remarks(feeds: Feeds) -> Iterator[str]:
    if feeds.left_over:
        yield f"the last {feeds.left_over} rows of the sample do not fill a run of the model: not used"
    if feeds.rows < _FEW_ROWS:
        yield f"the sample has {feeds.rows} rows: ranges are better measured on some hundred"


def _or(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
