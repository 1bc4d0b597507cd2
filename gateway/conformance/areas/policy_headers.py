"""Area `policy-headers`: Edgeway's response headers about where an answer came from, over both protocols."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.conformance import messages
from gateway.conformance.check import Area
from gateway.conformance.clauses import EDGEWAY
from gateway.conformance.expect import error_object
from gateway.conformance.faults import NO_SUCH_MODEL
from gateway.conformance.server_under_test import JSON, ServerUnderTest
from gateway.conformance.verdicts import Absent, require

AREA = Area("policy-headers")
PREFIX: Final = "x-edgeway-"
ORIGIN: Final = r"(edge|central)"
PROVENANCE: Final = re.compile(rf"{ORIGIN}|cache;level=\w+;origin={ORIGIN}(;stale)?")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def _http(tested: ServerUnderTest) -> Callable[[str], str]:
    answer = tested.post(f"{tested.model.call().path}/infer", tested.model.call().as_json())
    require(answer.status == 200, f"status {answer.status}, not 200")
    return _present(answer.header)


def _grpc(tested: ServerUnderTest) -> Callable[[str], str]:
    answer = tested.call("ModelInfer", tested.model.call().as_message(), messages.ModelInferResponse)
    require(answer.code == "OK", f"ended with {answer.code}")
    return _present(answer.metadata_value)


def _present(header: Callable[[str], str]) -> Callable[[str], str]:
    if not header(f"{PREFIX}provenance"):
        raise Absent(f"there is no {PREFIX}provenance: this is another server, or one in front drops it")
    return header


@AREA.check("provenance", "an answer says which tier it came from", EDGEWAY, optional=True)
def provenance(tested: ServerUnderTest) -> None:
    """The edge, the central tier, or a cache and who filled it."""
    provenance = _http(tested)(f"{PREFIX}provenance")
    require(PROVENANCE.fullmatch(provenance), f"the provenance is {provenance[:60]!r}")


@AREA.check("served-by", "and which region answered", EDGEWAY, optional=True)
def served_by(tested: ServerUnderTest) -> None:
    """The header names the region."""
    require(_http(tested)(f"{PREFIX}served-by"), "there is no region")


@AREA.check("certified", "and whether a certificate vouches for it", EDGEWAY, optional=True)
def certified(tested: ServerUnderTest) -> None:
    """The header is `true` or `false`, and is never missing."""
    certified = _http(tested)(f"{PREFIX}certified")
    require(certified in {"true", "false"}, f"it is {certified[:20]!r}")


@AREA.check("digest", "and the digest of the model, if it is known", EDGEWAY, optional=True)
def digest(tested: ServerUnderTest) -> None:
    """A SHA-256 of the file."""
    digest = _http(tested)(f"{PREFIX}model-digest")
    require(not digest or DIGEST.fullmatch(digest), f"the digest is {digest[:80]!r}")


@AREA.check("generation", "answers and refusals name the policy in force", EDGEWAY, optional=True)
def generation(tested: ServerUnderTest) -> None:
    """The policy's number, the same for an answer and a refusal."""
    named = _http(tested)(f"{PREFIX}policy-generation")
    refusal = tested.post(f"/v2/models/{NO_SUCH_MODEL}/infer", tested.model.call().as_json())
    require(named.isdecimal(), f"an answer names {named[:20]!r}")
    again = refusal.header(f"{PREFIX}policy-generation")
    require(again == named, f"a refusal names {again[:20]!r}, an answer {named[:20]!r}")


@AREA.check("grpc", "gRPC's metadata say the same as HTTP's headers", EDGEWAY, optional=True)
def over_grpc(tested: ServerUnderTest) -> None:
    """A cache may answer the second one, so only its origin is compared."""
    over_http, over_rpc = _http(tested), _grpc(tested)
    for name in ("served-by", "certified", "model-digest", "policy-generation"):
        both = over_http(PREFIX + name), over_rpc(PREFIX + name)
        require(both[0] == both[1], f"{PREFIX}{name}: HTTP says {both[0][:60]!r}, gRPC {both[1][:60]!r}")
    origins = [
        re.sub(r".*origin=|;stale", "", header(f"{PREFIX}provenance")) for header in (over_http, over_rpc)
    ]
    require(origins[0] == origins[1], f"the origins are {origins}")


@AREA.check(
    "deadline-wrong", "a deadline that is no number of milliseconds is refused", EDGEWAY, optional=True
)
def deadline_wrong(tested: ServerUnderTest) -> None:
    """`X-Request-Timeout-Ms` is refused where it cannot be read, instead of being ignored."""
    _http(tested)
    for wrong in ("soon", "-1", "0", "nan"):
        headers = (*JSON, ("X-Request-Timeout-Ms", wrong))
        answer = tested.post(f"{tested.model.call().path}/infer", tested.model.call().as_json(), headers)
        require(answer.status == 400, f"{wrong!r} is answered with status {answer.status}, not 400")
        error_object(answer)


@AREA.check("not-ours", "what a client writes there never comes back", EDGEWAY, optional=True)
def not_ours(tested: ServerUnderTest) -> None:
    """Headers that only gateways may send are dropped or refused when anybody else sends them."""
    _http(tested)
    headers = (*JSON, (f"{PREFIX}served-by", "suite"), (f"{PREFIX}certified", "suite"))
    answer = tested.post(f"{tested.model.call().path}/infer", tested.model.call().as_json(), headers)
    require(answer.status == 200, f"status {answer.status}, not 200")
    for name in ("served-by", "certified"):
        require("suite" not in answer.header(PREFIX + name), f"{PREFIX}{name} is the client's")
