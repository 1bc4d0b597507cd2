"""Heads, read in one pass."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.partitions import Partition
from gateway.core.request import Caller
from gateway.core.telemetry import Refused, RequestFinished
from gateway.http.exchange import Head
from gateway.listeners.refusals import RefusalCounter
from gateway.listeners.request_headers import RequestHeaderReader, RequestHeaders
from gateway.wire.trust import Trust
from tests.fakes.data_plane import EchoService, FakeGeneration, fake_data_plane
from tests.fakes.telemetry import RecordingTelemetry


class FamilyHeaders(RequestHeaders, frozen=True):
    """Those of a protocol family that reads three more."""

    first: str | None
    second: str | None
    third: str | None = "absent"


TRUST = Trust(gateways=["10.0.0.0/8"])
PLANE = fake_data_plane(EchoService(), trust=TRUST)
REFUSALS = RefusalCounter(PLANE.telemetry, "http")
READER = RequestHeaderReader(PLANE, REFUSALS, FamilyHeaders, ("x-first", "x-second"))


def read(*headers: tuple[str, str], peer: str = "10.0.0.1"):
    return READER.read(Head("POST", "/", headers, peer))


def test_strangers_claims_do_not_count():
    """Tenant, hops and forwarded addresses of a peer that nobody trusts are passed over."""
    claims = (("x-edgeway-tenant", "clinic"), ("x-forwarded-for", "192.0.2.1"))
    hops = (("x-edgeway-hops", "2"), ("x-edgeway-regions", "a,b"))

    stranger, gateway = read(*claims, peer="203.0.113.1"), read(*claims, *hops)

    assert (stranger.caller.tenant, stranger.caller.address, stranger.hops) == ("anonymous", "203.0.113.1", 0)
    assert (gateway.caller.tenant, gateway.caller.address, gateway.hops) == ("clinic", "192.0.2.1", 2)
    assert gateway.caller.vouched
    assert gateway.regions == {"a", "b"}


def test_a_head_is_read_once():
    """Connections give out the same head when a client says the same again."""
    head = Head("POST", "/", (("x-edgeway-tenant", "clinic"),), "10.0.0.1")

    assert READER.read(head) is READER.read(head)


class Register:
    """A generation of residents of eu-west; it keeps the claims that it was asked about."""

    def __init__(self, number: int, *regions: str) -> None:
        self.number = self.serial = number
        self.routed_headers: frozenset[str] = frozenset()
        self.claims: list[Caller] = []
        self.regions = frozenset(regions or {"eu-west", "us-east"})

    def identify(self, caller: Caller) -> Caller:
        self.claims.append(caller)
        if not caller.credential:
            raise GatewayError(Fault.UNAUTHENTICATED, "a key is needed")
        return Caller(caller.address, "acme", "", caller.vouched, "anywhere", self.regions, self.number)


KEY = ("authorization", "Bearer t")


def test_a_caller_is_identified_once_by_each_generation() -> None:
    """A repeated head costs no second look at its key, and no note has the key in it."""
    head, first, second = Head("POST", "/", (KEY,), "10.0.0.1"), Register(1), Register(2)

    headers = READER.identify(head, first)

    assert READER.identify(head, first) is headers
    assert (headers.caller.tenant, headers.partition) == ("acme", Partition(1, "acme", "anywhere"))
    assert READER.identify(head, second).caller.generation == 2
    assert (len(first.claims), len(second.claims)) == (1, 1)
    assert "Bearer t" not in repr(msgspec.to_builtins([note for _, note in head.notes.values()]))


@pytest.mark.parametrize(
    ("allowed", "forwarded", "regions", "stays"),
    [
        (("eu-west", "us-east"), "", {"eu-west", "us-east"}, True),
        (("us-east",), "", {"us-east"}, False),
        (("eu-west", "us-east"), "us-east", {"us-east"}, False),
        (("us-east",), "eu-west", set(), False),
        (("eu-west",), "eu-west,us-east", {"eu-west"}, True),
    ],
)
def test_residency_is_fixed_with_the_caller(
    allowed: tuple[str, ...], forwarded: str, regions: set[str], stays: bool
) -> None:
    """Nothing may be remembered here of a request that this region must not see."""
    claims = (("x-edgeway-regions", forwarded),) if forwarded else ()
    head = Head("POST", "/", (KEY, *claims), "10.0.0.1")

    headers = READER.identify(head, Register(1, *allowed))

    assert headers.regions == regions
    assert headers.partition == (Partition(1, "acme", "anywhere") if stays else None)


def test_without_a_policy_claims_keep_requests_apart() -> None:
    """Central believes nobody, and what it remembers for one tenant of a gateway is of no use to another."""
    reader = RequestHeaderReader(
        fake_data_plane(EchoService(), trust=Trust(forwards_from_all=True)), REFUSALS, RequestHeaders
    )
    generation = FakeGeneration(EchoService(), 0)
    found = [
        reader.identify(Head("POST", "/", claims, "10.0.0.1"), generation)
        for claims in (
            (("x-edgeway-tenant", "acme"), ("x-edgeway-regions", "eu-west,us-east")),
            (("x-edgeway-tenant", "umbrella"), ("x-edgeway-regions", "eu-west,us-east")),
            (("x-edgeway-tenant", "acme"), ("x-edgeway-regions", "eu-west")),
            (),
        )
    ]

    assert {headers.caller.tenant for headers in found} == {"anonymous"}
    assert len({headers.partition for headers in found}) == 4
    assert (
        reader.identify(
            Head("POST", "/", (("x-edgeway-regions", "us-east"),), "10.0.0.1"), generation
        ).partition
        is None
    )


def test_refusals_are_counted_once_as_the_stack_would() -> None:
    """A stranger is Admission's to count; a head that cannot be read is the protocol's."""
    telemetry = RecordingTelemetry()
    reader = RequestHeaderReader(
        fake_data_plane(EchoService(), telemetry=telemetry), RefusalCounter(telemetry, "http"), RequestHeaders
    )

    with pytest.raises(GatewayError, match="a key is needed"):
        reader.identify(Head("POST", "/", ()), Register(1), "digits", "2")
    with pytest.raises(GatewayError, match="more than once"):
        reader.identify(Head("POST", "/", (KEY, KEY)), Register(1), "digits", "2")

    assert telemetry.events == [
        Refused("admission", "unauthenticated"),
        RequestFinished("digits", "none", "unauthenticated", 0.0, "2"),
        Refused("http", "invalid"),
    ]


def test_lines_of_forwarded_addresses_are_one_list():
    """The rightmost address that no proxy owns counts, over all lines."""
    headers = read(("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2, 10.1.1.1"))

    assert headers.caller.address == "192.0.2.2"


@pytest.mark.parametrize(
    "name",
    [
        "x-edgeway-tenant",
        "authorization",
        "x-edgeway-hops",
        "x-edgeway-regions",
        "x-request-timeout-ms",
        "content-encoding",
        "x-second",
    ],
)
def test_claims_made_twice_are_refused(name):
    """Which of two claims counts is not for the client to choose."""
    with pytest.raises(GatewayError, match="more than once"):
        read((name, "a"), (name, "a"))


def test_a_tenant_that_a_proxy_has_joined_is_refused():
    with pytest.raises(GatewayError, match="x-edgeway-tenant is given more than once"):
        read(("x-edgeway-tenant", "acme, umbrella"))


def test_headers_of_a_family_fill_its_fields():
    """In their order; of a list the first line counts, and a field without a header keeps its default."""
    headers = read(
        ("x-second", "1"), ("x-third", "3"), ("accept-encoding", "gzip"), ("accept-encoding", "identity")
    )

    assert (headers.first, headers.second, headers.third) == (None, "1", "absent")
    assert (headers.accept_encoding, headers.content_encoding) == ("gzip", None)


def test_a_family_needs_no_headers_of_its_own():
    """Those of every family are read without any."""
    headers = RequestHeaderReader(PLANE, REFUSALS, RequestHeaders).read(
        Head("POST", "/", (("traceparent", "00-ab"), ("tracestate", "a=1"), ("x-request-timeout-ms", "5")))
    )

    assert headers.trace == (("traceparent", "00-ab"), ("tracestate", "a=1"))
    assert headers.timeout_ms == "5"


def test_long_and_secret_claims_are_read_every_time():
    """Neither a credential nor a flood of long headers is remembered."""
    assert read(("authorization", "Bearer t")).caller.credential == "Bearer t"
    assert read(("x-forwarded-for", "192.0.2.1," + " " * 300 + "10.0.0.2")).caller.address == "192.0.2.1"
    assert "<RequestHeaderReader" in repr(READER)


@pytest.mark.parametrize("hops", ["x", "1000", "-1", "²"])
def test_bad_hops_are_refused(hops):
    """Hops that no gateway writes: counted as none, a request could go round for ever."""
    with pytest.raises(GatewayError, match="x-edgeway-hops"):
        read(("x-edgeway-hops", hops))


@pytest.mark.parametrize(
    ("found", "routed"),
    [
        ((("x-team", "a"), ("x-other", "b")), (("x-team", "a"),)),
        ((("x-team", "a"), ("x-team", "b")), (("x-team", "a,b"),)),
        ((("x-team", "a" * 256),), (("x-team", "a" * 256),)),
        ((("x-team", "a" * 257),), ()),
        ((("x-team", "a" * 200), ("x-team", "a" * 56)), ()),
        ((), ()),
    ],
)
def test_headers_that_choose_routes_are_read_for_the_generation(found, routed) -> None:
    """Another generation goes by other headers; what is too long is not there."""
    head, first, second = Head("POST", "/", (KEY, *found), "10.0.0.1"), Register(1), Register(2)
    first.routed_headers = frozenset({"x-team"})

    assert READER.identify(head, first).routed == routed
    assert READER.identify(head, second).routed == ()
    assert READER.identify(head, first).forwarded == ()
