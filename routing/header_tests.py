"""How the value of a header is tried: in time that grows with its length alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from routing.match import HeaderMatch

_MEMORY_BYTES: Final = 1 << 20
"""Of a compiled pattern; what needs more is refused while the policy is read."""

HeaderTest = Callable[[str], bool]


def header_test(match: HeaderMatch) -> HeaderTest:
    """Return what tries a value.

    Raises:
        ValueError: for a regex that RE2 does not take; the message says why.
    """
    if match.exact is not None:
        return match.exact.__eq__
    if match.prefix is not None:
        prefix = match.prefix
        return lambda value: value.startswith(prefix)
    return _expression(match.regex or "")


def _expression(pattern: str) -> HeaderTest:
    # Few policies have expressions, and the others need not load it.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.never_capture, options.log_errors = True, False
    try:
        full = re2.compile(_bytes(pattern), options).fullmatch
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(
            reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        ) from None
    return lambda value: full(_bytes(value)) is not None


def _bytes(text: str) -> bytes:
    # A stranger's text may have lone surrogates.
    return text.encode(errors="surrogatepass")
