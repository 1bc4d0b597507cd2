"""The defaults of a policy file: what is read, and on which line each complaint is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.config.document import ConfigError, read
from gateway.config.policy_file import load_policy, read_inheritance, read_notes, read_policy
from tests.gateway.policies import GOOD, TWO_ROUTES, write_policy

DEFAULTS = """\
defaults:
  routes:
    timeout_ms: 900
    sticky_by: tenant
    cache: {ttl_s: 5}
  endpoints:
    max_concurrency: 7
    tls:
      ca: ca.pem
"""


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_policy(write_policy(folder, text))
    return str(caught.value).replace(f"{folder}/policy.yaml", "FILE")


def test_a_gateway_sees_whole_routes_and_endpoints(tmp_path: Path) -> None:
    """Files that they name are those beside the policy, as if each endpoint had named them."""
    policy, text = load_policy(write_policy(tmp_path, DEFAULTS + GOOD))

    (route,), central = policy.routes, policy.endpoints["central"]
    assert (route.timeout_ms, route.sticky_by, route.cache.ttl_s) == (900, "tenant", 5)
    assert central.max_concurrency == 7
    assert central.tls is not None
    assert central.tls.ca == str(tmp_path / "ca.pem")
    assert read_inheritance(tmp_path / "policy.yaml", text).of("routes", 0) == {
        "timeout_ms",
        "sticky_by",
        "cache",
    }


def test_the_same_in_json(tmp_path: Path) -> None:
    """Null too: the route has what it would have without defaults."""
    written = read(write_policy(tmp_path, DEFAULTS + TWO_ROUTES)).values
    written["routes"][0]["cache"] = None
    written["routes"][0]["timeout_ms"] = None
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(written, indent=1))

    first, second = load_policy(file)[0].routes

    assert (first.cache.ttl_s, first.timeout_ms, first.sticky_by) == (None, None, "tenant")
    assert (second.cache.ttl_s, second.timeout_ms) == (5, 900)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("900", "0", "FILE:3: defaults.routes.timeout_ms: expected `int` >= 1"),
        ("900", "soon", "FILE:3: defaults.routes.timeout_ms: expected `int | null`, got `str`"),
        ("ttl_s", "tll_s", "FILE:5: defaults.routes.cache.tll_s: unknown field; check the spelling"),
        ("timeout_ms", "time", "FILE:3: defaults.routes.time: unknown field; check the spelling"),
        ("  routes:", "  route:", "FILE:2: defaults.route: unknown field; check the spelling"),
        ("ca: ca.pem", "ca: 5", "FILE:9: defaults.endpoints.tls.ca: expected `str | null`, got `int`"),
        ("max_concurrency: 7", "max_concurrency: -7", "FILE:7: defaults.endpoints.max_concurrency: expected"),
        (
            "timeout_ms: 900",
            "endpoints: [central]",
            "FILE:3: defaults.routes.endpoints: is not inherited, it belongs to each of the routes; these are: ",
        ),
        (
            "max_concurrency: 7",
            "region: here",
            "FILE:7: defaults.endpoints.region: is not inherited, it belongs to each of the endpoints; these",
        ),
        ("sticky_by: tenant", "timeout_ms: 5", "FILE:4: defaults.routes.timeout_ms: this key stands twice"),
    ],
)
def test_what_is_wrong_with_a_default_is_said_on_its_line(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    """Once, and not of every route that inherits it."""
    assert complaint(tmp_path, DEFAULTS.replace(old, new) + GOOD).startswith(expected)


@pytest.mark.parametrize("given", ["5", "[]", "nothing", "{routes: []}", "{endpoints: 7}"])
def test_defaults_that_are_no_mapping_are_refused(given: str, tmp_path: Path) -> None:
    assert complaint(tmp_path, f"defaults: {given}\n{GOOD}").startswith("FILE:1: defaults")


def test_what_the_lint_finds_in_an_inherited_value_stands_where_the_value_does(tmp_path: Path) -> None:
    """It names the route all the same: another one may do with that value."""
    text = DEFAULTS.replace("sticky_by: tenant", "per_try_timeout_ms: 950") + TWO_ROUTES
    text = text.replace("match: {model: digits}", "match: {model: digits}\n  timeout_ms: 1000")

    (finding,) = [each for each in read_policy(write_policy(tmp_path, text))[1] if each.is_error]

    assert (finding.line, finding.rule) == (4, "EW165")
    assert finding.text.startswith(
        "routes[0].per_try_timeout_ms (inherited, defaults.routes.per_try_timeout_ms): one attempt gets 950 ms"
    )


def test_what_the_lint_finds_in_a_routes_own_value_stands_at_the_route(tmp_path: Path) -> None:
    text = DEFAULTS + GOOD.replace("  digest:", "  per_try_timeout_ms: 950\n  digest:")

    (finding,) = [each for each in read_policy(write_policy(tmp_path, text))[1] if each.is_error]

    assert text.splitlines()[finding.line - 1] == "  per_try_timeout_ms: 950"
    assert finding.text.startswith("routes[0].per_try_timeout_ms: one attempt")


def test_a_default_that_nobody_inherits_is_a_warning(tmp_path: Path) -> None:
    text = DEFAULTS + GOOD.replace("  digest:", "  timeout_ms: 5\n  digest:")

    findings = read_policy(write_policy(tmp_path, text))[1]

    assert [(each.line, each.rule) for each in findings if each.rule == "EW268"] == [(3, "EW268")]


def test_notes_are_found_beside_nulls(tmp_path: Path) -> None:
    """Whoever reads the file again reads it in the same way."""
    text = DEFAULTS + GOOD.replace("  digest:", "  cache: null\n  digest:")
    file = write_policy(tmp_path, text)

    assert [each.rule for each in read_notes(file, text.encode())] == ["EW301"]
