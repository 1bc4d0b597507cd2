"""NaN and infinity in JSON, which has no form for them.

Triton, and Python's ``json``, write and read the names ``NaN``, ``Infinity`` and ``-Infinity`` where a
number may stand; protobuf's JSON has them as texts. Lists of elements are read with either. Bodies are read
by a parser that takes JSON alone, so one that it refuses is looked at again: its names become texts. No
other body is slower.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, Literal

import msgspec

from gateway.core.tensor import Buffer

JsonNan = Literal["literal", "refuse"]
"""How NaN and infinity are written: as Triton writes them, or not at all."""

Named = Literal["NaN", "Infinity", "-Infinity"]
NAMED: Final[dict[Any, float]] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

# A text, whole or cut; or a name among the elements of a list. The first never fails where it begins, so that
# nothing is looked at twice.
_FOUND: Final = re.compile(
    rb'"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)|([\[,][ \t\r\n]*+)(-?)(NaN|Inf(?:inity)?)(?=[ \t\r\n]*+[\],])',
    re.DOTALL,
)


def with_texts(body: Buffer) -> bytes | None:
    """Return a body whose elements NaN and infinity are texts; None where it has none of them."""
    whole = bytes(body)
    if b"NaN" not in whole and b"Inf" not in whole:
        return None
    return _FOUND.sub(_as_text, whole)


def as_literals(values: list[float]) -> msgspec.Raw:
    """Write elements of which some are no number of JSON's."""
    return msgspec.Raw(json.dumps(values, separators=(",", ":")).encode())


def _as_text(found: re.Match[bytes]) -> bytes:
    before, sign, name = found.groups()
    if name is None:
        return found[0]
    return before + (b'"NaN"' if name == b"NaN" else b'"%bInfinity"' % sign)
