"""What is wrong with the values of a file where its type refuses them: every place, in words of YAML.

msgspec says what the first is, in its own words, and reads no text for a number. This walks over the same
types once it has refused: it finds all that is wrong, and reads plain scalars as their fields want them. A
text is what is written (``serves: [NO]``, ``version: 1.10``), and what YAML 1.1 alone takes for a truth
value or a number, and can mean nothing else, is one still (``drain: yes``), with a remark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from gateway.config.paths import Path_
from gateway.config.scalars import hint, old_integer, old_truth
from gateway.config.wording import (
    misfit,
    misfit_length,
    misfit_number,
    missing_fields,
    unknown_field,
    wanted,
)
from gateway.core.spelling import nearest, shown

_shape: Final[Callable[[Any], inspect.Type]] = lru_cache(inspect.type_info)

MOST: Final = 50
"""Complaints that are found at most: nobody reads more."""

PlainText = Callable[[Path_], str | None]
"""Returns the text of the plain scalar at a path; None: there is none."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong at ``path``, or could be written better."""

    path: Path_
    text: str


@dataclass(slots=True)
class Checked:
    """The values as the type wants them, unless there are complaints."""

    values: Any = None
    complaints: list[Complaint] = field(default_factory=list)
    remarks: list[Complaint] = field(default_factory=list)


def check(values: Any, kind: type[Any], plain: PlainText) -> Checked:
    """Compare ``values`` with ``kind``."""
    walk = _Walk(plain)
    try:
        walk.found.values = walk.value(values, _shape(kind), ())
    except _EnoughError:
        del walk.found.complaints[MOST:]
    return walk.found


class _EnoughError(Exception):
    """There are complaints enough."""


class _Walk:
    """One pass over the values of a file: what is wrong noted, values as they are wanted out."""

    def __init__(self, plain: PlainText) -> None:
        self.found = Checked()
        self._plain = plain

    def value(self, value: Any, shape: inspect.Type, path: Path_) -> Any:
        match shape:
            case inspect.UnionType():
                return self._union(value, shape, path)
            case inspect.StructType():
                return self._struct(value, shape, path)
            case inspect.DictType():
                return self._table(value, shape, path)
            case inspect.VarTupleType() | inspect.ListType():
                return self._list(value, shape, path)
            case _:
                return self._scalar(value, shape, path)

    def _complain(self, path: Path_, text: str) -> None:
        self.found.complaints.append(Complaint(path, text))
        if len(self.found.complaints) >= MOST:
            raise _EnoughError

    def _union(self, value: Any, shape: inspect.UnionType, path: Path_) -> Any:
        """Take the type that has the value's form; of several, the first that takes it."""
        forms = [each for each in shape.types if _has_form(value, each)]
        if not forms:
            return self._wrong(value, shape, path)
        for each in forms if len(forms) > 1 else ():
            trial = _Walk(self._plain)
            made = trial.value(value, each, path)
            if not trial.found.complaints:
                self.found.remarks += trial.found.remarks
                return made
        # What a text may be says what is wrong with a text.
        is_text = isinstance(value, str)
        own = [each for each in forms if isinstance(each, inspect.StrType | inspect.LiteralType) is is_text]
        return self.value(value, (own or forms)[0], path)

    def _struct(self, value: Any, shape: inspect.StructType, path: Path_) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, shape, path)
        fields = {each.encode_name: each for each in shape.fields}
        num_before = len(self.found.complaints)
        made: dict[str, Any] = {}
        for name, inner in value.items():
            if name in fields:
                made[name] = self.value(inner, fields[name].type, (*path, name))
            elif shape.forbid_unknown_fields:
                self._complain((*path, name), unknown_field(name, shape))
        if missing := [name for name, each in fields.items() if each.required and name not in value]:
            self._complain(path, missing_fields(missing, shape))
        if len(self.found.complaints) == num_before and hasattr(shape.cls, "__post_init__"):
            self._convert(made, shape.cls, path)
        return made

    def _convert(self, made: dict[str, Any], cls: type[Any], path: Path_) -> None:
        """Let the type itself say what does not go together."""
        try:
            msgspec.convert(made, cls)
        except msgspec.ValidationError as error:
            self._complain(path, str(error).partition(" - at `")[0])

    def _table(self, value: Any, shape: inspect.DictType, path: Path_) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, shape, path)
        if why := misfit_length(value, shape):
            self._complain(path, why)
            return value
        made: dict[str, Any] = {}
        for name, inner in value.items():
            where = (*path, name)
            if isinstance(shape.key_type, inspect.StrType) and (why := misfit(name, shape.key_type)):
                self._complain(where, f"the name '{shown(name)}' {why}")
            made[name] = self.value(inner, shape.value_type, where)
        return made

    def _list(self, value: Any, shape: inspect.VarTupleType | inspect.ListType, path: Path_) -> Any:
        if not isinstance(value, list):
            return self._wrong(value, shape, path)
        if why := misfit_length(value, shape):
            self._complain(path, why)
            return value
        return [self.value(each, shape.item_type, (*path, index)) for index, each in enumerate(value)]

    def _scalar(self, value: Any, shape: inspect.Type, path: Path_) -> Any:
        match shape:
            case inspect.StrType():
                return self._text(value, shape, path)
            case inspect.BoolType():
                return self._truth(value, shape, path)
            case inspect.IntType() | inspect.FloatType():
                return self._number(value, shape, path)
            case inspect.LiteralType():
                return self._choice(value, shape, path)
            case _:
                return value

    def _text(self, value: Any, shape: inspect.StrType, path: Path_) -> Any:
        text = self._as_written(value, path)
        if text is None:
            return self._wrong(value, shape, path)
        if why := misfit(text, shape):
            self._complain(path, f"'{shown(text)}' {why}")
        return text

    def _as_written(self, value: Any, path: Path_) -> str | None:
        """Return the text that a plain scalar is; None: it is empty, or no scalar."""
        if isinstance(value, str):
            return value
        return self._plain(path) if isinstance(value, int | float) else None

    def _truth(self, value: Any, shape: inspect.BoolType, path: Path_) -> Any:
        plain = self._plain(path)
        truth = old_truth(plain) if plain else None
        if isinstance(value, bool) or truth is None:
            return value if isinstance(value, bool) else self._wrong(value, shape, path)
        right = str(truth).lower()
        self._remark(path, f"`{plain}` is {right} in YAML 1.1 alone: write `{right}`")
        return truth

    def _number(self, value: Any, shape: inspect.IntType | inspect.FloatType, path: Path_) -> Any:
        plain = self._plain(path)
        if isinstance(value, str) and plain and (number := old_integer(plain)) is not None:
            self._remark(path, f"`{shown(plain)}` is {shown(str(number))} in YAML 1.1 alone: write that")
            value = number
        kinds = int if isinstance(shape, inspect.IntType) else int | float
        if isinstance(value, bool) or not isinstance(value, kinds):
            return self._wrong(value, shape, path)
        if why := misfit_number(value, shape):
            self._complain(path, why)
        return value

    def _choice(self, value: Any, shape: inspect.LiteralType, path: Path_) -> Any:
        text = self._as_written(value, path)
        if text in shape.values:
            return text
        close = nearest(text, map(str, shape.values)) if text is not None else None
        meant = f"; did you mean '{close}'?" if close else ""
        self._complain(path, f"expected {wanted(shape)}, and here is {self._seen(value, path)}{meant}")
        return value

    def _wrong(self, value: Any, shape: inspect.Type, path: Path_) -> Any:
        plain = self._plain(path)
        advice = hint(plain) if plain and not isinstance(value, dict | list) else ""
        self._complain(
            path,
            f"expected {wanted(shape)}, and here is {self._seen(value, path)}"
            + (f": {advice}" if advice else ""),
        )
        return value

    def _seen(self, value: Any, path: Path_) -> str:
        match value:
            case None:
                return "no value"
            case dict():
                return "a mapping"
            case list():
                return "a list"
            case str():
                return f"'{shown(value)}'" if self._plain(path) else f'the quoted text "{shown(value)}"'
            case _:
                return f"`{shown(self._plain(path) or str(value))}`"

    def _remark(self, path: Path_, text: str) -> None:
        self.found.remarks.append(Complaint(path, text))


_FORMS: Final = (
    (dict, (inspect.StructType, inspect.DictType)),
    (list, (inspect.VarTupleType, inspect.ListType)),
    (type(None), (inspect.NoneType,)),
)


def _has_form(value: Any, shape: inspect.Type) -> bool:
    for kind, shapes in _FORMS:
        if isinstance(value, kind):
            return isinstance(shape, shapes)
    return not any(isinstance(shape, shapes) for _, shapes in _FORMS)
