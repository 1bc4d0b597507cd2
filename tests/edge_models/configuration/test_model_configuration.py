"""Which versions a policy chooses, and where a field is said to stand."""

from __future__ import annotations

import pytest

from edge_models.configuration.model_configuration import ALL_VERSIONS, VersionPolicy
from edge_models.configuration.reading import parse_json, parse_text


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (VersionPolicy(), (11,)),
        (VersionPolicy(2), (3, 11)),
        (VersionPolicy(9), (1, 2, 3, 11)),
        (ALL_VERSIONS, (1, 2, 3, 11)),
        (VersionPolicy(None, (2, 3, 4)), (2, 3)),
        (VersionPolicy(None, ()), ()),
    ],
)
def test_versions_are_numbers_and_the_latest_is_the_greatest(policy, chosen):
    assert policy.choose((11, 2, 1, 3)) == chosen


def test_a_field_stands_in_the_file_or_in_the_order():
    text = b'name: "m"\nmax_batch_size: 4\n'
    assert parse_text(text).where("max_batch_size") == "config.pbtxt:2"
    assert parse_json('{"max_batch_size": 4}').where("max_batch_size") == "config"
