"""Replays traces in a cache library, as a program of that library's environment: it imports nothing of ours.

`python replaying.py moka|theine traces.json` prints the hit ratio of each trace. A trace is
{"keys": [...], "sizes": [...], "max_bytes": N}. theine weighs nothing: it is given as many entries as
there is room for, and null is what it has for traces of several sizes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def replay(library: str, trace: dict[str, Any]) -> float | None:
    """Return the hit ratio."""
    sizes = trace["sizes"]
    if library == "theine":
        if len(set(sizes)) > 1:
            return None
        import theine  # type: ignore[import-not-found]  # noqa: PLC0415 - only one is here

        cache = theine.Cache(trace["max_bytes"] // sizes[0])

        def found(key: int) -> bool:
            return bool(cache.get(key)[1])

    else:
        import moka_py  # type: ignore[import-not-found]  # noqa: PLC0415 - only one is here

        cache = moka_py.Moka(trace["max_bytes"], weigher=lambda _key, value: value)

        def found(key: int) -> bool:
            return cache.get(key) is not None

    hits = 0
    for key, size in zip(trace["keys"], sizes):  # noqa: B905 - of any Python
        if found(key):
            hits += 1
        else:
            cache.set(key, size)
    return hits / len(sizes)


if __name__ == "__main__":
    _, chosen, file = sys.argv
    traces = json.loads(Path(file).read_text())
    print(json.dumps({name: replay(chosen, trace) for name, trace in traces.items()}))
