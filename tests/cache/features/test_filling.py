"""One input of a request: names, data, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from cache.features.filling import MOST_FILLED_BYTES
from cache.features.loader import ABSENT, FAILED, LoadedVector
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.core.tensor import Tensor
from tests.cache.features.build import key, row, source
from tests.cache.features.fake_store import FakeStore

STORE = FakeStore({})
GIVEN = LoadedVector(row(1, 2))


def test_vectors_follow_each_other_in_the_order_of_the_ids() -> None:
    found = {b"a": GIVEN, b"b": LoadedVector(row(3, 4))}
    data, lacks = source(STORE).fill([b"b", b"a", b"b"], found)

    assert data == row(3, 4, 1, 2, 3, 4)
    assert lacks == ""


@pytest.mark.parametrize(
    ("vector", "lacks"),
    [
        (ABSENT, ""),
        (FAILED, "default"),
        (LoadedVector(row(1)), "default"),
        (LoadedVector(row(1, 2, 3)), "default"),
    ],
)
def test_the_default_stands_in(vector: LoadedVector, lacks: str) -> None:
    """Of an absent entity it is the answer; of one that cannot be had, or is no vector of the model's, it says so."""
    assert source(STORE).fill([b"a", b"x"], {b"a": GIVEN, b"x": vector}) == (row(1, 2, 0.5, 0.5), lacks)


def test_what_a_stale_vector_lacks_is_less_than_what_a_default_does() -> None:
    stale = LoadedVector(row(1, 2), is_stale=True)
    assert source(STORE).fill([b"a", b"b"], {b"a": stale, b"b": GIVEN})[1] == "stale"
    assert source(STORE).fill([b"a", b"b"], {b"a": stale, b"b": FAILED})[1] == "default"
    assert source(STORE).fill([b"b", b"a"], {b"a": stale, b"b": FAILED})[1] == "default"


def test_a_vector_of_the_wrong_size_is_forgotten() -> None:
    """It is fetched anew when it is next wanted, not kept for its time to live."""
    made = source(FakeStore({}))
    forgotten: list[bytes] = []
    made.loader.spoil = forgotten.append  # type: ignore[method-assign]
    made.fill([b"a"], {b"a": LoadedVector(row(1))})

    assert forgotten == [b"a"]


@pytest.mark.parametrize(
    ("refuses", "default", "vector", "fault"),
    [
        (True, (0.5, 0.5), FAILED, Fault.UNAVAILABLE),
        (False, "refuse", FAILED, Fault.UNAVAILABLE),
        (False, "refuse", ABSENT, Fault.INVALID),
        (True, "refuse", ABSENT, Fault.INVALID),
    ],
)
def test_refusals(refuses: bool, default: object, vector: LoadedVector, fault: Fault) -> None:
    made = source(STORE, refuses=refuses, default=default, size=2)

    with pytest.raises(GatewayError) as caught:
        made.fill([b"a"], {b"a": vector})

    assert caught.value.fault is fault
    assert caught.value.retryable is (fault is Fault.UNAVAILABLE)


def test_a_route_that_refuses_has_defaults_for_absent_entities() -> None:
    assert source(STORE, refuses=True).fill([b"a"], {b"a": ABSENT}) == (row(0.5, 0.5), "")


def test_a_store_that_may_not_be_asked() -> None:
    made = source(STORE, region="there")
    assert made.allows(None)
    assert made.allows(frozenset({"there"}))
    assert not made.allows(frozenset({"here"}))
    assert made.defaults(2) == row(0.5, 0.5, 0.5, 0.5)
    with pytest.raises(GatewayError, match="region") as caught:
        source(STORE, refuses=True).defaults(1)
    assert not caught.value.retryable


def test_tenants_cannot_reach_each_others_ids() -> None:
    """Tenants named ``a`` and ``a:b`` and ids with colons are all told apart."""
    made = source(STORE, settings={"key_prefix": "tenant"})

    def named(tenant: str, each: bytes) -> bytes:
        return made.names(key(each), Caller(tenant=tenant))[0]

    names = {named("a", b"b:1"), named("a:b", b"1"), named("a%3Ab", b"1"), named("anonymous", b"a:b:1")}
    assert len(names) == 4
    assert named("a", b"1") == b"a:1"
    assert source(STORE).names(key(b"1"), Caller(tenant="a")) == [b"1"]


def test_the_filled_input_is_bounded() -> None:
    made = source(STORE, most=10_000, default="refuse", size=65_536)
    ids = Tensor.from_numpy(
        "user_id", np.array([[b"a"]] * (MOST_FILLED_BYTES // (4 * 65_536) + 1), np.object_)
    )

    with pytest.raises(GatewayError, match="16 MiB") as caught:
        made.names(ids, Caller())
    assert caught.value.fault is Fault.TOO_LARGE


def test_data_and_tensor() -> None:
    made = source(STORE)
    assert made.put_together([row(1, 2)]) == row(1, 2)
    assert made.put_together([row(1, 2), row(3, 4)]) == row(1, 2, 3, 4)
    assert made.put_together([row(1, 2), row(3)]) is None
    assert made.tensor((2, 1), row(1, 2, 3, 4)).shape == (2, 2)
    assert "VectorSource of user" in repr(made)
