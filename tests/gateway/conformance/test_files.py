"""The results as JSON and JUnit."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from gateway.conformance.check import Area, CheckResult
from gateway.conformance.files import RunDetails, as_json, write_json, write_junit
from gateway.conformance.verdicts import CheckVerdict, RecordedExchange

AREA, OTHER = Area("one"), Area("two")
AREA.check("a", "title a", "clause a")(lambda tested: None)
AREA.check("b", "title b", "clause b")(lambda tested: None)
OTHER.check("c", "title c", "clause c", extension="x")(lambda tested: None)
RUN = RunDetails(
    "http://x", "x:1", "m", "server 1", ("x",), "edgeway 0", "2026-01-01T00:00:00+00:00", "edgeway c"
)
SAID = (RecordedExchange("GET /\x00", "200\ud800 <&>"),)


def results(reason: str = "because") -> list[CheckResult]:
    return [
        CheckResult(AREA.checks[0], CheckVerdict.PASS, "", 0.1234, SAID),
        CheckResult(AREA.checks[1], CheckVerdict.FAIL, reason, 0.2, SAID),
        CheckResult(OTHER.checks[0], CheckVerdict.UNSUPPORTED, reason),
        CheckResult(OTHER.checks[0], CheckVerdict.NOT_APPLICABLE, reason),
    ]


def test_json_has_everything(tmp_path: Path) -> None:
    """Folders are made; what passed needs no transcript."""
    write_json(tmp_path / "new" / "c.json", RUN, results())
    read = json.loads((tmp_path / "new" / "c.json").read_text())

    assert read == json.loads(json.dumps(as_json(RUN, results())))
    assert read["run"]["server"] == "server 1"
    assert read["counts"] == {"pass": 1, "fail": 1, "unsupported": 1, "n/a": 1}
    assert read["checks"][0]["exchanges"] == []
    assert read["checks"][1] == {
        "id": "one.b",
        "area": "one",
        "title": "title b",
        "clause": "clause b",
        "level": "required",
        "extension": "",
        "verdict": "fail",
        "reason": "because",
        "seconds": 0.2,
        "exchanges": [{"request": "GET /\x00", "answer": "200\ud800 <&>"}],
    }


def test_junit_counts_by_area(tmp_path: Path) -> None:
    """A CI shows failures with the clause, the request and the answer, and skips the rest."""
    write_junit(tmp_path / "c.xml", RUN, results())
    root = ET.parse(tmp_path / "c.xml").getroot()

    suites = [{name: suite.get(name) for name in ("name", "tests", "failures", "skipped")} for suite in root]
    assert suites == [
        {"name": "one", "tests": "2", "failures": "1", "skipped": "0"},
        {"name": "two", "tests": "2", "failures": "0", "skipped": "2"},
    ]
    failure = root.find(".//testcase[@name='one.b']/failure")
    assert failure is not None
    assert failure.get("message") == "because"
    assert failure.text == "title b\nclause b\n\nGET /?\n\n200? <&>"
    assert [skipped.get("message") for skipped in root.iter("skipped")] == [
        "unsupported: because",
        "n/a: because",
    ]


@given(st.text())
def test_junit_can_be_read_whatever_a_server_says(tmp_path_factory, reason: str) -> None:
    file = tmp_path_factory.mktemp("junit") / "c.xml"
    write_junit(file, RUN, results(reason))

    assert len(list(ET.parse(file).getroot().iter("testcase"))) == 4
