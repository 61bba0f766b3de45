"""A run in time: the mean delay, and how often services and radios move."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from isma.evaluation.comparison.tables import Run, averages, numbers, of_policy
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, blank
from isma.evaluation.report.figures.points import at_point

_MOST_INTERVALS = 50
_UNEVEN = 12.0

Curve = tuple[np.ndarray, np.ndarray]


def draw(run: Run) -> Drawing | None:
    """Two panels over time, all seeds together: mean delay, and migrations with hand-overs."""
    point = run.points[0]
    table = run.at(run.timeline, point)
    if table.empty:
        return None
    canvas = blank(5.6)
    above, below = canvas.subplots(2, 1, sharex=True)
    rows = run.standing(point)
    far = style.far(run, point)
    unit, scale = formatting.time_unit([row.mean_s for row in rows])
    delays = {row.policy: _course(table, row.policy, "mean_s", 1 / scale) for row in rows}
    _lines(run, above, {policy: curve for policy, curve in delays.items() if policy not in far})
    style.title(above, "Mean completion time", style.beyond(run, far))
    above.set_ylabel(f"mean ({unit})")
    _moves(run, below, table, [row.policy for row in rows])
    below.set_xlabel("time since the start (s)")
    below.set_xlim(0, numbers(table, "time_s").max())
    warmup_s = run.config.get("time", {}).get("warmup_s", 0.0)
    if warmup_s > 0:
        _shade(above, below, warmup_s)
    text = (
        f"The run in time{at_point(run, point)}, averaged over seeds. Above: the mean completion "
        "time of the tasks of each interval. Below: how often services move to another server, "
        "with the radio hand-overs, which no policy decides, as a dotted line for comparison."
        + (" The shaded warm-up is not counted in any table." if warmup_s > 0 else "")
    )
    return Drawing("timeline", "How the run went", text, canvas)


def _shade(above: Axes, below: Axes, warmup_s: float) -> None:
    """Set off the warm-up, which no table counts."""
    for axes in (above, below):
        axes.axvspan(0, warmup_s, color=style.RULE, alpha=0.6, linewidth=0, zorder=0)
    above.text(
        0.006,
        0.03,
        "not counted",
        transform=above.transAxes,
        color=style.MUTED,
        fontsize=8.5,
    )


def _course(table: pd.DataFrame, policy: str, column: str, factor: float) -> Curve:
    """A policy's column in the middle of each interval: the mean over seeds, joined where they are many."""
    ends_s = np.unique(numbers(table, "time_s"))
    middles_s = (ends_s + np.append(0, ends_s[:-1])) / 2
    rows = of_policy(table, policy)
    number = np.searchsorted(ends_s, numbers(rows, "time_s"))
    joined = number // max(1, -(-len(ends_s) // _MOST_INTERVALS))
    _, middle_s = averages(joined, middles_s[number])
    return middle_s, factor * averages(joined, numbers(rows, column))[1]


def _moves(run: Run, axes: Axes, table: pd.DataFrame, order: Sequence[str]) -> None:
    times = np.unique(numbers(table, "time_s"))
    users = max(1, len(np.unique(numbers(run.users, "user"))))
    rate = 3600 / float(np.median(np.diff(times))) / users if len(times) > 1 else 1.0
    curves = {policy: _course(table, policy, "migrations", rate) for policy in order}
    curves = {policy: curve for policy, curve in curves.items() if len(curve[0])}
    time_s, handovers = _course(table, str(table["policy"].iloc[0]), "handovers", rate)
    means = [float(np.nanmean(values)) for _, values in curves.values()]
    small = max(float(np.median(means)), float(np.nanmean(handovers)), 1e-9)
    if max(means) > _UNEVEN * small:
        axes.set_yscale("symlog", linthresh=2 * small, linscale=2.0)
    axes.plot(time_s, handovers, color=style.INK, linestyle=style.DOTTED, linewidth=1.5)
    highest = max(
        float(np.nanmax(values)) for values in (handovers, *(v for _, v in curves.values()))
    )
    axes.set_ylim(0, 1.08 * highest or 1.0)
    radio = style.PolicyStyle(style.INK, "", style.DOTTED)
    _lines(run, axes, curves, [(float(handovers[-1]), "hand-overs", radio)])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formatting.plain(value)))
    style.title(axes, "Migrations", "dotted: radio hand-overs")
    axes.set_ylabel("per user and hour" if len(times) > 1 else "in the interval, all users")


def _lines(
    run: Run,
    axes: Axes,
    curves: Mapping[str, Curve],
    more: Sequence[tuple[float, str, style.PolicyStyle]] = (),
) -> None:
    """A line for each policy, named where it ends."""
    styles, shown = style.of_policies(run), formatting.names(run.policies)
    ends = list(more)
    for policy, (time_s, values) in reversed(list(curves.items())):
        if not np.isfinite(values).any():
            continue
        drawing = styles[policy]
        single = len(values) == 1
        axes.plot(
            time_s,
            values,
            color=drawing.colour,
            linestyle=drawing.dashes,
            linewidth=drawing.width,
            marker=drawing.marker if single else "",
        )
        ends.append((float(values[np.isfinite(values)][-1]), shown[policy], drawing))
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(style.round_steps(5))
    axes.margins(x=0)
    axes.grid(axis="y")
    style.label_ends(axes, ends)
