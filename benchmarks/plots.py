"""SVG by hand: bars and lines are all that is drawn, and a plotting library would be the largest dependency here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.figures import number

COLOURS = ("#1f6fb4", "#d2691e", "#3a8f4f", "#8a4fa3", "#777777")
_WIDTH = 940
_LEFT, _RIGHT = 430, 860
_LINE = 26
_LABEL = 110


def bars(title: str, unit: str, lines: Mapping[str, Mapping[str, float]]) -> str:
    """Stacked bars: a bar for each of `lines`, its parts by name."""
    names = list(dict.fromkeys(name for parts in lines.values() for name in parts))
    most = max((sum(parts.values()) for parts in lines.values()), default=0.0) or 1.0
    drawn = [_text(10, 20, title, bold=True), *_legend(names, 40)]
    for row, (label, parts) in enumerate(lines.items()):
        drawn += _bar(label, parts, names, (_RIGHT - _LEFT) / most, 56 + row * _LINE, unit)
    return _svg(70 + len(lines) * _LINE, drawn)


def _bar(
    label: str, parts: Mapping[str, float], names: Sequence[str], scale: float, y: int, unit: str
) -> list[str]:
    x, drawn = float(_LEFT), [_text(10, y + 15, label)]
    for name, value in parts.items():
        colour = COLOURS[names.index(name) % len(COLOURS)]
        drawn.append(
            f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="20" fill="{colour}"/>'
        )
        x += value * scale
    return [*drawn, _text(x + 6, y + 15, f"{number(sum(parts.values()))} {unit}".rstrip())]


def against_goals(title: str, lines: Sequence[tuple[str, float, float, bool]]) -> str:
    """How each figure lies to its goal: the bar is the share of the goal that is reached, 1 is met.

    lines: label, what was measured, the goal, and whether the goal is a lower bound.
    """
    scale = (_RIGHT - _LEFT) / 2
    drawn = [_text(10, 20, title, bold=True)]
    for row, (label, value, goal, lower) in enumerate(lines):
        share = reached(value, goal, lower=lower)
        y, met = 34 + row * _LINE, share >= 1
        width = min(2.0, share) * scale
        colour = COLOURS[2] if met else COLOURS[1]
        drawn += [
            _text(10, y + 15, label),
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="20" fill="{colour}"/>',
            _beside(width, y + 15, f"{number(value)} of {number(goal)}"),
        ]
    x, bottom = _LEFT + scale, 34 + len(lines) * _LINE
    drawn.append(f'<line x1="{x}" x2="{x}" y1="28" y2="{bottom}" stroke="#333" stroke-width="2"/>')
    return _svg(bottom + 12, drawn)


def _beside(width: float, y: float, text: str) -> str:
    """Inside a bar that is long enough, else behind it."""
    inside = width > _LABEL
    return _text(
        _LEFT + (6 if inside else width + 6), y, text, colour="white" if inside else "#222"
    )


def reached(value: float, goal: float, *, lower: bool) -> float:
    """The share of a goal that a value reaches; from 1 on the goal is met."""
    over, under = (value, goal) if lower else (goal, value)
    return over / under if under else 2.0


def lines(
    title: str, series: Mapping[str, Sequence[float]], marks: Mapping[str, float], x_name: str
) -> str:
    """One line for each of `series`, drawn over 0, 1, 2 …; `marks` are dashed levels."""
    top, base = 50, 250
    most = max([*marks.values(), *(max(one, default=0) for one in series.values())]) or 1
    longest = max((len(one) for one in series.values()), default=1)
    x_scale, y_scale = 840 / max(1, longest - 1), (base - top) / most
    drawn = [_text(10, 20, title, bold=True), *_legend(list(series), 40)]
    for name, level in marks.items():
        y = base - level * y_scale
        drawn += [
            f'<line x1="60" x2="900" y1="{y:.1f}" y2="{y:.1f}" stroke="#999" stroke-dasharray="4"/>',
            _text(4, y + 4, name),
        ]
    for (_, values), colour in zip(series.items(), COLOURS, strict=False):
        points = " ".join(
            f"{60 + x * x_scale:.1f},{base - y * y_scale:.1f}" for x, y in enumerate(values)
        )
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
    drawn.append(f'<line x1="60" x2="900" y1="{base}" y2="{base}" stroke="#333"/>')
    drawn.append(_text(820, base + 16, f"{longest} {x_name}"))
    return _svg(base + 26, drawn)


def _legend(names: Sequence[str], y: int) -> list[str]:
    drawn = []
    for number_, name in enumerate(names):
        x, colour = 10 + number_ * 140, COLOURS[number_ % len(COLOURS)]
        drawn += [f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>']
        drawn += [_text(x + 15, y, name)]
    return drawn


def _text(x: float, y: float, text: Any, *, bold: bool = False, colour: str = "#222") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}"{weight}>{escape(str(text))}</text>'


def _svg(height: int, drawn: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="{_WIDTH}" height="{height}" '
        'fill="white"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )
