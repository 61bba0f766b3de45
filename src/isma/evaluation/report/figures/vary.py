"""One varied field: the mean delay along it, and every policy's distance to the best there."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from isma.evaluation.comparison.tables import Run, numbers, of_policy
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, blank
from isma.evaluation.report.formatting import Axis

_BUNCHED = 0.06
_SPREAD = 0.6


def draw(run: Run) -> Drawing | None:
    """Two panels for a run with one varied field; None for any other."""
    if len(run.vary) != 1:
        return None
    field = run.vary[0]
    axis = formatting.axis(field, [value for (value,) in run.points])
    canvas = blank(4.5)
    far = _far(run)
    left, right = _panels(canvas, bool(far))
    styles, shown = style.of_policies(run), formatting.names(run.policies)
    unit, scale = formatting.time_unit(numbers(run.summary, "mean_s").tolist())
    _bound(run, left[-1], axis, scale)
    for axes, group in _groups(run, left, far):
        _curves(run, axes, axis, group, ("mean_s", "mean_s_low", "mean_s_high"), 1 / scale)
        axes.set_ylim(*_limits(run, group, scale, with_bound=axes is left[-1]))
        ends = [(last(run, p, "mean_s") / scale, shown[p], styles[p]) for p in group]
        style.label_ends(axes, ends)
    style.title(left[0], "Mean completion time", "pale: 95 % over worlds; dotted: lower bound")
    left[-1].set_ylabel(f"mean ({unit})")
    near = [policy for policy in run.policies if policy not in far]
    _relative(run, right, axis, near)
    more = f"; off the scale: {', '.join(shown[p] for p in far)}" if far else ""
    style.title(right, "Above the best policy there", f"paired{more}")
    for axes in (*left, right):
        along(axes, axis, axes is not left[0] or len(left) == 1)
    text = (
        f"Each policy along {field}. Left: mean completion time; pale are the 95 % intervals "
        "over worlds and hold what all policies share, the dotted line is the lower bound. Right: "
        "distance to the best policy at each point with its paired 95 % interval: where it "
        "touches zero, the policy may as well be the best."
    )
    return Drawing("vary", f"What {field} changes", text, canvas)


def _panels(canvas: Figure, broken: bool) -> tuple[list[Axes], Axes]:
    """The left panel, in two parts where some policies are far above the others, and the right."""
    grid = canvas.add_gridspec(2, 2, height_ratios=[1, 4])
    right = canvas.add_subplot(grid[:, 1])
    if not broken:
        return [canvas.add_subplot(grid[:, 0])], right
    top, bottom = canvas.add_subplot(grid[0, 0]), canvas.add_subplot(grid[1, 0])
    top.spines["bottom"].set_visible(False)
    top.tick_params(bottom=False, labelbottom=False)
    for axes, height in ((top, 0.0), (bottom, 1.0)):
        axes.plot(
            [0],
            [height],
            marker=[(-1, -0.5), (1, 0.5)],
            markersize=8,
            color=style.MUTED,
            transform=axes.transAxes,
            clip_on=False,
        )
    return [top, bottom], right


def _far(run: Run) -> list[str]:
    """Policies that are off the scale at every point."""
    beyond = dict.fromkeys(run.policies, True)
    for point in run.points:
        off = style.far(run, point)
        for row in run.standing(point):
            beyond[row.policy] &= row.policy in off
    return [policy for policy, is_far in beyond.items() if is_far]


def _groups(run: Run, left: list[Axes], far: list[str]) -> list[tuple[Axes, list[str]]]:
    near = [policy for policy in run.policies if policy not in far]
    return [(left[0], far), (left[-1], near)] if far else [(left[-1], near)]


def column(run: Run, policy: str, name: str) -> np.ndarray:
    """A column of the summary along the points, NaN where the policy has none."""
    rows = of_policy(run.summary, policy)
    by_value = dict(zip(rows[run.vary[0]], numbers(rows, name), strict=True))
    return np.array([by_value.get(value, np.nan) for (value,) in run.points], dtype=float)


def last(run: Run, policy: str, name: str) -> float:
    """The last value that a policy has of a column, NaN where it has none."""
    values = column(run, policy, name)
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else float("nan")


def _curves(
    run: Run, axes: Axes, axis: Axis, group: list[str], columns: tuple[str, str, str], factor: float
) -> None:
    styles = style.of_policies(run)
    for index, policy in reversed(list(enumerate(group))):
        drawing = styles[policy]
        middle, low, high = (factor * column(run, policy, name) for name in columns)
        pen: Any = {
            "color": drawing.colour,
            "linewidth": drawing.width,
            "marker": drawing.marker,
            "markersize": 5,
        }
        if axis.numeric:
            axes.fill_between(
                axis.positions, low, high, color=drawing.colour, alpha=0.09, linewidth=0
            )
            axes.plot(axis.positions, middle, linestyle=drawing.dashes, **pen)
        else:
            offset = _SPREAD * ((index + 0.5) / len(group) - 0.5)
            across = np.array(axis.positions) + offset
            axes.vlines(across, low, high, color=drawing.colour, alpha=0.5, linewidth=2)
            axes.plot(across, middle, linestyle="", **pen)


def _bound(run: Run, axes: Axes, axis: Axis, scale: float) -> None:
    bound = column(run, run.policies[0], "bound_s") / scale
    pen: Any = {"color": style.INK, "linewidth": 1.2, "linestyle": style.DOTTED}
    if axis.numeric:
        axes.plot(axis.positions, bound, **pen)
    else:
        across = np.array(axis.positions)
        axes.hlines(bound, across - _SPREAD / 2, across + _SPREAD / 2, **pen)


def _limits(run: Run, group: list[str], scale: float, with_bound: bool) -> tuple[float, float]:
    """The means themselves fill the panel: intervals over worlds may reach past it."""
    columns = ("mean_s", "bound_s") if with_bound else ("mean_s",)
    sizes = [column(run, policy, name) / scale for policy in group for name in columns]
    low, high = float(np.nanmin(sizes)), float(np.nanmax(sizes))
    pad = (0.1 if with_bound else 0.4) * (high - low) or 0.02 * abs(high)
    return low - pad, high + pad


def _relative(run: Run, axes: Axes, axis: Axis, near: list[str]) -> None:
    columns = ("above_best_ratio", "above_best_low", "above_best_high")
    _curves(run, axes, axis, near, columns, 100.0)
    axes.axhline(0, color=style.INK, linewidth=1.1)
    styles, shown = style.of_policies(run), formatting.names(run.policies)
    ends = [(100 * last(run, p, "above_best_ratio"), shown[p], styles[p]) for p in near]
    style.label_ends(axes, [end for end in ends if np.isfinite(end[0])])
    axes.set_ylabel("per cent of the best policy's mean")


def along(axes: Axes, axis: Axis, labelled: bool) -> None:
    """Ticks at the values that were simulated, on a logarithmic scale where they span much."""
    axes.grid(axis="both" if axis.numeric else "y")
    axes.yaxis.set_major_locator(style.round_steps())
    low, high = min(axis.positions), max(axis.positions)
    if axis.numeric and low > 0 and high / low > 20:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif not axis.numeric:
        axes.set_xlim(low - 0.5, high + 0.5)
    kept = _apart(axis)
    axes.set_xticks(
        [axis.positions[i] for i in kept], [axis.ticks[i] for i in kept] if labelled else []
    )
    if labelled:
        axes.set_xlabel(axis.label)


def _apart(axis: Axis) -> list[int]:
    """Ticks at the simulated values, without those that would touch the one before."""
    if not axis.numeric:
        return list(range(len(axis.positions)))
    spread = max(axis.positions) - min(axis.positions)
    kept: list[int] = []
    for index, place in enumerate(axis.positions):
        if not kept or place - axis.positions[kept[-1]] >= _BUNCHED * spread:
            kept.append(index)
    return kept
