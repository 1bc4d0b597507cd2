"""Judgements that many checks share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from gateway.conformance.grpc_wire import GrpcAnswer, alternatives
from gateway.conformance.http_wire import HttpAnswer
from gateway.conformance.tensors import DTYPES
from gateway.conformance.verdicts import Absent, NotApplicable, require

NOT_OFFERED: Final = frozenset({404, 405, 501})
FORBIDDEN: Final = frozenset({401, 403})
GRPC_FORBIDDEN: Final = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


def ok(answer: HttpAnswer) -> HttpAnswer:
    """Require status 200."""
    require(answer.status == 200, f"status {answer.status}, not 200")
    return answer


def ok_object(answer: HttpAnswer) -> dict[str, Any]:
    """Require status 200 and a JSON object; return it."""
    return ok(answer).object()


def offered(answer: HttpAnswer) -> HttpAnswer:
    """Require status 200 of an optional part.

    Raises:
        Absent: when the server says that it does not have it.
        NotApplicable: when it refuses us the access.
    """
    if answer.status in FORBIDDEN:
        raise NotApplicable(f"kept from us by status {answer.status}")
    if answer.status in NOT_OFFERED:
        raise Absent(f"answered with status {answer.status}")
    return ok(answer)


def offered_grpc(answer: GrpcAnswer) -> Any:
    """Require that a call of an optional part succeeded; return its message.

    Raises:
        Absent: when the server says that it does not have it.
        NotApplicable: when it keeps it from strangers.
    """
    if answer.code in GRPC_FORBIDDEN:
        raise NotApplicable(f"kept from us by {answer.code}")
    if answer.code == "UNIMPLEMENTED":
        raise Absent("answered with UNIMPLEMENTED")
    require(answer.code == "OK", f"ended with {answer.code}: {answer.details[:200]}")
    return answer.message


def error_object(answer: HttpAnswer) -> None:
    """Require that a refusal's body is the protocol's error object."""
    text = answer.object().get("error")
    require(isinstance(text, str) and text, "the body has no text under 'error'")


def refused(answer: HttpAnswer, statuses: Collection[int] = ()) -> None:
    """Require a refusal that blames the client."""
    fits = answer.status in statuses if statuses else 400 <= answer.status < 500
    wanted = alternatives(sorted(map(str, statuses))) if statuses else "4xx"
    require(fits, f"status {answer.status}, not {wanted}")


def refused_grpc(answer: GrpcAnswer, codes: Collection[str]) -> None:
    """Require one of some status codes, and a text."""
    require(answer.code in codes, f"ended with {answer.code}, not {alternatives(sorted(codes))}")
    require(answer.details, "the status has no text")


def strings(value: Any, what: str) -> list[str]:
    """Require a list of strings."""
    require(
        isinstance(value, list) and all(isinstance(item, str) for item in value),
        f"{what} is no list of strings",
    )
    return list(value)


def text(body: dict[str, Any], key: str) -> str:
    """Require a string under ``key``."""
    value = body.get(key)
    require(isinstance(value, str), f"'{key}' is {'missing' if value is None else 'no string'}")
    return str(value)


def whole(body: Any, key: str) -> int:
    """Require a whole number that is not negative under ``key``."""
    value = body.get(key) if isinstance(body, dict) else None
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    require(fits, f"'{key}' is {'missing' if value is None else 'no whole number'}")
    return int(value or 0)


def tensor_metadata(listed: Any, what: str) -> None:
    """Require a list of tensors' metadata: name, a datatype of the protocol, whole dimensions."""
    require(isinstance(listed, list) and listed, f"'{what}' is no list with entries")
    for entry in listed:
        require(isinstance(entry, dict), f"an entry of '{what}' is no object")
        name, datatype, shape = text(entry, "name"), text(entry, "datatype"), entry.get("shape")
        require(datatype in DTYPES, f"'{name}' has the datatype {datatype[:20]!r}")
        fits = isinstance(shape, list) and all(
            isinstance(size, int) and not isinstance(size, bool) and size >= -1 for size in shape
        )
        require(fits, f"'{name}' has no shape of whole numbers, -1 where a size may vary")
