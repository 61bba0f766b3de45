"""EdgeBus's cabs: moves and distance of the committed schedulers, and of our policies at prices of a move."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmarks.published.checkout import commit_of
from benchmarks.published.edgebus_policy import foresight, placement
from benchmarks.published.edgebus_trace import (
    REPOSITORY,
    Cabs,
    Outcome,
    cabs_of,
    outcome,
    published,
)
from isma.storage import write_atomically

POLICIES = "break-even,isma2"
PRICES = "0.2,0.4,0.6,1"
"""Of a move, in the unit of the published distances, in which a mean link has 0.019."""


@dataclass(frozen=True)
class Point:
    """Outcome of a policy at a price of a move; None where it knows none."""

    policy: str
    price: float | None
    moves: float
    distance: float


@dataclass(frozen=True)
class Result:
    """Everything that the command tells."""

    repository: str
    commit: str
    trace: int
    steps: int
    users: int
    published: list[Point]
    """Of the committed run, which is of trace 0."""
    ours: list[Point]


def measure(
    source: Path,
    trace: int,
    policies: Sequence[str],
    prices: Sequence[float],
    on_part: Callable[[str], None] = lambda label: None,
) -> Result:
    """Outcomes of all schedulers. Raises IsmaError."""
    on_part("reading the trace")
    cabs = cabs_of(source, trace)
    steps, users = cabs.station.shape
    theirs = [_point(one, None) for one in published(source)] if trace == 0 else []
    return Result(
        *(REPOSITORY, commit_of(source), trace, steps, users, theirs),
        list(points(cabs, policies, prices, on_part)),
    )


def points(
    cabs: Cabs,
    policies: Sequence[str],
    prices: Sequence[float],
    on_part: Callable[[str], None] = lambda label: None,
) -> Iterator[Point]:
    """Points of what knows no price, of our policies, and of a plan that knows the trace beforehand."""
    stays = np.repeat(cabs.first[None], len(cabs.station), axis=0)
    yield _point(outcome("never", cabs, stays), None)
    yield _point(outcome("nearest", cabs, placement(cabs, "nearest", 1.0)), None)
    for name in policies:
        for price in prices:
            on_part(f"{name} at {price:g}")
            yield _point(outcome(name, cabs, placement(cabs, name, price)), price)
    for price in prices:
        yield _point(foresight(cabs, price), price)


def as_json(result: Result) -> str:
    """Everything as JSON."""
    return json.dumps(asdict(result), indent=2)


def as_text(result: Result) -> str:
    """All points as a table."""
    lines = [
        f"{result.repository} @ {result.commit}, trace {result.trace}: {result.users} users, "
        f"{result.steps:,} steps",
        f"{'':<26}{'price of a move':>16}{'moves a step':>14}{'distance':>10}",
    ]
    for whose, some in (("published", result.published), ("here", result.ours)):
        for one in some:
            price = "" if one.price is None else f"{one.price:g}"
            name = f"{one.policy} ({whose})"
            lines.append(f"{name:<26}{price:>16}{one.moves:>14.3f}{one.distance:>10.3f}")
    return "\n".join(lines)


def draw(result: Result, out: Path, kind: str) -> None:
    """Draw distance against moves and write the file (PNG or SVG)."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = canvas.subplots()
    names = [one.policy for one in result.ours if one.price is not None]
    colours = ("#0b4f85", "#b8430a", "#2f7d63", "#6b4f9e", "#555555")
    for number, name in enumerate(dict.fromkeys(names)):
        curve = [one for one in result.ours if one.policy == name]
        moves, distance = [one.moves for one in curve], [one.distance for one in curve]
        style = ":" if name == "foresight" else "-"
        label = "trace known beforehand" if name == "foresight" else name
        colour = "#888888" if name == "foresight" else colours[number % len(colours)]
        axes.plot(moves, distance, style, marker="o", markersize=4, color=colour, label=label)
    single = [one for one in result.ours if one.price is None]
    for some, marker, colour, label, below in (
        (result.published, "X", "#a31621", "published", 4),
        (single, "s", "#222222", "without a price", -12),
    ):
        moves, distance = [one.moves for one in some], [one.distance for one in some]
        axes.plot(moves, distance, marker, color=colour, markersize=6, label=label)
        for one in some:
            place = one.moves, one.distance
            near = (6, below)
            axes.annotate(one.policy, place, xytext=near, textcoords="offset points", fontsize=8)
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set(
        xlabel=f"moves a step, of {result.users} services", ylabel="distance, summed over users"
    )
    axes.set(xlim=(-0.01, 3.0 * result.users), ylim=(0, None))
    axes.grid(linewidth=0.4, alpha=0.6)
    axes.legend(frameon=False, fontsize=8)
    buffer = BytesIO()
    canvas.savefig(buffer, format=kind, dpi=150)
    write_atomically(out, buffer.getvalue())


def _point(one: Outcome, price: float | None) -> Point:
    return Point(one.name, price, one.moves, one.distance)
