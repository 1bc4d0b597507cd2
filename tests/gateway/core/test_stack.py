"""The stack as a value: what runs is what it shows, in the same order."""

from __future__ import annotations

import msgspec

from gateway.core.stack import Innermost, Layer, Stack
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack


class Named:
    """A Filter with a fast path; ``met`` notes in which order filters were called."""

    def __init__(self, name: str, met: list[str]) -> None:
        self.name, self.met = name, met

    def __repr__(self) -> str:
        return f"<Named {self.name}>"

    def __call__(self, request, service):
        self.met.append(self.name)
        return service(request)

    def fast_path(self, like, rest):
        self.met.append(self.name)
        return rest(like)


class Answering:
    """A Service with a fast path."""

    def __call__(self, request):
        return answer("edge")

    def fast_path(self, like):
        return lambda data: answer("edge", like.deadline)

    def __repr__(self) -> str:
        return "<Answering>"


async def test_first_named_is_outermost() -> None:
    """The list reads in the order in which a request meets the filters, observers outside of their layer."""
    met: list[str] = []
    serve = Stack(
        Layer("first", "", Named("a", met), (Named("watches a", met),)),
        Layer("second", "", Named("b", met)),
        innermost=Innermost("model", "", ScriptedService(answer()), (Named("watches", met),)),
    )

    assert await serve(request()) == answer()
    assert met == ["watches a", "a", "b", "watches"]


async def test_a_stack_inside_of_a_stack_costs_no_call() -> None:
    """The entry of a stack of nothing is the service, and that of a stack in a stack is its first filter."""
    service, met = ScriptedService(), []
    inner = stack(Named("b", met), service=service)

    assert stack(service=service).entry is service
    assert stack(service=inner).entry is inner.entry
    await stack(Named("a", met), service=inner)(request())
    assert met == ["a", "b"]


def test_a_fast_path_leads_through_every_filter() -> None:
    """Each takes part in the order in which a request meets them, and may change what the next is given."""
    met: list[str] = []

    class Narrows(Named):
        def fast_path(self, like, rest):
            return rest(msgspec.structs.replace(like, deadline=7.0))

    serve = stack(Named("a", met), Narrows("b", met), service=stack(Named("c", met), service=Answering()))
    path = serve.fast_path(request())

    assert path is not None
    assert path([b""]) == answer("edge", 7.0)
    assert met == ["a", "c"]


def test_whoever_declares_none_stands_in_the_way() -> None:
    """A filter, an observer or a service without a fast path sees every request."""

    def watching(request, service):
        return service(request)

    observed = Stack(
        Layer("a", "", Named("a", []), (watching,)), innermost=Innermost("model", "", Answering())
    )

    assert stack(Named("a", []), watching, service=Answering()).fast_path(request()) is None
    assert observed.fast_path(request()) is None
    assert stack(Named("a", []), service=ScriptedService()).fast_path(request()) is None


def layered() -> Stack:
    """A stack with all that can be shown."""
    aside = Stack(innermost=Innermost("model", "It is near.", Answering()))
    return Stack(
        Layer("admission", "A refusal must be cheap.", Named("a", []), (Named("span", []),)),
        Layer("cascade", "Before the rest.", Named("b", []), branches={"edge model": aside}),
        innermost=Innermost("router", "Sends it off. " * 10, Answering(), (Named("timer", []),)),
    )


def test_a_stack_prints_itself() -> None:
    """Number, role, filter and observers in one line, the reason below, branches below that."""
    assert repr(layered()) == "<Stack admission > cascade > router>"
    assert str(layered()).splitlines() == [
        " 1  admission         <Named a>  (<Named span>)",
        "      A refusal must be cheap.",
        " 2  cascade           <Named b>",
        "      Before the rest.",
        "    edge model:",
        "     1  model             <Answering>",
        "          It is near.",
        " 3  router            <Answering>  (<Named timer>)",
        "      Sends it off. Sends it off. Sends it off. Sends it off. Sends it off. Sends it off. Sends it",
        "      off. Sends it off. Sends it off. Sends it off.",
    ]


def test_a_report_is_json() -> None:
    """What programs read has the same facts; what is empty is left out."""
    report = msgspec.json.decode(msgspec.json.encode(layered().report()))

    assert [sorted(layer) for layer in report] == [
        ["filter", "observers", "reason", "role"],
        ["branches", "filter", "reason", "role"],
        ["filter", "observers", "reason", "role"],
    ]
    assert report[1]["branches"] == {
        "edge model": [{"role": "model", "filter": "<Answering>", "reason": "It is near."}]
    }
