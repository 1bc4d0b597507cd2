"""What a generation is read from."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_models.settings import ModelsSettings
from gateway.app.certificates import MISSING
from gateway.app.loading import Contents, Sources, use_tls
from gateway.app.models import Models
from gateway.config.document import ConfigError
from gateway.core.clock import LoopClock
from gateway.core.telemetry import Silence
from gateway.http.server.tls import LoadedTls, Tls, TlsSettings
from tests.fakes.certificates import Authority
from tests.gateway.policies import GOOD, write_policy
from tests.scenarios.world import digits


@pytest.fixture
async def sources(tmp_path: Path):
    """A policy, a model without a certificate, and TLS whose files have changed since they were read."""
    ca = Authority(tmp_path)
    first, second = ca.issue("localhost"), ca.issue("localhost")
    tls = Tls(TlsSettings(certificate=str(first.certificate), key=str(first.key)))
    first.certificate.write_bytes(second.certificate.read_bytes())
    first.key.write_bytes(second.key.read_bytes())
    (tmp_path / "certificates").mkdir()
    models = Models.load(
        ModelsSettings(repository=str(digits.EDGE_REPOSITORY), certificates=str(tmp_path / "certificates")),
        region="here",
        origin="edge",
        clock=LoopClock(),
        telemetry=Silence(),
    )
    yield Sources(write_policy(tmp_path), "here", models, tls)
    await models.predictor.close()


def test_everything_is_one_value(sources: Sources) -> None:
    """The policy and the certificates of the models."""
    names = sources.model_names()
    contents = sources.contents(names)

    some = sources.load(contents, names)
    everything = sources.load(contents, names, forget=True)

    assert (some.policy.generation, some.text) == (1, GOOD.encode())
    assert some.certificates == everything.certificates == {"digits": MISSING}
    assert (some.forget, everything.forget) == (False, True)
    # Made in the thread that loads: a thousand routes would hold the loop.
    assert some.matching is not None
    assert some.matching.find("digits", "anonymous") is some.policy.routes[0]


def test_reading_changes_nothing(sources: Sources) -> None:
    """What was read is in use only once it is used."""
    assert sources.tls is not None
    before = sources.tls.context
    read = sources.read_tls()
    assert isinstance(read, LoadedTls)
    assert sources.tls.context is before

    use_tls(sources.tls, read)

    assert sources.tls.context is read.context
    assert sources.read_tls() is None, "it has not changed since"
    use_tls(None, read)


def test_each_part_that_is_wrong_is_named(sources: Sources, tmp_path: Path) -> None:
    """A policy that is none, a key that does not fit, a file that is gone."""
    with pytest.raises(ConfigError, match=r"policy\.yaml:2:\d+: is not YAML"):
        sources.load(Contents(b"{"), ())
    assert sources.tls is not None
    (tmp_path / "root-localhost-1.key").unlink()
    assert "cannot be read" in str(sources.read_tls())
    sources.file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        sources.load(sources.contents(()), ())


@pytest.mark.parametrize("file", ["certificates/digits.json", "root-localhost-1.key", "root-localhost-1.pem"])
def test_every_file_counts_as_content(sources: Sources, tmp_path: Path, file: str) -> None:
    """A certificate that appears or a TLS file that changes or goes; the policy's text is apart from them."""
    names = sources.model_names()
    before = sources.contents(names)
    assert sources.contents(names) == before

    (tmp_path / file).write_text("changed")
    changed = sources.contents(names)
    (tmp_path / file).unlink()
    gone = sources.contents(names)

    assert len({before.others, changed.others}) == 2
    assert gone.others != changed.others
    assert before.text == changed.text == gone.text == GOOD.encode()
    assert sources.contents(names, others=False).others == b""


def test_a_process_without_models_and_tls(tmp_path: Path) -> None:
    """It reads the policy alone."""
    sources = Sources(write_policy(tmp_path), "here")

    loaded = sources.load(sources.contents(()), sources.model_names(), forget=True)

    assert (loaded.certificates, sources.read_tls()) == ({}, None)
