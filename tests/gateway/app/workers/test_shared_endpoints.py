"""An operator's orders about endpoints, in all workers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from gateway.admin.management_routes import json_handler
from gateway.app.workers.messages import DesiredState
from gateway.app.workers.shared_endpoints import SharedEndpoints
from gateway.core.errors import Fault, GatewayError


class Workers:
    """Takes changes; ``refusals`` are the errors of some."""

    def __init__(self, done: int, *refusals: GatewayError, sockets: dict[int, Path] | None = None) -> None:
        self.done, self.refusals, self.changes = done, list(refusals), list[tuple[str, dict[str, str]]]()
        self.desired = DesiredState()
        self.endpoints = SharedEndpoints(lambda: sockets or {}, self.change, self.desired)

    async def change(self, path: str, body: bytes) -> tuple[int, list[GatewayError]]:
        self.changes.append((path, msgspec.json.decode(body)))
        return self.done, self.refusals


async def test_an_order_goes_to_every_worker_and_to_those_to_come() -> None:
    """Twice is once; undrained, those to come do not drain it."""
    workers = Workers(2)

    await workers.endpoints.drain("central", "a.test:80/10.0.0.1")
    await workers.endpoints.drain("central", "")
    await workers.endpoints.drain("central", "")
    assert workers.desired.drained == ["central", "central/a.test:80/10.0.0.1"]
    await workers.endpoints.undrain("central", "")

    assert workers.desired.drained == ["central/a.test:80/10.0.0.1"]
    assert workers.changes[0] == ("/endpoints/central/drain", {"member": "a.test:80/10.0.0.1"})
    assert workers.changes[-1] == ("/endpoints/central/undrain", {"member": ""})
    assert repr(workers.endpoints) == "<SharedEndpoints, drained ['central/a.test:80/10.0.0.1']>"


async def test_what_a_worker_refuses_the_operator_hears() -> None:
    """And no worker to come does what those that are there refuse."""
    workers = Workers(0, GatewayError(Fault.NOT_FOUND, "unknown endpoint"))

    with pytest.raises(GatewayError, match="unknown endpoint"):
        await workers.endpoints.drain("a/b", "")

    assert workers.desired.drained == []
    assert workers.changes[0][0] == "/endpoints/a%2Fb/drain"


async def test_what_one_worker_has_done_those_to_come_do_too() -> None:
    """A worker whose names lead elsewhere may refuse: the operator hears it, and the others stay as they are."""
    workers = Workers(1, GatewayError(Fault.NOT_FOUND, "unknown member"))

    with pytest.raises(GatewayError, match="unknown member"):
        await workers.endpoints.drain("central", "a.test:80/10.0.0.1")
    assert workers.desired.drained == ["central/a.test:80/10.0.0.1"]
    with pytest.raises(GatewayError, match="unknown member"):
        await workers.endpoints.undrain("central", "a.test:80/10.0.0.1")
    assert workers.desired.drained == []


async def test_the_list_is_that_of_the_first_that_answers(tmp_path: Path) -> None:
    """One that is gone is passed over; where none answers, that is an error."""

    async def listed(_request: web.Request) -> bytes:
        return b'[{"endpoint": "central"}]'

    app = web.Application()
    app.router.add_get("/endpoints", json_handler(listed))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "2")).start()

    workers = Workers(2, sockets={1: tmp_path / "gone", 2: tmp_path / "2"})
    assert await workers.endpoints.listed() == [{"endpoint": "central"}]
    await runner.cleanup()
    with pytest.raises(GatewayError, match="no worker answers"):
        await workers.endpoints.listed()
