"""docs/settings.md, every key of the settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.reference import keys, render
from gateway.config.settings import Settings
from routing.policy import Policy

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    """It is made from the types: after a change of them, `make settings`."""
    assert render() == PAGE.read_text(), "run `make settings`"


@pytest.mark.parametrize("struct", [Settings, Policy])
def test_every_key_has_a_meaning(struct: type) -> None:
    """A new field is described where it is declared."""
    assert [key for key, meaning in keys(struct) if not meaning] == []


@pytest.mark.parametrize("struct", [Settings, Policy])
def test_a_meaning_stands_alone(struct: type) -> None:
    """A whole sentence in words of the files: the next key's is in another cell, and classes are not seen."""
    found = dict(keys(struct))
    assert [key for key, meaning in found.items() if not meaning.endswith(".")] == []
    assert [key for key, meaning in found.items() if re.search(r"[a-z](Settings|Limits)\b", meaning)] == []


@pytest.mark.parametrize(
    ("struct", "key"),
    [
        (Settings, "listen.admin_access.tls.client_ca"),
        (Settings, "models.batching.NAME.max_batch_size"),
        (Settings, "models.batching.NAME.priority_queue_policy.N.timeout_action"),
        (Settings, "cache.redis.url"),
        (Policy, "routes[].match.model"),
        (Policy, "endpoints.NAME.attempt_timeout_ms"),
    ],
)
def test_keys_are_found_at_any_depth(struct: type, key: str) -> None:
    """In structs, in lists and by name."""
    assert key in dict(keys(struct))


@pytest.mark.parametrize(
    ("section", "row"),
    [
        ("## Settings", "| `role` | `central`, `edge` | must be there |"),
        ("### `listen`", "| `max_body_mib` | integer ≥ 1, ≤ 2,047 | `64` |"),
        ("### `listen`", "| `tls` | keys or null | absent |"),
        ("### `cache`", "| `jitter` | number ≥ 0, ≤ 0.5 | 0.1 |"),
        ("### `models`", "| `batching` | by name: keys | `{}` |"),
        ("## Settings", "| `trusted_proxies` | list of text | `[]` |"),
    ],
)
def test_types_bounds_and_defaults_are_those_of_the_struct(section: str, row: str) -> None:
    """One of each kind."""
    found = render().split(f"\n{section}\n", 1)[1].split("\n##", 1)[0]
    assert row in found
