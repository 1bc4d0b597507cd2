"""What a hash goes by: the part of a request that sends it to one member."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from gateway.core.request import SEQUENCE, Request
from routing.rules.sticky import sequence_key

HashKey = Callable[[Request], bytes | None]
"""Returns what the hash goes by; None: the request has no such thing, and is spread."""

_HEADER = "header:"


def hash_key(hash_on: str) -> HashKey:
    """Return what reads the key that ``LoadBalancing.hash_on`` names.

    ``input``: equal inputs of one model have one key; the cache's key where the request has one, which is
    there already. ``tenant``: anonymous requests have none. ``sequence``: as ``routing.rules.sticky`` names
    it. ``header:NAME``: of those that the settings let travel; the first of several.
    """
    if hash_on.startswith(_HEADER):
        return _of_header(hash_on[len(_HEADER) :].lower())
    return {"tenant": _of_tenant, "sequence": _of_sequence, "input": _of_input}[hash_on]


def _of_tenant(request: Request) -> bytes | None:
    name = request.caller.claimed or request.caller.holder
    return _bytes(name) if name else None


def _of_sequence(request: Request) -> bytes | None:
    return sequence_key(request) if SEQUENCE in request.parameters else None


def _of_input(request: Request) -> bytes | None:
    if request.key:
        return request.key
    if not request.inputs:
        return None
    digest = blake2b(_bytes(request.model), digest_size=16)
    for tensor in sorted(request.inputs, key=lambda tensor: tensor.name):
        # With lengths, no two lists of inputs are one.
        head = f"{len(tensor.name)}:{tensor.name}{tensor.datatype}{tensor.shape}{len(tensor.data)}:"
        digest.update(_bytes(head))
        digest.update(tensor.data)
    return digest.digest()


def _of_header(name: str) -> HashKey:
    def of_header(request: Request) -> bytes | None:
        values = (value for each, value in request.headers if each.lower() == name)
        value = next(values, "")
        return _bytes(value) if value else None

    return of_header


def _bytes(text: str) -> bytes:
    # A stranger's text may have lone surrogates.
    return text.encode(errors="surrogatepass")
