"""`python -m gateway.config.reference`: docs/settings.md, every key of the settings.

Names, types, defaults and bounds are those of the types that read the files; what they mean is what their
docstrings say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from msgspec import inspect

from gateway.config.meanings import meanings, summary
from gateway.config.settings import Settings

_INTRODUCTION: Final = """\
# Every key of the settings
Made by `make settings` from the types that read the file: what is not here is refused, with its line. What
belongs together, and why, is in [operating](operating.md); the keys of a policy are in [policy](policy.md).
`[]` is an item of a list, `NAME` any name, `N` a number.
"""
_BOUNDS: Final = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("min_length", "length ≥"))
_PLAIN: Final = {
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "text",
    inspect.BoolType: "true, false",
    inspect.NoneType: "null",
    inspect.AnyType: "anything",
}


Extras = Callable[[str], tuple[str, ...]]
"""Returns further cells for the key at a path."""


def render() -> str:
    """Return the page."""
    return f"{_INTRODUCTION}\n{sections('Settings', Settings)}"


def sections(
    title: str, struct: type[msgspec.Struct], titles: tuple[str, ...] = (), extras: Extras | None = None
) -> str:
    """Return a table of the keys of ``struct``, and one for each struct below it.

    ``titles``: of the further columns whose cells ``extras`` returns.
    """
    parts = [f"## {title}\n{_marked(summary(struct))}\n\n{_table(struct, '', titles, extras)}"]
    parts += [
        f"### `{path}`\n{_marked(summary(nested))}\n\n{_table(nested, f'{path}.', titles, extras)}"
        for path, nested in _nested("", struct)
    ]
    return "\n".join(parts)


def keys(struct: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, str]]:
    """Return every key below ``path``, and what it means."""
    said = meanings(struct)
    for field in _fields(struct):
        inner = _struct_of(field.type, field.encode_name)
        yield f"{path}{field.encode_name}", said.get(field.name) or (summary(inner[1]) if inner else "")
        if inner is not None:
            yield from keys(inner[1], f"{path}{inner[0]}.")


def _nested(path: str, struct: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for field in _fields(struct):
        inner = _struct_of(field.type, f"{path}{field.encode_name}")
        if inner is not None:
            yield inner
            yield from _nested(f"{inner[0]}.", inner[1])


def _table(struct: type[msgspec.Struct], path: str, titles: tuple[str, ...], extras: Extras | None) -> str:
    said = meanings(struct)
    columns = ("key", "takes", "default", *titles, "meaning")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for field in _fields(struct):
        inner = _struct_of(field.type, field.encode_name)
        meaning = said.get(field.name) or (summary(inner[1]) if inner else "")
        more = extras(f"{path}{field.encode_name}") if extras else ()
        cells = (f"`{field.encode_name}`", _type(field.type), _default(field), *more, _marked(meaning))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _marked(text: str) -> str:
    return text.replace("``", "`")


def _fields(struct: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)
    return found.fields


def _struct_of(kind: inspect.Type, path: str) -> tuple[str, type[msgspec.Struct]] | None:
    """Return the struct that a field holds, alone, in a list or by name, and the path to it."""
    match _bare(kind):
        case inspect.StructType(cls=struct):
            return path, struct
        case inspect.UnionType(types=kinds):
            return next(filter(None, (_struct_of(each, path) for each in kinds)), None)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return _struct_of(item, f"{path}[]")
        case inspect.DictType(key_type=key, value_type=value):
            return _struct_of(value, f"{path}.{'N' if _is_number(key) else 'NAME'}")
        case _:
            return None


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _is_number(kind: inspect.Type) -> bool:
    return isinstance(_bare(kind), inspect.IntType)


def _type(kind: inspect.Type) -> str:
    kind = _bare(kind)
    match kind:
        case inspect.StructType():
            return "keys"
        case inspect.UnionType(types=kinds):
            return " or ".join(dict.fromkeys(map(_type, kinds)))
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"list of {_type(item)}{_bounds(kind)}"
        case inspect.DictType(key_type=key, value_type=value):
            return f"by {'number' if _is_number(key) else 'name'}: {_type(value)}"
        case _:
            return f"{_PLAIN[type(kind)]}{_bounds(kind)}"


def _bounds(kind: Any) -> str:
    told = [
        f"{sign} {_number(limit)}"
        for name, sign in _BOUNDS
        if (limit := getattr(kind, name, None)) is not None
    ]
    return f" {', '.join(told)}" if told else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "must be there"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, msgspec.Struct):
        return "as below"
    if isinstance(value, float):
        return f"{value:g}"
    text = msgspec.json.encode(value).decode()
    return "absent" if text == "null" else f"`{text}`"


if __name__ == "__main__":
    sys.stdout.write(render())
