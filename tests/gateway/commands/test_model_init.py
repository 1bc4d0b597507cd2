"""`edgeway model init`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edge_models.registry import Registry
from edge_models.samples import digits
from gateway.__main__ import main
from gateway.config.policy_file import load_policy
from gateway.config.settings import load_settings

EDGE, CENTRAL = map(str, map(digits.model_path, (digits.EDGE_REPOSITORY, digits.CENTRAL_REPOSITORY)))


def init(folder: Path, *words: str, model: str = CENTRAL) -> int:
    """Set up a folder, as from the command line."""
    return main(["model", "init", str(folder), "--model", model, *words])


def identity(path: Path, kind: int, shape: list[int | str]) -> str:
    """Write a model that answers its input; return where."""
    tensors = [helper.make_tensor_value_info(name, kind, shape) for name in ('x"\\', "y")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ['x"\\'], ["y"])], "g", *([each] for each in tensors)
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


def content(folder: Path) -> dict[str, bytes]:
    """Return every file in a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", ["digits", "123", "null", "1.0"])
def test_what_is_written_can_be_served(tmp_path: Path, name: str) -> None:
    """Settings, policy and repository are read without a complaint, whatever YAML makes of the name."""
    assert init(tmp_path, "--name", name) == 0

    policy, _ = load_policy(tmp_path / "policy.yaml")
    assert (policy.routes[0].name, policy.routes[0].match.model) == (name, name)
    central = load_settings(tmp_path / "central.yaml")
    assert central.models is not None
    (model,) = Registry.load(central.models)
    assert (model.name, model.session.digest) == (name, policy.routes[0].digest)
    assert load_settings(tmp_path / "edge.yaml").models is None


def test_an_edge_model_makes_a_cascade(tmp_path: Path, capsys) -> None:
    """The edge has it, the route asks it first, and the last lines say how to certify it."""
    assert init(tmp_path, "--name", "digits", "--edge-model", EDGE) == 0

    edge = load_settings(tmp_path / "edge.yaml")
    assert edge.models is not None
    assert [model.name for model in Registry.load(edge.models)] == ["digits"]
    assert load_policy(tmp_path / "policy.yaml")[0].routes[0].cascade is not None
    assert f"--out {tmp_path}/certificates/digits.json" in capsys.readouterr().out


def test_nothing_is_written_over(tmp_path: Path, capsys) -> None:
    """One file that is there is enough to leave the folder as it was."""
    (tmp_path / "policy.yaml").write_text("mine")

    assert init(tmp_path, "--name", "digits") == 2

    assert content(tmp_path) == {"policy.yaml": b"mine"}
    assert f"{tmp_path / 'policy.yaml'}: there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "model", "says"),
    [
        (["--name", "a/b"], CENTRAL, "say another name with --name"),
        (["--name", ".."], CENTRAL, "say another name with --name"),
        (["--name", "digits", "--first-port", "65530"], CENTRAL, "no room"),
        ([], "nowhere.onnx", "nowhere.onnx: No such file"),
        (["--name", "digits"], __file__, "test_model_init.py"),
    ],
)
def test_what_cannot_be_served_is_refused(
    tmp_path: Path, capsys, words: list[str], model: str, says: str
) -> None:
    """The message names it, and no folder is made."""
    assert init(tmp_path / "new", *words, model=model) == 2

    assert says in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def adder(path: Path, *inputs: str, shape: Sequence[int | str] = ("n", 4), output: str = "y") -> str:
    """Write a model that adds its inputs; return where."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (*inputs, output)]
    graph = helper.make_graph([helper.make_node("Sum", inputs, [output])], "g", tensors[:-1], tensors[-1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


@pytest.mark.parametrize(
    ("inputs", "shape", "output", "says"),
    [
        ("ac", ("n", 4), "y", "only one of them has 'b' among its inputs"),
        ("a", ("n", 4), "y", "only one of them has 'b' among its inputs"),
        ("ab", ("n", 4), "z", "only one of them has 'y' among its outputs"),
        ("ab", ("n", 5), "y", "'a' is FP32 [-1, 5] for the edge and FP32 [-1, 4] for central"),
        ("ab", ("n", 4, 1), "y", "'a' is FP32 [-1, 4, 1] for the edge and FP32 [-1, 4] for central"),
    ],
)
def test_an_edge_model_of_another_form_is_refused(
    tmp_path: Path, capsys, inputs: str, shape: Sequence[int | str], output: str, says: str
) -> None:
    """It could not answer what clients send, or not as central does."""
    edge = adder(tmp_path / "edge.onnx", *inputs, shape=shape, output=output)
    central = adder(tmp_path / "central.onnx", "a", "b")

    assert init(tmp_path / "new", "--edge-model", edge, model=central) == 2

    assert f"cannot stand in for {central}: {says}; nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_dimension_that_no_configuration_can_say_is_refused(tmp_path: Path, capsys) -> None:
    """What is written beside the model would keep it from being served."""
    model = identity(tmp_path / "m.onnx", TensorProto.FLOAT, ["n", 0])

    assert init(tmp_path / "new", model=model) == 2

    assert "has a dimension of 0" in capsys.readouterr().err


@pytest.mark.parametrize(("inputs", "shape"), [("ba", ("n", 4)), ("ab", ("n", "m"))])
def test_an_edge_model_of_the_same_form_is_taken(
    tmp_path: Path, inputs: str, shape: Sequence[int | str]
) -> None:
    """Inputs have names and no order, and a free dimension takes any size."""
    edge = adder(tmp_path / "edge.onnx", *inputs, shape=shape)

    assert init(tmp_path / "new", "--edge-model", edge, model=adder(tmp_path / "m.onnx", "a", "b")) == 0


def test_what_to_type_next_is_for_a_shell(tmp_path: Path, capsys) -> None:
    """Blanks in a folder's or a model's name are quoted, and encoded in an address."""
    folder = tmp_path / "my folder"

    assert init(folder, "--name", "my model", "--edge-model", EDGE) == 0

    lines = capsys.readouterr().out.partition("next:\n")[2].replace("\\\n", " ").splitlines()
    serve, _, ask, _, certify = map(shlex.split, lines)
    assert Path(serve[2]) == folder / "central.yaml"
    assert serve[2].endswith("my folder/central.yaml")
    assert ask[-1].endswith("/v2/models/my%20model")
    assert certify[certify.index("--model") + 1] == "my model"
    assert Path(certify[certify.index("--edge") + 1]).exists()
    assert Path(certify[certify.index("--central") + 1]).exists()
    assert len(certify) == 13


def test_weights_beside_the_file_come_along(tmp_path: Path) -> None:
    """A model of several files is served from the new folder alone."""
    folder = tmp_path / "given"
    folder.mkdir()
    model = onnx.load(CENTRAL)
    onnx.save(
        model, folder / "big.onnx", save_as_external_data=True, location="big.weights", size_threshold=1024
    )

    assert init(tmp_path / "new", model=str(folder / "big.onnx")) == 0

    (folder / "big.weights").unlink()
    central = load_settings(tmp_path / "new" / "central.yaml")
    assert central.models is not None
    (served,) = Registry.load(central.models)
    assert served.session.digest == load_policy(tmp_path / "new" / "policy.yaml")[0].routes[0].digest


@pytest.mark.parametrize(
    ("kind", "shape", "batch", "dims"),
    [
        (TensorProto.STRING, ["n", "width"], "max_batch_size: 64\n", "TYPE_STRING dims: [-1]"),
        (TensorProto.FLOAT, [2, 3], "max_batch_size: 0\n", "TYPE_FP32 dims: [2, 3]"),
        (TensorProto.INT64, ["n"], "", "To say them, 'x\"\\'"),
    ],
)
def test_the_configuration_says_what_the_file_has(
    tmp_path: Path, kind: int, shape: list[int | str], batch: str, dims: str
) -> None:
    """Texts, fixed sizes and one dimension; and it is read back, names with quotes included."""
    model = identity(tmp_path / "odd.onnx", kind, shape)

    assert init(tmp_path / "new", model=model) == 0

    text = (tmp_path / "new/central/odd/config.pbtxt").read_text()
    assert batch in text
    assert dims in text
    central = load_settings(tmp_path / "new" / "central.yaml")
    assert central.models is not None
    assert [spec.name for model in Registry.load(central.models) for spec in model.session.inputs] == ['x"\\']
