"""The policy file: read, decoded and linted, with every problem on its line."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.config.document import MAX_BYTES, ConfigError, parse, spell
from gateway.config.endpoint_files import with_absolute_files
from routing.lint import problems
from routing.policy import Policy
from routing.problem import Severity

UNKNOWN_HERE: Final = "EW199"
"""The one rule that a gateway adds to those of ``edgeway policy validate``."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a policy file as a person reads it."""

    file: Path
    line: int
    rule: str
    is_error: bool
    text: str

    def __str__(self) -> str:
        kind = "error" if self.is_error else "warning"
        return f"{self.file}:{self.line}: {kind} {self.rule}: {self.text}"


def read_policy(file: Path, region: str = "") -> tuple[Policy, list[Finding], bytes]:
    """Return the policy, what the lint found, and the bytes that were read.

    ``region``: where the policy is to come into force; empty: this is not checked.

    Raises:
        ConfigError: when the file is no policy at all; lint errors are findings, not exceptions.
    """
    text = read_text(file)
    policy, findings = _check(file, text, region)
    return policy, findings, text


def read_text(file: Path) -> bytes:
    """Return the content of a policy file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None


def read_file(file: Path) -> bytes:
    """Return the content of a policy file, for a process that serves: a pipe would hold it for ever.

    Raises:
        ConfigError: it cannot be read, is no regular file, or is too large.
    """
    try:
        # Who opens a named pipe otherwise waits until somebody writes.
        with open(file, "rb", opener=_open_at_once) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise ConfigError(file, "is not a regular file")
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None


def _open_at_once(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NONBLOCK | os.O_NOCTTY)


def load_policy(file: Path, region: str = "") -> tuple[Policy, bytes]:
    """Return a policy that may come into force in ``region``, and the bytes that were read.

    Raises:
        ConfigError: for the first lint error too.
    """
    text = read_text(file)
    return parse_policy(file, text, region), text


def parse_policy(file: Path, text: bytes, region: str = "") -> Policy:
    """Return the policy in ``text``, the content of ``file``, if it may come into force in ``region``.

    Files that it names are looked for in the folder of ``file``.

    Raises:
        ConfigError: for the first lint error too.
    """
    policy, findings = _check(file, text, region)
    for finding in findings:
        if finding.is_error:
            raise ConfigError(file, f"{finding.rule}: {finding.text}", line=finding.line)
    return with_absolute_files(policy, file.resolve().parent)


def _check(file: Path, text: bytes, region: str) -> tuple[Policy, list[Finding]]:
    document = parse(file, text)
    policy = document.decode(Policy)
    findings = [
        Finding(
            file,
            document.line(problem.path),
            problem.rule,
            problem.severity is Severity.ERROR,
            f"{spell(problem.path)}: {problem.message}",
        )
        for problem in problems(policy)
    ]
    if region and region not in policy.regions:
        message = f"regions: has no region '{region}', which this gateway is; add it or correct the settings"
        findings.append(Finding(file, document.line(("regions",)), UNKNOWN_HERE, True, message))
    return policy, findings
