"""Cache libraries as peers: moka-py (TinyLFU, weighs) and theine (W-TinyLFU, counts), each by itself."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.peers import replaying, venv

WHEELS: Final = {"moka": "moka-py==0.5.0", "theine": "theine==2.0.0"}


@dataclass(frozen=True, slots=True)
class CacheLibrary:
    """An installed library; ``folder`` holds its environment."""

    name: str
    folder: Path

    @classmethod
    def install(cls, name: str, folder: Path) -> CacheLibrary:
        """Install into ``folder``, unless it is there.

        Raises:
            NotInstallableError: no Python here can.
        """
        venv.install(folder, WHEELS[name])
        return cls(name, folder)

    def ratios(self, traces: Path) -> dict[str, float | None]:
        """Return the hit ratio of each trace in a file as ``replaying`` reads it; None: not on such a trace.

        Raises:
            RuntimeError: it failed; the message has its last words.
        """
        python = str(self.folder / "venv" / "bin" / "python")
        words = [python, str(replaying.__file__), self.name, str(traces)]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{self.name}: {ended.stderr[-300:]}")
        ratios: dict[str, float | None] = json.loads(ended.stdout)
        return ratios
