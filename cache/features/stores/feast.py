"""What Feast's feature server is asked and answers (``/get-online-features``), as its reference has it.

Values come by feature, not by entity, each beside a status. An entity of which no feature is PRESENT is
absent; one that has some of them only has no vector, and that is the store's failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cache.features.settings import StoreSettings
from cache.features.stores.store import Outcome
from cache.features.vectors import StoreError, listed
from gateway.core.tensor import Buffer

PRESENT: Final = "PRESENT"


class _Metadata(msgspec.Struct):
    feature_names: list[str]


class _Result(msgspec.Struct):
    values: list[Any]
    statuses: list[str] = []


class _Answer(msgspec.Struct):
    metadata: _Metadata
    results: list[_Result]


def feast_request(settings: StoreSettings, ids: Sequence[str]) -> bytes:
    """Return the body that asks for the features of ``ids``.

    Raises:
        StoreError: ids are numbers by the settings, and one is none.
    """
    entities: Sequence[str | int] = ids
    if settings.entity_type == "int":
        try:
            entities = [int(each) for each in ids]
        except ValueError as error:
            raise StoreError("no_number") from error
    return msgspec.json.encode({"features": settings.features, "entities": {settings.entity: entities}})


def feast_outcomes(settings: StoreSettings, body: Buffer, count: int) -> list[Outcome]:
    """Return the outcomes of ``count`` entities.

    Raises:
        StoreError: it is no such answer.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise StoreError("garbage") from error
    by_name = dict(zip(answer.metadata.feature_names, answer.results, strict=False))
    columns = [_column(by_name, feature, count) for feature in settings.features]
    return [_outcome([column[place] for column in columns]) for place in range(count)]


def _column(by_name: dict[str, _Result], feature: str, count: int) -> list[Any]:
    """Return the values of one feature, None where it is not present."""
    view, _, short = feature.rpartition(":")
    result = by_name.get(short) or by_name.get(f"{view}__{short}")
    if result is None or len(result.values) != count:
        raise StoreError("garbage")
    statuses = result.statuses or [PRESENT] * count
    if len(statuses) != count:
        raise StoreError("garbage")
    return [
        value if status == PRESENT else None for value, status in zip(result.values, statuses, strict=True)
    ]


def _outcome(values: list[Any]) -> Outcome:
    missing = sum(value is None for value in values)
    if missing == len(values):
        return None
    if missing:
        return StoreError("incomplete")
    flat: list[Any] = []
    for value in values:
        flat += value if isinstance(value, list) else [value]
    try:
        return listed(flat)
    except StoreError as error:
        return error
