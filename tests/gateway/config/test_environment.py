"""Values of the environment."""

from __future__ import annotations

from gateway.config.environment import from_environment


def test_a_variable_that_is_not_there_is_empty(monkeypatch):
    """And one that is has its value."""
    monkeypatch.setenv("EDGEWAY_TEST_TOKEN", "abc")
    assert from_environment("EDGEWAY_TEST_TOKEN") == "abc"
    monkeypatch.delenv("EDGEWAY_TEST_TOKEN")
    assert from_environment("EDGEWAY_TEST_TOKEN") == ""
