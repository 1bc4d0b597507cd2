"""`edgeway cache simulate`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.commands.cache_simulate import LinesPassedOver, ReadingProgress


def log(folder: Path, *lines: str, name: str = "requests.jsonl") -> str:
    file = folder / name
    file.write_text("".join(f"{line}\n" for line in lines))
    return str(file)


def lookups(count: int, keys: int, **fields) -> list[str]:
    return [json.dumps({"key": f"k{nth % keys}", "size": 2000, **fields}) for nth in range(count)]


def simulate(file: str, *arguments: str, sizes: str = "1MiB,2MiB") -> int:
    return main(["cache", "simulate", "--log", file, "--sizes", sizes, *arguments])


def test_it_shows_every_size_and_policy(tmp_path: Path, capsys) -> None:
    """A loop over a little more than the cache: LRU has no hit, and the larger cache has them all."""
    file = log(tmp_path, *lookups(6000, 600, outcome="miss"))
    assert simulate(file) == 0
    out = capsys.readouterr().out
    assert "6000 look-ups" in out
    assert "hits when they were recorded" not in out
    (small,) = [line for line in out.splitlines() if "lru" in line and " 0.0 %" in line]
    assert "best" not in small
    assert out.count("90.0 %  best") == 3
    assert "1.0 MiB  s3fifo" in out


def test_several_files_are_one_stream_and_a_page_is_written(tmp_path: Path, capsys) -> None:
    """What the first has brought is a hit in the second."""
    old = log(tmp_path, *lookups(10, 10), name="old")
    new = log(tmp_path, *lookups(10, 10, outcome="hit"))
    html = tmp_path / "page.html"
    assert (
        simulate(old, "--log", old, new, "--policies", "sieve,sieve", "--html", str(html), sizes="1MiB") == 0
    )
    out = capsys.readouterr().out
    assert "50.0 % were hits when they were recorded" in out
    assert out.count("sieve") == 1
    assert "best" not in out
    assert "50.0 %" in html.read_text()


def test_malformed_lines_are_named_and_counted(tmp_path: Path, capsys) -> None:
    """The first by their numbers, and the exit code says so."""
    file = log(tmp_path, *lookups(3, 1), *["nonsense"] * 8)
    assert simulate(file) == 1
    said = capsys.readouterr()
    assert "line 4: " in said.err
    assert "line 8: " in said.err
    assert "line 9: " not in said.err
    assert "8 lines were passed over" in said.err
    assert "3 look-ups" in said.out


def test_samples_are_told(tmp_path: Path, capsys) -> None:
    """And what they distort."""
    lines = lookups(100, 50, sample=0.1)
    file = log(tmp_path, *lines, json.dumps({"key": "big", "size": 80_000, "sample": 0.1}), lines[0])
    assert simulate(file, "--sample", "1") == 0
    out = capsys.readouterr().out
    assert "a sample of 0.1" in out
    assert "1 had an answer too large for the sampled bytes" in out


def test_answers_that_may_not_be_kept_are_told(tmp_path: Path, capsys) -> None:
    """Nobody could have served them."""
    assert simulate(log(tmp_path, '{"key": "a", "size": 0}', '{"key": "b", "size": 9}')) == 0
    assert "50.0 % had no answer that may be kept" in capsys.readouterr().out


def test_it_reads_standard_input(monkeypatch, capsys) -> None:
    """A stream has no length."""

    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Stream(b'{"key": "a", "size": 9}\n' * 4)))
    assert simulate("-") == 0
    assert "75.0 %" in capsys.readouterr().out


def test_a_log_without_lookups_or_a_file_that_is_not_there(tmp_path: Path, capsys) -> None:
    """Exit code 2, and the reason."""
    assert simulate(log(tmp_path)) == 2
    assert "no look-up" in capsys.readouterr().err
    assert simulate(str(tmp_path / "none")) == 2
    assert "none: No such file" in capsys.readouterr().err
    assert simulate(log(tmp_path, *lookups(1, 1)), "--html", str(tmp_path / "no" / "page")) == 2
    assert "page: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--sizes", "64MB"], "'64MB' is no size"),
        (["--sizes", "1"], "'1' is no size"),
        (["--sizes", ",".join(f"{mib}MiB" for mib in range(1, 23))], "22 sizes"),
        (["--policies", "s3fifo,magic"], "'magic' is none of s3fifo, lru, sieve"),
        (["--sample", "0"], "'0' is no share"),
        (["--sample", "nan"], "'nan' is no share"),
        (["--sample", "x"], "'x' is no share"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], problem: str, capsys) -> None:
    """Before anything is read."""
    with pytest.raises(SystemExit) as ended:
        simulate("nothing", *arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_progress_is_told_at_a_terminal_only(monkeypatch, capsys) -> None:
    """Every two seconds, with the share where the length is known."""
    now = [0.0]
    for is_terminal, length in ((True, 100_000), (True, 0), (False, 100_000)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal, raising=False)
        progress = ReadingProgress(length, lambda: now[0])
        for _ in range(3 * 4096):
            now[0] += 0.0003
            progress.advance(5)
        told = capsys.readouterr().err
        assert told.count("lines read") == (1 if is_terminal else 0)
        assert ("41.0 %" in told) == (is_terminal and length > 0)
        assert f"of {length} bytes" in repr(progress)
    assert repr(LinesPassedOver()) == "<LinesPassedOver 0>"
