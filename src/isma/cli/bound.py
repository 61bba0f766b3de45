"""`isma bound`: how good could anyone be here?"""

import sys
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from isma import api
from isma.cli.terminal import ScenarioArgument, SetOption, bar, overrides_of
from isma.errors import RunError
from isma.evaluation.whole_run import FEASIBLE, Reach
from isma.world import files


def bound(
    scenario: ScenarioArgument,
    seeds: Annotated[int, typer.Option(help="worlds to bound")] = 1,
    policies: Annotated[
        str, typer.Option(help="what to compare with: names separated by commas")
    ] = ",".join(FEASIBLE),
    set_: SetOption = None,
) -> None:
    """How good anyone could be here: a lower bound of the mean with the whole future known."""
    if seeds < 1:
        raise RunError(f"--seeds must be at least 1, got {seeds}")
    loaded = files.load(scenario, overrides_of(set_))
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("laying out the city", total=None)
        names = [name.strip() for name in policies.split(",")]
        found = api.bound(loaded, seeds, names, lambda part: shown.update(task, description=part))
    _print(loaded.name, found)


def _print(title: str, found: list[Reach]) -> None:
    table = Table(title=title, title_justify="left")
    for head in ("seed", "bound s", "even tasks s", "reached s", "by", "gap", "took s"):
        table.add_column(head, justify="left" if head == "by" else "right", no_wrap=True)
    for row in found:
        table.add_row(
            *(str(row.seed), f"{row.bound_s:.4g}", f"{row.even_bound_s:.4g}"),
            *(f"{row.best_s:.4g}", row.best, f"{row.gap_ratio:+.2%}", f"{row.wall_s:.0f}"),
        )
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    mean_s, best_s = (
        float(np.mean([getattr(row, name) for row in found])) for name in ("bound_s", "best_s")
    )
    console.print(
        f"- No policy's mean is below {mean_s:.4g} s; {best_s:.4g} s is reached, "
        f"{best_s / mean_s - 1:.2%} above.",
        markup=False,
        highlight=False,
    )
