"""`edgeway model lint`: what a gateway would say about a model, or a whole repository, before it gets it."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.commands.arguments import add_command
from gateway.core.errors import printable

_MOST_PATH = 4096

EXAMPLES = """\
  edgeway model lint models/digits
  edgeway model lint models --json | jq '.[] | select(.severity == "error")'
"""


def add_to(group: Any, reported: Callable[[Callable[[], int]], int]) -> None:
    """Add `edgeway model lint`; ``reported`` runs the work and puts errors into words."""
    parser = add_command(
        group,
        "lint",
        lambda options: reported(lambda: _lint(options)),
        about="check a model's folder, or a repository of them, as a gateway that loads it",
        examples=EXAMPLES,
    )
    parser.description = (
        f"{parser.description}\n\nThe status is 0 when nothing is wrong, 1 with warnings, 2 with errors."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of one model, or of models")
    parser.add_argument("--json", action="store_true", help="a list of objects in place of lines")


def _lint(options: argparse.Namespace) -> int:
    from edge_models.lint import lint  # noqa: PLC0415 - needs ONNX Runtime

    found = [(printable(str(folder), _MOST_PATH), folder.name, each) for folder, each in lint(options.folder)]
    counts = Counter(remark.severity for *_, remark in found)
    if options.json:
        rows = [
            {
                "model": printable(name, _MOST_PATH),
                "severity": each.severity,
                "where": f"{folder}/{each.where}",
                "message": each.message,
            }
            for folder, name, each in found
        ]
        print(json.dumps(rows, indent=2))
    else:
        for folder, _, each in found:
            print(f"{folder}/{each.where}: {each.severity}: {each.message}")
        print(f"{options.folder}: {counts['error']} errors, {counts['warning']} warnings")
    return 2 if counts["error"] else 1 if counts["warning"] else 0
