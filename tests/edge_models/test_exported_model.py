"""What exporters leave in their files, put right or refused in a sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_models.exported_model import every_node, nesting, read_exported_model, weighty_layers
from tests.edge_models.exported_models import FOLDER, exported, saved

ALL = sorted(path.stem for path in FOLDER.glob("*.onnx"))


def read(path: Path):
    return read_exported_model(onnx, path)


def test_the_samples_are_there() -> None:
    """Each exporter's files: a glob that finds nothing would test nothing."""
    assert {name.split("_")[0] for name in ALL} == {"skl", "torch", "keras"}
    assert len(ALL) >= 30


@pytest.mark.parametrize("name", ALL)
def test_every_exporters_file_is_read_whole(name: str) -> None:
    """In one piece, each operator set imported once, no weights elsewhere, no maps among the outputs."""
    model = read(exported(name))

    domains = [opset.domain for opset in model.proto.opset_import]
    assert len(domains) == len(set(domains))
    assert all(value.type.HasField("tensor_type") for value in model.proto.graph.output)
    assert not any(tensor.data_location for tensor in model.proto.graph.initializer)
    assert model.size >= exported(name).stat().st_size or model.notes


def test_weights_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    """The size is that of one file with everything, or int8 would look larger than what it replaces."""
    model = read(exported("torch_linear_dynamo_external_20"))

    assert numpy_helper.to_array(model.proto.graph.initializer[0]).any()
    assert model.size > exported("torch_linear_dynamo_external_20").with_suffix(".onnx.data").stat().st_size


def test_weights_that_are_gone_are_named(tmp_path: Path) -> None:
    alone = shutil.copy(exported("torch_linear_dynamo_external_20"), tmp_path)

    with pytest.raises(
        ValueError, match=r"keeps its weights in 'torch_linear.*\.onnx\.data', which is not beside"
    ):
        read(Path(alone))


def test_weights_that_are_cut_short_are_named(tmp_path: Path) -> None:
    alone = Path(shutil.copy(exported("torch_linear_dynamo_external_20"), tmp_path))
    alone.with_suffix(".onnx.data").write_bytes(b"\0" * 100)

    with pytest.raises(ValueError, match=r"its weights in torch_linear.*\.data cannot be read: "):
        read(alone)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "link"])
def test_weights_outside_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    """A model cannot make its reader open any other file."""
    (tmp_path / "secret").write_bytes(b"\1" * 64)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    tensor = numpy_helper.from_array(np.zeros(16, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [16])
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [output], [tensor])
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())

    with pytest.raises(ValueError, match=r"model\.onnx: "):
        read(path)


def test_more_than_two_gib_are_refused_before_they_are_read(tmp_path: Path) -> None:
    alone = Path(shutil.copy(exported("torch_linear_dynamo_external_20"), tmp_path))
    with alone.with_suffix(".onnx.data").open("wb") as file:
        file.truncate(1 << 31)

    with pytest.raises(ValueError, match="more than 2 GiB"):
        read(alone)


def cut(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"no model", b"PK\3\4" + b"\0" * 100, b"\x89HDF\r\n", b"{}", bytes(range(256)), "half"],
    ids=["empty", "newline", "text", "zip", "hdf5", "json", "bytes", "half"],
)
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes | str) -> None:
    """Among them what people hand in by mistake: a checkpoint, a .keras file, half a download."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(cut(exported("skl_mlp")) if isinstance(content, str) else content)

    with pytest.raises(ValueError, match=r"broken\.onnx: is not an ONNX model, or only a part of one"):
        read(path)


def test_every_half_of_a_model_is_refused_in_words(tmp_path: Path) -> None:
    """Wherever a download ended, there is a sentence, or a model that was whole already."""
    whole = exported("skl_mlp_tiny").read_bytes()
    path = tmp_path / "part.onnx"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"part\.onnx: "):
            read(path)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("torch_linear_dynamo_external_20", b"external_20.onnx.data", b"external_20.onnx.dat\xff"),
        ("skl_mlp_zipmap_text", b"digit 7", b"digit \xff"),
    ],
)
def test_names_that_are_no_text_are_damage(tmp_path: Path, name: str, old: bytes, new: bytes) -> None:
    """One byte went wrong on the way."""
    path = tmp_path / "damaged.onnx"
    path.write_bytes(exported(name).read_bytes().replace(old, new))

    with pytest.raises(ValueError, match=r"damaged\.onnx: is damaged: it has names that are no text"):
        read(path)


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.onnx")


def test_zip_map_is_left_out_and_reported() -> None:
    """The map's values become a tensor of the same name, its columns in the order of the labels."""
    model = read(exported("skl_logistic_zipmap_text"))

    (note,) = model.notes
    assert (
        "output 'output_probability' is FP32 [-1, 3], its columns the classes setosa, versicolor, virginica"
        in note
    )
    assert "ZipMap" not in {node.op_type for node in model.proto.graph.node}


def test_a_zip_map_that_gives_nothing_is_left_to_onnx_runtime(tmp_path: Path) -> None:
    """A damaged node is not tripped over here; what it is worth, the session says."""
    model = onnx.load(exported("skl_logistic_zipmap_text"))
    del model.graph.node[-1].output[:]

    assert read(saved(model, tmp_path / "damaged.onnx")).notes == ()


def calling(path: Path, calls: dict[str, list[str]]) -> Path:
    """Write a model that calls the first of these local functions; each calls others, or operators."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    functions = [
        helper.make_function("local", name, ["a"], ["b"], chain(called, set(calls), "a", "b"), opsets)
        for name, called in calls.items()
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    nodes = chain([next(iter(calls))], set(calls), "x", "y")
    graph = helper.make_graph(nodes, "g", value[:1], value[1:])
    return saved(helper.make_model(graph, functions=functions, opset_imports=opsets), path)


def chain(called: list[str], local: set[str], first: str, last: str) -> list[onnx.NodeProto]:
    values = [first, *(f"between{i}" for i in range(1, len(called))), last]
    return [
        helper.make_node(name, [values[i]], [values[i + 1]], domain="local" if name in local else "")
        for i, name in enumerate(called)
    ]


def test_local_functions_are_put_in_place(tmp_path: Path) -> None:
    """The quantizer sees operators only."""
    path = calling(tmp_path / "f.onnx", {"Outer": ["Inner", "Neg", "Inner"], "Inner": ["Abs"]})

    assert [node.op_type for node in read(path).proto.graph.node] == ["Abs", "Neg", "Abs"]


@pytest.mark.parametrize(
    ("calls", "circle"),
    [
        ({"One": ["Neg", "One"]}, "'One' calls 'One'"),
        (
            {"One": ["Two"], "Two": ["Abs", "Three"], "Three": ["Two"]},
            "'(Two' calls 'Three|Three' calls 'Two)",
        ),
        ({"Unused": ["Neg"], "One": ["One"]}, "'One' calls 'One'"),
    ],
)
def test_local_functions_that_call_themselves_are_refused(
    tmp_path: Path, calls: dict[str, list[str]], circle: str
) -> None:
    path = calling(tmp_path / "f.onnx", calls)

    with pytest.raises(ValueError, match=rf"f\.onnx: its local functions call themselves, .*: {circle}"):
        read(path)


def test_local_functions_that_come_to_too_much_are_refused(tmp_path: Path) -> None:
    """Ten lines of ten calls each are ten thousand million operators."""
    calls = {f"F{i}": [f"F{i + 1}"] * 10 for i in range(9)}
    path = calling(tmp_path / "f.onnx", {**calls, "F9": ["Neg"] * 10})

    with pytest.raises(
        ValueError, match=r"f\.onnx: its local functions come to 11,111,111,110 operators; no"
    ):
        read(path)


def test_local_functions_that_onnx_cannot_put_in_place_are_named(tmp_path: Path) -> None:
    """It goes a hundred calls deep."""
    calls = {f"F{i}": [f"F{i + 1}"] for i in range(300)}
    path = calling(tmp_path / "f.onnx", {**calls, "F300": ["Neg"]})

    with pytest.raises(
        ValueError, match=r"f\.onnx: its local functions cannot be put in place of their calls: "
    ):
        read(path)


def test_nodes_inside_nodes_are_seen() -> None:
    inner = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "inner", [], [])
    outer = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], "g", [], []
    )

    assert [node.op_type for node in every_node(outer)] == ["If", "Relu", "Relu"]
    assert (nesting(inner), nesting(outer)) == (0, 1)


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("skl_forest", []),
        ("torch_arithmetic_script_14", []),
        ("skl_mlp", ["FLOAT"] * 2),
        ("skl_mlp_double", ["DOUBLE"] * 2),
        ("torch_half_script_17", ["FLOAT16"] * 3),
        ("keras_conv_export", ["FLOAT"] * 3),
    ],
)
def test_layers_with_weights_are_found_with_their_type(name: str, types: list[str]) -> None:
    assert weighty_layers(onnx, read(exported(name)).proto.graph) == types
