"""What `edgeway policy explain` shows of settings, and whose they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.commands.explain_settings import in_words
from routing.policy import RouteCache
from tests.gateway.policies import GOOD, write_policy

DEFAULTS = """\
defaults:
  routes: {timeout_ms: 900, per_try_timeout_ms: 300, cache: {ttl_s: 5}, sticky_by: tenant}
  endpoints: {max_concurrency: 7, load_balancing: {policy: random}}
"""
OWN = GOOD.replace("  digest:", "  timeout_ms: 1000\n  per_try_timeout_ms: null\n  num_retries: 0\n  digest:")


def settings(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that say what is set, but for the blanks between name and text."""
    file = write_policy(folder, text)
    assert main(["policy", "explain", str(file), "--model", "digits", "--region", "here"]) == 0
    out = capsys.readouterr().out.splitlines()
    return [" ".join(line.split()) for line in out if line.startswith("settings")]


def test_each_value_says_whose_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a route has switched off is a word of its own, too."""
    assert settings(tmp_path, DEFAULTS + OWN, capsys) == [
        "settings sticky_by tenant (the policy's defaults)",
        "settings timeout_ms 1000 (its own)",
        "settings per_try_timeout_ms none (its own)",
        "settings num_retries 0 (its own)",
        "settings cache enabled true, ttl_s 5, lease true (the policy's defaults)",
        "settings cascade on_central_down serve_edge (its own)",
        "settings retry_on (each gateway's settings)",
        "settings 1 load_balancing (the policy's defaults); max_concurrency 7 (the policy's defaults)",
    ]


def test_without_defaults_there_is_little_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody has set is left out, but for what each gateway has settings of."""
    assert settings(tmp_path, GOOD, capsys) == [
        "settings cascade on_central_down serve_edge (its own)",
        "settings timeout_ms, per_try_timeout_ms, num_retries, retry_on (each gateway's settings)",
    ]


def test_an_endpoints_own_limit_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GOOD.replace('address: "127.0.0.1:9"', 'address: "127.0.0.1:9", attempt_timeout_ms: 50')

    assert settings(tmp_path, text, capsys)[-1] == "settings 1 attempt_timeout_ms 50 (its own)"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        (True, "true"),
        (0.5, "0.5"),
        (3, "3"),
        (("reset", "5xx"), "reset, 5xx"),
        (RouteCache(enabled=False), "enabled false, lease true"),
        ({"a": None, "b": []}, "all as it is"),
        ({"a": {"b": 1}}, "a b 1"),
    ],
)
def test_values_in_words(value: object, words: str) -> None:
    assert in_words(value) == words


def test_when_members_are_out_is_told_in_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No other line of the endpoint has them."""
    outliers = "outlier_detection: {consecutive_5xx: 2}"
    text = GOOD.replace('address: "127.0.0.1:9"', f'address: "127.0.0.1:9", {outliers}')

    assert settings(tmp_path, text, capsys)[-1] == "settings 1 outlier_detection consecutive_5xx 2 (its own)"
