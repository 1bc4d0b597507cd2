"""What a certificate covers, from what the user chose and what the two models give.

Nothing is guessed: a task is taken for granted only where the outputs leave no doubt, and an output that
the user does not mention is an error, because a client can get it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np

from edge_models.decision import Decision, Output, Task, scores_of
from edge_models.tasks.classification import Binary, Multiclass, Multilabel
from edge_models.tasks.plain import Embedding, Exact, Regression
from edge_models.tasks.probabilities import Values, are_probabilities, sum_to_one
from edge_models.tasks.rule import SPREAD
from edge_models.tasks.sequence import Sequence as Text
from gateway.core.tensor import Array

TASKS: Final[dict[Task, str]] = {
    "multiclass": "one of several classes, [rows, classes]: the likeliest is the same",
    "binary": "yes or no, one column or two: the same side of --threshold",
    "multilabel": "labels that apply or not, [rows, labels]: the same set, or --per label",
    "regression": "numbers: within --tolerance, or --relative-tolerance",
    "embedding": "vectors: the cosine is at least --cosine",
    "sequence": "text, [rows, frames, symbols]: the same once decoded (CTC, --alphabet)",
    "exact": "anything: the same bytes",
}
"""Every task, and which answers it takes for the same."""

_OF_LABELS: Final = frozenset({"multiclass", "binary", "multilabel", "sequence"})
_METADATA: Final = ("character", "alphabet")
"""Where models keep their alphabet: PP-OCR's, as ONNX, have ``character``, one symbol a line."""

Outputs = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionOptions:
    """What the user chose on the command line; None or empty: nothing.

    ``outputs``: names, each with ``=TASK`` behind it where it has another task than the rest.
    """

    task: str | None = None
    outputs: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    values: Values | None = None
    threshold: float = 0.5
    per: str = "set"
    tolerance: float | None = None
    relative_tolerance: float | None = None
    cosine: float | None = None
    alphabet: tuple[str, ...] = ()
    blank: int | None = None
    score: str | None = None
    score_output: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What the first run of both models gave, in the order of central's outputs."""

    edge: Outputs
    central: Outputs
    alphabets: tuple[tuple[str, ...], ...] = ()


def alphabet_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the alphabet that a model carries, one symbol a line; empty: none."""
    text = next((metadata[key] for key in _METADATA if metadata.get(key)), "")
    return symbols_of(text)


def symbols_of(text: str) -> tuple[str, ...]:
    """Return the symbols of a file, one a line; a blank may be one, so none is stripped."""
    lines = text.replace("\r\n", "\n").removesuffix("\n")
    return tuple(lines.split("\n")) if lines else ()


def decide(given: Given, chosen: DecisionOptions) -> Decision:
    """Return what the certificate covers.

    Raises:
        ValueError: it is not certain, or does not fit the outputs; the message lists what there is to choose.
    """
    tasks = _tasks(given, chosen)
    rules = []
    for name, task in tasks.items():
        _check_alike(name, task, given.edge[name], given.central[name])
        rule = _MAKERS[task](name, given, chosen)
        _check(rule, given.edge[name], given.central[name])
        rules.append(rule)
    outputs = tuple(rules)
    score = chosen.score or (SPREAD if chosen.score_output else scores_of(outputs)[0])
    _check_score(score, outputs, given, chosen)
    main = chosen.task if chosen.task in tasks.values() else next(iter(tasks.values()))
    return Decision(
        task=cast("Task", main),
        outputs=outputs,
        left_out=chosen.left_out,
        score=score,
        score_output=chosen.score_output,
    )


def _tasks(given: Given, chosen: DecisionOptions) -> dict[str, str]:
    """Return the task of each output that decides, in central's order."""
    named = _named_tasks(chosen)
    for name in (*named, *chosen.left_out):
        if name not in given.central:
            raise ValueError(f"there is no output '{name}': central gives {_list(given.central)}")
    wanted = [name for name in given.central if name not in chosen.left_out]
    if named and (forgotten := [name for name in wanted if name not in named]):
        raise ValueError(
            f"a client can get {_list(forgotten)} as well: compare it with --output, or say with --leave-out "
            "that it is no part of the decision; who gets it then never gets a certified answer"
        )
    if not wanted:
        raise ValueError("every output is left out: there is nothing to compare")
    if lacking := [name for name in wanted if name not in given.edge]:
        raise ValueError(
            f"the edge model gives no {_list(lacking)}, which central does; it gives {_list(given.edge)}. "
            "Give both models the same outputs, or --leave-out those that only central has"
        )
    if any(given.central[name].ndim == 0 for name in wanted):
        raise ValueError("an output without dimensions belongs to no row: --leave-out it")
    if chosen.task is None and not all(named.get(name) for name in wanted):
        if chosen.outputs or chosen.left_out or not _is_certain(given):
            raise ValueError(_choices(given, wanted))
        return dict.fromkeys(wanted, "multiclass")
    tasks = {name: named.get(name) or _fitting(chosen.task or "", given.central[name]) for name in wanted}
    if chosen.task is not None and chosen.task not in tasks.values():
        raise ValueError(
            f"no output is numbers, as {chosen.task} needs; labels alone are compared by --task exact:\n"
            f"{_shown(given, wanted)}"
        )
    return tasks


def _split(text: str) -> tuple[str, str]:
    name, equals, task = text.rpartition("=")
    return (name, task) if equals and task in TASKS else (text, "")


def _fitting(task: str, output: Array) -> str:
    """Return the task of an output: labels beside the numbers that they belong to are compared exactly."""
    return "exact" if task in _OF_LABELS and output.dtype.kind != "f" else task


def _named_tasks(chosen: DecisionOptions) -> dict[str, str]:
    """Return the task of each output that was named; empty where it was named without one."""
    split = [_split(text) for text in chosen.outputs]
    for flag, names in (("--output", [name for name, _ in split]), ("--leave-out", list(chosen.left_out))):
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"{flag} names {_list(twice)} twice")
    named = dict(split)
    if both := sorted(named.keys() & set(chosen.left_out)):
        raise ValueError(f"{_list(both)} is both compared and left out: say one of the two")
    return named


def _is_certain(given: Given) -> bool:
    """Whether one output, of rows of probabilities, is all that either model gives."""
    outputs = [*given.edge.values(), *given.central.values()]
    return len(given.edge) == len(given.central) == 1 and all(
        output.dtype.kind == "f" and output.ndim == 2 and output.shape[1] > 1 and sum_to_one(output)
        for output in outputs
    )


def _choices(given: Given, wanted: Sequence[str]) -> str:
    width = max(map(len, TASKS))
    lines = "\n".join(f"  --task {task:{width}}  {says}" for task, says in TASKS.items())
    return (
        "what counts as the same answer is not certain from the outputs:\n"
        f"{_shown(given, wanted)}\n"
        f"say it:\n{lines}\n"
        "where outputs have several tasks, name each: --output NAME=TASK; one that is no part of the "
        "decision: --leave-out NAME"
    )


def _shown(given: Given, names: Sequence[str]) -> str:
    lines = []
    for name in names:
        output = given.central[name]
        numbers = output[np.isfinite(output)] if output.dtype.kind in "fiu" else output[:0]
        within = f", from {numbers.min():.4g} to {numbers.max():.4g}" if numbers.size else ""
        lines.append(f"  '{name}': {output.dtype} {['n', *output.shape[1:]]}{within}".replace("'n'", "n"))
    return "\n".join(lines)


def _values(name: str, given: Given, chosen: DecisionOptions, test: Callable[[Array], bool]) -> Values:
    """Return whether both models give probabilities: as they say, else as the numbers are."""
    if chosen.values is not None:
        return chosen.values
    found = {test(outputs[name]) for outputs in (given.edge, given.central) if outputs[name].size}
    if len(found) > 1:
        raise ValueError(
            f"output '{name}' looks like probabilities from one model and like logits from the other: "
            "say what both are with --values"
        )
    return "probabilities" if found.pop() else "logits"


def _multiclass(name: str, given: Given, chosen: DecisionOptions) -> Output:
    return Multiclass(name=name, values=_values(name, given, chosen, _are_rows))


def _binary(name: str, given: Given, chosen: DecisionOptions) -> Output:
    output = given.central[name]
    test = _are_rows if output.ndim == 2 and output.shape[1] == 2 else are_probabilities
    return Binary(name=name, values=_values(name, given, chosen, test), threshold=chosen.threshold)


def _multilabel(name: str, given: Given, chosen: DecisionOptions) -> Output:
    values = _values(name, given, chosen, are_probabilities)
    return Multilabel(name=name, values=values, threshold=chosen.threshold, per=cast("Any", chosen.per))


def _regression(name: str, _given: Given, chosen: DecisionOptions) -> Output:
    if chosen.tolerance is None and chosen.relative_tolerance is None:
        raise ValueError(
            f"how far may '{name}' be from central's? --tolerance 0.5 is a distance, "
            "--relative-tolerance 0.01 a share of central's value"
        )
    return Regression(name=name, absolute=chosen.tolerance or 0.0, relative=chosen.relative_tolerance or 0.0)


def _embedding(name: str, _given: Given, chosen: DecisionOptions) -> Output:
    if chosen.cosine is None:
        raise ValueError(f"how near must '{name}' be to central's? --cosine 0.99 is the least cosine")
    return Embedding(name=name, cosine=chosen.cosine)


def _sequence(name: str, given: Given, chosen: DecisionOptions) -> Output:
    alphabets = [alphabet for alphabet in given.alphabets if alphabet]
    if not chosen.alphabet and len(set(alphabets)) > 1:
        raise ValueError("the two models carry different alphabets: one spelling would be read as two texts")
    alphabet = chosen.alphabet or (alphabets[0] if alphabets else ())
    if not alphabet:
        raise ValueError(
            f"which symbols does '{name}' spell? The models carry no alphabet: give one with --alphabet "
            "FILE, one symbol a line"
        )
    if chosen.blank is None and chosen.alphabet:
        raise ValueError(
            f"which symbol of '{name}' is CTC's blank? --blank 0 is the first, as most have it, "
            f"--blank {given.central[name].shape[-1] - 1} the last: another one spells other texts"
        )
    output, blank = given.central[name], chosen.blank or 0
    missing = output.shape[2] - len(alphabet) if output.ndim == 3 else 0
    if missing == 2 and " " not in alphabet:
        # PP-OCR's files leave out the space as well, which is the last symbol of the output.
        alphabet = (*alphabet, " ")
    if missing in {1, 2}:
        # Most files list the symbols of the language alone; the output has the blank as well.
        alphabet = (*alphabet[:blank], "", *alphabet[blank:])
    if not 0 <= blank < len(alphabet):
        raise ValueError(f"--blank {blank} is no symbol: the alphabet has {len(alphabet)}")
    return Text(name=name, values=_values(name, given, chosen, _are_rows), alphabet=alphabet, blank=blank)


def _exact(name: str, _given: Given, _chosen: DecisionOptions) -> Output:
    return Exact(name=name)


_MAKERS: Final[dict[str, Callable[[str, Given, DecisionOptions], Output]]] = {
    "multiclass": _multiclass,
    "binary": _binary,
    "multilabel": _multilabel,
    "regression": _regression,
    "embedding": _embedding,
    "sequence": _sequence,
    "exact": _exact,
}


def _are_rows(output: Array) -> bool:
    return output.ndim > 1 and output.dtype.kind == "f" and sum_to_one(output)


def _check_alike(name: str, task: str, edge: Array, central: Array) -> None:
    # A text may have another number of frames; all else that differs in shape is no answer of the same kind.
    is_same = edge.ndim == central.ndim and (task == "sequence" or edge.shape[1:] == central.shape[1:])
    if not is_same or edge.dtype != central.dtype:
        raise ValueError(
            f"output '{name}' is {edge.dtype} {list(edge.shape)} from the edge model and "
            f"{central.dtype} {list(central.shape)} from central: a client could tell them apart"
        )


def _check(rule: Output, *outputs: Array) -> None:
    for output in outputs:
        if problem := rule.problem(output):
            raise ValueError(f"output '{rule.name}', {rule}: it {problem}")


def _check_score(score: str, outputs: tuple[Output, ...], given: Given, chosen: DecisionOptions) -> None:
    if score not in scores_of(outputs):
        raise ValueError(
            f"'{score}' is no score of these outputs: choose one of {', '.join(scores_of(outputs))}"
        )
    if (score == SPREAD) != bool(chosen.score_output):
        raise ValueError(
            "--score spread needs the output that tells it, and only it does: --score-output NAME"
        )
    if chosen.score_output and chosen.score_output not in given.edge:
        raise ValueError(f"the edge model gives no '{chosen.score_output}': it gives {_list(given.edge)}")
    if chosen.score_output and not given.edge[chosen.score_output].ndim:
        raise ValueError(f"'{chosen.score_output}' has no dimensions: it belongs to no row")
    if chosen.score_output and given.edge[chosen.score_output].dtype.kind not in "fiu":
        raise ValueError(f"'{chosen.score_output}' is not numbers: no spread can be read from it")


def _list(names: Mapping[str, Array] | Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
