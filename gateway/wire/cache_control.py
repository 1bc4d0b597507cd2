"""Cache-Control of a request (RFC 9111, 5.2), as header, metadata or parameter: text → directives."""

from __future__ import annotations

import math
import re
from typing import Final

from gateway.core.cache_control import CacheDirectives

PARAMETER: Final = "cache_control"
"""The request parameter that says what the header of that name says."""

MAX_CHARS: Final = 1024
"""A longer text is ignored as a whole: four directives that are known fit into 50."""

MOST_S: Final = 2**31
"""What RFC 9111 (1.2.2) has for more seconds than can be counted."""

_DIRECTIVE: Final = re.compile(
    r"""
    [\s,]*
    ([!#$%&'*+.^_`|~0-9A-Za-z-]+)                               # its name
    (?:=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+)))? # its argument, quoted or a token
    \s*(?:,|$)
""",
    re.VERBOSE,
)
_DIGITS: Final = re.compile(r"[0-9]+")


def parse_cache_control(text: str) -> CacheDirectives | None:
    """Return the directives that are known; None: there are none.

    A directive that is unknown, malformed, or has an argument that it should not have is ignored. Of
    several ``max-age`` the strictest counts.
    """
    if len(text) > MAX_CHARS:
        return None
    found: set[str] = set()
    max_age_s = math.inf
    position = 0
    while position < len(text):
        match = _DIRECTIVE.match(text, position)
        if match is None:
            # Not a directive: what follows its comma may be one. A quote that opens here hides nothing.
            comma = text.find(",", position + 1)
            position = len(text) if comma < 0 else comma
            continue
        position = match.end()
        name, quoted, token = match.groups()
        argument = token if quoted is None else quoted
        if argument is None:
            found.add(name.lower())
        elif name.lower() == "max-age" and _DIGITS.fullmatch(argument):
            max_age_s = min(max_age_s, int(argument) if len(argument) < 10 else MOST_S)
    control = CacheDirectives(
        no_cache="no-cache" in found,
        no_store="no-store" in found,
        only_if_cached="only-if-cached" in found,
        max_age_s=float(max_age_s),
    )
    return None if control == _NOTHING else control


_NOTHING: Final = CacheDirectives()
