"""The policy file: read, decoded and linted, with every problem on its line."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.config.document import MAX_BYTES, ConfigError, Document, parse, read_bytes
from gateway.config.endpoint_files import with_absolute_files
from gateway.config.shapes import Complaint
from gateway.core.spelling import shown
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
_LONGEST: Final = 2_000
"""Characters of what is shown of one: names of the file stand in it."""
OLD_YAML: Final = "EW259"
"""The one rule about how values are written: what only YAML 1.1 takes for what its field wants."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a policy file as a person reads it."""

    file: Path
    line: int
    column: int
    rule: str
    severity: Severity
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.severity} {self.rule}: {shown(self.text, _LONGEST)}"

    @property
    def is_error(self) -> bool:
        """Whether it keeps the policy from coming into force."""
        return self.severity is Severity.ERROR

    def as_error(self, others: Sequence[ConfigError] = ()) -> ConfigError:
        """Return it as what keeps the policy from coming into force, with what else does."""
        text = f"{self.rule}: {self.text}"
        return ConfigError(self.file, text, line=self.line, column=self.column, others=others)


def read_policy(file: Path, region: str = "") -> tuple[Policy, list[Finding], bytes]:
    """Return the policy, what the lint found, and the bytes that were read.

    ``region``: where the policy is to come into force; empty: this is not checked.

    Raises:
        ConfigError: when the file is no policy at all; lint errors are findings, not exceptions.
    """
    text = read_bytes(file)
    policy, findings = _check(file, text, region)
    return policy, findings, text


def read_notes(file: Path, text: bytes) -> list[Finding]:
    """Return what could be written better in the policy ``text``, which is one; nothing is wrong with it."""
    document = parse(file, text)
    policy, inheritance, _ = _decode(document)
    return _findings(document, older_forms(policy), inheritance)


def read_inheritance(file: Path, text: bytes) -> InheritedFields:
    """Return what routes and endpoints inherit in the policy ``text``, which is one."""
    return _decode(parse(file, text))[1]


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
    text = read_bytes(file)
    return parse_policy(file, text, region), text


def parse_policy(file: Path, text: bytes, region: str = "") -> Policy:
    """Return the policy in ``text``, the content of ``file``, if it may come into force in ``region``.

    Files that it names are looked for in the folder of ``file``.

    Raises:
        ConfigError: for the first lint error too.
    """
    policy, findings = _check(file, text, region)
    errors = [finding for finding in findings if finding.is_error]
    if errors:
        first, *others = errors
        raise first.as_error([other.as_error() for other in others])
    return with_absolute_files(policy, file.resolve().parent)


def _check(file: Path, text: bytes, region: str) -> tuple[Policy, list[Finding]]:
    document = parse(file, text)
    policy, inheritance, remarks = _decode(document)
    found = [*problems(policy), *unused(policy, inheritance)]
    found += (Problem(OLD_YAML, each.path, each.text) for each in remarks)
    if region and region not in policy.regions:
        message = f"has no region '{region}', which this gateway is; add it or correct the settings"
        found.append(Problem(UNKNOWN_HERE, ("regions",), message))
    findings = _findings(document, found, inheritance)
    document.take_apart()
    return policy, findings


def _decode(document: Document) -> tuple[Policy, InheritedFields, list[Complaint]]:
    """Return the policy with what its routes and endpoints inherit, what that is, and what is old in it."""
    if (path := misplaced(document.values)) is not None:
        section = str(path[1])
        names = ", ".join(inheritable(section))
        raise document.error(
            path, f"is not inherited, it belongs to each of the {section}; these are: {names}"
        )
    whole = replace(document, values=without_nulls(document.values))
    policy, remarks = whole.decode_with_remarks(Policy)
    defaults, others = document.decode_with_remarks(WITH_DEFAULTS)
    return *inherit(policy, document.values, defaults), remarks + others


def _findings(document: Document, found: Iterable[Problem], inheritance: InheritedFields) -> list[Finding]:
    findings = []
    for problem in found:
        source = inheritance.source(problem.path)
        inherited = f" (inherited, {document.spell(source)})" if source else ""
        text = f"{document.spell(problem.path)}{inherited}: {problem.message}"
        line, column = document.place(source or problem.path)
        findings.append(Finding(document.file, line, column, problem.rule, problem.severity, text))
    return findings
