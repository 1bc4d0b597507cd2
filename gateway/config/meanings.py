"""What a settings struct says of its fields: in a text below each, or "``name``: …" in its own docstring."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Final

import msgspec

_NAMED: Final = re.compile(r"((?:``\w+``(?:, and |, | and )?)+):\s")
_NAME: Final = re.compile(r"``(\w+)``")


def meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return what is said of each field, in one line; those of which nothing is said are left out."""
    found: dict[str, str] = {}
    for each in reversed(struct.__mro__):
        if issubclass(each, msgspec.Struct) and each is not msgspec.Struct:
            found |= _in_docstring(inspect.cleandoc(each.__doc__ or ""))
            found |= _below_fields(each)
    return {name: text for name, text in found.items() if name in struct.__struct_fields__}


def summary(struct: type[msgspec.Struct]) -> str:
    """Return what the struct says of itself before its fields, in one line."""
    whole = inspect.cleandoc(struct.__doc__ or "")
    first = _NAMED.search(whole)
    return _one_line(whole[: first.start()] if first else whole)


def _in_docstring(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    marks = list(_NAMED.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)] * bool(marks)
    for mark, end in zip(marks, ends, strict=True):
        # A paragraph ends what is said of a field; the next is about all of them.
        said = _one_line(text[mark.end() : end].partition("\n\n")[0])
        found |= dict.fromkeys(_NAME.findall(mark[1]), said)
    return found


def _below_fields(struct: type[msgspec.Struct]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(struct))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                found[name] = _one_line(inspect.cleandoc(said))
            case _:
                pass
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
