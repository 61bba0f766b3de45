"""`isma bound`: how good could anyone be here, and what would knowing the future be worth?"""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from isma import api
from isma.cli.completion import complete_policies
from isma.cli.output import (
    Column,
    JsonOption,
    QuietOption,
    print_json,
    print_lines,
    print_path,
    print_table,
)
from isma.cli.progress import bar
from isma.cli.terminal import (
    EngineOption,
    ScenarioArgument,
    SetOption,
    named,
    overrides_of,
    seeds_of,
)
from isma.errors import RunError
from isma.evaluation.bounding.run_bound import Reach, at_points, best_of, closed
from isma.policies.defaults import BOUND_POLICIES
from isma.world import files
from isma.world.vary import vary_from

SeedsOption = Annotated[
    str | None,
    typer.Option("--seeds", "-n", metavar="N|A..B", help="worlds to bound", show_default="1"),
]
PoliciesOption = Annotated[
    str | None,
    typer.Option(
        "--policies",
        "-p",
        autocompletion=complete_policies,
        help="what to compare with, names separated by commas",
        show_default=", ".join(BOUND_POLICIES),
    ),
]
ForesightOption = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS,...",
        help="also run references that see so far into the true future, as 0,30,60,180",
    ),
]
VaryOption = Annotated[
    list[str] | None,
    typer.Option(metavar="FIELD=v1,v2,...", help="bound at several values of a field"),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="folder for bounds.csv and figures; goes on where it stopped"),
]


def bound(
    scenario: ScenarioArgument,
    seeds: SeedsOption = None,
    policies: PoliciesOption = None,
    foresight: ForesightOption = None,
    vary: VaryOption = None,
    set_: SetOption = None,
    engine: EngineOption = "threads",
    out: OutOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """How good anyone could be here: a lower bound of the mean with the whole future known."""
    again = files.run_table(scenario) or {}
    varied = vary_from(vary) if vary else again.get("vary", {})
    loaded = files.load(scenario, overrides_of(set_), varied)
    names = named(policies, again, scenario) or list(BOUND_POLICIES)
    worlds = seeds_of(seeds) or again.get("seeds", [0])
    levels = _seconds(foresight)
    with bar(Console(stderr=True, quiet=quiet)) as shown:
        task = shown.add_task("laying out the city", total=None)
        found = api.bound(
            loaded,
            seeds=worlds,
            policies=names,
            vary=varied,
            foresight_s=levels,
            out=out,
            on_part=lambda part: shown.update(task, description=part),
            engine=engine,
        )
    if json:
        worlds_found = [
            {**asdict(row), "best": row.best, "gap_ratio": row.gap_ratio} for row in found
        ]
        print_json({"scenario": loaded.name, "worlds": worlds_found})
        return
    if not quiet or out is None:
        _print(loaded.name, at_points(found))
    if out is not None:
        print_path(out / "bounds.csv")


def _print(name: str, groups: list[list[Reach]]) -> None:
    if len(groups) == 1:
        _print_worlds(name, groups[0])
    else:
        _print_points(name, groups)


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


def _print_worlds(title: str, found: list[Reach]) -> None:
    levels = list(found[0].foresight_mean_s)
    columns = [
        Column("seed", [str(row.seed) for row in found]),
        Column("bound s", [f"{row.bound_s:.4g}" for row in found]),
        Column("even tasks s", [_known(row.even_bound_s) for row in found], 3),
        Column("reached s", [f"{row.best_s:.4g}" for row in found]),
        Column("by", [row.best for row in found], 1, is_text=True),
        Column("gap", [f"{row.gap_ratio:+.2%}" for row in found]),
        Column("took s", [_known(row.wall_s) for row in found], 4),
        *(
            Column(f"{level} s seen", [f"{row.foresight_mean_s[level]:.4g}" for row in found], 2)
            for level in levels
        ),
    ]
    print_table(title, columns)
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
    print_lines(lines)


def _print_points(title: str, groups: list[list[Reach]]) -> None:
    levels, fields = list(groups[0][0].foresight_mean_s), list(groups[0][0].point)
    best = [best_of(worlds) for worlds in groups]
    bound_s = [float(np.mean([world.bound_s for world in worlds])) for worlds in groups]
    best_s = [
        float(np.mean([world.mean_s[name] for world in worlds]))
        for worlds, name in zip(groups, best, strict=True)
    ]
    gaps = [reached / least - 1 for reached, least in zip(best_s, bound_s, strict=True)]
    columns = [
        *(
            Column(field.rsplit(".", 1)[-1], [f"{worlds[0].point[field]}" for worlds in groups])
            for field in fields
        ),
        Column("bound s", [f"{value:.4g}" for value in bound_s]),
        Column("best", best, 1, is_text=True),
        Column("best s", [f"{value:.4g}" for value in best_s]),
        Column("gap", [f"{value:+.1%}" for value in gaps]),
        *(
            Column(f"{level} s closes", [f"{closed(worlds, level):+.0%}" for worlds in groups], 2)
            for level in levels
        ),
    ]
    print_table(title, columns)
