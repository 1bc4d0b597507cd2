"""Area `errors`: wrong requests over HTTP are refused with a reason, and do no harm to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.conformance.call import model_path
from gateway.conformance.check import Area
from gateway.conformance.clauses import HTTP, REST_DATA, REST_ERROR, REST_INPUT, REST_REQUEST
from gateway.conformance.expect import error_object, refused
from gateway.conformance.faults import FAULTY, NO_SUCH_MODEL, FaultyCall
from gateway.conformance.http_wire import HttpAnswer
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import require

AREA = Area("errors")


def _of(faulty: FaultyCall) -> Callable[[ServerUnderTest], None]:
    def check(tested: ServerUnderTest) -> None:
        call = faulty.make(tested.model)
        refused(tested.post(f"{call.path}/infer", call.as_json()))
        tested.goes_on()

    return check


for _faulty in FAULTY:
    AREA.check(_faulty.id, f"{_faulty.title} is refused", f"{REST_ERROR}; {HTTP} 15.5")(_of(_faulty))


def _changed(tested: ServerUnderTest, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    body = tested.model.call().as_object()
    change(body)
    return body


def _refuse(tested: ServerUnderTest, body: Any) -> None:
    refused(tested.post(f"{tested.model.call().path}/infer", body))
    tested.goes_on()


BODIES: Final[tuple[tuple[str, str, str, Callable[[ServerUnderTest], Any]], ...]] = (
    ("bad-json", "JSON that ends too early", REST_REQUEST, lambda tested: tested.model.call().as_json()[:-1]),
    (
        "behind-json",
        "something behind the JSON",
        REST_REQUEST,
        lambda tested: tested.model.call().as_json() + b"]",
    ),
    ("empty", "an empty body", REST_REQUEST, lambda _: b""),
    ("array", "a list instead of an object", REST_REQUEST, lambda _: b"[]"),
    ("null", "null instead of an object", REST_REQUEST, lambda _: b"null"),
    ("no-member", "an object without inputs", REST_REQUEST, lambda _: b'{"id": "1"}'),
    ("inputs-object", "inputs that are no list", REST_REQUEST, lambda _: b'{"inputs": {}}'),
    (
        "deep",
        "20,000 lists in one another",
        REST_REQUEST,
        lambda _: b'{"inputs":' + b"[" * 20000 + b"]" * 20000 + b"}",
    ),
    (
        "not-utf8",
        "a body that is not UTF-8",
        f"{REST_REQUEST}; RFC 8259 8.1",
        lambda tested: tested.model.call().but(id="X").as_json().replace(b'"X"', b'"\xff\xfe"'),
    ),
    (
        "no-data",
        "an input without data",
        REST_INPUT,
        lambda tested: _changed(tested, lambda b: b["inputs"][0].pop("data")),
    ),
    (
        "no-shape",
        "an input without shape",
        REST_INPUT,
        lambda tested: _changed(tested, lambda b: b["inputs"][0].pop("shape")),
    ),
    (
        "no-datatype",
        "an input without datatype",
        REST_INPUT,
        lambda tested: _changed(tested, lambda b: b["inputs"][0].pop("datatype")),
    ),
    (
        "no-name",
        "an input without name",
        REST_INPUT,
        lambda tested: _changed(tested, lambda b: b["inputs"][0].pop("name")),
    ),
    (
        "fraction-shape",
        "a shape with a fraction",
        REST_INPUT,
        lambda tested: _changed(tested, lambda b: b["inputs"][0].update(shape=[1.5])),
    ),
    (
        "text-shape",
        "a shape that is a text",
        REST_INPUT,
        lambda tested: _changed(tested, lambda b: b["inputs"][0].update(shape="1")),
    ),
    (
        "object-data",
        "data with an object in it",
        REST_DATA,
        lambda tested: _changed(tested, lambda b: b["inputs"][0]["data"].__setitem__(0, {})),
    ),
    (
        "null-data",
        "data with a null in it",
        REST_DATA,
        lambda tested: _changed(tested, lambda b: b["inputs"][0]["data"].__setitem__(0, None)),
    ),
    (
        "ragged",
        "lists of different lengths",
        REST_DATA,
        lambda tested: _changed(tested, lambda b: b["inputs"][0].update(data=[b["inputs"][0]["data"], [0]])),
    ),
)

for _name, _title, _clause, _make in BODIES:
    AREA.check(_name, f"{_title} is refused", f"{_clause}; {HTTP} 15.5")(
        lambda tested, make=_make: _refuse(tested, make(tested))  # type: ignore[misc]
    )


@AREA.check("text-in-numbers", "texts among numbers are refused", f"{REST_DATA}; {HTTP} 15.5")
def text_in_numbers(tested: ServerUnderTest) -> None:
    """For BYTES it is numbers that do not fit."""
    bad: Any = 7 if tested.model.inputs[0].datatype == "BYTES" else "seven"
    _refuse(tested, _changed(tested, lambda body: body["inputs"][0]["data"].__setitem__(0, bad)))


@AREA.check("unknown-path", "a path that is nobody's is 404", f"{HTTP} 15.5.5")
def unknown_path(tested: ServerUnderTest) -> None:
    """The server answers nothing else instead."""
    for path in ("/v2/no-such-thing", f"/v2/models/{tested.model.name}/no-such-verb"):
        answer = tested.get(path)
        require(answer.status == 404, f"status {answer.status}, not 404")


BODIES_OF_REFUSALS: Final[tuple[tuple[str, str, Callable[[ServerUnderTest], HttpAnswer]], ...]] = (
    ("model", "an inference of an unknown model", lambda tested: tested.post(_infer(NO_SUCH_MODEL), b"{}")),
    ("metadata", "metadata of an unknown model", lambda tested: tested.get(model_path(NO_SUCH_MODEL))),
    ("json", "a body that is not JSON", lambda tested: tested.post(_infer(tested.model.name), b"{")),
    ("request", "a request without inputs", lambda tested: tested.post(_infer(tested.model.name), b"{}")),
    (
        "tensor",
        "a wrong tensor",
        lambda tested: tested.post(
            _infer(tested.model.name), _changed(tested, lambda b: b["inputs"][0].update(shape=[7]))
        ),
    ),
    ("path", "an unknown path", lambda tested: tested.get("/v2/no-such-thing")),
)


def _infer(model: str) -> str:
    return model_path(model, verb="infer")


def _body_of(ask: Callable[[ServerUnderTest], HttpAnswer]) -> Callable[[ServerUnderTest], None]:
    def check(tested: ServerUnderTest) -> None:
        answer = ask(tested)
        require(answer.status >= 400, f"status {answer.status}")
        error_object(answer)

    return check


for _name, _title, _ask in BODIES_OF_REFUSALS:
    AREA.check(f"body-{_name}", f"the refusal of {_title} is a JSON object with `error`", REST_ERROR)(
        _body_of(_ask)
    )


@AREA.check("not-found", "an unknown model is 404", f"{HTTP} 15.5.5")
def not_found(tested: ServerUnderTest) -> None:
    """The resource that the path names does not exist."""
    faulty = next(entry for entry in FAULTY if entry.id == "unknown-model")
    call = faulty.make(tested.model)
    refused(tested.post(f"{call.path}/infer", call.as_json()), {404})


@AREA.check("version-text", "a version that is a text, and not there, is refused", f"{HTTP} 15.5.5")
def version_text(tested: ServerUnderTest) -> None:
    """The protocol's versions are texts; no other version answers instead."""
    call = tested.model.call().but(version="v0.0.0-suite")
    refused(tested.post(f"{call.path}/infer", call.as_json()))


@AREA.check("no-traces", "a refusal tells nothing of the server's inside", f"{HTTP} 17.12")
def no_traces(tested: ServerUnderTest) -> None:
    """No traceback and no file of the server's."""
    for body in (b'{"inputs": 7}', b'{"inputs": [{"name": 1}]}', b"{"):
        answer = tested.post(f"{tested.model.call().path}/infer", body)
        require(answer.status >= 400, f"status {answer.status}")
        traces = [
            trace for trace in (b"Traceback", b'.py"', b"site-packages", b".cc:") if trace in answer.body
        ]
        require(not traces, f"the body holds {traces}")
