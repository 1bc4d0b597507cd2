"""The model repository on disk, and the catalog that it becomes."""

from __future__ import annotations

import os

import pytest

from edge_models.errors import ModelError
from edge_models.registry import Registry
from edge_models.settings import BatchingSettings, ModelsSettings
from gateway.core.errors import Fault, GatewayError
from tests.edge_models import onnx_models


def load(repository, **fields) -> Registry:
    return Registry.load(ModelsSettings(repository=str(repository), **fields))


@pytest.fixture
def registry(tmp_path) -> Registry:
    for version in ("1", "2", "10"):
        onnx_models.write(tmp_path, "digits", onnx_models.affine(float(version)), version)
    onnx_models.write(tmp_path, "words", onnx_models.echo_text())
    return load(tmp_path)


def test_every_version_is_loaded(registry):
    """Versions are numbers: 10 is higher than 2, and is the one that answers when none is named."""
    assert repr(registry) == "<Registry digits/1, digits/10, digits/2, words/1>"
    assert registry.get("digits").version == "10"
    assert registry.get("digits", "2").version == "2"
    assert len(list(registry)) == 4


async def test_the_catalog_has_names_versions_and_tensors(registry):
    """Metadata names all versions, whichever was asked for."""
    spec = await registry.describe("digits", "1")

    assert (spec.name, spec.versions, spec.platform) == ("digits", ("1", "2", "10"), "onnxruntime_onnx")
    assert spec.inputs[0].shape == (-1, 4)
    assert await registry.is_ready("words", "")


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("x", "", "Request for unknown model: 'x' is not found"),
        ("x", "9", "Request for unknown model: 'x' is not found"),
        ("digits", "9", "Request for unknown model: 'digits' version 9 is not found"),
        ("digits", "01", "Request for unknown model: 'digits' version 01 is not found"),
        ("digits", "v1.2.0", "Request for unknown model: 'digits' version v1.2.0 is not found"),
    ],
)
async def test_what_is_not_there_is_not_found_in_tritons_words(registry, model, version, message):
    """Clients of Triton match on these texts."""
    for ask in (registry.describe, registry.is_ready):
        with pytest.raises(GatewayError) as caught:
            await ask(model, version)

        assert (caught.value.fault, caught.value.message) == (Fault.NOT_FOUND, message)


@pytest.mark.parametrize("name", ["x" * 1_000_000, "a\r\nSet-Cookie: b", "\x1b[31m", "\u202eevil", "\x00"])
def test_a_hostile_name_is_not_echoed_as_it_is(registry, name):
    """A stranger's name in a message is short and printable."""
    for model, version in ((name, ""), ("digits", name)):
        with pytest.raises(GatewayError) as caught:
            registry.get(model, version)

        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", ["Digits", "dIgits", "a b", "x" * 128, "_x", "Résumé"[0] + ".v1-2", "0"])
def test_names_as_triton_has_them(tmp_path, name):
    """Upper-case, mixed, with dots, dashes and blanks; names that differ in case are two models."""
    onnx_models.write(tmp_path, name, onnx_models.affine(3.0))
    onnx_models.write(tmp_path, "digits", onnx_models.affine())

    registry = load(tmp_path)

    assert registry.get(name).name == name
    assert registry.get(name).session.digest != registry.get("digits").session.digest


@pytest.mark.parametrize("name", ["x" * 129, "-x", "x ", " x", "a:b", "a\nb", "modèle"])
def test_a_folder_that_is_no_model_name_is_refused(tmp_path, name):
    """A model that nobody could ask for is a mistake, and is named; it stops no other."""
    onnx_models.write(tmp_path, name, onnx_models.affine())

    with pytest.raises(ModelError, match="a model's name must match"):
        load(tmp_path)
    onnx_models.write(tmp_path, "digits", onnx_models.affine())
    assert [model.name for model in load(tmp_path)] == ["digits"]


def test_what_is_not_a_model_or_version_is_left_alone(tmp_path):
    """Hidden folders, mount points, cards and other files beside the versions do no harm."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())
    (tmp_path / "README.md").write_text("models")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "..data").mkdir()
    (tmp_path / "digits" / "card.md").write_text("card")
    (tmp_path / "digits" / "01").mkdir()
    (tmp_path / "digits" / "draft").mkdir()

    assert repr(load(tmp_path)) == "<Registry digits/1>"


def test_a_corrupt_model_is_named(tmp_path):
    """The message says which file, also when there is another model."""
    onnx_models.write(tmp_path, "digits", b"garbage", "3")

    with pytest.raises(ModelError, match=r"no model can be served: .*digits/3/model\.onnx: is not a model"):
        load(tmp_path)
    onnx_models.write(tmp_path, "words", onnx_models.echo_text())
    with pytest.raises(ModelError, match=r"digits/3/model\.onnx: is not a model"):
        load(tmp_path, exit_on_error=True)


def test_one_bad_folder_stops_no_other(tmp_path, caplog):
    """It is reported and left out, whatever is wrong with it; another backend's model is no error at all."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())
    onnx_models.write(tmp_path, "garbage", b"garbage", "3")
    onnx_models.write(tmp_path, "mixed", onnx_models.affine(), "1")
    onnx_models.write(tmp_path, "mixed", b"garbage", "2")
    (tmp_path / "empty").mkdir()
    (tmp_path / "python" / "1").mkdir(parents=True)
    (tmp_path / "python" / "1" / "model.py").write_text("")

    registry = load(tmp_path)

    assert repr(registry) == "<Registry digits/1>"
    assert {name: each.versions for name, each in registry.refused.items()} == {
        "empty": (),
        "garbage": ("3",),
        "mixed": ("1", "2"),
        "python": ("1",),
    }
    assert "model garbage is not served: " in caplog.text
    assert "a model of the backend 'python' does not run here" in registry.refused["python"].reason
    for name in ("empty", "garbage", "mixed"):
        (tmp_path / name).rename(tmp_path / f".{name}")
    assert repr(load(tmp_path, exit_on_error=True)) == "<Registry digits/1>"


def test_a_refused_folder_can_be_told_whatever_its_name_is(tmp_path):
    """An index in which one name is no text would be nobody's."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())
    os.mkdir(os.fsencode(tmp_path) + b"/b\xffad")  # noqa: PTH102 - pathlib has no names in bytes
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/config.pbtxt").write_text("default_model_filename: '" + "x" * 9000 + "'")
    onnx_models.write(tmp_path, "bad", onnx_models.affine())

    refused = load(tmp_path).refused

    assert sorted(refused) == ["b?ad", "bad"]
    for each in refused.values():
        assert each.reason.isprintable()
        assert len(each.reason.encode()) < 5000


def test_an_empty_repository_is_refused(tmp_path):
    """No folder, no model, no version or no file: each is named."""
    with pytest.raises(ModelError, match="holds no model"):
        load(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(ModelError, match=r"holds no version; expected digits/1/model\.onnx"):
        load(tmp_path)
    (tmp_path / "digits" / "1").mkdir()
    with pytest.raises(ModelError, match=r"digits/1/model\.onnx: cannot be read"):
        load(tmp_path)
    with pytest.raises(ModelError, match="absent: cannot be read: No such file"):
        load(tmp_path / "absent")


def test_settings_for_a_model_that_is_not_there_are_refused(tmp_path):
    """A misspelt name in the settings would else be without effect."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())

    with pytest.raises(ModelError, match="the settings name 'digit'"):
        load(tmp_path, batching={"digits": BatchingSettings(), "digit": BatchingSettings()})


def test_cuda_required_and_absent_does_not_start(tmp_path):
    """This machine's ONNX Runtime has no CUDA, and the start says so."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())

    with pytest.raises(ModelError, match="'cuda' is required"):
        load(tmp_path, providers=("cuda", "cpu"), require="cuda")


def test_a_required_provider_is_checked_on_every_model(tmp_path):
    """Required and there: the start goes on."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())

    assert repr(load(tmp_path, require="cpu")) == "<Registry digits/1>"


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_silent_fallback_does_not_start(tmp_path, monkeypatch):
    """CUDA is in the build, its libraries are not: ONNX Runtime takes the CPU, and the start notices."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())
    claimed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: claimed)

    assert load(tmp_path, providers=("cuda", "cpu")).get("digits").session.providers == (claimed[1],)
    with pytest.raises(ModelError, match="fell back to CPUExecutionProvider"):
        load(tmp_path, providers=("cuda", "cpu"), require="cuda")


def test_cuda_wanted_and_absent_runs_on_the_cpu(tmp_path):
    """Wanted is not required."""
    onnx_models.write(tmp_path, "digits", onnx_models.affine())

    assert load(tmp_path, providers=("cuda", "cpu")).get("digits").session.providers == (
        "CPUExecutionProvider",
    )
