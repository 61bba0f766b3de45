"""A training's metrics against its updates: delays, and the skill of its forecasts."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, Figure, blank, save

_PANELS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (
        "On worlds never trained on",
        "R² of users' rewards, one step ahead",
        {
            "plan_user_r2": "its own plans",
            "random_user_r2": "random actions",
            "plan_known_user_r2": "plans, by equations (1)-(6)",
        },
    ),
    ("Delay of its plans", "mean completion time (s), no noise", {"plan_mean_s": "plans"}),
    ("Reward", "mean while collecting", {"planned_reward": "planned, with noise"}),
    (
        "What was got",
        "mean completion time (s)",
        {"explored_mean_s": "while exploring", "greedy_mean_s": "without exploring"},
    ),
    (
        "Negative log-likelihood",
        "nats, of all that is foretold",
        {"test_loss": "worlds never trained on", "loss": "trained on"},
    ),
    (
        "On worlds never trained on",
        "nats",
        {"test_way_nats": "hops to a server", "test_leaves_nats": "hand-over"},
    ),
    ("Loss", "", {"loss": "loss"}),
)
"""Title, unit, and the metrics of a panel; one is drawn if its first metric is there."""
_MOST = 3


def draw(model: str, history: Sequence[Mapping[str, float]], folder: Path) -> Figure:
    """Write curve.svg and curve.png. Raises RunError."""
    there = set(history[-1])
    # A later panel repeats nothing of an earlier one.
    shown: list[tuple[str, str, Mapping[str, str]]] = []
    for panel in _PANELS:
        drawn = {name for _, _, names in shown for name in names}
        first = next(iter(panel[2]))
        if first in there and first not in drawn:
            shown.append(panel)
    shown = shown[:_MOST]
    with style.theme():
        canvas = blank(3.4)
        axes_of = canvas.subplots(1, len(shown), squeeze=False)[0]
        for axes, (title, unit, names) in zip(axes_of, shown, strict=True):
            style.title(axes, title, unit)
            _lines(axes, names, history)
        caption = f"{model}: {int(history[-1]['step']):,} updates in {len(history)} rounds"
        canvas.suptitle(caption, fontsize=8.5, color=style.MUTED, x=0.01, ha="left")
        return save(Drawing("curve", f"Training of {model}", caption, canvas), folder)


def _lines(axes: Axes, names: Mapping[str, str], history: Sequence[Mapping[str, float]]) -> None:
    strokes = (
        (style.PURPLE, style.SOLID, "o"),
        (style.ORANGE, style.DASHED, "s"),
        (style.MUTED, style.DASHED, "^"),
    )
    for (name, label), (colour, dashes, marker) in zip(names.items(), strokes, strict=False):
        rows = [row for row in history if name in row and math.isfinite(row[name])]
        if rows:
            axes.plot(
                [row["step"] for row in rows],
                [row[name] for row in rows],
                **{"color": colour, "linestyle": dashes, "marker": marker, "markersize": 3},
                label=label,
            )
    axes.set_xlabel("updates")
    axes.grid(axis="y")
    axes.margins(x=0.03)
    if len(names) > 1:
        axes.legend(frameon=False, fontsize=8.5)
