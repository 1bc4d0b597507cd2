"""The policy file: read, decoded and linted, with every problem on its line."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.config.document import MAX_BYTES, ConfigError, Document, parse, spell
from gateway.config.endpoint_files import with_absolute_files
from routing.defaults import (
    WITH_DEFAULTS,
    InheritedFields,
    inherit,
    inheritable,
    misplaced,
    unused,
    without_nulls,
)
from routing.lint import problems
from routing.lint_endpoints import older_forms
from routing.policy import Policy
from routing.problem import Problem, Severity

UNKNOWN_HERE: Final = "EW199"
"""The one rule that a gateway adds to those of ``edgeway policy validate``."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a policy file as a person reads it."""

    file: Path
    line: int
    rule: str
    severity: Severity
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity} {self.rule}: {self.text}"

    @property
    def is_error(self) -> bool:
        """Whether it keeps the policy from coming into force."""
        return self.severity is Severity.ERROR


def read_policy(file: Path, region: str = "") -> tuple[Policy, list[Finding], bytes]:
    """Return the policy, what the lint found, and the bytes that were read.

    ``region``: where the policy is to come into force; empty: this is not checked.

    Raises:
        ConfigError: when the file is no policy at all; lint errors are findings, not exceptions.
    """
    text = read_text(file)
    policy, findings = _check(file, text, region)
    return policy, findings, text


def read_notes(file: Path, text: bytes) -> list[Finding]:
    """Return what could be written better in the policy ``text``, which is one; nothing is wrong with it."""
    document = parse(file, text)
    policy, inheritance = _decode(document)
    return _findings(document, older_forms(policy), inheritance)


def read_inheritance(file: Path, text: bytes) -> InheritedFields:
    """Return what routes and endpoints inherit in the policy ``text``, which is one."""
    return _decode(parse(file, text))[1]


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
    policy, inheritance = _decode(document)
    findings = _findings(document, [*problems(policy), *unused(policy, inheritance)], inheritance)
    if region and region not in policy.regions:
        message = f"regions: has no region '{region}', which this gateway is; add it or correct the settings"
        line = document.line(("regions",))
        findings.append(Finding(file, line, UNKNOWN_HERE, Severity.ERROR, message))
    document.take_apart()
    return policy, findings


def _decode(document: Document) -> tuple[Policy, InheritedFields]:
    """Return the policy with what its routes and endpoints inherit, and what that is."""
    if (path := misplaced(document.values)) is not None:
        section = str(path[1])
        names = ", ".join(inheritable(section))
        raise document.error(
            path, f"is not inherited, it belongs to each of the {section}; these are: {names}"
        )
    defaults = document.decode(WITH_DEFAULTS)
    policy = replace(document, values=without_nulls(document.values)).decode(Policy)
    return inherit(policy, document.values, defaults)


def _findings(document: Document, found: Iterable[Problem], inheritance: InheritedFields) -> list[Finding]:
    findings = []
    for problem in found:
        source = inheritance.source(problem.path)
        place = f"{spell(problem.path)}{f' (inherited, {spell(source)})' if source else ''}"
        line = document.line(source or problem.path)
        text = f"{place}: {problem.message}"
        findings.append(Finding(document.file, line, problem.rule, problem.severity, text))
    return findings
