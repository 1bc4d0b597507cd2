"""What to do about text that is not YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.composer import Composer
from gateway.config.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        ("a:\n\tb: 1\n", 2, "a tab; YAML is indented with spaces"),
        ("a: @b\n", 1, "a text that begins with '@' needs quotes"),
        ("a: b: c\n", 1, "a text with ': ' in it needs quotes"),
        ("a: [b\n", 2, "which begins in line 1): close the bracket"),
        ("a: 'b\n\n", 3, "which begins in line 1): a quote is not closed"),
        ("a: 1\n  b: 2\n", 2, "look at the indentation"),
        ("a: 1\n    b\nc\n", 4, "could not find expected ':'"),
        ("a: [b,, c]\n", 1, "an entry between brackets is empty"),
        ('a: "\\d"\n', 1, "use single quotes"),
        ("a: *\n", 1, "needs quotes"),
        ("a: ]\n", 1, "did not find expected node content"),
        ("a: \x1fb\n", 0, "is not YAML"),
    ],
)
def test_advice(text: str, line: int, advice: str) -> None:
    """Where something begins that does not end, and what to do."""
    with pytest.raises(ConfigError, match="is not YAML") as caught:
        Composer(Path("some.yaml"), text).compose()

    assert advice in str(caught.value)
    assert caught.value.line == line
