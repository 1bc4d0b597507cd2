"""How every command adds itself to the program."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], *, about: str, examples: str
) -> argparse.ArgumentParser:
    """Add a command with its help: what it does in a line, and examples to copy."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_group(commands: Any, name: str, *, about: str) -> Any:
    """Add a command that only holds others, such as `edgeway policy`."""
    parser = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
