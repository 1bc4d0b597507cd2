"""What an infer request says."""

from __future__ import annotations

import pytest

from gateway.wire.oip.inference import BINARY_OUTPUTS, PLAIN_OUTPUTS, OutputFormat


@pytest.mark.parametrize(
    ("output_format", "binary"),
    [
        (PLAIN_OUTPUTS, []),
        (BINARY_OUTPUTS, ["a", "b", "c"]),
        (OutputFormat(False, {"a": True, "b": False}), ["a"]),
        (OutputFormat(True, {"a": True, "b": False}), ["a", "c"]),
    ],
)
def test_an_output_is_written_as_its_name_says_or_as_all_are(output_format, binary):
    """The choice for one output goes before the choice for all."""
    assert [name for name in "abc" if output_format.writes_binary(name)] == binary
