"""The findings as files: JSON for programs, JUnit for the CI that shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from gateway.conformance.check import Finding, Verdict
from gateway.conformance.run import count

_NOT_XML: Final = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SKIPPED: Final = frozenset({Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE})


@dataclass(frozen=True, slots=True)
class Run:
    """What was tested, by what, when."""

    url: str
    grpc: str
    model: str
    server: str
    """The server's own name and version."""
    extensions: tuple[str, ...]
    suite: str
    date: str
    command: str


def as_json(run: Run, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return everything that was found."""
    return {
        "run": {name: getattr(run, name) for name in Run.__slots__},
        "counts": {str(verdict): count(findings, verdict) for verdict in Verdict},
        "checks": [_entry(finding) for finding in findings],
    }


def write_json(path: Path, run: Run, findings: Sequence[Finding]) -> None:
    """Write the findings as JSON.

    Raises:
        OSError: when the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(run, findings), indent=1) + "\n")


def write_junit(path: Path, run: Run, findings: Sequence[Finding]) -> None:
    """Write the findings as JUnit XML: a suite for each area; what did neither pass nor fail is skipped.

    Raises:
        OSError: when the file cannot be written.
    """
    root = ET.Element("testsuites", name=f"conformance of {_xml(run.server)}")
    suites: dict[str, ET.Element] = {}
    for finding in findings:
        area = finding.check.area
        if area not in suites:
            within = [other for other in findings if other.check.area == area]
            suites[area] = ET.SubElement(
                root,
                "testsuite",
                name=area,
                tests=str(len(within)),
                failures=str(count(within, Verdict.FAIL)),
                skipped=str(sum(finding.verdict in SKIPPED for finding in within)),
                timestamp=run.date,
            )
        _case(suites[area], finding)
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _case(suite: ET.Element, finding: Finding) -> None:
    check = finding.check
    case = ET.SubElement(
        suite, "testcase", classname=check.area, name=check.id, time=f"{finding.seconds:.3f}"
    )
    if finding.verdict in SKIPPED:
        ET.SubElement(case, "skipped", message=_xml(f"{finding.verdict}: {finding.reason}"))
    elif finding.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", message=_xml(finding.reason))
        said = "\n\n".join(f"{exchange.sent}\n\n{exchange.got}" for exchange in finding.exchanges)
        failure.text = _xml(f"{check.title}\n{check.clause}\n\n{said}")


def _entry(finding: Finding) -> dict[str, Any]:
    check = finding.check
    return {
        "id": check.id,
        "area": check.area,
        "title": check.title,
        "clause": check.clause,
        "level": str(check.level),
        "extension": check.extension,
        "verdict": str(finding.verdict),
        "reason": finding.reason,
        "seconds": round(finding.seconds, 3),
        "exchanges": []
        if finding.verdict is Verdict.PASS
        else [{"request": exchange.sent, "answer": exchange.got} for exchange in finding.exchanges],
    }


def _xml(text: str) -> str:
    """Return text without the signs that XML cannot hold."""
    return _NOT_XML.sub("?", text)
