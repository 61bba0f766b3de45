"""Two varied fields: which policy wins where, and by how much."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from isma.evaluation.comparison.tables import Point, Run
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, blank

_RULE = "nearest"


@dataclass(frozen=True)
class PhaseCell:
    """Winner at a point, and how far the others are."""

    winner: str
    lead: float
    """Of the runner-up over the winner, as a ratio; NaN without one."""
    certain: bool
    """Whether the lead is more than chance."""
    nearest: float
    """Cost of following the radio over the winner, as a ratio; NaN where it was not run."""


def draw(run: Run) -> Drawing | None:
    """The phase diagram of a run with two varied fields, with the cost of `nearest`."""
    if len(run.vary) != 2:
        return None
    cells = {point: cell(run, point) for point in run.points}
    cells = {point: each for point, each in cells.items() if each is not None}
    if not cells:
        return None
    levels = [run.levels(field) for field in run.vary]
    axes_of = [
        formatting.axis(field, values) for field, values in zip(run.vary, levels, strict=True)
    ]
    with_rule = any(math.isfinite(each.nearest) and each.nearest > 0 for each in cells.values())
    canvas = blank(min(1.9 + 0.55 * len(levels[1]), 8.0))
    panels = canvas.subplots(1, 2 if with_rule else 1, sharey=True, squeeze=False)[0]
    wide = len(levels[0]) * (2 if with_rule else 1)
    for point, each in cells.items():
        at = levels[0].index(point[0]), levels[1].index(point[1])
        _winner(run, panels[0], at, each, wide)
        if with_rule:
            _cost(panels[1], at, each, wide, _most(cells))
    for axes in panels:
        frame(axes, axes_of)
    panels[0].set_ylabel(axes_of[1].label)
    style.title(panels[0], "Which policy wins", "and how much longer the next one takes")
    if with_rule:
        style.title(panels[1], f"What {_RULE} costs", "over the winner of the cell")
    canvas.legend(
        handles=_key(run, cells), loc="outside lower center", ncols=6, frameon=False, fontsize=8.5
    )
    text = (
        f"Each cell is one setting of {run.vary[0]} and {run.vary[1]}. Left: the policy with the "
        "lowest mean (references apart) and how much longer the runner-up takes; a hatched cell is "
        "not won by more than chance (the paired 95 % interval holds zero, or there is none)."
    )
    if with_rule:
        text += f" Right: how much longer the rule {_RULE} takes than the winner there."
    return Drawing("phase", "Which policy wins where", text, canvas)


def cell(run: Run, point: Point) -> PhaseCell | None:
    """Winner at a point; None where only references were run."""
    ranked = run.ranked(point)
    if not ranked:
        return None
    nearest = next((row.above_best_ratio for row in ranked if row.policy == _RULE), math.nan)
    if len(ranked) < 2:
        return PhaseCell(ranked[0].policy, math.nan, False, nearest)
    lead = ranked[1].above_best
    return PhaseCell(ranked[0].policy, lead.ratio, lead.certain, nearest)


def _most(cells: dict[Point, PhaseCell]) -> float:
    return max(each.nearest for each in cells.values() if math.isfinite(each.nearest)) or 1.0


def _winner(run: Run, axes: Axes, at: tuple[int, int], shown: PhaseCell, wide: int) -> None:
    drawing = style.of_policies(run)[shown.winner]
    square = Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, facecolor=drawing.colour, alpha=0.32)
    axes.add_patch(square)
    if not shown.certain:
        hatch = Rectangle(
            (at[0] - 0.5, at[1] - 0.5), 1, 1, facecolor="none", hatch="///", linewidth=0
        )
        hatch.set_edgecolor(style.PAPER)
        axes.add_patch(hatch)
    label = formatting.names(run.policies)[shown.winner]
    room = max(4, 160 // max(wide, 1))
    label = label if len(label) <= room else f"{label[: room - 1]}…"
    lead = formatting.percent(shown.lead, signed=True) if math.isfinite(shown.lead) else ""
    _write(axes, at, f"{label}\n{lead}".strip(), wide)


def _cost(axes: Axes, at: tuple[int, int], shown: PhaseCell, wide: int, most: float) -> None:
    if not math.isfinite(shown.nearest):
        return
    depth = 0.05 + 0.6 * max(shown.nearest, 0.0) / most
    axes.add_patch(Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, facecolor=style.ORANGE, alpha=depth))
    _write(axes, at, formatting.percent(shown.nearest, signed=True), wide)


def _write(axes: Axes, at: tuple[int, int], text: str, wide: int) -> None:
    size = float(np.clip(13 - 0.45 * wide, 5.5, 9.0))
    axes.text(at[0], at[1], text, ha="center", va="center", fontsize=size, linespacing=1.35)


def frame(axes: Axes, axes_of: list[formatting.Axis]) -> None:
    """Axes for squares, one for each setting of two fields."""
    across, up = axes_of
    axes.set_xticks(range(len(across.ticks)), across.ticks)
    axes.set_yticks(range(len(up.ticks)), up.ticks)
    axes.set_xlim(-0.5, len(across.ticks) - 0.5)
    axes.set_ylim(-0.5, len(up.ticks) - 0.5)
    axes.set_xlabel(across.label)
    axes.tick_params(length=0)
    for line in range(1, len(across.ticks)):
        axes.axvline(line - 0.5, color=style.PAPER, linewidth=2)
    for line in range(1, len(up.ticks)):
        axes.axhline(line - 0.5, color=style.PAPER, linewidth=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _key(run: Run, cells: dict[Point, PhaseCell]) -> list[Patch]:
    styles, shown = style.of_policies(run), formatting.names(run.policies)
    winners = [p for p in run.policies if any(each.winner == p for each in cells.values())]
    key = [Patch(facecolor=styles[p].colour, alpha=0.45, label=shown[p]) for p in winners]
    if any(not each.certain for each in cells.values()):
        chance = Patch(facecolor=style.RULE, hatch="///", label="not more than chance")
        chance.set_edgecolor(style.PAPER)
        key.append(chance)
    return key
