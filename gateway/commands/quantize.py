"""`edgeway model quantize`: a float model made int8, compared with what it was made from, and written."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress

from edge_models.sample_feeds import read_sample
from gateway.commands.arguments import add_command

_ALIKE: Final = 0.9
"""An int8 model that agrees in fewer rows is written, with a warning."""

EXAMPLES = """\
  edgeway model quantize --model edge-fp32.onnx --sample train.npy --out edge/digits/2/model.onnx
  edgeway model quantize --model two-inputs.onnx --sample train.npz --out edge/pair/1/model.onnx

The model is what skl2onnx, PyTorch's exporter, Keras or tf2onnx wrote; weights in a file beside it are
taken in. The sample is rows as the model takes them: one array [n, ...] (numpy.save), or for several inputs
one array per input under its name (numpy.savez). It sets the ranges of activations: take some hundred rows
from the training data, never from the data that `edgeway model certify` gets.

Both models are run over the whole sample and every output is compared. Exit code 0: written; 1: no use
(nothing to quantize, or the int8 file is not smaller), nothing is written, keep the original; 2: a file or
an argument is wrong, or the int8 model's answers cannot be compared, nothing is written.
"""


def add_to(group: Any) -> None:
    """Add `edgeway model quantize` to the group."""
    about = "make a static int8 (QDQ) edge model of a float one, and compare both"
    parser = add_command(group, "quantize", _run, about=about, examples=EXAMPLES)
    parser.add_argument("--model", required=True, type=Path, metavar="ONNX", help="the float model")
    parser.add_argument(
        "--sample", required=True, type=Path, metavar="FILE", help=".npy [n, ...], or .npz by input"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="ONNX", help="where the int8 model goes")


def _run(options: argparse.Namespace) -> int:
    try:
        return _quantize(options.model, options.sample, options.out)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"edgeway: {where}{error.strerror or error}; nothing was written", file=sys.stderr)
    except ValueError as error:
        print(f"edgeway: {error}", file=sys.stderr)
    return 2


def _quantize(model: Path, sample: Path, out: Path) -> int:
    from edge_models.quantize import quantize, write_whole  # noqa: PLC0415 - needs ONNX Runtime

    _check_place(out, model, sample)
    with _ends_on_sigterm():
        screen = Console(stderr=True)
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
            task = progress.add_task("reading", total=None)
            made = quantize(
                model,
                read_sample(sample),
                progress=lambda step, done, of: progress.update(
                    task, description=step, completed=done, total=of
                ),
            )
        if not made.useless:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_whole(out, made.content)
    for note in made.notes:
        print(f"note: {note}")
    if made.useless:
        print(f"edgeway: {model}: {made.useless}; nothing was written", file=sys.stderr)
        return 1
    integer, layers = made.layers
    print(
        f"{out}: {len(made.content):,} bytes instead of {made.size:,}, "
        f"{made.size / len(made.content):.1f} times smaller; "
        f"{integer} of {layers} layers with weights are int8"
    )
    print(f"compared with {model} over {made.rows:,} rows of {sample}:")
    for difference in made.differences:
        print(f"  {difference}")
    for difference in made.differences:
        if difference.same is not None and difference.same < _ALIKE:
            print(
                f"warning: the int8 model answers otherwise in {1 - difference.same:.1%} of the rows "
                f"('{difference.name}'): measure it with `edgeway model certify`, or keep the original"
            )
    return 0


def _check_place(out: Path, model: Path, sample: Path) -> None:
    """Refuse a place that cannot be written, before minutes are spent.

    Raises:
        ValueError: when it cannot.
    """
    if out.is_dir():
        raise ValueError(f"{out}: is a folder: name the file that the int8 model goes to")
    for source in (model, sample):
        if out.exists() and source.exists() and out.samefile(source):
            raise ValueError(f"{out}: --out is the same file as {source}, which is to stay as it is")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ValueError(f"{parent}: is no folder that can be written to, so {out} cannot be made")


@contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """Leave by an exception on SIGTERM, so that files between are removed on the way out."""

    def leave(_signal: int, _frame: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
