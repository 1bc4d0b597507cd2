"""`edgeway model`: prove a cascade's threshold, quantize a model, look at one.

What needs ONNX Runtime is imported where it runs: the rest of the program works without it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_models.errors import ModelError
from gateway.commands import certify_command
from gateway.commands.arguments import add_command, add_group
from gateway.core.errors import GatewayError
from gateway.core.tensor import Array

QUANTIZE_EXAMPLES = """\
  edgeway model quantize --model edge-fp32.onnx --sample train.npy --out edge/digits/2/model.onnx

The sample sets the ranges of activations; take it from the training data, never from the data that
`edgeway model certify` gets.
"""
SHOW_EXAMPLES = "  edgeway model show edge/digits/1/model.onnx\n"


def add_to(commands: Any) -> None:
    """Add `edgeway model`."""
    group = add_group(commands, "model", about="certify, quantize and inspect models")
    certify_command.add_to(group, _reported)
    about = "make a static int8 (QDQ) edge model of a float one"
    parser = add_command(group, "quantize", _quantize, about=about, examples=QUANTIZE_EXAMPLES)
    parser.add_argument("--model", required=True, type=Path, metavar="ONNX", help="the float model")
    parser.add_argument("--sample", required=True, type=Path, metavar="NPY", help="inputs [n, ...]")
    parser.add_argument("--out", required=True, type=Path, metavar="ONNX", help="where the int8 model goes")
    parser = add_command(
        group, "show", _show, about="tell what a model takes, gives and is", examples=SHOW_EXAMPLES
    )
    parser.add_argument("file", type=Path, metavar="ONNX")


def _quantize(options: argparse.Namespace) -> int:
    def work() -> int:
        from edge_models.quantize import quantize_static_qdq  # noqa: PLC0415 - needs the extra `models`

        options.out.parent.mkdir(parents=True, exist_ok=True)
        try:
            quantize_static_qdq(options.model, options.out, _load(options.sample))
        except (ValueError, OSError):
            raise
        except Exception as error:  # onnx's own errors share no base class
            raise ValueError(f"{options.model} cannot be quantized: {str(error).splitlines()[0]}") from error
        size = options.model.stat().st_size / options.out.stat().st_size
        print(f"{options.out}: {options.out.stat().st_size:,} bytes, {size:.1f} times smaller")
        return 0

    return _reported(work)


def _show(options: argparse.Namespace) -> int:
    def work() -> int:
        from edge_models.session import Session  # noqa: PLC0415 - needs ONNX Runtime

        session = Session(options.file)
        print(f"{options.file}\n  digest   {session.digest}\n  runs on  {', '.join(session.providers)}")
        for kind, specs in (("input", session.inputs), ("output", session.outputs)):
            for spec in specs:
                print(f"  {kind:8} {spec.name} {spec.datatype} {list(spec.shape)}")
        print(f"  batches  {'yes, along the first dimension' if session.batchable else 'no'}")
        return 0

    return _reported(work)


def _reported(work: Callable[[], int]) -> int:
    try:
        return work()
    except (ModelError, GatewayError, ValueError, OSError, RuntimeError) as error:
        print(f"edgeway: {error}", file=sys.stderr)
        return 2


def _load(file: Path) -> Array:
    try:
        loaded = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"{file}: cannot be read as a .npy array of numbers; numpy.save makes one"
        ) from error
    if not isinstance(loaded, np.ndarray) or loaded.ndim < 2 or not len(loaded):
        raise ValueError(f"{file}: must hold one array of inputs [n, ...]; numpy.save makes it")
    return loaded
