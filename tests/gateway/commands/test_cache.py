"""`edgeway cache`: the group of commands."""

from __future__ import annotations

import argparse
from types import ModuleType

import pytest

from gateway.commands import cache


def test_every_command_adds_itself(monkeypatch) -> None:
    """In its order."""
    added: list[str] = []

    class Command(ModuleType):
        def add_to(self, group) -> None:
            added.append(self.__name__)
            group.add_parser(self.__name__)

    monkeypatch.setattr(cache, "COMMANDS", (Command("one"), Command("two")))
    parser = argparse.ArgumentParser()
    cache.add_to(parser.add_subparsers())

    assert added == ["one", "two"]
    parser.parse_args(["cache", "two"])
    with pytest.raises(SystemExit):
        parser.parse_args(["cache", "three"])
