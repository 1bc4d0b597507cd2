"""`edgeway model init`: a repository entry, settings and a policy for a given ONNX file, ready to serve."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_models.errors import ModelError
from edge_models.model_files import with_weights
from edge_models.settings import MODEL_NAME
from gateway.commands import model_templates as templates
from gateway.commands.arguments import add_command
from gateway.core.errors import printable

if TYPE_CHECKING:
    from edge_models.session import Session
    from gateway.core.catalog import TensorSpec

FIRST_PORT: Final = 8000
_MOST_BYTES: Final = 1 << 40
_CENTRAL_PORTS: Final = 10
"""How far central's two ports are from the edge's."""

EXAMPLES: Final = """\
  edgeway model init digits --model digits.onnx
  edgeway model init digits --model float.onnx --edge-model int8.onnx --name digits

FOLDER gets what `edgeway serve` takes at once, with comments: central/NAME/1/model.onnx and its
config.pbtxt, central.yaml, edge.yaml and policy.yaml. With --edge-model the edge has that one and answers by
itself what its certificate covers; it has none yet: the last lines say how to make it. Nothing that is there
is written over. Exit code 0: written; 2: a file or an argument is wrong, nothing is written.
"""


@dataclass(frozen=True, slots=True)
class NewModel:
    """What is asked for: files, the model's name, and where both gateways listen."""

    folder: Path
    model: Path
    edge_model: Path | None
    name: str
    first_port: int

    @property
    def ports(self) -> dict[str, int]:
        """Where they listen, as the templates call it."""
        first, central = self.first_port, self.first_port + _CENTRAL_PORTS
        return {
            "http": first,
            "grpc": first + 1,
            "admin": first + 2,
            "central_http": central,
            "central_grpc": central + 1,
        }


def add_to(group: Any) -> None:
    """Add `edgeway model init` to the group."""
    about = "write a repository entry, settings and a policy for an ONNX file"
    parser = add_command(group, "init", _run, about=about, examples=EXAMPLES)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what is made, or an empty one")
    parser.add_argument("--model", required=True, type=Path, metavar="ONNX", help="for the central tier")
    parser.add_argument("--edge-model", type=Path, metavar="ONNX", help="a smaller one, for the edge")
    parser.add_argument("--name", help="what clients ask for (the file's name)")
    parser.add_argument(
        "--first-port", type=int, default=FIRST_PORT, metavar="N", help=f"of the edge's three ({FIRST_PORT})"
    )


def _run(options: argparse.Namespace) -> int:
    name = options.name if options.name is not None else options.model.stem
    asked = NewModel(options.folder, options.model, options.edge_model, name, options.first_port)
    try:
        files = contents(asked)
        _write(asked.folder, files)
    except (ModelError, ValueError) as error:
        print(f"edgeway: {error}; nothing was written", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"edgeway: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    for path in files:
        print(f"  {asked.folder / path}")
    print(templates.next_steps(asked.folder, asked.name, asked.ports, cascade=asked.edge_model is not None))
    return 0


def contents(asked: NewModel) -> dict[str, bytes]:
    """Return what is written, by path within the folder.

    Raises:
        ModelError: a file is no model that can be served.
        ValueError: the name is none, or a port.
    """
    if re.fullmatch(MODEL_NAME, asked.name) is None:
        raise ValueError(f"'{asked.name}' does not match {MODEL_NAME}: say another name with --name")
    if not 1 <= asked.first_port <= 65_535 - _CENTRAL_PORTS - 1:
        raise ValueError(f"--first-port {asked.first_port} leaves no room for the other ports")
    session, files = _read(asked.model, f"central/{asked.name}/1")
    if empty := [spec.name for spec in (*session.inputs, *session.outputs) if 0 in spec.shape]:
        raise ValueError(f"'{printable(empty[0])}' has a dimension of 0, which config.pbtxt cannot say")
    files[f"central/{asked.name}/config.pbtxt"] = templates.configuration(asked.name, session).encode()
    cascade = asked.edge_model is not None
    if asked.edge_model is not None:
        edge, more = _read(asked.edge_model, f"edge/{asked.name}/1")
        if (wrong := _differs(edge, session)) is not None:
            raise ValueError(f"{asked.edge_model} cannot stand in for {asked.model}: {wrong}")
        files |= more
    values = {"name": asked.name, "digest": session.digest, **asked.ports}
    files |= {path: text.encode() for path, text in templates.documents(values, cascade=cascade).items()}
    return files


def _differs(edge: Session, central: Session) -> str | None:
    """Return in what tensor the edge model is not as central's: what fits one must fit the other."""
    for kind in ("inputs", "outputs"):
        ours, theirs = ({spec.name: spec for spec in getattr(each, kind)} for each in (edge, central))
        if strange := sorted(ours.keys() ^ theirs.keys()):
            return f"only one of them has '{printable(strange[0])}' among its {kind}"
        for name, spec in ours.items():
            other = theirs[name]
            if (spec.datatype, len(spec.shape)) != (other.datatype, len(other.shape)) or any(
                a != b and min(a, b) >= 0 for a, b in zip(spec.shape, other.shape, strict=True)
            ):
                return f"'{printable(name)}' is {_form(spec)} for the edge and {_form(other)} for central"
    return None


def _form(spec: TensorSpec) -> str:
    return f"{spec.datatype} {list(spec.shape)}"


def _read(path: Path, version: str) -> tuple[Session, dict[str, bytes]]:
    """Return a model and its files, weights beside it included, as they are called in a repository."""
    from edge_models.session import Session  # noqa: PLC0415 - needs ONNX Runtime

    found = with_weights(path.parent, path, path.read_bytes(), max_bytes=_MOST_BYTES)
    files = {f"{version}/{name}": content for name, content in found.external.items()}
    if f"{version}/model.onnx" in files:
        raise ValueError(f"{path}: a file with its weights is called model.onnx: save it with another name")
    return Session(path, found), files | {f"{version}/model.onnx": found.content}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    there = [str(folder / path) for path in files if (folder / path).exists()]
    if there:
        raise ValueError(f"{', '.join(there)}: there already; name another folder, or remove what is there")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        # Never over a file that somebody else has just made.
        with (folder / path).open("xb") as file:
            file.write(content)
    (folder / "certificates").mkdir(exist_ok=True)
