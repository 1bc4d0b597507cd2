"""The cases of framing, read by everyone: a table, and what of it must not be."""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tests.fakes.framing_cases import CASES, Case
from tests.framing import readers
from tests.framing.readers import Message, Reading

NO_NGINX = "no nginx here: its column is empty (as root, `make nginx` installs it)"

_TAKES_UPGRADES = "it leaves the connection to whoever takes the offer; nginx offers nothing to us"
EXCEPTIONS: dict[tuple[str, str], str] = {
    (case, "aiohttp"): _TAKES_UPGRADES
    for case in ("upgrade to h2c", "upgrade with a body", "upgrade with chunks")
}
"""Where somebody else reads what we read differently, and why that is no harm."""


class Row(NamedTuple):
    """A case and its readings by name."""

    case: Case
    readings: dict[str, Reading]

    @property
    def expected(self) -> Reading:
        """What our reading must be."""
        if self.case.status != 200:
            return Reading((), str(self.case.status))
        method, target = re.match(rb"\s*(\S+) +(\S+)", self.case.sent).groups()  # type: ignore[union-attr]
        return Reading((Message(method.decode(), target.decode("latin-1"), self.case.body),), "")

    def mistakes(self) -> list[str]:
        """Say where our reading is not as it must be, or could be turned against somebody."""
        return [*self._wrong(), *self._different(), *self._slipped()]

    def _wrong(self) -> list[str]:
        mine, wanted = self.readings["ours"], self.expected
        is_same = mine.case == wanted.case and mine.end in ({"", "closed"} if wanted.case else {wanted.end})
        return [] if is_same else [f"{self.case.name}: {mine} instead of {wanted}"]

    def _different(self) -> list[str]:
        """Say who reads what we accept as something else, or does not find its end."""
        mine = self.readings["ours"]
        return [
            f"{self.case.name}: {name} reads {reading}, we read {mine}"
            for name, reading in self.readings.items()
            if mine.case
            and reading.case
            and (reading.unmarked != mine.case or reading.end == "waits")
            and (self.case.name, name) not in EXCEPTIONS
        ]

    def _slipped(self) -> list[str]:
        """Say what came to us through nginx and was not sent by it."""
        return [
            f"{self.case.name}: {message} came through nginx, which sent {message.mark!r}"
            for message in (self.readings["nginx"].messages if "nginx" in self.readings else ())
            if message.mark != f"{message.method} {message.target}"
        ]


async def read_all() -> list[Row]:
    """Let everyone read every case."""
    async with AsyncExitStack() as stack:
        by = {
            "ours": await stack.enter_async_context(readers.ours()),
            "h11": readers.by_h11,
            "aiohttp": await stack.enter_async_context(readers.aiohttp()),
        }
        if readers.nginx_binary():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            by["nginx"] = await stack.enter_async_context(readers.nginx(folder))
        return [Row(case, {name: await read(case.sent) for name, read in by.items()}) for case in CASES]


def versions() -> dict[str, str]:
    """Name the readers, with their versions."""
    found = {"ours": "Edgeway", "h11": f"h11 {version('h11')}", "aiohttp": f"aiohttp {version('aiohttp')}"}
    if binary := readers.nginx_binary():
        received = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False).stderr
        found["nginx"] = f"nginx {received.strip().rpartition('/')[2]} before Edgeway"
    return found


def markdown(rows: list[Row]) -> str:
    """Write the table."""
    named = versions()
    lines = ["| case | " + " | ".join(named.values()) + " |", "|---" * (len(named) + 1) + "|"]
    for row in rows:
        cells = (str(row.readings[name]).replace("|", "\\|") for name in named)
        lines.append(f"| {row.case.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
