"""How every figure looks: type, ink, and one fixed colour and mark for each policy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from isma.evaluation.comparison.tables import Point, Run
from isma.evaluation.report import formatting

INK = "#22303c"
"""Text; the report replaces this and the next three by the colours of its theme."""
MUTED = "#6b7784"
"""Colour of secondary text and lines: ticks, references, units."""
RULE = "#dbe0e5"
"""Grids and frames."""
PAPER = "#fffffe"
"""The ground."""

BLUE, VERMILION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
PINK, SKY, BROWN, OLIVE = "#cc79a7", "#56b4e9", "#8d6e63", "#9a9a00"
VIOLET, MAGENTA, TEAL, PURPLE = "#785ef0", "#dc267f", "#44aa99", "#aa4499"

SOLID, DASHED, DOTTED = "-", (0, (4, 2)), (0, (1, 1.5))


@dataclass(frozen=True)
class PolicyStyle:
    """Style of one policy, the same in every figure."""

    colour: str
    marker: str = "o"
    dashes: str | tuple[float, tuple[float, ...]] = SOLID
    width: float = 1.8


_REFERENCE = PolicyStyle(MUTED, "D", DASHED, 1.4)
_KNOWN = {
    "local": PolicyStyle(BROWN, "X"),
    "random": PolicyStyle(OLIVE, "P"),
    "stay": PolicyStyle(SKY, "s"),
    "nearest": PolicyStyle(ORANGE, "^"),
    "threshold": PolicyStyle(PINK, "v"),
    "greedy": PolicyStyle(GREEN, "o"),
    "price": PolicyStyle(VERMILION, "o"),
    "break-even": PolicyStyle(MAGENTA, "<"),
    "mdp": PolicyStyle(VIOLET, ">"),
    "dqn": PolicyStyle(TEAL, "p"),
    "dqn:literal": PolicyStyle(BROWN, "p", DOTTED),
    "drac": PolicyStyle(TEAL, "h", DASHED),
    "ippo": PolicyStyle(SKY, "h", DOTTED),
    "mappo": PolicyStyle(BROWN, "h", SOLID),
    "isma": PolicyStyle(PURPLE, "o"),
    "isma:remote_price_s=30": PolicyStyle(VIOLET, "D", DASHED),
    "slsm": PolicyStyle(PURPLE, "s", DASHED),
    "dlsm": PolicyStyle(PURPLE, "^", DOTTED),
    "isma2": PolicyStyle(BLUE, "o", SOLID, 2.2),
}
_OTHERS = (
    PolicyStyle("#117a8b", "d"),
    PolicyStyle("#b5651d", "H"),
    PolicyStyle("#5b7fde", "8", DASHED),
    PolicyStyle("#7a9a01", "*", DASHED),
    PolicyStyle("#c2577a", "p", DOTTED),
)
_FAR = 1.6
"""Multiple of the best mean beyond which a policy would flatten the differences among the good ones."""


@contextmanager
def theme() -> Iterator[None]:
    """Context for drawing and saving: matplotlib's defaults, then ours, independent of a user's rc."""
    base = {k: v for k, v in matplotlib.rcParamsDefault.items() if "backend" not in k}
    ours: dict[Any, Any] = {
        "svg.hashsalt": "isma",
        "svg.fonttype": "path",
        "text.parse_math": False,
        "font.size": 9.5,
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 9.0,
        "axes.labelsize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": RULE,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.facecolor": "none",
        "axes.axisbelow": True,
        "axes.formatter.limits": (-9, 9),
        "text.color": INK,
        "xtick.color": RULE,
        "ytick.color": RULE,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": RULE,
        "grid.linewidth": 0.8,
        "hatch.color": PAPER,
        "hatch.linewidth": 1.6,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "figure.constrained_layout.w_pad": 0.08,
        "figure.constrained_layout.h_pad": 0.08,
    }
    every: dict[Any, Any] = {**base, **ours}
    with matplotlib.rc_context(every):
        yield


def of_policies(run: Run) -> dict[str, PolicyStyle]:
    """Style of each policy of a run; names that isma does not know take the remaining ones."""
    chosen: dict[str, PolicyStyle] = {}
    spare = 0
    for policy in run.policies:
        if policy in run.references:
            chosen[policy] = _REFERENCE
        elif (known := policy.partition(":checkpoint=")[0]) in _KNOWN:
            chosen[policy] = _KNOWN[known]
        else:
            chosen[policy] = _OTHERS[spare % len(_OTHERS)]
            spare += 1
    return chosen


def of_policy(policy: str) -> PolicyStyle:
    """Style of one policy that isma knows; references share one."""
    return _KNOWN.get(policy, _REFERENCE)


def limit(means_s: Sequence[float]) -> float:
    """The mean past which a policy is shown at the edge instead of to scale; infinite for none."""
    sizes = sorted(means_s)
    cut = _FAR * sizes[0]
    return cut if sizes[-1] > cut and sizes[0] > 0 else float("inf")


def label_ends(
    axes: Axes, ends: Sequence[tuple[float, str, PolicyStyle]], gap: float = 0.0
) -> None:
    """Name lines at the right edge of `axes`, at the heights where they end, pushed apart.

    Call it when the limits of the axes are final; `gap` is the least distance as a part of the
    axes' height (0: what a line of type needs).
    """
    axes.get_ylim()  # settles limits that are still to be found from the data
    height_in = axes.get_figure().get_figheight() * axes.get_position().height  # type: ignore[union-attr]
    step = gap or 0.165 / max(height_in, 0.3)
    heights = [
        axes.transAxes.inverted().transform(axes.transData.transform((0, y)))[1] for y, _, _ in ends
    ]
    order = np.argsort(heights, kind="stable")
    spread = spread_apart(np.clip(np.array(heights)[order], 0, 1), step)
    for place, index in zip(spread, order, strict=True):
        start = float(np.clip(heights[index], 0, 1))
        _, text, drawing = ends[index]
        axes.plot(
            [1.005, 1.03, 1.045],
            [start, place, place],
            transform=axes.transAxes,
            color=drawing.colour,
            linewidth=1.0,
            linestyle=drawing.dashes,
            clip_on=False,
        )
        axes.annotate(text, (1.055, place), xycoords="axes fraction", va="center", fontsize=8.5)


def round_steps(count: int = 6) -> MaxNLocator:
    """Ticks at round numbers: steps of 1, 2 or 5."""
    return MaxNLocator(count, steps=[1, 2, 5, 10])


def title(axes: Axes, text: str, more: str = "") -> None:
    """Title of a panel, with a smaller line on how to read it or on its omissions."""
    axes.set_title(text, pad=21)
    axes.annotate(
        more,
        (0, 1),
        xytext=(0, 8),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        color=MUTED,
    )


def far(run: Run, point: Point) -> dict[str, float]:
    """The policies that are off the scale at a point, with their means."""
    means_s = {row.policy: row.mean_s for row in run.standing(point)}
    cut = limit(list(means_s.values()))
    return {policy: mean_s for policy, mean_s in means_s.items() if mean_s > cut}


def beyond(run: Run, far: dict[str, float]) -> str:
    """Which policies lie beyond an axis, and where; nothing if none does."""
    shown = formatting.names(run.policies)
    where = [f"{shown[p]} {formatting.duration(mean_s)}" for p, mean_s in far.items()]
    return f"off the scale: {', '.join(where)}" if where else ""


def spread_apart(heights: np.ndarray, step: float) -> np.ndarray:
    """Rising heights moved as little as needed to stand `step` apart."""
    if len(heights) == 0:
        return heights
    index = np.arange(len(heights))
    wanted = heights - step * index
    placed: list[list[float]] = []
    for value in wanted:
        placed.append([value, 1.0])
        while len(placed) > 1 and placed[-2][0] > placed[-1][0]:
            last, before = placed.pop(), placed.pop()
            count = last[1] + before[1]
            placed.append([(last[0] * last[1] + before[0] * before[1]) / count, count])
    flat = np.concatenate([np.full(int(count), value) for value, count in placed])
    return np.clip(flat, 0.0, max(0.0, 1.0 - step * index[-1])) + step * index
