"""All stacks of one policy generation in words."""

from __future__ import annotations

import msgspec

from gateway.app.stack_report import StacksReport, report_stacks
from gateway.core.stack import Innermost, Stack
from tests.fakes.service import ScriptedService
from tests.fakes.stack import stack


def named(role: str) -> Stack:
    return Stack(innermost=Innermost(role, f"{role} is last.", ScriptedService()))


async def test_everything_that_a_request_meets_is_listed() -> None:
    """First what all routes share, then each route, then each endpoint."""
    report = await report_stacks(
        7, named("routes"), [("digits", named("router"))], {"central": named("upstream").report()}
    )

    assert str(report).splitlines() == [
        "all routes",
        " 1  routes            <ScriptedService 0 calls, 0 running>",
        "      routes is last.",
        "",
        "route digits",
        " 1  router            <ScriptedService 0 calls, 0 running>",
        "      router is last.",
        "",
        "endpoint central",
        " 1  upstream          <ScriptedService 0 calls, 0 running>",
        "      upstream is last.",
    ]
    assert msgspec.json.decode(msgspec.json.encode(report), type=StacksReport) == report


async def test_a_stack_inside_of_a_stack_is_one_list() -> None:
    """A central tier has no routes: its only stack follows what is shared."""
    report = await report_stacks(0, stack(service=named("models")), [], {})

    assert [layer.role for layer in report.shared] == ["models"]
