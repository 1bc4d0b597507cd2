"""`edgeway model split`: a model cut into a backbone, whose outputs are kept, and a head."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import Progress

from edge_models.version_folders import versions_in
from gateway.commands.arguments import add_command
from gateway.core.spelling import listed

if TYPE_CHECKING:
    from edge_models.splitting.split_model import SplitModel, Splitter

_MODEL_FILE: Final = "model.onnx"
_FEATURES_FILE: Final = "features.onnx"
_HEAD_FILE: Final = "head.onnx"

EXAMPLES = """\
  edgeway model split edge/digits --suggest
  edgeway model split edge/digits --at relu11 --sample train.npy
  edgeway model split two.onnx --at pool --at tokens --pass user --out edge/two/2

MODEL is a model's folder (its highest version in one file is cut), a version's folder, or an ONNX file.
NODE is the name of a node or of a tensor, several times where several tensors cross the cut. What
is written is a version's folder with features.onnx and head.onnx, the next one beside the model's versions
if --out does not say.

Both parts are run beside the whole model, on the sample or else on made-up values, and must give the same bit
for bit. Exit code 0: written, or suggested; 1: they differ, nothing is written; 2: the model cannot be cut
there, or a file or an argument is wrong, nothing is written.
"""


def add_to(group: Any, reported: Callable[[Callable[[], int]], int]) -> None:
    """Add `edgeway model split`; ``reported`` runs the work and puts errors into words."""
    parser = add_command(
        group,
        "split",
        lambda options: reported(lambda: _split(options)),
        about="cut a model into a backbone, whose outputs are kept, and a head",
        examples=EXAMPLES,
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model's folder, a version's, or a file")
    parser.add_argument("--at", action="append", default=[], metavar="NODE", help="where: a node or a tensor")
    parser.add_argument(
        "--pass",
        action="append",
        default=[],
        dest="passed",
        metavar="INPUT",
        help="goes to the head as it is",
    )
    parser.add_argument("--sample", type=Path, metavar="FILE", help=".npy [n, ...], or .npz by input")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the version's folder that is written")
    parser.add_argument("--suggest", action="store_true", help="only say where it could be cut")
    parser.add_argument(
        "--allow-difference", action="store_true", help="write parts that are not equal to the whole"
    )


def _split(options: argparse.Namespace) -> int:
    import onnx  # noqa: PLC0415 - of the extra `models`

    from edge_models.sample_feeds import read_sample  # noqa: PLC0415 - needs ONNX Runtime
    from edge_models.splitting.probe import feeds_of, made_feeds  # noqa: PLC0415
    from edge_models.splitting.split_model import Splitter  # noqa: PLC0415

    file = _file_of(options.model)
    out = None if options.suggest else _place(file, options.out)
    feeds = made_feeds if options.sample is None else feeds_of(read_sample(options.sample))
    splitter = Splitter(onnx, file, feeds)
    if options.suggest or not options.at or out is None:
        _print_suggestions(splitter, options.passed)
        if options.suggest:
            return 0
        raise ValueError("say where to cut, with --at NODE; nothing was written")
    made = _made(splitter, options)
    print(_compared(made, file, options.sample))
    if made.difference and not options.allow_difference:
        print(
            "edgeway: nothing was written: cut elsewhere (--suggest), or say --allow-difference and certify "
            "what you get",
            file=sys.stderr,
        )
        return 1
    _write(out, made)
    _print_written(out, made, file)
    return 0


def _made(splitter: Splitter, options: argparse.Namespace) -> SplitModel:
    from edge_models.splitting.cut import CutError  # noqa: PLC0415

    screen = Console(stderr=True)
    try:
        with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
            task = progress.add_task("reading", total=None)
            return splitter.split(
                options.at,
                options.passed,
                lambda step, done, of: progress.update(task, description=step, completed=done, total=of),
            )
    except CutError as error:
        if error.unknown:
            _print_suggestions(splitter, options.passed)
        raise ValueError(f"{options.model}: {error}; nothing was written") from error


def _print_suggestions(splitter: Splitter, passed: list[str]) -> None:
    found = splitter.suggest(passed)
    if found:
        print("it could be cut at one of these, the narrowest first:")
        for each in found:
            print(f"  {each}")
        return
    inputs = splitter.graph.inputs
    hint = f"; pass one of its inputs to the head (--pass {inputs[-1]})?" if len(inputs) > 1 else ""
    print(f"no single tensor separates its inputs ({listed(inputs)}) from its outputs{hint}")


def _compared(made: SplitModel, file: Path, sample: Path | None) -> str:
    source = f"of {sample}" if sample is not None else "of made-up values (--sample takes your own)"
    if not made.difference:
        return f"equal to {file} bit for bit on {made.rows:,} rows {source}"
    return (
        f"not equal to {file}: the largest difference is {made.difference:.3g} on {made.rows:,} rows {source}"
    )


def _print_written(out: Path, made: SplitModel, file: Path) -> None:
    for note in made.cut.notes:
        print(f"note: {note}")
    print(
        f"{out}: {_FEATURES_FILE} ({len(made.features):,} bytes) and {_HEAD_FILE} ({len(made.head):,}), "
        f"cut at {listed(made.cut.tensors)}\n"
        f"  kept      {made.row_bytes:,} bytes a row; {made.share:.1%} of the work is before the cut\n"
        f"  backbone  {made.features_digest}\n"
        f"  digest    {made.digest}\n"
        f"no certificate of {file} covers it: `edgeway model certify --edge {out} ...` makes one"
    )


def _file_of(model: Path) -> Path:
    """Return the model's file.

    Raises:
        ValueError: there is none.
    """
    if not model.is_dir():
        return model
    versions = [model / version for version in reversed(versions_in(model))]
    for folder in (model, *versions):
        if (folder / _MODEL_FILE).is_file():
            return folder / _MODEL_FILE
    if any((folder / _FEATURES_FILE).exists() for folder in (model, *versions)):
        raise ValueError(f"{model}: is in two files already, and there is no version of it in one")
    raise ValueError(f"{model}: holds no model in one file; expected {model.name}/1/{_MODEL_FILE}")


def _place(file: Path, out: Path | None) -> Path:
    """Return the version's folder that is to be written, before minutes are spent.

    Raises:
        ValueError: it is there already, or nobody can know which it is.
    """
    if out is None:
        version = file.absolute().parent
        if file.name != _MODEL_FILE or version.name not in (versions := versions_in(version.parent)):
            raise ValueError(f"{file}: is in no version's folder: say where the parts go, with --out FOLDER")
        out = file.parent.parent / str(int(versions[-1]) + 1)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"{out}: is there already: name another folder with --out")
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ValueError(f"{parent}: is no folder that can be written to, so {out} cannot be made")
    return out


def _write(out: Path, made: SplitModel) -> None:
    """Write both files beside ``out`` and rename their folder: a gateway that loads finds both or neither."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{os.getpid()}.draft")
    try:
        draft.mkdir()
        (draft / _FEATURES_FILE).write_bytes(made.features)
        (draft / _HEAD_FILE).write_bytes(made.head)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
