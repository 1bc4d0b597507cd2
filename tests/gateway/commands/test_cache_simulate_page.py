"""The page of `edgeway cache simulate`."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

from cache.request_log.replay import SimulatedRatio
from gateway.commands.cache_simulate_page import page

MIB = 1 << 20


class Balanced(HTMLParser):
    """Which elements are open, and the names of all there were."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs) -> None:
        self.names.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def grid(*sizes: int) -> list[SimulatedRatio]:
    ratios = {"s3fifo": 0.5, "lru": 0.48, "sieve": 0.49}
    return [
        SimulatedRatio(policy, size, ratio + nth / 10)
        for nth, size in enumerate(sizes)
        for policy, ratio in ratios.items()
    ]


def test_it_needs_no_other_file_and_no_script() -> None:
    """All is in it, for light and dark; what was read is escaped."""
    text = page(["10 <look-ups>"], grid(64 * MIB, 256 * MIB))
    parsed = Balanced()
    parsed.feed(text)
    assert not parsed.open
    assert "10 &lt;look-ups&gt;" in text
    assert not {"script", "link", "img"} & set(parsed.names)
    assert "http" not in text
    assert "prefers-color-scheme: dark" in text
    assert parsed.names.count("polyline") == 3
    assert parsed.names.count("circle") == 6
    assert '<td class="best">60.0 %</td>' in text


def test_names_of_lines_do_not_cover_each_other() -> None:
    """Also where the lines do."""
    text = page([], grid(64 * MIB))
    heights = sorted(float(each) for each in re.findall(r'y="([\d.]+)" style="fill', text))
    assert len(heights) == 3
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 15.9


def test_sizes_that_are_close_share_a_name() -> None:
    """A point has its own in its title."""
    text = page([], grid(1024 * MIB, 1025 * MIB, 4096 * MIB))
    assert text.count('text-anchor="middle"') == 2
    assert text.count("<circle") == 9
