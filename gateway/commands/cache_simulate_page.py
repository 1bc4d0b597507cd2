"""The page of `edgeway cache simulate`: one file that needs no other, with a chart in SVG and a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from cache.request_log.replay import SimulatedRatio
from gateway.commands.cache_stats import percent, size

_WIDTH: Final = 720
_HEIGHT: Final = 360
_LEFT: Final = 56
_RIGHT: Final = 120
_TOP: Final = 16
_BOTTOM: Final = 44
_LABEL_GAP: Final = 16
"""Least height between the names of two lines."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2433; --paper: #fff; --faint: #d9dde5; --dim: #5b6475;
  --c0: #1f5fbf; --c1: #b3541e; --c2: #2f7d4f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --paper: #14171d; --faint: #333a47; --dim: #9aa4b5;
    --c0: #7db0ff; --c1: #ffab78; --c2: #7fd6a0; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } p { color: var(--dim); }
svg { width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 13px; }
.grid { stroke: var(--faint); } .line { fill: none; stroke-width: 2.5; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
th, td { padding: .35rem .75rem; text-align: right; border-bottom: 1px solid var(--faint);
  font-variant-numeric: tabular-nums; }
th:first-child { text-align: left; } .best { font-weight: 700; }
"""


def page(summary: Sequence[str], outcomes: Sequence[SimulatedRatio]) -> str:
    """Return the page; ``outcomes`` has every policy in every size."""
    sizes = sorted({outcome.max_bytes for outcome in outcomes})
    policies = list(dict.fromkeys(outcome.policy for outcome in outcomes))
    ratios = {(outcome.policy, outcome.max_bytes): outcome.hit_ratio for outcome in outcomes}
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in summary)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Hit ratio by cache size</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>Hit ratio by cache size and policy</h1>\n<ul>{said}</ul>\n"
        f"{_chart(sizes, policies, ratios)}\n{_table(sizes, policies, ratios)}\n</body></html>\n"
    )


def _table(sizes: Sequence[int], policies: Sequence[str], ratios: dict[tuple[str, int], float]) -> str:
    head = "".join(f'<th scope="col">{escape(policy)}</th>' for policy in policies)
    rows = []
    for max_bytes in sizes:
        best = max(ratios[policy, max_bytes] for policy in policies)
        marked = ' class="best"' if len(policies) > 1 else ""
        cells = "".join(
            f"<td{marked if ratio == best else ''}>{percent(ratio)}</td>"
            for ratio in (ratios[policy, max_bytes] for policy in policies)
        )
        rows.append(f'<tr><th scope="row">{size(max_bytes)}</th>{cells}</tr>')
    head = f'<tr><th scope="col">size</th>{head}</tr>'
    body = "\n".join(rows)
    return f'<div class="scroll"><table><thead>{head}</thead>\n<tbody>{body}</tbody></table></div>'


def _chart(sizes: Sequence[int], policies: Sequence[str], ratios: dict[tuple[str, int], float]) -> str:
    across = {max_bytes: _across(max_bytes, sizes) for max_bytes in sizes}
    drawn = [_grid(across)]
    labels = _apart([_down(ratios[policy, sizes[-1]]) for policy in policies])
    for nth, policy in enumerate(policies):
        colour = f"var(--c{nth % 3})"
        points = [(across[each], _down(ratios[policy, each]), ratios[policy, each], each) for each in sizes]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        drawn.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        drawn += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">'
            f"<title>{escape(policy)}, {size(each)}: {percent(ratio)}</title></circle>"
            for x, y, ratio, each in points
        ]
        drawn.append(
            f'<text x="{_WIDTH - _RIGHT + 12}" y="{labels[nth] + 4:.1f}" style="fill:{colour}">'
            f"{escape(policy)} {percent(ratios[policy, sizes[-1]])}</text>"
        )
    inner = "\n".join(drawn)
    name = "Hit ratio over cache size, one line for each policy; the table below has the figures"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">\n{inner}\n</svg>'


def _grid(across: dict[int, float]) -> str:
    drawn = []
    for tenth in range(0, 11, 2):
        y = _down(tenth / 10)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth * 10} %</text>')
    last = -math.inf
    for max_bytes, x in across.items():
        # Names of sizes that are close to each other would be written over one another.
        if x - last >= 72:
            last = x
            y = _HEIGHT - _BOTTOM + 22
            drawn.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{size(max_bytes)}</text>')
    return "\n".join(drawn)


def _across(max_bytes: int, sizes: Sequence[int]) -> float:
    """Return where a size stands: twice the bytes are always as far away."""
    left, right = _LEFT + 24, _WIDTH - _RIGHT - 24
    if len(sizes) == 1:
        return (left + right) / 2
    return left + (right - left) * math.log(max_bytes / sizes[0]) / math.log(sizes[-1] / sizes[0])


def _down(ratio: float) -> float:
    return _TOP + (1 - ratio) * (_HEIGHT - _TOP - _BOTTOM)


def _apart(heights: Sequence[float]) -> list[float]:
    """Move heights down until none is within ``_LABEL_GAP`` of another."""
    moved = list(heights)
    last = -math.inf
    for nth in sorted(range(len(heights)), key=lambda each: heights[each]):
        last = moved[nth] = max(heights[nth], last + _LABEL_GAP)
    return moved
