"""How commands add themselves to the program."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from gateway.commands.arguments import add_command, add_group


def run(_options: argparse.Namespace) -> int:
    return 0


@pytest.fixture
def parse() -> Callable[..., argparse.Namespace]:
    """A program with one command, and one in a group."""
    parser = argparse.ArgumentParser(prog="program")
    commands = parser.add_subparsers(required=True)
    add_command(commands, "do", run, about="do a thing", examples="  program do it\n").add_argument("thing")
    group = add_group(commands, "many", about="do many things")
    add_command(group, "all", run, about="do all", examples="  program many all\n")
    return lambda *words: parser.parse_args(words)


def test_command_is_chosen_by_its_name(parse) -> None:
    assert parse("do", "it").thing == "it"
    assert parse("do", "it").run is run
    assert parse("many", "all").run is run


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("--help",), ["do a thing", "do many things"]),
        (("do", "--help"), ["Do a thing.", "examples:", "  program do it"]),
        (("many", "--help"), ["Do many things.", "do all"]),
    ],
)
def test_help_says_what_it_does_and_has_examples(parse, capsys, words, lines) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse(*words)

    shown = capsys.readouterr().out
    assert [line for line in lines if line not in shown] == []


def test_group_alone_is_no_command(parse) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse("many")
