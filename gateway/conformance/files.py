"""The results as files: JSON for programs, JUnit for CI."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from gateway.conformance.check import CheckResult
from gateway.conformance.run import count
from gateway.conformance.verdicts import CheckVerdict

_NOT_XML: Final = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SKIPPED: Final = frozenset({CheckVerdict.UNSUPPORTED, CheckVerdict.NOT_APPLICABLE})


@dataclass(frozen=True, slots=True)
class RunDetails:
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


def as_json(run: RunDetails, results: Sequence[CheckResult]) -> dict[str, Any]:
    """Return everything that was found."""
    return {
        "run": {name: getattr(run, name) for name in RunDetails.__slots__},
        "counts": {str(verdict): count(results, verdict) for verdict in CheckVerdict},
        "checks": [_entry(result) for result in results],
    }


def write_json(path: Path, run: RunDetails, results: Sequence[CheckResult]) -> None:
    """Write the results as JSON.

    Raises:
        OSError: when the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(run, results), indent=1) + "\n")


def write_junit(path: Path, run: RunDetails, results: Sequence[CheckResult]) -> None:
    """Write the results as JUnit XML: a suite for each area; what did neither pass nor fail is skipped.

    Raises:
        OSError: when the file cannot be written.
    """
    root = ET.Element("testsuites", name=f"conformance of {_xml(run.server)}")
    suites: dict[str, ET.Element] = {}
    for result in results:
        area = result.check.area
        if area not in suites:
            within = [other for other in results if other.check.area == area]
            suites[area] = ET.SubElement(
                root,
                "testsuite",
                name=area,
                tests=str(len(within)),
                failures=str(count(within, CheckVerdict.FAIL)),
                skipped=str(sum(result.verdict in SKIPPED for result in within)),
                timestamp=run.date,
            )
        _case(suites[area], result)
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _case(suite: ET.Element, result: CheckResult) -> None:
    check = result.check
    case = ET.SubElement(suite, "testcase", classname=check.area, name=check.id, time=f"{result.seconds:.3f}")
    if result.verdict in SKIPPED:
        ET.SubElement(case, "skipped", message=_xml(f"{result.verdict}: {result.reason}"))
    elif result.verdict is CheckVerdict.FAIL:
        failure = ET.SubElement(case, "failure", message=_xml(result.reason))
        exchanges = "\n\n".join(f"{exchange.sent}\n\n{exchange.got}" for exchange in result.exchanges)
        failure.text = _xml(f"{check.title}\n{check.clause}\n\n{exchanges}")


def _entry(result: CheckResult) -> dict[str, Any]:
    check = result.check
    return {
        "id": check.id,
        "area": check.area,
        "title": check.title,
        "clause": check.clause,
        "level": str(check.obligation),
        "extension": check.extension,
        "verdict": str(result.verdict),
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "exchanges": []
        if result.verdict is CheckVerdict.PASS
        else [{"request": exchange.sent, "answer": exchange.got} for exchange in result.exchanges],
    }


def _xml(text: str) -> str:
    """Return text without the characters that XML cannot hold."""
    return _NOT_XML.sub("?", text)
