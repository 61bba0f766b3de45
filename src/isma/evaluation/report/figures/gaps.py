"""Gap to the bound over two varied fields, and the part that foresight closes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from isma.evaluation.bounding.run_bound import Reach, at_points, closed
from isma.evaluation.report import formatting
from isma.evaluation.report.figures import phase, style
from isma.evaluation.report.figures.drawing import Drawing, Figure, blank, save

_MOST_LEVELS = 4
_HIGH_GAP = 0.4


def write(reaches: Sequence[Reach], folder: Path) -> Figure | None:
    """Write gaps.svg and gaps.png; None unless two fields vary. Raises RunError."""
    groups = at_points(reaches)
    fields = list(groups[0][0].point)
    if len(fields) != 2:
        return None
    varied = [list(dict.fromkeys(group[0].point[field] for group in groups)) for field in fields]
    axes_of = [formatting.axis(field, values) for field, values in zip(fields, varied, strict=True)]
    levels = list(groups[0][0].foresight_mean_s)[:_MOST_LEVELS]
    with style.theme():
        canvas = blank(min(1.5 + 0.55 * len(varied[1]), 8.0))
        panels = canvas.subplots(
            1, 1 + len(levels), sharey=True, squeeze=False, width_ratios=[2] + [1] * len(levels)
        )[0]
        place = lambda group: tuple(  # noqa: E731
            values.index(group[0].point[field])
            for values, field in zip(varied, fields, strict=True)
        )
        for group in groups:
            means_s = sorted(
                (_mean(group, lambda world, name=name: world.mean_s[name]), name)
                for name in group[0].mean_s
            )
            best_s, best = means_s[0]
            gap = _mean(group, lambda world, best=best: world.mean_s[best] / world.bound_s - 1)
            lines = [formatting.name(best), f"gap {formatting.percent(gap)}"]
            if len(means_s) > 1:
                lines.append(f"lead {formatting.percent(means_s[1][0] / best_s - 1)}")
            label = "\n".join(lines)
            _square(panels[0], place(group), gap / _HIGH_GAP, label, style.ORANGE)
            for axes, level in zip(panels[1:], levels, strict=True):
                part = closed(group, level)
                colour = style.PURPLE if part > 0 else style.RULE
                _square(
                    axes, place(group), abs(part), f"{100 * part:+.0f}".replace("-", "−"), colour
                )
        style.title(panels[0], "The best rule", "its gap to the bound, its lead over the next rule")
        for axes, level in zip(panels[1:], levels, strict=True):
            style.title(axes, f"{level} s seen", "closes % of that gap")
        for axes in panels:
            phase.frame(axes, axes_of)
            axes.tick_params(labelsize=7.5)
        panels[0].set_ylabel(axes_of[1].label)
        text = (
            "Left: the policy with the least mean and its distance from a lower bound that nobody can "
            "beat. Right: what references close of it that know where users will be for so long."
        )
        return save(Drawing("gaps", "How good could anyone be where?", text, canvas), folder)


def _mean(group: Sequence[Reach], value: Callable[[Reach], float]) -> float:
    return float(np.mean([value(world) for world in group]))


def _square(axes: Axes, at: tuple[int, ...], depth: float, text: str, colour: str) -> None:
    alpha = float(0.06 + 0.6 * np.clip(depth, 0, 1))
    axes.add_patch(Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, facecolor=colour, alpha=alpha))
    axes.text(at[0], at[1], text, ha="center", va="center", fontsize=7.5, linespacing=1.3)
