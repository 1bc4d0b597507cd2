"""The index of another server's models, as it is passed on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.core.catalog import IndexEntry
from gateway.core.errors import Fault, GatewayError, printable, without_folders
from gateway.core.tensor import Buffer
from gateway.wire.oip.proto import parse
from gateway.wire.proto import messages

MAX_BYTES: Final = 512 << 10
MAX_ENTRIES: Final = 2048
"""Of an index; entries beyond them are not passed on. Fewer of them than this are all that there are."""

_MOST_READ: Final = 4 * MAX_ENTRIES
"""Entries that are looked at for these; most indexes hold none that cannot be asked for."""

UNKNOWN: Final = "UNKNOWN"
"""The state of a model whose server lists names alone."""

_MAX_NAME: Final = 256
_MAX_REASON: Final = 200


class _EntryMessage(msgspec.Struct):
    name: str
    version: str | None = None
    state: str | None = None
    reason: str | None = None


class _NamesMessage(msgspec.Struct):
    models: list[str]


_ENTRIES: Final = msgspec.json.Decoder(list[_EntryMessage])
_NAMES: Final = msgspec.json.Decoder(_NamesMessage)


def decode_index(body: Buffer) -> list[IndexEntry]:
    """Read the index that another server has sent.

    Raises:
        GatewayError: INVALID when it is not what the protocol has; UNSUPPORTED when it is too long.
    """
    return _fit(_decode(_ENTRIES, body))


def decode_names(body: Buffer) -> list[IndexEntry]:
    """Read the list of another server that has nothing but names, as KServe has it.

    Raises:
        GatewayError: INVALID when it is none; UNSUPPORTED when it is too long.
    """
    return _fit([_EntryMessage(name, state=UNKNOWN) for name in _decode(_NAMES, body).models])


def decode_index_message(body: Buffer) -> list[IndexEntry]:
    """Read a RepositoryIndexResponse.

    Raises:
        GatewayError: INVALID when it is no such message; UNSUPPORTED when it is too long.
    """
    if len(body) > MAX_BYTES:
        raise _too_long()
    return _fit(parse(messages.RepositoryIndexResponse, bytes(body)).models)


def _decode(decoder: msgspec.json.Decoder[Any], body: Buffer) -> Any:
    if len(body) > MAX_BYTES:
        raise _too_long()
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _unfit() from None


def _fit(entries: Sequence[Any]) -> list[IndexEntry]:
    """Return the entries that have a name which can be asked for, ``MAX_ENTRIES`` at most.

    Raises:
        GatewayError: UNSUPPORTED when so many have none that there may be more that can be asked for.
    """
    found: list[IndexEntry] = []
    for entry in entries[:_MOST_READ]:
        name = entry.name
        if name and len(name) <= _MAX_NAME and name.isprintable():
            reason = printable(without_folders((entry.reason or "")[: 4 * _MAX_REASON]), _MAX_REASON)
            found.append(
                IndexEntry(name, printable(entry.version or ""), printable(entry.state or ""), reason)
            )
            if len(found) == MAX_ENTRIES:
                return found
    if len(entries) > _MOST_READ:
        raise _too_long()
    return found


def _unfit() -> GatewayError:
    return GatewayError(Fault.INVALID, "the index of models is not as the protocol has it")


def _too_long() -> GatewayError:
    """Return the error for an index that is as the protocol has it, and says nothing: it is not read."""
    return GatewayError(Fault.UNSUPPORTED, "the index of models is longer than is read")
