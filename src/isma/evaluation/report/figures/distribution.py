"""How completion times are spread over all tasks: the bulk, and the slow tail."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from isma.evaluation.comparison.tables import Run, numbers, of_policy
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, blank
from isma.evaluation.report.figures.points import at_point

_RAREST = 1e-4

Curve = tuple[np.ndarray, np.ndarray]


def draw(run: Run) -> Drawing | None:
    """Two panels: the share of tasks done by a time, and the share still undone after it."""
    point = run.points[0]
    table = run.at(run.distribution, point)
    if numbers(table, "tasks").sum() <= 0:
        return None
    canvas = blank(3.9)
    left, right = canvas.subplots(1, 2)
    styles, shown = style.of_policies(run), formatting.names(run.policies)
    rows = run.standing(point)
    curves = {row.policy: _share_done(of_policy(table, row.policy)) for row in rows}
    curves = {policy: curve for policy, curve in curves.items() if len(curve[0])}
    unit, scale = formatting.time_unit([row.mean_s for row in rows])
    far = style.far(run, point)
    for policy, (time_s, done) in reversed(curves.items()):
        drawing = styles[policy]
        pen: Any = {
            "color": drawing.colour,
            "linestyle": drawing.dashes,
            "linewidth": drawing.width,
        }
        left.plot(time_s / scale, done, label=shown[policy], **pen)
        if policy not in far:
            right.plot(time_s / scale, np.where(done < 1, 1 - done, np.nan), **pen)
    near = [curve for policy, curve in curves.items() if policy not in far]
    _frame(left, unit, _wide(list(curves.values()), 0.002, 0.999) / scale)
    _frame(right, unit, _wide(near, 0.5, 1 - _RAREST) / scale)
    style.title(left, "Share of tasks done by then", "all policies")
    style.title(right, "Share not yet done: the slow tail", style.beyond(run, far) or "logarithmic")
    left.set_ylim(0, 1.01)
    left.yaxis.set_major_formatter(FuncFormatter(_share))
    right.set_yscale("log")
    right.set_ylim(_RAREST, 1.0)
    right.yaxis.set_major_formatter(FuncFormatter(_share))
    right.yaxis.set_minor_formatter(NullFormatter())
    handles, labels = left.get_legend_handles_labels()
    canvas.legend(
        handles[::-1], labels[::-1], loc="outside right center", frameon=False, handlelength=2.4
    )
    text = (
        f"Completion times of all tasks{at_point(run, point)}: on the left the share of tasks done "
        "within a time, on the right the share that takes longer, on a logarithmic scale so that "
        "the slowest one in a hundred can be read. Policies from the fastest mean to the slowest."
    )
    return Drawing("distribution", "How long tasks take", text, canvas)


def _share_done(rows: pd.DataFrame) -> Curve:
    """Times, and the share of tasks done by each; empty where there are no tasks."""
    order = np.argsort(numbers(rows, "low_s"), kind="stable")
    low_s, high_s, tasks = (numbers(rows, name)[order] for name in ("low_s", "high_s", "tasks"))
    if tasks.sum() <= 0:
        return np.zeros(0), np.zeros(0)
    after = np.cumsum(tasks)
    time_s = np.stack([low_s, high_s], axis=1).ravel()
    done = np.stack([after - tasks, after], axis=1).ravel() / after[-1]
    keep = (time_s > 0) & np.isfinite(time_s)
    return time_s[keep], done[keep]


def _wide(curves: Sequence[Curve], low: float, high: float) -> np.ndarray:
    """The times between which all curves go from one share to another."""
    edges = [_between(time_s, done, low, high) for time_s, done in curves]
    return np.array([min(first for first, _ in edges), max(last for _, last in edges)])


def _between(time_s: np.ndarray, done: np.ndarray, low: float, high: float) -> tuple[float, float]:
    last = len(time_s) - 1
    first = max(0, int(np.searchsorted(done, low, side="right")) - 1)
    return float(time_s[first]), float(time_s[min(last, int(np.searchsorted(done, high)))])


def _frame(axes: Axes, unit: str, limits: np.ndarray) -> None:
    axes.set_xscale("log")
    axes.set_xlim(limits[0], limits[1] * 1.02)
    between = (1.0, 2.0, 5.0) if limits[1] / limits[0] < 300 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=between))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: formatting.plain(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid()
    axes.set_xlabel(f"completion time ({unit}, logarithmic)")


def _share(value: float, _: int) -> str:
    return f"{100 * value:g} %"
