"""`edgeway model certify`: its arguments, and what it prints."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import Progress

from edge_models.certificate import Certificate, save_certificate
from edge_models.confidence import MEASURES
from edge_models.settings import ModelsSettings
from edge_models.tasks.rule import ALWAYS, DISTANCE, SPREAD
from gateway.commands.arguments import add_command
from gateway.commands.certify_decision import TASKS, DecisionOptions, symbols_of
from gateway.commands.certify_sample import load_sample

if TYPE_CHECKING:
    from gateway.commands.certify import PairMeasurement

EXAMPLES: Final = """\
  edgeway model certify --model digits --edge edge/digits/1/model.onnx \\
      --central central/digits/1/model.onnx --sample calibration.npy --out certificates/digits.json

  # yes or no in one column, with labels that nobody decides by
  … --task binary --output probability --threshold 0.5 --leave-out label

  # two heads: a class, and a number that may be off by 0.5
  … --output class=multiclass --output size=regression --tolerance 0.5

  # text, spelled with the symbols of a file
  … --task sequence --alphabet symbols.txt --blank 0

The sample holds inputs as the model takes them, [n, ...], that neither model was trained on: a .npy for a
model of one input, a .npz of arrays named as the inputs else. Run it on the kind of machine that serves:
int8 kernels differ between instruction sets, and a gateway refuses a certificate of another one.

Every output that a client can get is compared, or left out; who gets one that is left out, by its name or by
naming none, never gets a certified answer.

exit codes: 0 the edge may answer by itself, 1 nothing could be proven and nothing was written, 2 a file or an
argument is wrong
"""


def add_to(group: Any, reported: Callable[[Callable[[], int]], int]) -> None:
    """Add `edgeway model certify`; ``reported`` turns what is wrong into a message and an exit code."""

    def run(options: argparse.Namespace) -> int:
        return reported(lambda: _certify(options))

    about = "prove from which confidence on the edge model may answer instead of the central one"
    parser = add_command(group, "certify", run, about=about, examples=EXAMPLES)
    parser.add_argument("--model", required=True, metavar="NAME", help="the name that clients ask for")
    parser.add_argument(
        "--edge", required=True, type=Path, metavar="ONNX", help="the edge artefact as served"
    )
    parser.add_argument("--central", required=True, type=Path, metavar="ONNX", help="the central artefact")
    parser.add_argument("--sample", required=True, type=Path, metavar="FILE", help="inputs, .npy or .npz")
    parser.add_argument("--out", required=True, type=Path, metavar="JSON", help="where the certificate goes")
    parser.add_argument(
        "--provider", choices=["cpu", "cuda"], default="cpu", help="runs the edge model (cpu)"
    )
    parser.add_argument("--alpha", type=float, default=0.02, help="most that may differ from central (0.02)")
    parser.add_argument("--delta", type=float, default=0.05, help="risk that the proof is wrong (0.05)")
    _add_decision(parser.add_argument_group("what the same answer is"))
    _add_score(parser.add_argument_group("how sure the edge is"))


def _add_decision(group: Any) -> None:
    group.add_argument("--task", choices=list(TASKS), help="left out only where the outputs leave no doubt")
    group.add_argument(
        "--output", action="append", default=[], metavar="NAME[=TASK]", help="compare it (all); repeatable"
    )
    group.add_argument(
        "--leave-out", action="append", default=[], metavar="NAME", help="no part of the decision; repeatable"
    )
    group.add_argument("--values", choices=["probabilities", "logits"], help="what the output holds (seen)")
    group.add_argument(
        "--threshold", type=float, default=0.5, help="binary, multilabel: yes from here on (0.5)"
    )
    group.add_argument(
        "--per",
        choices=["set", "label"],
        default="set",
        help="multilabel: the risk is of the whole set (set)",
    )
    group.add_argument("--tolerance", type=float, metavar="X", help="regression: may be off by X")
    group.add_argument("--relative-tolerance", type=float, metavar="X", help="regression: by X of the value")
    group.add_argument("--cosine", type=float, metavar="X", help="embedding: the least cosine")
    group.add_argument(
        "--alphabet", type=Path, metavar="FILE", help="sequence: one symbol a line (the model's)"
    )
    group.add_argument(
        "--blank",
        type=int,
        metavar="N",
        help="sequence: number of CTC's blank; with --alphabet it must be said",
    )


def _add_score(group: Any) -> None:
    choices = [*MEASURES, DISTANCE, SPREAD, ALWAYS]
    group.add_argument("--score", choices=choices, help="confidence (the task's usual one)")
    group.add_argument(
        "--score-output", default="", metavar="NAME", help="output of the edge with the spread of an ensemble"
    )


def _certify(options: argparse.Namespace) -> int:
    from gateway.commands.certify import measure_models  # noqa: PLC0415 - needs ONNX Runtime

    sample = load_sample(options.sample)
    chosen = _decision_options(options)
    _check_out(options.out)
    # Without a terminal nothing of the progress may be mixed into the lines that a program reads.
    console = Console(stderr=True)
    with Progress(transient=True, console=console, disable=not console.is_terminal) as progress:
        rows = max(len(array) for array in sample.values() if array.ndim)
        task = progress.add_task("running both models", total=rows)
        measured = measure_models(
            options.model,
            options.edge,
            options.central,
            sample,
            chosen=chosen,
            provider=options.provider,
            advance=lambda done: progress.advance(task, done),
        )
    return _conclude(options, measured)


def _check_out(out: Path) -> None:
    """Check that the certificate can be written, before hours are spent on it."""
    if out.is_dir():
        raise ValueError(f"--out {out}: is a folder; name the file, as in {out / 'MODEL.json'}")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise ValueError(f"--out {out}: no file can be written to {folder}")


def _conclude(options: argparse.Namespace, measured: PairMeasurement) -> int:
    levels = {"alpha": options.alpha, "delta": options.delta}
    proof = measured.certify(**levels)
    for rule in proof.outputs:
        print(f"'{rule.name}': {rule}")
    for name in proof.left_out:
        print(
            f"'{name}': no part of the decision: who gets it, or names no outputs, gets no certified answer"
        )
    for note in (*measured.notes, *_limits(proof)):
        print(f"note: {note}", file=sys.stderr)
    if not proof.coverage:
        stays = f", and the {options.out} that is there stays" if options.out.exists() else ""
        print(
            f"nothing is written{stays}: {proof.n} rows prove no threshold safe under which the edge would "
            f"answer anything; {measured.advice(**levels)}",
            file=sys.stderr,
        )
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_certificate(options.out, proof)
    print(_summary(options.out, proof))
    if more := measured.outlook(proof):
        print(more)
    return 0


def _limits(proof: Certificate) -> Iterator[str]:
    """Yield a note for each default limit of a gateway's settings that the certificate exceeds."""
    defaults = ModelsSettings(repository=".")
    for name, own, most in (
        ("alpha", proof.alpha, defaults.max_alpha),
        ("delta", proof.delta, defaults.max_delta),
    ):
        if own > most:
            yield f"a gateway refuses {name} {own:g} unless its `models.max_{name}`, {most:g}, is raised"


def _summary(out: Path, proof: Certificate) -> str:
    score = proof.score if proof.score == ALWAYS else f"{proof.score} >= {proof.threshold:.6g}"
    return (
        f"{out}: {proof.task}, {score} on {proof.instruction_set}; the edge "
        f"answers {proof.coverage:.1%} of {proof.n} rows, {proof.k} of those unlike central; "
        f"risk <= {proof.upper_bound:.2%} with confidence {1 - proof.delta:.0%}"
    )


def _decision_options(options: argparse.Namespace) -> DecisionOptions:
    return DecisionOptions(
        task=options.task,
        outputs=tuple(options.output),
        left_out=tuple(options.leave_out),
        values=options.values,
        threshold=_between(options.threshold, "--threshold"),
        per=options.per,
        tolerance=_positive(options.tolerance, "--tolerance"),
        relative_tolerance=_positive(options.relative_tolerance, "--relative-tolerance"),
        cosine=_cosine(options.cosine),
        alphabet=_alphabet(options.alphabet),
        blank=options.blank,
        score=options.score,
        score_output=options.score_output,
    )


def _alphabet(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: is not text in UTF-8") from error
    return symbols_of(text)


def _between(number: float, flag: str) -> float:
    if not 0 < number < 1:
        raise ValueError(f"{flag} must lie between 0 and 1")
    return number


def _cosine(number: float | None) -> float | None:
    if number is not None and not 0 < number <= 1:
        raise ValueError("--cosine must be above 0 and at most 1")
    return number


def _positive(number: float | None, flag: str) -> float | None:
    if number is not None and not 0 <= number < float("inf"):
        raise ValueError(f"{flag} must be a number that is not below 0")
    return number
