"""What another cache level gives is believed only where it can be an answer to the request."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from edge_models.licence import Licence
from gateway.app.kept_answers import KeptAnswerCheck
from gateway.app.parts import RouteEdgeModel
from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.request import Response
from gateway.core.telemetry import Silence
from gateway.core.tensor import Tensor
from tests.edge_models.decisions import decision
from tests.fakes.service import ScriptedService, answer, request


def spec(width: int = 3) -> ModelSpec:
    return ModelSpec("digits", ("1",), "", (), (TensorSpec("probabilities", "FP32", (-1, width)),))


def check(*specs: ModelSpec, threshold: float | None = 0.5, edge: bool = True) -> KeptAnswerCheck:
    licence = Licence(
        "digits", decision=decision(), threshold=threshold, telemetry=Silence(), proof="proof", now=float
    )
    model = RouteEdgeModel("digits", ScriptedService(), licence, "sha256:ed", spec(), is_batched=True)
    return KeptAnswerCheck(lambda _model, _version: specs, model if edge else None, is_signed=False)


def out(array: np.ndarray, name: str = "probabilities", origin: str = "central", **changes) -> Response:
    tensor = Tensor.from_numpy(name, array.astype(np.float32))
    return replace(answer(origin, **changes), outputs=(tensor,))


RIGHT = np.zeros((1, 3))


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize(
    "response",
    [
        replace(answer(), model="umbrella"),
        replace(answer(), model="digits\r\nX: y"),
        replace(answer(), model=""),
        replace(answer(), version="1\n"),
        out(RIGHT, "../../etc"),
        out(np.zeros((1, 9))),
        replace(answer(), outputs=()),
    ],
)
def test_a_forged_value_is_not_believed(response: Response, edge: bool) -> None:
    """With the endpoint's signature, whether or not there is an edge model."""
    assert not check(spec(), edge=edge)(request(), response)
    assert check(spec(), edge=edge)(request(), answer())


def forged(*tensors: Tensor, **changes) -> Response:
    return replace(answer(), outputs=tensors, **changes)


def tensor(array: np.ndarray, name: str = "probabilities") -> Tensor:
    return Tensor.from_numpy(name, array)


GOOD = tensor(RIGHT.astype(np.float32))
FORGED = {
    "bytes of another name": forged(Tensor("../../etc", "BYTES", (1,), b"\4\0\0\0evil")),
    "bytes of the right name": forged(Tensor("probabilities", "BYTES", (1, 3), b"\1\0\0\0a" * 3)),
    "another model": forged(GOOD, model="other\r\nX: y"),
    "a model's prefix": forged(GOOD, model="digit"),
    "a model in other case": forged(GOOD, model="Digits"),
    "no model": forged(GOOD, model=""),
    "a version that ends a line": forged(GOOD, version="1\r\nX: y"),
    "a version without an end": forged(GOOD, version="1" * 257),
    "whole numbers of the same size": forged(tensor(RIGHT.astype(np.int32))),
    "double precision": forged(tensor(RIGHT)),
    "half precision": forged(tensor(RIGHT.astype(np.float16))),
    "an element less": forged(tensor(np.zeros((1, 2), np.float32))),
    "an element more": forged(tensor(np.zeros((1, 4), np.float32))),
    "a dimension less": forged(tensor(np.zeros(3, np.float32))),
    "a dimension more": forged(tensor(np.zeros((1, 3, 1), np.float32))),
    "a scalar": forged(tensor(np.zeros((), np.float32))),
    "turned round": forged(tensor(np.zeros((3, 1), np.float32))),
    "no rows": forged(tensor(np.zeros((0, 3), np.float32))),
    "too many rows": forged(tensor(np.zeros((1000, 3), np.float32))),
    "no outputs": forged(),
    "an output more": forged(GOOD, tensor(np.zeros(1, np.int64), "label")),
    "an output twice": forged(GOOD, GOOD),
    "an output instead": forged(tensor(RIGHT.astype(np.float32), "Probabilities")),
    "no number": forged(tensor(np.array([[0, np.nan, 1]], np.float32))),
    "no end": forged(tensor(np.array([[0, -np.inf, 1]], np.float32))),
}


@pytest.mark.parametrize("specs", [(), (spec(),)], ids=["edge's signature", "both signatures"])
@pytest.mark.parametrize("response", FORGED.values(), ids=FORGED.keys())
def test_a_value_made_by_a_stranger_is_not_believed(response: Response, specs: tuple[ModelSpec, ...]) -> None:
    """Who can write to a Redis without a key_secret can forge numbers, and nothing else.

    Whether central has said what the model is or not, of either origin, and whether outputs are named.
    """
    believes = check(*specs)
    for origin in ("central", "edge"):
        lie = replace(response, provenance=replace(response.provenance, origin=origin))
        assert not believes(request(), lie)
        assert not believes(request(outputs=("probabilities",)), lie)
        assert believes(request(), replace(lie, model="digits", version="1", outputs=(GOOD,)))


def test_an_output_comes_once_where_nothing_is_known() -> None:
    """No edge model, and no endpoint has said anything yet."""
    assert check(edge=False)(request(), forged(GOOD))
    assert not check(edge=False)(request(), forged(GOOD, GOOD))


def test_while_endpoints_are_asked_what_anybody_can_write_is_not_believed() -> None:
    """A gateway that has just started would keep it for as long as it may live. What is signed is ours."""
    anybodys = KeptAnswerCheck(lambda _model, _version: None, None, is_signed=False)
    signed = KeptAnswerCheck(lambda _model, _version: None, None, is_signed=True)

    assert not anybodys(request(), answer())
    assert signed(request(), answer())
    assert check(edge=False)(request(), answer()), "an endpoint without metadata has been asked"


def test_versions_and_outputs_are_those_that_were_wanted() -> None:
    """In their order: a value that is ours has no other."""
    label = Tensor.from_numpy("label", np.zeros(1, np.int64))
    both = replace(answer(), outputs=(label, *answer().outputs))
    believes = check(edge=False)

    assert believes(request(version="1", outputs=("label", "probabilities")), both)
    assert not believes(request(version="2"), both)
    assert not believes(request(outputs=("probabilities", "label")), both)
    assert not believes(request(outputs=("label",)), both)


def test_of_several_endpoints_one_is_enough() -> None:
    """While a model is replaced they differ."""
    assert check(spec(9), spec(3), edge=False)(request(), answer())
    assert not check(spec(9), spec(8), edge=False)(request(), answer())


@pytest.mark.parametrize(
    "response",
    [
        out(RIGHT, "other"),
        out(np.zeros((2, 3))),
        out(np.full((1, 3), np.nan)),
        out(np.full((1, 3), np.inf)),
        out(RIGHT, "other", "edge"),
        out(np.zeros((1, 4)), origin="edge"),
        out(np.full((1, 3), np.nan), origin="edge"),
    ],
)
def test_what_is_certified_is_as_the_certificate_has_it(response: Response) -> None:
    """Its outputs, as many rows as the request has, and nothing that is no number."""
    assert not check()(request(), response)


def test_without_a_certificate_in_force_central_may_answer_as_it_does() -> None:
    """Nothing is proved, so nothing has to be as the proof had it."""
    assert check(threshold=None)(request(), out(np.full((1, 3), np.nan)))
    assert check()(request(), out(np.full((1, 3), np.nan), certified=False))
    assert repr(check()) == "<KeptAnswerCheck by digits>"
