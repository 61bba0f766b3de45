"""A figure of the paper drawn again: every policy along x, with intervals, rules and references."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, Figure, blank, save
from isma.evaluation.statistics import interval
from isma.reproduction.claims import Delays
from isma.reproduction.contenders import priced
from isma.reproduction.figure import PaperFigure
from isma.reproduction.scale import Scale

_LINE = 150
"""Letters of the heading that fit on a line."""
_MOST = 1.5
"""How far above the greatest mean intervals are shown, at most."""
_BASE = "price"
"""Reference of the right panel."""
_NOT_DRAWN = (priced("slsm"), priced("dlsm"), "full-information")
"""Policies in the tables only, so that the lines can be distinguished."""


def draw(figure: PaperFigure, scale: Scale, delays: Delays, folder: Path) -> Figure:
    """Write the figure as SVG and PNG. Raises RunError."""
    drawn = {name: rows for name, rows in delays.mean_s.items() if name not in _NOT_DRAWN}
    above = {name: rows / drawn[_BASE] - 1 for name, rows in drawn.items() if name != _BASE}
    with style.theme():
        canvas = blank(4.6)
        left, right = canvas.subplots(1, 2)
        along = _positions(delays)
        ends = _lines(left, along, drawn, 1.0)
        left.set_ylim(bottom=0)
        style.title(left, figure.title, "mean completion time; bars: 95 % over worlds")
        left.set_ylabel("mean completion time (s)")
        ratios = _lines(right, along, above, 100.0)
        right.axhline(0, color=style.INK, linewidth=1.1)
        style.title(right, f"Above {_BASE}", "paired by world; bars: 95 %")
        right.set_ylabel(f"per cent above {_BASE}")
        for axes in (left, right):
            _along(axes, along, figure, delays)
        head = reductions(figure, scale)
        canvas.suptitle(
            textwrap.fill(head, _LINE), fontsize=8.5, color=style.MUTED, x=0.01, ha="left"
        )
        canvas.draw_without_rendering()
        style.label_ends(left, ends)
        style.label_ends(right, ratios)
        return save(Drawing(figure.name, figure.title, head, canvas), folder)


def reductions(figure: PaperFigure, scale: Scale) -> str:
    """Reductions of this scale against the paper, in words."""
    steps = ", ".join(f"{model} {count:,}" for model, count in scale.steps.items())
    return (
        f"{figure.base}, {scale.name} scale: {len(scale.points)} of {len(figure.values)} x values, "
        f"{scale.seeds} seeds, {scale.duration_s:g} s a run ({scale.warmup_s:g} s discarded), "
        f"planner's budget {scale.budget}; one model for all figures, updates: {steps}"
    )


def _lines(
    axes: Axes,
    along: Float[np.ndarray, "values"],
    tables: Mapping[str, Float[np.ndarray, "values seeds"]],
    factor: float,
) -> list[tuple[float, str, style.PolicyStyle]]:
    """Draw a line a policy; where each ends, for its label."""
    ends, tops = [], [0.0]
    means = [factor * float(value) for table in tables.values() for value in table.mean(axis=1)]
    for name, table in tables.items():
        drawing = style.of_policy(name)
        middle = factor * table.mean(axis=1)
        half = factor * np.array([(high - low) / 2 for low, high in map(interval, table)])
        pen: Any = {
            "color": drawing.colour,
            "linewidth": drawing.width,
            "linestyle": drawing.dashes,
        }
        tops.extend((middle + np.where(np.isfinite(half), half, 0)).tolist())
        axes.errorbar(
            along, middle, half, marker=drawing.marker, markersize=5, elinewidth=1.0, **pen
        )
        ends.append((float(middle[-1]), name, drawing))
    # Intervals of two worlds may be very wide: then the axis follows the means.
    low, high = min(0.0, *means), min(max(tops), _MOST * max(means))
    axes.set_ylim(low - 0.05 * (high - low), high + 0.08 * (high - low))
    return ends


def _positions(delays: Delays) -> Float[np.ndarray, "values"]:
    return np.array([float(value.split()[0]) for value in delays.values])


def _along(
    axes: Axes, along: Float[np.ndarray, "values"], figure: PaperFigure, delays: Delays
) -> None:
    axes.set_xticks(along, [value.split()[0] for value in delays.values])
    axes.margins(x=0.08)
    axes.grid(axis="y")
    axes.set_xlabel(figure.label)
