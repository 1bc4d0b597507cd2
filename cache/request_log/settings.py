"""Settings of the log of look-ups."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class RequestLogSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The log of the cache's look-ups, one in a line of JSON, for `edgeway cache simulate`."""

    file: Annotated[str, Meta(min_length=1, max_length=4096)]
    """Where it is written; its folder must exist. All workers write the same file."""

    sample: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """The share of the keys whose look-ups are logged, the same keys always. 1: all."""

    max_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 40)] = 256 << 20
    """Bytes of the file and of the one before it, ``FILE.1``, together. Default 256 MiB."""

    tenants: Literal["hashed", "named"] = "hashed"
    """How the log names tenants."""
