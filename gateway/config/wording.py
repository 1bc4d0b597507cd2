"""How messages describe types of fields, and what does not fit them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import inspect

from gateway.core.spelling import listed, nearest, shown

_LISTED: Final = 40
_HASH: Final = "[0-9a-f]{64}"
_CHOICE: Final = re.compile(r"\^\(((?:[a-z]+\|)+header:)[^|]*\)\\Z")
_LIST: Final = "a list, such as `[a, b]` or lines that each begin with `- `"


def wanted(shape: inspect.Type) -> str:
    """Return what a value of this type is called."""
    match shape:
        case inspect.StructType():
            return f"a mapping of fields ({_names(shape)})"
        case inspect.DictType():
            return "a mapping, each entry `name: value`"
        case inspect.VarTupleType() | inspect.ListType():
            return _LIST
        case inspect.LiteralType():
            return f"one of {listed(map(str, shape.values), most=_LISTED)}"
        case inspect.UnionType():
            return " or ".join(wanted(each) for each in shape.types if not isinstance(each, inspect.NoneType))
        case _:
            return _PLAIN.get(type(shape), "another value")


_PLAIN: Final[Mapping[type[inspect.Type], str]] = {
    inspect.StrType: "a text",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
}


def unknown_field(name: str, shape: inspect.StructType) -> str:
    """Say that there is no such field, which one may have been meant, and which there are."""
    known = [each.encode_name for each in shape.fields]
    close = nearest(name, known)
    if close is None:
        within = (each.encode_name for each in shape.fields if name in _below(each.type))
        close = next((f"{field}.{name}" for field in within), None)
    meant = f"did you mean `{close}`? " if close else ""
    return f"unknown field; {meant}known here: {listed(known, most=_LISTED)}"


def missing_fields(names: Iterable[str], shape: inspect.StructType) -> str:
    """Say which fields have to be given."""
    given = ", ".join(f"`{name}`" for name in names)
    return f"lacks {given}, which has no default; known here: {_names(shape)}"


def misfit(text: str, shape: inspect.StrType) -> str:
    """Say why a text does not fit; empty: it does."""
    if shape.min_length is not None and len(text) < shape.min_length:
        return "is empty" if not text else f"is shorter than {shape.min_length} characters"
    if shape.max_length is not None and len(text) > shape.max_length:
        return f"has {len(text):,} characters, and {shape.max_length:,} is the most"
    if shape.pattern is None or re.search(shape.pattern, text):
        return ""
    if choice := _CHOICE.fullmatch(shape.pattern):
        names = (choice[1] + "NAME").split("|")
        close = nearest(text, names)
        return f"is not one of {', '.join(names)}" + (f"; did you mean '{close}'?" if close else "")
    if _HASH in shape.pattern:
        prefix = "`sha256:` and " if "sha256:" in shape.pattern else ""
        return f"is not {prefix}64 hexadecimal digits in small letters"
    return f"does not match {shape.pattern}"


def misfit_length(value: Any, shape: Any) -> str:
    """Say why a list or mapping has too few or too many entries; empty: it has not."""
    if shape.min_length is not None and len(value) < shape.min_length:
        return f"has {len(value) or 'no'} entries, and needs {shape.min_length} at least"
    if shape.max_length is not None and len(value) > shape.max_length:
        return f"has {len(value):,} entries, and {shape.max_length:,} is the most"
    return ""


def misfit_number(value: float, shape: Any) -> str:
    """Say why a number is out of range; empty: it is not."""
    low = [f"at least {shape.ge:,}"] if shape.ge is not None else []
    low += [f"more than {shape.gt:,}"] if shape.gt is not None else []
    high = [f"at most {shape.le:,}"] if shape.le is not None else []
    high += [f"less than {shape.lt:,}"] if shape.lt is not None else []
    fits = (
        (shape.ge is None or value >= shape.ge)
        and (shape.gt is None or value > shape.gt)
        and (shape.le is None or value <= shape.le)
        and (shape.lt is None or value < shape.lt)
    )
    return "" if fits else f"must be {' and '.join(low + high)}, and is {shown(str(value), 24)}"


def _names(shape: inspect.StructType) -> str:
    return listed((each.encode_name for each in shape.fields), most=_LISTED)


def _below(shape: inspect.Type) -> set[str]:
    """Return the fields of a type that is a struct, or may be one."""
    kinds = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
    return {
        each.encode_name for kind in kinds if isinstance(kind, inspect.StructType) for each in kind.fields
    }
