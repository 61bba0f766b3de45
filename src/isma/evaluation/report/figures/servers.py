"""The number of servers: p95 of every policy along it, and the limit that it is to keep."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from isma.evaluation.comparison.tables import Run
from isma.evaluation.plan import SERVERS
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import style, vary
from isma.evaluation.report.figures.drawing import Drawing, blank
from isma.evaluation.report.sizing import limit_s, needs

_FAR = 4.0
"""Multiple of the best p95 beyond which, at every number, a policy is left out: it would flatten the rest."""
_REACH = 3.0
"""Multiple of the drawn heights beyond which a limit is written, and not drawn."""


def draw(run: Run) -> Drawing | None:
    """A panel for a run that varies the number of servers alone; None for any other."""
    if run.vary != (SERVERS,):
        return None
    axis = formatting.axis(SERVERS, [value for (value,) in run.points])
    p95_s = {policy: vary.column(run, policy, "p95_s") for policy in run.policies}
    near, off = _to_scale(p95_s)
    unit, scale = formatting.time_unit([float(v) for policy in near for v in p95_s[policy]])
    canvas = blank(4.2)
    axes = canvas.add_subplot()
    styles, shown = style.of_policies(run), formatting.names(run.policies)
    for policy in reversed(near):
        drawing = styles[policy]
        pen: Any = {
            "color": drawing.colour,
            "linewidth": drawing.width,
            "linestyle": drawing.dashes,
        }
        axes.plot(axis.positions, p95_s[policy] / scale, marker=drawing.marker, markersize=5, **pen)
    limit = _limit(run, axes, [p95_s[policy] / scale for policy in near], scale)
    _rings(run, axes, near, scale)
    vary.along(axes, axis, True)
    axes.set_xlabel("servers")
    axes.set_ylabel(f"95 % of tasks within ({unit})")
    ends = [(vary.last(run, p, "p95_s") / scale, shown[p], styles[p]) for p in near]
    style.label_ends(axes, ends)
    beyond = [f"{shown[p]} {formatting.duration(float(np.nanmin(p95_s[p])))}" for p in off]
    more = f"off the scale: {', '.join(beyond)} at best" if beyond else ""
    style.title(axes, "How many servers", "; ".join(part for part in (limit, more) if part))
    text = (
        "The time within which 95 % of all tasks are done, by number of servers. They stand at the "
        "stations that bring users nearest to a server (k-medoids over hops, weighted by where users "
        "are)."
    )
    if limit:
        text += " A ring marks the fewest servers tried with which a policy keeps the limit."
    return Drawing("servers", "How many servers are enough", text, canvas)


def _to_scale(p95_s: dict[str, np.ndarray]) -> tuple[list[str], list[str]]:
    """Policies that are drawn, and those that would flatten them at every number."""
    best = np.nanmin(list(p95_s.values()), axis=0)
    off = [policy for policy, values in p95_s.items() if np.all(values > _FAR * best)]
    return [policy for policy in p95_s if policy not in off], off


def _limit(run: Run, axes: Axes, heights: list[np.ndarray], scale: float) -> str:
    """Draw the limit where it is in range, and label it; nothing without a limit."""
    limit = limit_s(run)
    if limit is None:
        return ""
    said = f"limit {formatting.setting('limit_s', limit)}"
    low, high = float(np.nanmin(heights)), float(np.nanmax(heights))
    if low / _REACH < limit / scale < high * _REACH:
        axes.axhline(limit / scale, color=style.INK, linewidth=1.2, linestyle=style.DOTTED)
        return f"dotted: {said}"
    return f"{said}: {'below' if limit / scale < low else 'above'} all of this"


def _rings(run: Run, axes: Axes, near: list[str], scale: float) -> None:
    styles = style.of_policies(run)
    for of_point in needs(run).values():
        for need in of_point:
            if need.fewest is not None and need.policy in near:
                height = need.p95_s[need.fewest] / scale
                colour = styles[need.policy].colour
                pen: Any = {"markerfacecolor": "none", "markeredgewidth": 1.4, "markersize": 12}
                axes.plot([need.fewest], [height], "o", markeredgecolor=colour, **pen)
