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
from rich.progress import Progress

from edge_models.certify import DEFER_ALL, save_certificate
from edge_models.confidence import MEASURES
from edge_models.errors import ModelError
from gateway.commands import quantize
from gateway.commands.arguments import add_command, add_group
from gateway.core.errors import GatewayError
from gateway.core.tensor import Array

CERTIFY_EXAMPLES = """\
  edgeway model certify --model digits --edge edge/digits/1/model.onnx \\
      --central central/digits/1/model.onnx --sample calibration.npy --out certificates/digits.json

The sample is an array of inputs as the model takes them, [n, ...], that neither model was trained on.
Run it on the kind of machine that serves: int8 kernels differ between instruction sets, and a gateway
refuses a certificate of another one.
"""
SHOW_EXAMPLES = "  edgeway model show edge/digits/1/model.onnx\n"


def add_to(commands: Any) -> None:
    """Add `edgeway model`."""
    group = add_group(commands, "model", about="certify, quantize and inspect models")
    about = "prove from which confidence on the edge model may answer instead of the central one"
    parser = add_command(group, "certify", _certify, about=about, examples=CERTIFY_EXAMPLES)
    parser.add_argument("--model", required=True, metavar="NAME", help="the name that clients ask for")
    parser.add_argument(
        "--edge", required=True, type=Path, metavar="ONNX", help="the edge artefact as served"
    )
    parser.add_argument("--central", required=True, type=Path, metavar="ONNX", help="the central artefact")
    parser.add_argument(
        "--sample", required=True, type=Path, metavar="NPY", help="calibration inputs [n, ...]"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="JSON", help="where the certificate goes")
    parser.add_argument("--score", default="max_probability", choices=sorted(MEASURES), help="confidence")
    parser.add_argument("--alpha", type=float, default=0.02, help="most that may differ from central (0.02)")
    parser.add_argument("--delta", type=float, default=0.05, help="risk that the proof is wrong (0.05)")
    quantize.add_to(group)
    parser = add_command(
        group, "show", _show, about="tell what a model takes, gives and is", examples=SHOW_EXAMPLES
    )
    parser.add_argument("file", type=Path, metavar="ONNX")


def _certify(options: argparse.Namespace) -> int:
    def work() -> int:
        from gateway.commands.certify import certify_models  # noqa: PLC0415 - needs ONNX Runtime

        sample = _load(options.sample)
        with Progress(transient=True) as progress:
            task = progress.add_task("running both models", total=2 * len(sample))
            proof = certify_models(
                options.model,
                options.edge,
                options.central,
                sample,
                score=options.score,
                alpha=options.alpha,
                delta=options.delta,
                advance=lambda rows: progress.advance(task, rows),
            )
        options.out.parent.mkdir(parents=True, exist_ok=True)
        save_certificate(options.out, proof)
        if proof.threshold == DEFER_ALL:
            print(
                f"{options.out}: {proof.n} rows prove no threshold safe: the edge will answer nothing by "
                "itself; take a larger sample, or a better edge model",
                file=sys.stderr,
            )
            return 1
        print(
            f"{options.out}: {proof.score} >= {proof.threshold:.6g} on {proof.instruction_set}; the edge "
            f"answers {proof.coverage:.1%} of {proof.n} rows, {proof.k} of them unlike central; "
            f"risk <= {proof.upper_bound:.2%} with confidence {1 - proof.delta:.0%}"
        )
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
