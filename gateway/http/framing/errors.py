"""What is wrong with what a peer has sent, over HTTP/1.1 and HTTP/2, as server and as client."""

from __future__ import annotations


class FramingError(Exception):
    """It is not HTTP, it ends before it is complete, or there is more of it than agreed.

    The connection is of no more use. ``reason``: under which the failure is counted.
    """

    reason = "protocol"


class AnswerTooLargeError(FramingError):
    """The body is larger than agreed; it was not read to its end."""


class HeadTooLargeError(FramingError):
    """The headers, or the framing of the body, are larger than agreed."""
