"""One family of errors for everything that a peer sends wrong."""

from __future__ import annotations

import pytest

from gateway.http.framing.errors import AnswerTooLargeError, FramingError, HeadTooLargeError


@pytest.mark.parametrize("kind", [FramingError, AnswerTooLargeError, HeadTooLargeError])
def test_they_are_counted_as_protocol_errors(kind: type[FramingError]):
    """Whoever catches FramingError catches all of them."""
    with pytest.raises(FramingError) as caught:
        raise kind("no")

    assert caught.value.reason == "protocol"
