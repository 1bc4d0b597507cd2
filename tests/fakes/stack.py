"""Stacks of filters for tests that do not care for roles and reasons: ``stack(cache, service=model)``."""

from __future__ import annotations

from gateway.core.service import Filter, Service
from gateway.core.stack import Innermost, Layer, Stack


def stack(*filters: Filter, service: Service) -> Stack:
    """Wrap ``service`` so that the first filter named is the outermost."""
    layers = [Layer(f"filter {number}", "", filter_) for number, filter_ in enumerate(filters, 1)]
    return Stack(*layers, innermost=Innermost("service", "", service))
