"""How the value of a header is tried: in time that grows with its length, and hardly with how many try it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from routing.match import HeaderMatch

_MEMORY_BYTES: Final = 1 << 20
"""Of a compiled pattern; what needs more is refused while the policy is read."""

_SET_MEMORY_BYTES: Final = 4 << 20
"""Of all expressions of one header together."""

_ANYTHING: Final = r"\C*"

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


def expressions_test(patterns: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return what says which of ``patterns``, each good by itself, match a value; it goes through it once.

    Where all together need too much memory, they are tried one by one.
    """
    import re2  # noqa: PLC0415

    one_by_one = [(pattern, _expression(pattern)) for pattern in patterns]

    def each(value: str) -> tuple[str, ...]:
        return tuple([pattern for pattern, test in one_by_one if test(value)])

    together = re2.Set.FullMatchSet(_options(_SET_MEMORY_BYTES))
    # What matches everything is found last, and shows that there was enough memory to look.
    for pattern in (*patterns, _ANYTHING):
        together.Add(_bytes(pattern))
    try:
        together.Compile()
    except re2.error:
        return each
    none, match = [len(patterns)], together.Match

    def at_once(value: str) -> tuple[str, ...]:
        found = match(_bytes(value))
        if found == none:
            return ()
        return tuple([patterns[number] for number in sorted(found)[:-1]]) if found else each(value)

    return at_once


def _options(memory_bytes: int) -> Any:
    # The library has no types.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.max_mem = memory_bytes
    options.never_capture, options.log_errors = True, False
    return options


def _expression(pattern: str) -> HeaderTest:
    # Few policies have expressions, and the others need not load it.
    import re2  # noqa: PLC0415

    try:
        full = re2.compile(_bytes(pattern), _options(_MEMORY_BYTES)).fullmatch
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(
            reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        ) from None
    return lambda value: full(_bytes(value)) is not None


def _bytes(text: str) -> bytes:
    # A stranger's text may have lone surrogates.
    return text.encode(errors="surrogatepass")
