"""Mean delay by policy with its interval, and the paired distance to the best."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from isma.evaluation.comparison.score import Score
from isma.evaluation.comparison.tables import Run
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, blank
from isma.evaluation.report.figures.points import at_point


def draw(run: Run) -> Drawing:
    """Two panels with a row per policy: the mean over worlds, and the distance to the best."""
    point = run.points[0]
    rows = run.standing(point)
    canvas = blank(1.35 + 0.32 * len(rows))
    left, right = canvas.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [1, 1.1]})
    far = style.far(run, point)
    _means(run, left, rows, far)
    if any(math.isfinite(row.above_best_ratio) for row in rows):
        _distances(run, right, rows, far)
    else:
        right.set_visible(False)
    shown = formatting.names(run.policies)
    left.set_yticks(range(len(rows)), [shown[row.policy] for row in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", linewidth=0.6)
        axes.spines["left"].set_visible(False)
    over = "users" if rows[0].unit == "user" else "worlds"
    text = (
        f"Mean completion time of each policy{at_point(run, point)}, best at the top. Bars are "
        f"95 % intervals over {over}; on the left they hold what every policy shares, how hard a "
        "world is. On the right the policies are compared in the same worlds: this panel says who "
        "is better. What a hollow mark shows may be chance."
    )
    return Drawing("delay", "Who is fastest", text, canvas)


def _means(run: Run, axes: Axes, rows: list[Score], far: Mapping[str, float]) -> None:
    unit, scale = formatting.time_unit([row.mean_s for row in rows])
    bound = rows[0].bound_s / scale
    spans = {
        row.policy: (row.mean_s / scale, row.mean_s_low / scale, row.mean_s_high / scale)
        for row in rows
    }
    _limits(axes, [bound, *(end for p, span in spans.items() if p not in far for end in span)])
    styles, best = style.of_policies(run), _best(rows)
    for index, row in enumerate(rows):
        _mark(axes, index, spans[row.policy], styles[row.policy], row.policy in far, hollow=False)
        _value(axes, index, formatting.duration(row.mean_s), bold=row.policy == best)
    more = "averaged over users"
    if math.isfinite(bound):
        axes.axvline(bound, color=style.INK, linewidth=1.1, linestyle=style.DOTTED)
        more = f"dotted: lower bound {formatting.duration(bound * scale)}"
    style.title(axes, "Mean completion time", more)
    axes.set_xlabel(f"mean ({unit})")


def _distances(run: Run, axes: Axes, rows: list[Score], far: Mapping[str, float]) -> None:
    spans = {
        row.policy: (
            100 * row.above_best.ratio,
            100 * row.above_best.low,
            100 * row.above_best.high,
        )
        for row in rows
    }
    _limits(axes, [0.0, *(end for p, span in spans.items() if p not in far for end in span)])
    styles, best = style.of_policies(run), _best(rows)
    axes.axvline(0, color=style.INK, linewidth=1.1)
    for index, row in enumerate(rows):
        chance = not (row.above_best.certain or row.above_best.high < 0) and row.policy != best
        _mark(axes, index, spans[row.policy], styles[row.policy], row.policy in far, hollow=chance)
        text = formatting.percent(row.above_best.ratio, signed=True)
        _value(axes, index, "best" if row.policy == best else text, bold=row.policy == best)
    style.title(axes, "Above the best policy", "paired: every policy met the same worlds")
    axes.set_xlabel("per cent of the best policy's mean")


def _best(rows: list[Score]) -> str | None:
    """The fastest policy that is not a reference."""
    return next((row.policy for row in rows if not row.reference), None)


def _limits(axes: Axes, values: Sequence[float]) -> None:
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_xlim(low - pad, high + pad)
    axes.xaxis.set_major_locator(style.round_steps())


def _mark(
    axes: Axes,
    index: int,
    values: Sequence[float],
    drawing: style.PolicyStyle,
    far: bool,
    hollow: bool,
) -> None:
    """A dot with its interval; an arrow at the edge for a policy that is off the scale."""
    if far:
        edge: Any = axes.get_yaxis_transform()
        axes.plot([0.9, 0.975], [index, index], color=drawing.colour, linewidth=1.6, transform=edge)
        axes.plot([0.985], [index], ">", color=drawing.colour, markersize=7, transform=edge)
        return
    middle, low, high = values
    if math.isfinite(low) and math.isfinite(high):
        axes.plot([low, high], [index, index], color=drawing.colour, linewidth=2.2, alpha=0.55)
    axes.plot(
        [middle],
        [index],
        marker=drawing.marker,
        color=drawing.colour,
        markerfacecolor=style.PAPER if hollow else drawing.colour,
        markeredgewidth=1.5,
        markersize=7,
    )


def _value(axes: Axes, index: int, text: str, bold: bool) -> None:
    axes.annotate(
        text,
        (1, index),
        xytext=(8, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=9,
        fontweight="bold" if bold else "normal",
        annotation_clip=False,
    )
