"""The models of a process, and which licence each route's model gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from edge_models.settings import ModelsSettings
from gateway.app.certificates import MISSING, REASONS, UNREADABLE, Certificates, Unusable
from gateway.app.models import Models
from gateway.app.route_edge_models import NO_EDGE_MODELS, RouteEdgeModels
from gateway.config.policy_file import load_policy
from gateway.core.clock import LoopClock
from gateway.core.telemetry import CertificateJudged, CertificateRefused
from routing.policy import Route
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry
from tests.gateway.policies import CENTRAL_DIGEST, GOOD, write_policy
from tests.scenarios.world import certificate, digits

FOUND: Certificates = {"digits": certificate()}


class Stage:
    """The digits' edge model, and the edge models in force."""

    def __init__(self) -> None:
        self.telemetry = RecordingTelemetry()
        self.in_use = NO_EDGE_MODELS
        self.models = Models.load(
            ModelsSettings(repository=str(digits.EDGE_REPOSITORY)),
            region="here",
            origin="edge",
            clock=LoopClock(),
            telemetry=self.telemetry,
            in_use=lambda: self.in_use,
        )

    def swap(self, models: RouteEdgeModels) -> RouteEdgeModels:
        before, self.in_use = self.in_use, models
        self.models.after_swap(before, models)
        return models

    def judged(self) -> list[tuple[str, bool | None]]:
        return [(event.model, event.is_valid) for event in self.telemetry.of(CertificateJudged)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Nothing in force."""
    made = Stage()
    yield made
    await made.models.predictor.close()


@pytest.fixture
def route(tmp_path: Path) -> Route:
    """The route of the digits, which names the certified central artefact."""
    text = GOOD.replace(CENTRAL_DIGEST, certificate().central_digest)
    return load_policy(write_policy(tmp_path, text))[0].routes[0]


def replaced(route: Route, **changes: object) -> Route:
    return msgspec.structs.replace(route, **changes)


async def test_only_a_route_with_a_cascade_and_a_model_of_ours_has_a_tier(stage: Stage, route: Route) -> None:
    """It has the model's name, the artefact that answers, and the licence."""
    other = replaced(route, name="cats", match=replaced(route.match, model="cats"))
    plain = replaced(route, name="plain", cascade=None)

    models = stage.models.edge_models([route, other, plain], FOUND)

    assert list(models.by_route) == ["digits"]
    model = models.by_route["digits"]
    assert (model.model, model.digest, model.licence.reason()) == ("digits", certificate().edge_digest, "")
    assert models.models() == {"digits"}
    assert models.report() == {"digits": {"valid": True}}
    assert stage.models.names() == {"digits"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("edge_digest", "sha256:" + "0" * 64),
        ("instruction_set", "riscv-v"),
        ("onnxruntime", "0.0.1"),
        ("provider", "CUDAExecutionProvider"),
        ("model", "cats"),
    ],
)
async def test_a_field_that_differs_is_the_reason(stage: Stage, route: Route, field: str, value: str) -> None:
    """It is counted once and reported in a sentence."""
    found = {"digits": msgspec.structs.replace(certificate(), **{field: value})}

    models = stage.models.edge_models([route], found)

    assert models.report() == {"digits": {"valid": False, "reason": field, "detail": REASONS[field]}}
    assert [event.field for event in stage.telemetry.of(CertificateRefused)] == [field]


async def test_a_route_that_names_another_central_artefact(stage: Stage, route: Route) -> None:
    """Of two routes of one model the one that has no valid licence is reported, in whichever order they come."""
    stranger = replaced(route, name="stranger", digest="sha256:" + "1" * 64)

    for routes in ([route, stranger], [stranger, route]):
        models = stage.models.edge_models(routes, FOUND)

        assert models.report()["digits"]["reason"] == "central_digest"
        assert models.is_valid("digits") is False
        assert models.by_route["digits"].licence.reason() == ""
    assert models.is_valid("cats") is None


async def test_the_first_of_two_reasons_is_reported(stage: Stage, route: Route) -> None:
    """A model may be refused on two routes, for a reason each."""
    proof = certificate()
    renamed = msgspec.structs.replace(proof.outputs[0], name="likelihoods")
    found = {"digits": msgspec.structs.replace(proof, outputs=(renamed,))}
    stranger = replaced(route, name="stranger", digest="sha256:" + "1" * 64)

    for routes, reason in (([route, stranger], "outputs"), ([stranger, route], "central_digest")):
        assert stage.models.edge_models(routes, found).report()["digits"]["reason"] == reason


async def test_a_certificate_that_cannot_be_used_is_reported_with_what_the_file_says(
    stage: Stage, route: Route
) -> None:
    """Its own words come first; where there are none, ours."""
    for unusable, detail in ((Unusable(UNREADABLE, "line 3"), "line 3"), (MISSING, REASONS["missing"])):
        models = stage.models.edge_models([route], {"digits": unusable})

        assert models.report()["digits"] == {"valid": False, "reason": unusable.reason, "detail": detail}
    assert stage.models.edge_models([route], {}).report()["digits"]["reason"] == "missing"


async def test_nothing_in_force_changes_before_the_swap(stage: Stage, route: Route) -> None:
    """Neither what is in use nor what is reported of it."""
    first = stage.swap(stage.models.edge_models([route], FOUND))
    judged = stage.judged()

    second = stage.models.edge_models([route], {"digits": MISSING})

    assert stage.in_use is first
    assert stage.judged() == judged == [("digits", True)]
    assert first.report()["digits"]["valid"]
    stage.swap(second)
    stage.swap(stage.models.edge_models([], FOUND))
    assert stage.judged() == [("digits", True), ("digits", False), ("digits", None)]


async def test_what_a_licence_has_learned_outlives_a_reload(stage: Stage, route: Route) -> None:
    """Also a policy without the route; an operator's reload gives it another chance, at the swap."""
    first = stage.swap(stage.models.edge_models([route], FOUND))
    licence = first.by_route["digits"].licence
    licence.compare(answer("central", digest="sha256:" + "f" * 64), "")
    assert licence.reason() == "central_digest"
    assert stage.judged()[-1] == ("digits", False), "a change is reported when it happens"

    stage.swap(stage.models.edge_models([], FOUND))
    again = stage.swap(stage.models.edge_models([route], FOUND))
    assert again.by_route["digits"].licence is licence

    fresh = stage.models.edge_models([route], FOUND, forget=True)
    assert fresh.by_route["digits"].licence.reason() == ""
    assert stage.in_use.report()["digits"]["reason"] == "central_digest"


async def test_a_change_of_a_licence_that_is_not_in_use_is_not_reported(stage: Stage, route: Route) -> None:
    """The metric speaks of what is in force."""
    old = stage.swap(stage.models.edge_models([route], FOUND))
    stage.swap(stage.models.edge_models([], FOUND))
    judged = stage.judged()

    old.by_route["digits"].licence.compare(answer("central", digest="sha256:" + "f" * 64), "")

    assert stage.judged() == judged
