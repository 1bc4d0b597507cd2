"""What a route lets through of a client's Cache-Control, and what passes its cache by."""

from __future__ import annotations

import pytest

from cache.controls import CacheControls
from gateway.core.cache_control import NO_STORE, CacheDirectives
from gateway.core.request import Request
from tests.cache.build import cache_of
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.virtual_time import virtual_time

NO_CACHE = CacheDirectives(no_cache=True)


def debugs(asked: Request) -> bool:
    return ("x-debug", "1") in asked.routed


@pytest.mark.parametrize(
    ("ignores", "control", "routed", "ruled"),
    [
        (False, NO_CACHE, (), NO_CACHE),
        (True, NO_CACHE, (), None),
        (False, None, (("x-debug", "1"),), NO_STORE),
        (True, NO_CACHE, (("x-debug", "1"),), NO_STORE),
        (
            False,
            CacheDirectives(only_if_cached=True),
            (("x-debug", "1"),),
            CacheDirectives(only_if_cached=True, no_store=True),
        ),
        (True, None, (), None),
    ],
)
@virtual_time
async def test_what_is_in_force(
    ignores: bool, control: CacheDirectives | None, routed: tuple[tuple[str, str], ...], ruled: object
) -> None:
    service = ScriptedService()

    await stack(CacheControls(debugs, ignores=ignores), service=service)(
        request(cache_control=control, routed=routed)
    )
    assert service.requests[0].cache_control == ruled


@virtual_time
async def test_fast_paths_go_by_what_is_in_force() -> None:
    """One that is ignored has the path of any other; one that passes the cache by has none."""
    service = ScriptedService(answer("edge"))
    filters = cache_of().filters()
    obeys = stack(CacheControls(debugs, ignores=False), *filters, service=service)
    ignores = stack(CacheControls(debugs, ignores=True), *filters, service=service)

    assert obeys.fast_path(request(cache_control=NO_CACHE)) is None
    assert ignores.fast_path(request(cache_control=NO_CACHE)) is not None
    assert obeys.fast_path(request(routed=(("x-debug", "1"),))) is None
    assert obeys.fast_path(request()) is not None


def test_repr() -> None:
    assert repr(CacheControls(debugs, ignores=True)).startswith("<CacheControls ignored, <function debugs")
