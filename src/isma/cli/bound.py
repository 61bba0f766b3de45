"""`isma bound`: how good could anyone be here, and what would knowing the future be worth?"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from isma import api
from isma.cli.terminal import ScenarioArgument, SetOption, bar, named, overrides_of, seeds_of
from isma.errors import RunError
from isma.evaluation.bounding.run_bound import Reach, at_points, best_of, closed
from isma.policies.defaults import BESIDE_BOUND
from isma.world import files
from isma.world.vary import vary_from

_WIDTH = 120


def bound(
    scenario: ScenarioArgument,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N|A..B", help="worlds to bound", show_default="1"),
    ] = None,
    policies: Annotated[
        str | None,
        typer.Option(
            help="what to compare with, names separated by commas",
            show_default=", ".join(BESIDE_BOUND),
        ),
    ] = None,
    foresight: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS,...",
            help="also run references that see so far into the true future, as 0,30,60,180",
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=v1,v2,...", help="bound at several values of a field"),
    ] = None,
    set_: SetOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="folder for bounds.csv and figures; goes on where it stopped"),
    ] = None,
) -> None:
    """How good anyone could be here: a lower bound of the mean with the whole future known."""
    again = files.run_table(scenario) or {}
    varied = vary_from(vary) if vary else again.get("vary", {})
    loaded = files.load(scenario, overrides_of(set_), varied)
    names = named(policies, again, scenario) or list(BESIDE_BOUND)
    worlds = seeds_of(seeds) or again.get("seeds", [0])
    levels = _seconds(foresight)
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("laying out the city", total=None)
        found = api.bound(
            loaded,
            seeds=worlds,
            policies=names,
            vary=varied,
            foresight_s=levels,
            out=out,
            on_part=lambda part: shown.update(task, description=part),
        )
    groups = at_points(found)
    if len(groups) == 1:
        _print_worlds(loaded.name, found)
    else:
        _print_points(loaded.name, groups)
    if out is not None:
        print(out / "bounds.csv")


def _seconds(text: str | None) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise RunError(f"--foresight must be seconds separated by commas, got {text!r}") from None
    if any(not 0 <= value < float("inf") for value in found) or len(set(found)) < len(found):
        raise RunError(f"--foresight must be different times of 0 s or more, got {text!r}")
    return found


def _known(value_s: float) -> str:
    return "–" if math.isnan(value_s) else f"{value_s:.4g}"


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDTH)


def _table(title: str, heads: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="left" if head in ("by", "best") else "right", no_wrap=True)
    return table


def _print_worlds(title: str, found: list[Reach]) -> None:
    levels = list(found[0].foresight_mean_s)
    heads = ("seed", "bound s", "even tasks s", "reached s", "by", "gap", "took s")
    table = _table(title, [*heads, *(f"{level} s seen" for level in levels)])
    for row in found:
        table.add_row(
            str(row.seed),
            f"{row.bound_s:.4g}",
            _known(row.even_bound_s),
            f"{row.best_s:.4g}",
            row.best,
            f"{row.gap_ratio:+.2%}",
            _known(row.wall_s),
            *(f"{row.foresight_mean_s[level]:.4g}" for level in levels),
        )
    _console().print(table)
    mean_s, best_s = (
        float(np.mean([getattr(row, name) for row in found])) for name in ("bound_s", "best_s")
    )
    lines = [
        f"No policy's mean is below {mean_s:.4g} s; {best_s:.4g} s is reached, "
        f"{best_s / mean_s - 1:.2%} above."
    ]
    lines += [
        f"With {level} s of the future known, {closed(found, level):.0%} of the gap is closed."
        for level in levels
    ]
    for line in lines:
        _console().print(f"- {line}", markup=False, highlight=False)


def _print_points(title: str, groups: list[list[Reach]]) -> None:
    levels = list(groups[0][0].foresight_mean_s)
    fields = list(groups[0][0].point)
    heads = (*(field.rsplit(".", 1)[-1] for field in fields), "bound s", "best", "best s", "gap")
    table = _table(title, [*heads, *(f"{level} s closes" for level in levels)])
    for worlds in groups:
        best = best_of(worlds)
        bound_s = float(np.mean([world.bound_s for world in worlds]))
        best_s = float(np.mean([world.mean_s[best] for world in worlds]))
        table.add_row(
            *(f"{value}" for value in worlds[0].point.values()),
            f"{bound_s:.4g}",
            best,
            f"{best_s:.4g}",
            f"{best_s / bound_s - 1:+.1%}",
            *(f"{closed(worlds, level):+.0%}" for level in levels),
        )
    _console().print(table)
