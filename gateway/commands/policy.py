"""`edgeway policy`: what ops do with a policy before a gateway sees it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from gateway.commands import explain
from gateway.commands.arguments import add_command, add_group
from gateway.config.document import ConfigError
from gateway.config.policy_file import read_notes, read_policy

EXAMPLES = """\
  edgeway policy validate policy.yaml
  edgeway policy validate --strict policy.yaml && kubectl apply -f policy-configmap.yaml
"""


def add_to(commands: Any) -> None:
    """Add `edgeway policy`."""
    group = add_group(commands, "policy", about="check policies, and show what they do with a request")
    parser = add_command(
        group,
        "validate",
        _validate,
        about="check the shape and the sense of a policy file",
        examples=EXAMPLES,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the policy, YAML")
    parser.add_argument("--strict", action="store_true", help="treat warnings as errors")
    explain.add_to(group)


def _validate(options: argparse.Namespace) -> int:
    try:
        policy, findings, text = read_policy(options.file)
    except ConfigError as error:
        for problem in error.each:
            print(problem, file=sys.stderr)
        return 2
    notes = read_notes(options.file, text)
    for finding in (*findings, *notes):
        print(finding, file=sys.stderr)
    errors = sum(finding.is_error for finding in findings)
    if errors or (options.strict and findings):
        counts = f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}"
        print(f"{options.file}: {counts}", file=sys.stderr)
        return 2
    print(
        f"{options.file}: good. generation {policy.generation}, {_count(len(policy.regions), 'region')}, "
        f"{_count(len(policy.endpoints), 'endpoint')}, {_count(len(policy.routes), 'route')}, "
        f"{_count(len(policy.tenants), 'tenant')}"
        + (f", {_count(len(findings), 'warning')}" if findings else "")
        + (f", {_count(len(notes), 'note')}" if notes else "")
    )
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
