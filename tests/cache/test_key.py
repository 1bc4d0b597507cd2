"""The cache key: everything that the answer depends on, nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cache.invalidation.epochs import Epochs
from cache.invalidation.scope import Scope
from cache.key import derive_secret
from gateway.core.request import IGNORED_PARAMETERS, Caller, Request
from gateway.core.tensor import Tensor
from tests.cache.build import SECRET, hasher

PIXELS = Tensor("image", "FP32", (1, 2), b"abcdefgh")
MASK = Tensor("mask", "UINT8", (1, 2), b"ij")


def ask(*inputs: Tensor, **changes: Any) -> Request:
    return Request(**{"model": "digits", "inputs": inputs or (PIXELS,), **changes})


SAME = {
    "request id": ask(id="7"),
    "deadline": ask(deadline=5.0),
    "attempt": ask(attempt=2),
    "address": ask(caller=Caller(address="192.0.2.1")),
    "trace": ask(trace=(("traceparent", "00-1"),)),
    "hops": ask(hops=3),
    "regions": ask(regions=frozenset({"eu"})),
    "timeout parameter": ask(parameters={"timeout": 5, "priority": 1, "binary_data_output": True}),
    "memoryview": ask(Tensor("image", "FP32", (1, 2), memoryview(b"abcdefgh"))),
}

OTHER = {
    "model": ask(model="letters"),
    "version": ask(version="1"),
    "tenant": ask(caller=Caller(tenant="acme")),
    "residency": ask(caller=Caller(residency="eu")),
    "outputs": ask(outputs=("probabilities",)),
    "parameter": ask(parameters={"top_k": 1}),
    "one class": ask(classes={"probabilities": 1}),
    "three classes": ask(classes={"probabilities": 3}),
    "input name": ask(Tensor("images", "FP32", (1, 2), b"abcdefgh")),
    "datatype": ask(Tensor("image", "INT32", (1, 2), b"abcdefgh")),
    "shape": ask(Tensor("image", "FP32", (2, 1), b"abcdefgh")),
    "bytes": ask(Tensor("image", "FP32", (1, 2), b"abcdefgi")),
    "header": ask(headers=(("x-my-a", "1"),)),
    "another header": ask(headers=(("x-my-b", "1"),)),
    "header twice": ask(headers=(("x-my-a", "1"), ("x-my-a", "2"))),
    "header twice, otherwise": ask(headers=(("x-my-a", "2"), ("x-my-a", "1"))),
    "one more input": ask(PIXELS, MASK),
    "content_type of the request": ask(parameters={"content_type": "np"}),
    "another content_type of the request": ask(parameters={"content_type": "pd"}),
    "headers of the request": ask(parameters={"headers": "np"}),
    "input parameter": ask(replace(PIXELS, parameters={"content_type": "np"})),
    "another value of it": ask(replace(PIXELS, parameters={"content_type": "pd"})),
    "another type of it": ask(replace(PIXELS, parameters={"content_type": 1})),
    "a parameter of the other input": ask(PIXELS, replace(MASK, parameters={"content_type": "np"})),
    "output parameter": ask(output_parameters={"y": {"content_type": "np"}}),
    "another value of an output's": ask(output_parameters={"y": {"content_type": "pd"}}),
    "a parameter of another output": ask(output_parameters={"z": {"content_type": "np"}}),
    "classes and an output parameter": ask(classes={"y": 1}, output_parameters={"y": {"content_type": "np"}}),
}


@pytest.mark.parametrize("request_", SAME.values(), ids=SAME.keys())
def test_same_answer_same_key(request_: Request) -> None:
    """What cannot change the answer is not in the key."""
    assert hasher()(request_) == hasher()(ask())


@pytest.mark.parametrize("request_", OTHER.values(), ids=OTHER.keys())
def test_other_answer_other_key(request_: Request) -> None:
    """Each thing that can change the answer changes the key."""
    assert hasher()(request_) != hasher()(ask())


def test_all_keys_of_the_table_differ() -> None:
    """No two of the differences make the same key."""
    keys = {hasher()(request) for request in OTHER.values()}

    assert len(keys) == len(OTHER)


def test_model_instruction_set_and_secret_are_in_the_key() -> None:
    """Another artefact, another arithmetic and another secret each make another key."""
    keys = {
        hasher()(ask()),
        hasher("sha256:b")(ask()),
        hasher(instruction_set="avx512")(ask()),
        hasher(per_tenant=False)(ask()),
    }

    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
    assert derive_secret(None, "keys") != derive_secret("ab" * 16, "keys")
    assert derive_secret("ab" * 16, "keys") != derive_secret("ab" * 16, "values")


def test_the_secret_is_in_every_key() -> None:
    """Who does not know the secret can compute no key: neither of the call nor of a series."""
    mine, other = hasher(), hasher(secret=derive_secret("ab" * 16, "test"))
    like = ask()
    data = [tensor.data for tensor in like.inputs]

    assert mine(like) != other(like)
    assert mine.keys(like)(data) != other.keys(like)(data)
    assert mine.keys(like)(data) == mine(like)


def test_shared_scope_forgets_the_tenant_and_keeps_the_residency() -> None:
    """With residency as the scope, two tenants of one class share answers, two classes never do."""
    shared = hasher(per_tenant=False)
    one, two = (ask(caller=Caller(tenant=tenant, residency="eu")) for tenant in ("a", "b"))

    assert shared(one) == shared(two)
    assert shared(one) != shared(ask(caller=Caller(tenant="a", residency="us")))


def test_order_of_inputs_and_parameters_means_nothing() -> None:
    """Inputs and parameters are sets by name."""
    one = ask(PIXELS, MASK, parameters={"a": 1, "b": 2})
    two = ask(MASK, PIXELS, parameters={"b": 2, "a": 1})

    assert hasher()(one) == hasher()(two)


def test_order_of_outputs_is_the_order_of_the_answer() -> None:
    """The answer lists outputs in the order asked for, so the order makes another key."""
    assert hasher()(ask(outputs=("a", "b"))) != hasher()(ask(outputs=("b", "a")))


def test_parameter_types_make_other_keys() -> None:
    """True, 1, 1.0 and '1' are four values."""
    values: list[bool | int | float | str] = [True, 1, 1.0, "1"]
    keys = {hasher()(ask(parameters={"p": value})) for value in values}

    assert len(keys) == 4


def test_what_messagepack_cannot_hold_still_has_a_key() -> None:
    """A lone surrogate and an integer beyond 64 bits are told apart, and raise nothing."""
    odd = [
        ask(parameters={"p": 2**70}),
        ask(parameters={"p": -(2**70)}),
        ask(parameters={"p": str(2**70)}),
        ask(outputs=("\ud800",)),
        ask(outputs=("\ud801",)),
        ask(outputs=("\\ud800",)),
    ]

    assert len({hasher()(request) for request in odd}) == len(odd)


def test_minus_zero_is_not_zero() -> None:
    """Bytes are compared as bytes: -0.0 and 0.0 are two inputs, and so are two NaNs of other bits."""
    tensors = [Tensor("x", "FP32", (1,), bytes(data)) for data in (b"\0\0\0\0", b"\0\0\0\x80")]

    assert hasher()(ask(tensors[0])) != hasher()(ask(tensors[1]))


names = st.text(max_size=3)
scalars = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), names)
tensors = st.builds(
    Tensor,
    name=names,
    datatype=st.sampled_from(["UINT8", "BYTES"]),
    shape=st.lists(st.integers(0, 300), max_size=2).map(tuple),
    data=st.binary(max_size=4),
    parameters=st.dictionaries(names, scalars, max_size=2),
)
requests = st.builds(
    Request,
    model=names,
    inputs=st.lists(tensors, max_size=3, unique_by=lambda tensor: tensor.name).map(tuple),
    version=names,
    outputs=st.lists(names, max_size=2).map(tuple),
    parameters=st.dictionaries(names, scalars, max_size=2),
    classes=st.dictionaries(names, st.integers(1, 3), max_size=1),
    output_parameters=st.dictionaries(
        names, st.dictionaries(names, scalars, min_size=1, max_size=2), max_size=2
    ),
    caller=st.builds(Caller, tenant=names, residency=names),
)


def meaning(request: Request) -> str:
    """Everything that a key stands for, written out."""
    parameters = {name: value for name, value in request.parameters.items() if name not in IGNORED_PARAMETERS}
    inputs = [
        (t.name, t.datatype, t.shape, bytes(t.data), sorted(t.parameters.items())) for t in request.inputs
    ]
    wanted = [(name, sorted(parameters.items())) for name, parameters in request.output_parameters.items()]
    caller = request.caller
    return repr(
        (
            request.model,
            request.version,
            request.outputs,
            sorted(parameters.items()),
            caller.tenant,
            caller.residency,
            sorted(inputs, key=lambda described: described[0]),
            sorted(request.classes.items()),
            sorted(wanted, key=lambda described: described[0]),
        )
    )


@given(requests, requests)
def test_keys_are_equal_exactly_when_meanings_are(one: Request, two: Request) -> None:
    """No two different requests run together into one key, however their parts are cut."""
    make = hasher()

    assert (make(one) == make(two)) == (meaning(one) == meaning(two))


@given(st.lists(st.tuples(names, st.binary(max_size=6)), min_size=2, max_size=3, unique_by=lambda p: p[0]))
def test_bytes_never_move_from_one_input_to_the_next(parts: list[tuple[str, bytes]]) -> None:
    """Shifting the cut between two inputs' bytes makes another key."""
    joined = b"".join(data for _, data in sorted(parts))
    inputs = [Tensor(name, "UINT8", (1,), data) for name, data in sorted(parts)]
    lengths = [len(data) for _, data in sorted(parts)]
    moved = [Tensor(name, "UINT8", (1,), b"") for name, _ in sorted(parts)]
    moved[0] = Tensor(moved[0].name, "UINT8", (1,), joined)

    is_same = lengths == [len(joined)] + [0] * (len(parts) - 1)

    assert (hasher()(ask(*inputs)) == hasher()(ask(*moved))) == is_same


def test_repr_names_the_model_and_the_scope_but_no_secret() -> None:
    """The repr is safe to log."""
    assert repr(hasher()) == "<RequestHasher sha256:a per tenant>"
    assert repr(hasher(per_tenant=False)) == "<RequestHasher sha256:a per residency class>"
    assert SECRET.hex() not in repr(hasher())


def test_what_is_trusted_is_part_of_the_key() -> None:
    """Another proof gives other keys from the next request on; the old one gives the old keys again."""
    proofs = ["one"]
    make = hasher(proof=lambda: proofs[-1])
    first = make(ask())

    proofs.append("two")
    second = make(ask())
    proofs.append("one")

    assert first != second
    assert make(ask()) == first


@given(requests, st.data())
def test_a_series_has_the_keys_of_its_requests(like: Request, data: st.DataObject) -> None:
    """Keys made of data alone are those of the whole requests, whatever was said in between."""
    proofs = ["one"]
    make = hasher(proof=lambda: proofs[-1])
    key_of = make.keys(like)
    for proof in ("one", "two", "two", "one"):
        # The same object while nothing changes, as a licence has it.
        if proof != proofs[-1]:
            proofs.append(proof)
        drawn = [data.draw(st.binary(min_size=len(t.data), max_size=len(t.data))) for t in like.inputs]
        inputs = tuple(replace(t, data=raw) for t, raw in zip(like.inputs, drawn, strict=True))

        assert key_of(drawn) == make(replace(like, inputs=inputs, id="7", deadline=5.0))


def test_invalidations_are_part_of_the_key() -> None:
    """Where nothing was invalidated keys are as they ever were; then only those that are named change."""
    epochs = Epochs("eu")
    plain, keyed, tagged = hasher(), hasher(epochs=epochs), hasher(epochs=epochs, tags=("x",))
    shared = hasher(epochs=epochs, per_tenant=False)
    asked = ask(caller=Caller(tenant="acme"))
    before = shared(asked)
    path = keyed.keys(asked)
    assert plain(asked) == keyed(asked) == tagged(asked) == path([PIXELS.data])

    epochs.here(Scope(tag="x"), 1)
    assert plain(asked) == keyed(asked) == path([PIXELS.data]) != tagged(asked)

    epochs.here(Scope(tenant="acme"), 2)
    assert plain(asked) != keyed(asked) == path([PIXELS.data]) == keyed.begin(asked)()
    assert shared(asked) != before
    other = ask(caller=Caller(tenant="other"))
    assert plain(other) == keyed(other)
