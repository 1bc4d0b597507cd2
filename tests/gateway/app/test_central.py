"""Assembly of a central tier."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_models.settings import ModelsSettings
from gateway.app.central import TlsReload, open_central
from gateway.app.foundation import open_foundation
from gateway.core.errors import Fault, GatewayError
from gateway.http.server.tls import Tls, TlsSettings
from tests.edge_models import onnx_models
from tests.fakes.certificates import Authority
from tests.gateway.app.processes import CENTRAL, settings
from tests.scenarios.world import UNSURE, certificate, picture


async def test_it_answers_in_its_own_name(tmp_path: Path) -> None:
    """By generation 0: it has no policy, and nothing but models to report."""
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, CENTRAL), lifetimes)
        tier = await open_central(foundation, lifetimes)
        generation = foundation.in_force.current()

        response = await generation(picture(UNSURE))

        assert (response.provenance.origin, response.provenance.digest) == (
            "central",
            certificate().central_digest,
        )
        assert (generation.number, generation.policy, list(tier.health)) == (0, None, ["models"])
        assert tier.health["models"]() == {"refused": {}}
        assert tier.policy_report() == {"generation": 0, "file": "", "error": ""}
        await tier.reload()


async def test_models_are_unloaded_and_loaded(tmp_path: Path) -> None:
    """The stack stays the same: the model is looked up at each request."""
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, CENTRAL), lifetimes)
        tier = await open_central(foundation, lifetimes)

        await tier.repository.unload("digits")
        with pytest.raises(GatewayError) as caught:
            await foundation.in_force.current()(picture(UNSURE))
        assert caught.value.fault is Fault.NOT_FOUND

        await tier.repository.load("digits", {})
        assert (await foundation.in_force.current()(picture(UNSURE))).provenance.origin == "central"
        assert not tier.repository.settings("digits").is_cached


async def test_a_cache_that_a_model_wants_is_nowhere(tmp_path: Path, caplog) -> None:
    """Whoever loads it is told, at the start and with an order."""
    folder = two_models(tmp_path)
    async with AsyncExitStack() as lifetimes:
        chosen = replace(settings(tmp_path, CENTRAL), models=ModelsSettings(repository=str(folder)))
        tier = await open_central(open_foundation(chosen, lifetimes), lifetimes)
        await tier.repository.load("wanted", {})
        await tier.repository.load("plain", {})

    named = [record.message for record in caplog.records if "response_cache" in record.message]
    assert [message.partition(":")[0] for message in named] == ["model wanted"] * 2


async def test_folders_that_are_not_served_are_in_health_and_metrics(tmp_path: Path) -> None:
    """With their reasons, without where the repository is; the process is ready nevertheless."""
    folder = two_models(tmp_path)
    (folder / "plain" / "config.pbtxt").write_text("max_batch_sizes: 8")
    async with AsyncExitStack() as lifetimes:
        chosen = replace(settings(tmp_path, CENTRAL), models=ModelsSettings(repository=str(folder)))
        foundation = open_foundation(chosen, lifetimes)
        tier = await open_central(foundation, lifetimes)
        report = tier.health["models"]()
        assert 'edgeway_models_refused{kind="bad"} 1.0' in foundation.prometheus.render().decode()

        (folder / "plain" / "config.pbtxt").unlink()
        await tier.repository.load("plain", {})
        assert tier.health["models"]() == {"refused": {}}
        assert 'edgeway_models_refused{kind="bad"} 0.0' in foundation.prometheus.render().decode()

    assert "max_batch_sizes" in report["refused"].pop("plain")
    assert str(tmp_path) not in str(report)
    assert report == {"refused": {}}


def two_models(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    for name, text in {"wanted": "response_cache { enable: true }", "plain": ""}.items():
        onnx_models.write(folder, name, onnx_models.softmax())
        (folder / name / "config.pbtxt").write_text(text)
    return folder


async def test_new_tls_certificates(tmp_path: Path, caplog) -> None:
    """Those that cannot be used change nothing, and the report says so until others are taken."""
    caplog.set_level("INFO", "edgeway")
    ca = Authority(tmp_path)
    first, second = ca.issue("localhost"), ca.issue("localhost")
    tls = Tls(TlsSettings(certificate=str(first.certificate), key=str(first.key)))
    reload, context = TlsReload(tls), tls.context

    await reload.reload()
    assert "new TLS certificates" not in caplog.text
    first.certificate.write_bytes(second.certificate.read_bytes())
    await reload.reload()
    assert tls.context is context
    assert "cannot be used" in reload.report()["error"]
    assert "the TLS certificates were not taken, the old ones stay" in caplog.text
    assert repr(reload) == "<TlsReload, the last one failed>"
    first.key.write_bytes(second.key.read_bytes())
    await reload.reload()

    assert tls.context is not context
    assert reload.report()["error"] == ""
    assert "new TLS certificates are in use" in caplog.text
    assert repr(reload) == "<TlsReload>"
