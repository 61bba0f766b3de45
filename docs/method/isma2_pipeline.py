"""Draw the pipeline of one decision of `isma2`: `python docs/method/isma2_pipeline.py`."""

from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

KINDS = {"input": "#e8eef7", "learned": "#fde9d0", "computed": "#e6f2e3", "output": "#f3e3ee"}
WIDTH, HEIGHT = 3.0, 1.2


class Box(NamedTuple):
    """Step of the pipeline, at a column and a row."""

    column: float
    row: float
    kind: str
    title: str
    text: str


BOXES = {
    "observation": Box(
        0,
        2.75,
        "input",
        "Observation of a server",
        "its own users: task, channel,\nstation, downtime left",
    ),
    "broadcast": Box(
        0, 0.75, "input", "Broadcasts received", "of each other server:\nprice λ, load, age"
    ),
    "forecast": Box(
        1,
        3.5,
        "learned",
        "Mobility forecast",
        "recurrent network: hops and\nchannel, 2 to 126 s ahead",
    ),
    "dwell": Box(
        1, 2.0, "computed", "Dwell-time estimate", "from hand-overs and\nmigrations counted"
    ),
    "history": Box(
        1, 0.5, "computed", "Price forecast", "mean reversion of √λ to each\nserver's long-run mean"
    ),
    "stage": Box(
        2, 3.5, "computed", "Stage cost J", "marginal delay of a task,\neach segment, 16 servers"
    ),
    "terminal": Box(
        2, 2.0, "computed", "Terminal cost", "delay beyond 126 s,\nover one dwell time"
    ),
    "downtime": Box(
        2, 0.5, "computed", "Downtime cost C", "waiting, or local execution\nwhere that is sooner"
    ),
    "plan": Box(
        3, 2.75, "computed", "Shortest path", "dynamic programming over\nservers × segments: Q"
    ),
    "search": Box(
        3, 0.75, "computed", "Search", "best user first, at most 4;\nmargin, random tie-break"
    ),
    "action": Box(4, 0.75, "output", "Action", "server, offload ratio,\nCPU share of each user"),
    "price": Box(4, 2.75, "output", "Own price λ", "broadcast to the\nother servers"),
}
ARROWS = [
    ("observation", "forecast"),
    ("observation", "dwell"),
    ("broadcast", "forecast"),
    ("broadcast", "history"),
    ("dwell", "history"),
    ("forecast", "stage"),
    ("history", "stage"),
    ("dwell", "terminal"),
    ("forecast", "terminal"),
    ("history", "terminal"),
    ("forecast", "downtime"),
    ("history", "downtime"),
    ("stage", "plan"),
    ("terminal", "plan"),
    ("downtime", "plan"),
    ("plan", "search"),
    ("search", "action"),
    ("search", "price"),
]


def corner(box: Box) -> tuple[float, float]:
    """Lower left corner of a box."""
    return 3.9 * box.column, box.row * 1.25


def draw(axes: Axes) -> None:
    """All boxes, and an arrow for each thing that one gives to another."""
    for start, end in ARROWS:
        (x0, y0), (x1, y1) = corner(BOXES[start]), corner(BOXES[end])
        down = BOXES[start].column == BOXES[end].column
        tail = (
            (x0 + WIDTH / 2, y0 if y0 > y1 else y0 + HEIGHT)
            if down
            else (x0 + WIDTH, y0 + HEIGHT / 2)
        )
        head = (x1 + WIDTH / 2, y1 + HEIGHT if y0 > y1 else y1) if down else (x1, y1 + HEIGHT / 2)
        style = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": 0, "shrinkB": 1, "lw": 1}
        axes.annotate("", head, tail, arrowprops=style)
    for box in BOXES.values():
        x, y = corner(box)
        rounded = FancyBboxPatch(
            (x, y),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=KINDS[box.kind],
            edgecolor="#444444",
            linewidth=0.9,
            zorder=3,
        )
        axes.add_patch(rounded)
        middle = x + WIDTH / 2
        axes.text(
            middle, y + 0.92, box.title, ha="center", va="center", weight="bold", size=9, zorder=4
        )
        axes.text(middle, y + 0.4, box.text, ha="center", va="center", size=7.6, zorder=4)


def legend(axes: Axes) -> None:
    """Colours by kind of step."""
    for number, (kind, colour) in enumerate(KINDS.items()):
        x = 3.9 * number + 1.2
        axes.add_patch(
            FancyBboxPatch(
                (x, -0.1),
                0.35,
                0.3,
                boxstyle="square,pad=0",
                facecolor=colour,
                edgecolor="#444444",
                linewidth=0.8,
            )
        )
        axes.text(x + 0.5, 0.05, kind, ha="left", va="center", size=8)


def main() -> None:
    """Write the figure beside this file."""
    mpl.rcParams |= {"svg.hashsalt": "isma", "font.family": "DejaVu Sans"}
    figure, axes = plt.subplots(figsize=(12.2, 4.0))
    draw(axes)
    legend(axes)
    axes.set(xlim=(-0.1, 18.7), ylim=(-0.2, 5.75))
    axes.axis("off")
    figure.tight_layout(pad=0.2)
    figure.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
