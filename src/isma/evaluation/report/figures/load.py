"""How the work is spread over the servers, by policy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isma.evaluation.comparison.tables import Run, averages, numbers, of_policy
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, blank
from isma.evaluation.report.figures.points import at_point

_MOST_IN_TABLE = 20
_USERS = colors.LinearSegmentedColormap.from_list("users", ["#eef3f7", "#8fbbdb", "#0b4f85"])
_DEMAND = colors.LinearSegmentedColormap.from_list(
    "demand", ["#f4f6f8", "#bfe3d5", "#4fa98a", "#f2b26b", "#b8430a"]
)


def draw(run: Run) -> Drawing | None:
    """A table of shades for a few servers; for many, the servers in rank order as lines."""
    point = run.points[0]
    table = run.at(run.load_by_server, point)
    if table.empty:
        return None
    order = [row.policy for row in run.standing(point) if not of_policy(table, row.policy).empty]
    users = _wide(table, "users", order)
    asked = _wide(table, "requested_share", order)
    granted = _wide(table, "granted_share", order)
    few = users.shape[1] <= _MOST_IN_TABLE
    canvas = _shades(run, order, users, asked) if few else _ranks(run, order, users, asked)
    short = float(np.nansum(np.maximum(asked - granted, 0)) / max(np.nansum(asked), 1e-12))
    how = (
        "One column per server."
        if few
        else "Servers stand in rank order, for each policy and each panel its own: a steep curve "
        "is an uneven load."
    )
    text = (
        f"Load of the servers{at_point(run, point)}, averaged over time and seeds: users that a "
        "server hosts, and the share of its CPU that is requested (1 is the whole CPU; more is "
        f"scaled down). {how} Of all that was requested, {formatting.percent(1 - short)} was "
        "granted."
    )
    return Drawing("load", "Who carries the load", text, canvas)


def _wide(table: pd.DataFrame, column: str, order: Sequence[str]) -> np.ndarray:
    """Policies as rows, servers as columns."""
    servers = np.unique(numbers(table, "server"))
    wide = np.full((len(order), len(servers)), np.nan)
    for index, policy in enumerate(order):
        rows = of_policy(table, policy)
        present, values = averages(numbers(rows, "server"), numbers(rows, column))
        wide[index, np.searchsorted(servers, present)] = values
    return wide


def _shades(run: Run, order: Sequence[str], users: np.ndarray, asked: np.ndarray) -> Figure:
    canvas = blank(1.15 + 0.3 * len(order))
    left, right = canvas.subplots(1, 2, sharey=True)
    shown = formatting.names(run.policies)
    whole = colors.Normalize(0, max(float(np.nanmax(users)), 1e-9))
    _shade(left, users, _USERS, whole, 1)
    style.title(left, "Users hosted", "mean over time and seeds")
    most = max(2.0, float(np.nanmax(asked)))
    _shade(right, asked, _DEMAND, colors.TwoSlopeNorm(1.0, 0.0, most), 2)
    style.title(right, "CPU requested", "1 = the whole server")
    left.set_yticks(range(len(order)), [shown[policy] for policy in order])
    return canvas


def _shade(
    axes: Axes, values: np.ndarray, cmap: colors.Colormap, norm: colors.Normalize, places: int
) -> None:
    edges = np.arange(values.shape[1] + 1) - 0.5, np.arange(values.shape[0] + 1) - 0.5
    axes.pcolormesh(*edges, values, cmap=cmap, norm=norm, edgecolors=style.PAPER, linewidth=1.5)
    small = values.shape[1] > 12
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = cmap(norm(value))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.58
            axes.text(
                column,
                row,
                f"{value:.{places}f}" if value < 99.5 else f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=6.5 if small else 8.5,
                color="#fefefe" if dark else "#1c2833",
            )
    axes.set_xticks(range(values.shape[1]))
    axes.set_xlabel("server")
    axes.set_ylim(values.shape[0] - 0.5, -0.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _ranks(run: Run, order: Sequence[str], users: np.ndarray, asked: np.ndarray) -> Figure:
    canvas = blank(3.7)
    left, right = canvas.subplots(1, 2)
    styles, shown = style.of_policies(run), formatting.names(run.policies)
    for axes, values in ((left, users), (right, asked)):
        for index in reversed(range(len(order))):
            drawing = styles[order[index]]
            ranked = np.sort(np.nan_to_num(values[index]))[::-1]
            axes.plot(
                np.arange(1, len(ranked) + 1),
                ranked,
                color=drawing.colour,
                linestyle=drawing.dashes,
                linewidth=drawing.width,
                label=shown[order[index]],
            )
        axes.set_xlim(1, values.shape[1])
        axes.set_ylim(bottom=0)
        axes.grid()
        axes.set_xlabel(f"servers, the busiest first ({values.shape[1]})")
    right.axhline(1, color=style.INK, linewidth=1.1, linestyle=style.DOTTED)
    style.title(left, "Users hosted", "mean over time and seeds")
    left.set_ylabel("users")
    style.title(right, "CPU requested", "dotted: the whole server")
    right.set_ylabel("share of the server")
    handles, labels = left.get_legend_handles_labels()
    canvas.legend(
        handles[::-1], labels[::-1], loc="outside right center", frameon=False, handlelength=2.4
    )
    return canvas
