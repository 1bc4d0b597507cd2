"""The policy file with its findings."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gateway.config.document import ConfigError
from gateway.config.policy_file import load_policy, read_file, read_policy
from tests.fakes.calls import counted_calls
from tests.gateway.policies import GOOD, write_policy


def test_good_policy_has_no_errors(tmp_path: Path) -> None:
    """What is right loads, and the bytes that were read come with it."""
    file = write_policy(tmp_path)

    policy, text = load_policy(file)

    assert policy.generation == 1
    assert text == file.read_bytes()


def test_lint_errors_carry_rule_line_and_hint(tmp_path: Path) -> None:
    """A misspelt endpoint is an error on its line, with the name that was meant."""
    file = write_policy(tmp_path, GOOD.replace("endpoints: [central]", "endpoints: [centrall]"))

    _, findings, _ = read_policy(file)

    (finding,) = [found for found in findings if found.is_error]
    line = 1 + file.read_text()[: file.read_text().index("centrall")].count("\n")
    assert str(finding).startswith(f'{file}:{line}:15: error EW103: routes[0] ("digits").endpoints[0]: ')
    assert "did you mean 'central'" in finding.text
    with pytest.raises(ConfigError, match=f"{file}:{line}:15: EW103"):
        load_policy(file)


def test_unreadable_policy_is_named(tmp_path: Path) -> None:
    """A file that is not there is no policy."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_policy(tmp_path / "none.yaml")


def large_policy(number: int) -> str:
    """So many routes, so many tenants."""
    tenants = "".join(f"  t{index}: {{residency: anywhere}}\n" for index in range(number))
    routes = "".join(
        f"- {{name: r{index}, match: {{model: m{index}}}, endpoints: [central]}}\n" for index in range(number)
    )
    return GOOD.replace("tenants:\n", f"tenants:\n{tenants}").replace("routes:\n", f"routes:\n{routes}")


def outcome_of(file: Path) -> tuple[list[str], int]:
    """The rules that are broken, or the field that cannot be read; and how many calls it took to say so."""
    with counted_calls() as calls:
        try:
            _, findings, _ = read_policy(file)
            found = sorted({finding.rule for finding in findings if finding.is_error})
        except ConfigError as error:
            found = [error.field]
    return found, calls.number


@pytest.mark.parametrize(
    ("pattern", "broken", "outcome"),
    [
        ("^", "", []),
        ("t1999: {residency: anywhere}", "t1999: {residency: []}", ["tenants.t1999.residency"]),
        (r"model: m\d+", "model: digits", ["EW113"]),
        (r"model: m(\d+)", r"tenants: [x\1t], model: m", ["EW105"]),
    ],
    ids=["sound", "last value wrong", "all routes shadowed", "all names unknown"],
)
def test_a_policy_of_eight_times_the_size_is_eight_times_the_work(
    tmp_path: Path, pattern: str, broken: str, outcome: list[str]
) -> None:
    """Nobody waits long for a policy, sound or not; it is no more work where two thousand names are misspelt."""
    small, large = (
        outcome_of(write_policy(tmp_path, re.sub(pattern, broken, large_policy(number))))
        for number in (250, 2000)
    )

    assert large[0] == outcome
    assert large[1] < 12 * small[1]


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    """Of whoever reloads as well: the first with the number of the others, each at hand."""
    file = write_policy(tmp_path, GOOD.replace("[central]", "[centrall, edgee]"))

    with pytest.raises(ConfigError, match=r"EW103: .*centrall.* \(and 1 more\)$") as caught:
        load_policy(file)

    assert len(caught.value.each) == 2


def test_places_are_named_after_norway(tmp_path: Path) -> None:
    """NO needs no quotes where a code is wanted; yes is true where a truth value is, with a warning."""
    text = GOOD.replace("[EU]", "[EU, NO]").replace("failover", "places: {NO: anywhere}\nfailover")
    text = text.replace("  cascade:", "  cache: {enabled: yes}\n  cascade:")

    policy, findings, _ = read_policy(write_policy(tmp_path, text))

    assert policy.regions["here"].serves == ("EU", "NO")
    assert policy.places == {"NO": "anywhere"}
    assert policy.routes[0].cache.enabled
    (old,) = [finding for finding in findings if finding.rule == "EW259"]
    assert not old.is_error
    assert old.text == 'routes[0] ("digits").cache.enabled: `yes` is true in YAML 1.1 alone: write `true`'


def test_too_many_routes_are_refused_by_their_number(tmp_path: Path) -> None:
    """Whatever else may be wrong with them."""
    file = write_policy(tmp_path, GOOD + "- {nmae: x}\n" * 3000)

    with pytest.raises(ConfigError) as caught:
        load_policy(file)

    assert caught.value.message == "has 3,001 entries, and 3,000 is the most"
    assert not caught.value.others


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_process_that_serves_reads_files_only(tmp_path: Path, kind: str) -> None:
    """Nobody may ever write into a pipe, and a device may have no end."""
    file = tmp_path / "policy.yaml"
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case _:
            file.mkdir()

    with pytest.raises(ConfigError, match=r"regular file|Is a directory"):
        read_file(file)
