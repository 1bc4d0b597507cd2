"""The stack as a value: filters around a service, each with its role and the reason for its place.

One list holds what happens to a request, in the order in which it happens. The same list builds the calls,
finds the fast path and describes itself to people, so that what is shown is what runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from textwrap import fill, indent
from typing import Final

import msgspec

from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Filter, HasFastPath, PassesFastPath, Pending, Service, fast_path

_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Layer:
    """A filter in a stack.

    ``role``: what it is for, in one or two words. ``reason``: why it stands where it stands. ``observers``:
    filters that stand directly around it and only watch: its timer, its span. ``branches``: other stacks
    to which the filter may hand a request, by name.
    """

    role: str
    reason: str
    filter: Filter
    observers: tuple[Filter, ...] = ()
    branches: Mapping[str, Stack] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Innermost:
    """The service inside of all filters of a stack; the fields are those of ``Layer``."""

    role: str
    reason: str
    service: Service
    observers: tuple[Filter, ...] = ()


class LayerReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """A layer in words. ``filter`` is its ``repr``, which shows its state; ``observers`` are theirs."""

    role: str
    filter: str
    reason: str
    observers: tuple[str, ...] = ()
    branches: Mapping[str, tuple[LayerReport, ...]] = {}

    def __str__(self) -> str:
        observers = f"  ({', '.join(self.observers)})" if self.observers else ""
        lines = [f"{self.role:<16}  {self.filter}{observers}", _wrapped(self.reason)]
        for name, reports in self.branches.items():
            lines += [f"    {name}:", indent(render(reports), "    ")]
        return "\n".join(lines)


class Stack:
    """A Service: the first of ``layers`` is the outermost, ``innermost`` answers what all let pass.

    ``entry`` is the chain of calls. Whoever calls a stack for every request calls it directly and saves a
    call.
    """

    __slots__ = ("_filters", "entry", "innermost", "layers")

    def __init__(self, *layers: Layer, innermost: Innermost) -> None:
        self.layers = layers
        self.innermost = innermost
        service = innermost.service
        entry = service.entry if isinstance(service, Stack) else service
        self._filters = tuple(_filters(layers, innermost))
        for filter_ in reversed(self._filters):
            entry = partial(filter_, service=entry)
        self.entry: Final[Service] = entry

    def __repr__(self) -> str:
        return f"<Stack {' > '.join([*(layer.role for layer in self.layers), self.innermost.role])}>"

    def __str__(self) -> str:
        return render(self.report())

    def __call__(self, request: Request) -> Response | Pending:
        """Answer through all layers."""
        return self.entry(request)

    def fast_path(self, like: Request) -> FastPath | None:
        """Return the fast path of requests like this one, if everything on their way has one.

        Raises:
            GatewayError: as the call would.
        """
        filters = self._filters

        def find(number: int, like: Request) -> FastPath | None:
            if number == len(filters):
                return fast_path(self.innermost.service, like)
            filter_ = filters[number]
            if not isinstance(filter_, PassesFastPath):
                return None
            return filter_.fast_path(like, partial(find, number + 1))

        return find(0, like)

    def report(self) -> tuple[LayerReport, ...]:
        """Describe every layer, outermost first; the innermost service is the last.

        Where that is a stack itself, its layers follow.
        """
        layers = [
            LayerReport(
                layer.role,
                repr(layer.filter),
                layer.reason,
                tuple(map(repr, layer.observers)),
                {name: stack.report() for name, stack in layer.branches.items()},
            )
            for layer in self.layers
        ]
        last = self.innermost
        if isinstance(last.service, Stack) and not last.observers:
            return (*layers, *last.service.report())
        observers = tuple(map(repr, last.observers))
        return (*layers, LayerReport(last.role, repr(last.service), last.reason, observers))


def render(reports: tuple[LayerReport, ...]) -> str:
    """Return a numbered list: role, filter and observers in one line, the reason below."""
    return "\n".join(f"{number:2}  {report}" for number, report in enumerate(reports, 1))


def _filters(layers: tuple[Layer, ...], innermost: Innermost) -> Iterator[Filter]:
    """Name every filter in the order in which a request meets them, the observers among them."""
    for layer in layers:
        yield from layer.observers
        yield layer.filter
    yield from innermost.observers


def _wrapped(reason: str) -> str:
    return fill(reason, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


_: tuple[type[Service], type[HasFastPath]] = (Stack, Stack)
