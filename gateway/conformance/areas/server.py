"""Area `server`: health and metadata of the server over HTTP."""

from __future__ import annotations

from gateway.conformance.check import Area
from gateway.conformance.clauses import REST_HEALTH, REST_SERVER
from gateway.conformance.expect import ok, ok_object, strings, text
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.verdicts import require

AREA = Area("server")


@AREA.check("live", "GET /v2/health/live is 200", REST_HEALTH)
def live(tested: ServerUnderTest) -> None:
    """A server that answers is live."""
    ok(tested.get("/v2/health/live"))


@AREA.check("live-body", 'its body is {"live": true}', REST_HEALTH)
def live_body(tested: ServerUnderTest) -> None:
    """The body is an object with a boolean."""
    require(ok_object(tested.get("/v2/health/live")).get("live") is True, "'live' is not true")


@AREA.check("ready", "GET /v2/health/ready is 200", REST_HEALTH)
def ready(tested: ServerUnderTest) -> None:
    """A server whose models are served is ready."""
    ok(tested.get("/v2/health/ready"))


@AREA.check("ready-body", 'its body is {"live": true} or {"ready": true}', REST_HEALTH)
def ready_body(tested: ServerUnderTest) -> None:
    """The specification's text has `live` here, its clients look for `ready`."""
    body = ok_object(tested.get("/v2/health/ready"))
    require(body.get("live") is True or body.get("ready") is True, "neither 'live' nor 'ready' is true")


@AREA.check("metadata", "GET /v2 tells name, version and extensions", REST_SERVER)
def metadata(tested: ServerUnderTest) -> None:
    """Two texts and a list of texts."""
    body = ok_object(tested.get("/v2"))
    require(text(body, "name"), "'name' is empty")
    text(body, "version")
    strings(body.get("extensions"), "'extensions'")


@AREA.check("metadata-type", "metadata come as application/json", REST_SERVER)
def metadata_type(tested: ServerUnderTest) -> None:
    """The content type names the format of the body."""
    answer = ok(tested.get("/v2"))
    require(
        answer.header("Content-Type").lower().startswith("application/json"),
        f"Content-Type is {answer.header('Content-Type')[:60]!r}",
    )


@AREA.check("query", "a query in the target changes nothing", REST_SERVER)
def query(tested: ServerUnderTest) -> None:
    """Clients add parameters of their own, such as a credential."""
    require(ok_object(tested.get("/v2?client=suite")) == ok_object(tested.get("/v2")), "the answers differ")
