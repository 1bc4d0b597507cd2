"""Text that a model spells frame by frame, decoded greedily as CTC has it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

import msgspec
import numpy as np

from edge_models.confidence import MEASURES
from edge_models.tasks.probabilities import Values, names_one, softmax, sum_to_one
from edge_models.tasks.rule import Rule
from gateway.core.tensor import Array

_WORST: Final = "\ufffd"


class Sequence(Rule, frozen=True, kw_only=True, tag="sequence", forbid_unknown_fields=True):
    """A text; the same answer: the same text after CTC's greedy decoding.

    The output is [rows, frames, symbols]. In each frame the likeliest symbol counts; repeats are one, and
    ``blank`` is left out (Graves et al., ICML 2006). ``alphabet`` has one text per symbol, that of the blank
    included. The two models may differ in the number of frames.
    """

    SCORES: ClassVar[tuple[str, ...]] = tuple(MEASURES)

    values: Values
    alphabet: Annotated[tuple[str, ...], msgspec.Meta(min_length=2)]
    blank: Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]

    def differs(self, edge: Array, central: Array) -> Array:
        """The texts differ, or central's row spells none: a frame has NaN, or no finite maximum."""
        own, theirs = self.decode(edge), self.decode(central)
        differ = np.array([one != other for one, other in zip(own, theirs, strict=True)], np.bool_)
        both: Array = (differ | ~names_one(central).all(axis=1))[:, np.newaxis]
        return both

    def decode(self, output: Array) -> list[str]:
        """Return the text of each row; a symbol that the alphabet lacks becomes U+FFFD."""
        return [self._text(row.argmax(axis=1)) for row in output]

    def scores(self, output: Array, score: str) -> Array:
        """Return the score of the token that is least sure; a token is as sure as its surest frame.

        A run of blanks is a token as well: it stands for nothing.
        """
        if output.ndim != 3 or not output.shape[1] or output.shape[2] != len(self.alphabet):
            return self.unsure(output)
        frames = output.reshape(-1, output.shape[2])
        frames = MEASURES[score](softmax(frames) if self.values == "logits" else frames)
        best = output.argmax(axis=2)
        rows = zip(frames.reshape(best.shape), best, strict=True)
        return np.array([_least(of_frames, symbols) for of_frames, symbols in rows])

    def problem(self, output: Array) -> str:
        """It must be [rows, frames, symbols], with as many symbols as the alphabet has."""
        if output.dtype.kind not in "fiu" or output.ndim != 3:
            return "must be numbers [rows, frames, symbols]"
        if output.shape[2] != len(self.alphabet):
            return f"has {output.shape[2]} symbols, but the alphabet has {len(self.alphabet)}, blank included"
        if self.values == "probabilities" and output.size and not sum_to_one(output):
            return "has frames that are no probabilities which sum to 1: are they logits?"
        return ""

    def __str__(self) -> str:
        how = ", softmax applied" if self.values == "logits" else ""
        return f"sequence of {len(self.alphabet)} symbols, of which number {self.blank} is the blank{how}"

    def _text(self, symbols: Array) -> str:
        firsts = symbols[_starts(symbols)].tolist()
        known = len(self.alphabet)
        return "".join(
            self.alphabet[symbol] if symbol < known else _WORST for symbol in firsts if symbol != self.blank
        )


def _starts(symbols: Array) -> Array:
    """Return where each run of one symbol begins."""
    begins = np.ones(len(symbols), np.bool_)
    begins[1:] = symbols[1:] != symbols[:-1]
    return np.flatnonzero(begins)


def _least(frames: Array, symbols: Array) -> float:
    return float(np.maximum.reduceat(frames, _starts(symbols)).min())
