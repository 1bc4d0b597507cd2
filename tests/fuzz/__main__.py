"""Fuzz one door with atheris: ``python -m tests.fuzz http1 --runs 1000000 --seed 1``.

Needs the extra ``fuzz``, which `make fuzz` installs (Linux and macOS). Whatever breaks a promise is written to
``out/fuzz/TARGET-*`` and can be run again: ``python -m tests.fuzz http1 --replay FILE``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

DOORS = ("json", "grpc", "http1", "http2", "flood")


def main() -> None:
    """Read the command line and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument("target", choices=DOORS)
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs to try (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer's chance (%(default)s)")
    parser.add_argument("--max-bytes", type=int, default=1024, help="of one input (%(default)s)")
    parser.add_argument("--replay", type=Path, help="run one input and nothing else")
    options = parser.parse_args()
    logging.disable()
    if options.replay:
        from tests.fuzz import targets

        targets.TARGETS[options.target](options.replay.read_bytes())
        print("nothing was violated")
        return
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: make fuzz installs it")
    with atheris.instrument_imports(include=["gateway"]):
        from tests.fuzz import targets
    corpus = Path("out/fuzz") / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.seeds(options.target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = [
        sys.argv[0],
        f"-runs={options.runs}",
        f"-seed={options.seed}",
        f"-max_len={options.max_bytes}",
        "-timeout=5",
        f"-artifact_prefix=out/fuzz/{options.target}-",
        str(corpus),
    ]
    atheris.Setup(words, targets.TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
