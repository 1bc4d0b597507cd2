"""docs/policy.md: whole policies, and every field with its unit and an example."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.document import read
from gateway.config.policy_file import read_notes, read_policy
from gateway.config.policy_page import EVERY_FIELD, example, render, unit
from gateway.config.reference import keys
from routing.policy import Policy

DOCS = Path(__file__).parents[3] / "docs"
FILES = sorted((DOCS / "policies").glob("*.yaml"))
WHOLE = [file for file in FILES if not file.stem.startswith(EVERY_FIELD)]


def test_the_page_is_up_to_date() -> None:
    """It is made from the types and the policies: after a change of them, `make settings`."""
    assert render(DOCS / "policies") == (DOCS / "policy.md").read_text(), "run `make settings`"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_policies_are_good(file: Path) -> None:
    """Without a warning; whole ones without an older form, too."""
    _, findings, text = read_policy(file)

    assert [str(finding) for finding in findings] == []
    assert file not in WHOLE or read_notes(file, text) == []


def test_whole_policies_are_on_the_page_under_a_title_each() -> None:
    page = (DOCS / "policy.md").read_text()

    assert len(WHOLE) >= 5
    for file in WHOLE:
        title, _, rest = file.read_text().partition("\n")
        assert f"### {title.removeprefix('# ')}\n" in page
        assert rest.strip() in page


def test_every_field_has_an_example() -> None:
    """A new field is used in one of the policies."""
    documents = [read(file).values for file in FILES]

    assert [key for key, _ in keys(Policy) if not example(documents, key)] == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("routes[].timeout_ms", "ms"),
        ("endpoints.NAME.health_check.interval_s", "s"),
        ("endpoints.NAME.health_check.unhealthy_threshold", "checks"),
        ("endpoints.NAME.outlier_detection.failure_percentage_threshold", "%"),
        ("endpoints.NAME.outlier_detection.success_rate_stdev_factor", "0.001 deviations"),
        ("endpoints.NAME.load_balancing.hash_balance_factor", "%"),
        ("endpoints.NAME.capacity_rps", "requests/s"),
        ("locality.healthy_panic_threshold", "%"),
        ("endpoints.NAME.region", ""),
    ],
)
def test_units_are_in_the_names(path: str, expected: str) -> None:
    assert unit(path) == expected


def test_the_shortest_example_is_shown_and_a_long_one_is_not() -> None:
    documents = [
        {"a": [{"b": "x" * 100}, {"c": 1}]},
        {"a": [{"b": "yy"}, {"b": "x"}], "d": {"n": {"e": [1]}}},
    ]

    assert example(documents, "a[].b") == '`"x"`'
    assert example(documents, "d.NAME.e") == "`[1]`"
    assert example(documents[:1], "a[].b") == "as above"
    assert example(documents, "a[].z") == example(documents, "a.z") == ""
