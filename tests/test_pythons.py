"""The script that runs the tests with every Python: which it finds, and what it makes of their output."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from loadtests.bench.results import Spread
from tests import pythons

HERE = sys.version_info[:3]


def test_one_of_each_version_is_found() -> None:
    """Whichever are here: the one that runs need not be among them, if nothing leads to it but its path."""
    found = pythons.choose([])

    assert [each.version[1] for each in found] == sorted({each.version[1] for each in found})
    assert all(each == pythons.probe(each.path) for each in found)


def test_the_one_that_is_named_is_taken() -> None:
    """By its path, in place of any other of its version."""
    (taken,) = [each for each in pythons.choose([sys.executable]) if each.version[1] == HERE[1]]

    assert taken.version == HERE


@pytest.mark.parametrize("words", [[], ["--others"]])
def test_the_others_are_those_without_this_version(words: list[str], monkeypatch, capsys) -> None:
    """With none left there is nothing to do, which is no failure."""
    monkeypatch.setattr(sys, "argv", ["pythons.py", "--list", sys.executable, *words])

    assert pythons.main() == 0
    assert (f"Python {HERE[0]}.{HERE[1]}." in capsys.readouterr().out) is not bool(words)


@pytest.mark.parametrize(
    "text", ["", "#!/bin/sh\necho '[[3, 9, 1], \"/old\", false]'\n", "#!/bin/sh\nexit 1\n"]
)
def test_what_is_no_supported_python_is_refused(text: str, tmp_path: Path) -> None:
    """Nothing there, too old, or broken: the message names it."""
    named = tmp_path / "python"
    if text:
        named.write_text(text)
        named.chmod(0o755)

    with pytest.raises(ValueError, match=r"is no Python of 3\.11 to 3\.14 that starts here"):
        pythons.choose([str(named)])


def test_free_threaded_builds_are_left_out(tmp_path: Path) -> None:
    """Edgeway is not tested without the global lock, and does not pretend to be."""
    named = tmp_path / "python"
    named.write_text("#!/bin/sh\necho '[[3, 14, 0], \"/free\", true]'\n")
    named.chmod(0o755)

    assert pythons.probe(str(named)) is None


def test_counts_and_reasons_are_read_from_the_output() -> None:
    """The closing line of pytest, quiet or not, and why something was skipped."""
    said = "SKIPPED [2] tests/x.py:3: not here\n1 failed, 4693 passed, 1 skipped in 417.64s (0:06:57)\n"

    assert pythons.COUNTS.findall(said) == ["1 failed, 4693 passed, 1 skipped"]
    assert pythons.COUNTS.findall("==== 12 passed in 1.50s ====") == ["12 passed"]
    assert pythons.REASONS.findall(said) == ["tests/x.py:3: not here"]


def test_a_cell_has_the_figure_and_its_ratio() -> None:
    """With the range of the rounds; a figure without a peer stands alone."""
    spread = asdict(Spread(2.0, 1.5, 2.5, rounds=5))
    row = {"ours": asdict(Spread.of([28630.0])), "unit": "req/s", "ratio": spread}

    assert pythons.cell(row) == "28,630 req/s, 2.00 x (1.50 to 2.50)"
    assert pythons.cell({**row, "ratio": None}) == "28,630 req/s"


def test_each_figure_stands_under_its_python(tmp_path: Path, monkeypatch, capsys) -> None:
    """One that lacks a row leaves a blank, and rows of the same words are rows of their own."""
    spread = {"median": 1.0}
    figures = {
        "3.11.7": {"hits": [("a", 11.0), ("a", 11.5)], "filters": [("b", 110.0)]},
        "3.12.1": {"hits": None, "filters": [("b", 120.0)]},
        "3.13.0": {"hits": [("a", 13.0), ("a", 13.5)], "filters": [("b", 130.0)]},
    }

    def measure(interpreter: pythons.Interpreter, _target: str, _log: Path, *_words: str) -> int:
        cases = {
            case: {"skipped": "no peer"}
            if rows is None
            else {"rows": [{"what": what, "unit": "u", "ours": {**spread, "median": m}} for what, m in rows]}
            for case, rows in figures[interpreter.name].items()
        }
        folder = pythons.OUT / interpreter.name
        folder.mkdir(parents=True)
        (folder / "bench.json").write_text(json.dumps({"python": interpreter.name, "cases": cases}))
        return 0

    monkeypatch.setattr(pythons, "ROOT", tmp_path)
    monkeypatch.setattr(pythons, "OUT", tmp_path / "out")
    monkeypatch.setattr(pythons, "make", measure)
    found = [pythons.Interpreter(tuple(map(int, name.split("."))), name) for name in figures]

    assert pythons.bench(found, ["hits", "filters"]) == 0

    assert (tmp_path / "out" / "bench.md").read_text().splitlines()[2:] == [
        "| a | 11 u |  | 13 u |",
        "| a | 11.5 u |  | 13.5 u |",
        "| b | 110 u | 120 u | 130 u |",
    ]
    assert "hits was skipped: no peer" in capsys.readouterr().out
