"""`edgeway model`: set up a model, prove a cascade's threshold, quantize a model, cut one, look at one.

What needs ONNX Runtime is imported where it runs: the rest of the program works without it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_models.errors import ModelError
from gateway.commands import certify_command, model_init, model_lint, model_split, quantize
from gateway.commands.arguments import add_command, add_group
from gateway.core.errors import GatewayError

SHOW_EXAMPLES = "  edgeway model show edge/digits/1/model.onnx\n  edgeway model show edge/split/1\n"


def add_to(commands: Any) -> None:
    """Add `edgeway model`."""
    group = add_group(commands, "model", about="set up, certify, quantize and inspect models")
    certify_command.add_to(group, _reported)
    quantize.add_to(group)
    model_init.add_to(group)
    model_lint.add_to(group, _reported)
    model_split.add_to(group, _reported)
    parser = add_command(
        group, "show", _show, about="tell what a model takes, gives and is", examples=SHOW_EXAMPLES
    )
    parser.add_argument("file", type=Path, metavar="ONNX", help="a file, or the folder of a model in two")


def _show(options: argparse.Namespace) -> int:
    def work() -> int:
        from edge_models.split_session import open_model  # noqa: PLC0415 - needs ONNX Runtime

        session = open_model(options.file)
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
