"""The policy file: read, decoded and linted, with every problem on its line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.config.document import ConfigError, parse, spell
from routing.lint import problems
from routing.policy import Policy
from routing.problem import Severity


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


def read_policy(file: Path) -> tuple[Policy, list[Finding], bytes]:
    """Return the policy, what the lint found, and the bytes that were read.

    Raises:
        ConfigError: when the file is no policy at all; lint errors are findings, not exceptions.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None
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
    return policy, findings, text


def load_policy(file: Path) -> tuple[Policy, bytes]:
    """Return a policy that may come into force, and the bytes that were read.

    Raises:
        ConfigError: for the first lint error too.
    """
    policy, findings, text = read_policy(file)
    for finding in findings:
        if finding.is_error:
            raise ConfigError(file, f"{finding.rule}: {finding.text}", line=finding.line)
    return policy, text
