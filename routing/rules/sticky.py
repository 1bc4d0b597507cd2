"""Which endpoint the steps of a sequence go to: the one that has its state.

Every gateway, and every worker of one, finds the same order for a sequence, by rendezvous hashing (D. Thaler,
C. Ravishankar, A Name-Based Mapping Scheme for Rendezvous, 1996): an endpoint that comes or goes moves no
sequence but its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from gateway.core.request import SEQUENCE, Request
from routing.rules.order import View, plan


def sequence_key(request: Request) -> bytes:
    """Return what names the sequence of a step: tenant, model and id; an endpoint has all versions."""
    number = request.parameters[SEQUENCE]
    kind = "text" if isinstance(number, str) else "number"
    caller = request.caller
    parts = (caller.claimed or caller.tenant, request.model, kind, str(number))
    # Texts of strangers: with lengths no two lists of parts are one.
    return "".join(f"{len(part)}:{part}" for part in parts).encode(errors="surrogatepass")


def rendezvous(names: Sequence[str], key: bytes) -> tuple[str, ...]:
    """Return ``names`` in the order in which ``key`` prefers them."""
    return tuple(sorted(names, key=lambda name: _weight(name, key)))


def sticky_order(names: Sequence[str], distances: Mapping[str, int], key: bytes) -> tuple[str, ...]:
    """Return endpoints in the order in which a sequence prefers them: the nearest, of those by its key."""
    return tuple(sorted(rendezvous(names, key), key=lambda name: distances[name]))


def place(order: tuple[str, ...], view: View, model: str, held: str | None) -> str | None:
    """Return where a step goes; None: nowhere.

    Args:
        order: all endpoints that it may reach, as its sequence prefers them.
        view: their health.
        model: what is asked.
        held: the endpoint that has the state; None: the sequence begins, or nothing is known of it. Then it
            is the first that is available. What does not have its state says so.
    """
    if held is not None:
        return held if held in order and view.can_continue(held) else None
    return next(iter(plan(order, view, model)), None)


def _weight(name: str, key: bytes) -> bytes:
    return blake2b(key + b"\0" + name.encode(), digest_size=8).digest()
