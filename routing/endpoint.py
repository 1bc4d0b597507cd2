"""What a policy says of one endpoint: its members, how they are connected to, chosen and watched.

Shapes and ranges are checked here, while decoding; what the values mean to each other is checked by
``routing.lint_endpoints``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

DAY_MS: Final = 86_400_000
DAY_S: Final = 86_400

_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=DAY_S)]
_Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
HashOn = Annotated[str, msgspec.Meta(pattern=r"^(tenant|sequence|input|header:[A-Za-z0-9-]{1,128})\Z")]


class MemberAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One member, or one name with several.

    ``address``: HOST:PORT. Where the host is a name, each address that it has is a member, and it is looked
        up again. ``weight``: its share beside the others', 1 to 1000, 1 by default. ``zone``: where in its
    region it is.
    """

    address: str
    weight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    zone: Annotated[str, msgspec.Meta(max_length=64)] = ""


class EndpointTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the endpoint is spoken to in TLS; files are read anew when they change.

    ``ca``: file of the authorities that are trusted, absent: the machine's. ``certificate``, ``key``: files
        of what this gateway shows of itself (mTLS). ``server_name``: the name that is asked for (SNI) and
    checked in the certificate, absent: the host of the address. ``alpn``: protocols to offer, absent: those
    of ``protocol``.
    """

    ca: _Text | None = None
    certificate: _Text | None = None
    key: _Text | None = None
    server_name: _Text | None = None
    alpn: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=16)] = ()


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What this gateway shows to the endpoint, never in the policy's own text.

    ``file``: holds it, and is read anew when it changes. ``env``: name of the environment variable that holds
    it. One of both. ``header``: in which it is sent, ``authorization`` by default. ``scheme``: the word
    before it, ``Bearer`` by default; empty: none.
    """

    file: _Text | None = None
    env: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")] | None = None
    header: _Text = "authorization"
    scheme: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~+/-]*\Z", max_length=64)] = "Bearer"


class LoadBalancing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which member of the endpoint gets a request (Envoy: lb_policy). Sequences stick under each of them.

    ``policy``: ``least_request``, the default: of ``choice_count`` members drawn by weight the one with the
    lowest product of peak-EWMA latency and requests under way; ``round_robin`` and ``random``, by weight; and
    by ``hash_on``, so that equal requests meet one member, ``ring_hash`` and ``maglev``. ``choice_count``:
    members that are drawn, 2 (Envoy). ``hash_on``: ``input`` (the default: equal inputs), ``tenant``,
    ``sequence`` or ``header:NAME``; requests without it are spread at random. ``hash_balance_factor``: with a
    hash, percent of the average of requests under way that a member may have before the next takes over
    (bounded loads), 150; 0: no bound, else 100 at least. ``slow_start_window_s``: seconds in which a member
    that is new or well again gets its full share little by little, 30; 0: at once. ``min_weight_percent``:
    its share at the beginning, 10 (Envoy). ``zone_aware``: members of this gateway's own zone come first
    until they cost more than twice what others do, true by default; zones do not matter for hashes.
    """

    policy: Literal["least_request", "round_robin", "random", "ring_hash", "maglev"] = "least_request"
    choice_count: Annotated[int, msgspec.Meta(ge=2, le=16)] = 2
    hash_on: HashOn = "input"
    hash_balance_factor: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 150
    slow_start_window_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30.0
    min_weight_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 10.0
    zone_aware: bool = True


class HealthCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Health checks of each member while it serves; what is out is checked in any case.

    ``path``: for HTTP, ``/v2/health/ready`` by default. ``service``: for gRPC health, empty by default: the
    server as a whole. ``interval_s``: seconds between two checks, 10. ``timeout_s``: 1.
    ``unhealthy_threshold``: checks in a row that fail before it is out, 3. ``healthy_threshold``: checks in a
    row that succeed before it is in, 1. ``initial_jitter_s``: seconds before the first, drawn between 0 and
    this, 1.
    """

    path: Annotated[str, msgspec.Meta(pattern=r"^/[!-~]*\Z", max_length=1024)] = "/v2/health/ready"
    service: Annotated[str, msgspec.Meta(max_length=256)] = ""
    interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=DAY_S)] = 10.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0
    unhealthy_threshold: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    healthy_threshold: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    initial_jitter_s: Annotated[float, msgspec.Meta(ge=0, le=DAY_S)] = 1.0


class OutlierDetection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When its requests put a member out, with Envoy's names and meanings.

    What is absent is as the gateway's own settings have it (``resilience.breaker``).
    """

    consecutive_5xx: _Count | None = None
    """Failures in a row: connections refused, resets, timeouts, 502, 503 and 504; a 500 is the model's."""

    consecutive_gateway_failure: _Count | None = None
    """502, 503 and 504 in a row, and what came to no answer unless that is split off. 5, not enforced:
    ``consecutive_5xx`` counts the same."""

    consecutive_local_origin_failure: _Count | None = None
    """Connections refused, resets and timeouts in a row, where they are split off. 5."""

    split_external_local_origin_errors: bool | None = None
    """Whether what the member answers and what comes to no answer are counted apart. false."""

    interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=DAY_S)] | None = None
    """Seconds between two comparisons of the members. 10."""

    base_ejection_time_s: _Seconds | None = None
    """Seconds for which a comparison puts a member out, times the number of times that it was out lately. 30.
    One that is out for failures in a row comes back when a health check succeeds."""

    max_ejection_time_s: _Seconds | None = None
    """The most seconds that they come to. 300."""

    max_ejection_percent: _Percent | None = None
    """Of the members, that comparisons may put out. 50, not Envoy's 10: most pools have two or three members.
    One may always be, the last one never."""

    success_rate_minimum_hosts: _Count | None = None
    """So many members, of enough requests each, are compared by their success rates. 5."""

    success_rate_request_volume: _Count | None = None
    """So many requests in the interval are enough for that. 100."""

    success_rate_stdev_factor: _Count | None = None
    """Those are out whose success rate is below the mean by so many thousandths of the standard deviation.
    1900."""

    failure_percentage_threshold: _Percent | None = None
    """Those are out that fail so many percent. 85. Not enforced; but with two to four members it holds all
    the same where the others together fail less than half as often."""

    failure_percentage_minimum_hosts: _Count | None = None
    """So many members, of enough requests each, are judged by their failure percentage. 5."""

    failure_percentage_request_volume: _Count | None = None
    """So many requests in the interval are enough for that. 50."""

    enforcing_consecutive_5xx: _Percent | None = None
    """Percent of the cases in which ``consecutive_5xx`` puts a member out. 100."""

    enforcing_consecutive_gateway_failure: _Percent | None = None
    """The same for ``consecutive_gateway_failure``. 0."""

    enforcing_consecutive_local_origin_failure: _Percent | None = None
    """The same for ``consecutive_local_origin_failure``. 100."""

    enforcing_success_rate: _Percent | None = None
    """The same for success rates, and for the rule of few members. 100."""

    enforcing_failure_percentage: _Percent | None = None
    """The same for failure percentages. 0."""


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where requests can be sent over a wire: a central tier, or another region's gateway; a pool of members.

    ``tier``: what it is. ``region``: where it is. ``protocol``: which wire requests are sent over: ``grpc``,
    ``http`` (1.1) or ``h2`` (the same over HTTP/2). ``addresses``: its members, each HOST:PORT or with
    weight and zone. ``address``: the older form for one member, whose name's addresses stand in for each
    other.
    ``host``: what requests call it (Host, ``:authority``), absent: its address. ``path_prefix``: before each
    path. ``headers``: sent with each request. ``credential``: of this gateway. ``tls``: absent: in the clear.
    ``load_balancing``: which member gets a request. ``health_check``: of members that serve, absent: none.
    ``outlier_detection``: when a member is out. ``capacity_rps``: requests per second that it can carry as a
    whole, absent: not known; what a gateway sends beyond them goes to the next endpoint of the plan that has
    room, and here when none has. Each gateway knows what it sends itself. ``models``: those it holds: names,
    patterns as in ``match``, either with ``:VERSION`` behind; absent: what its members' indexes say, read
    every 10 s. One without the model is passed over while another may have it. ``labels``: for whoever
    reads the policy, and for matching. ``drain``: it gets no new work. ``max_concurrency``: requests under
    way at one member, absent: as each gateway's settings have it. ``attempt_timeout_ms``: the longest that
    one attempt may take, absent: as each gateway's settings have it.
    """

    tier: Literal["edge", "central"]
    region: str
    protocol: Literal["grpc", "http", "h2"]
    address: str = ""
    addresses: Annotated[tuple[str | MemberAddress, ...], msgspec.Meta(max_length=1024)] = ()
    host: Annotated[str, msgspec.Meta(max_length=255)] = ""
    path_prefix: Annotated[str, msgspec.Meta(pattern=r"^(/[!-~]*)?\Z", max_length=1024)] = ""
    headers: Annotated[dict[str, str], msgspec.Meta(max_length=32)] = {}
    credential: Credential | None = None
    tls: EndpointTls | None = None
    load_balancing: LoadBalancing = LoadBalancing()
    health_check: HealthCheck | None = None
    outlier_detection: OutlierDetection = OutlierDetection()
    capacity_rps: Annotated[float, msgspec.Meta(gt=0, le=1e9)] | None = None
    models: tuple[_Text, ...] = ()
    labels: Annotated[dict[str, str], msgspec.Meta(max_length=64)] = {}
    drain: bool = False
    max_concurrency: Annotated[int, msgspec.Meta(ge=1, le=65_536)] | None = None
    attempt_timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=DAY_MS)] | None = None

    @property
    def members(self) -> tuple[MemberAddress, ...]:
        """Its members as the policy lists them, in whichever form; a name among them may be several."""
        listed = self.addresses or ((self.address,) if self.address else ())
        return tuple(
            each if isinstance(each, MemberAddress) else MemberAddress(address=each) for each in listed
        )
