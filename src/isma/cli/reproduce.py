"""`isma reproduce`: the paper's figures and claims."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from isma import api
from isma.cli.terminal import bar
from isma.evaluation.report.formatting import percent
from isma.reproduction.page import measured_as
from isma.reproduction.result import Result
from isma.reproduction.run import FIGURES, Progress
from isma.reproduction.scale import SCALES

_STUDIES = {"budgets": api.budgets, "planner": api.planner}
"""Studies of the planner's search beside the paper's figures."""


def reproduce(
    figure: Annotated[str, typer.Argument(help=", ".join([*FIGURES, "all", *_STUDIES]))],
    scale: Annotated[str, typer.Option(help=", ".join(SCALES))] = "smoke",
    scenario: Annotated[str, typer.Option(help="what the figures vary")] = "paper",
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder to write", show_default="runs/reproduce-SCALE or runs/STUDY-SCALE"
        ),
    ] = None,
) -> None:
    """Run the paper's figures again and judge its claims. Interrupted, the same command goes on."""
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("laying out worlds", total=None)

        def show(standing: Progress) -> None:
            shown.update(
                task, completed=standing.done, total=standing.total, description=standing.label
            )

        if figure in _STUDIES:
            folder, found = _STUDIES[figure](scale, out, show)
            shown.stop()
            typer.echo(f"{found.to_string(index=False)}\n{folder / figure}.png")
            return
        folder, results = api.reproduce(figure, scale, out, show, scenario)
    for result in results:
        _print(result)
    typer.echo(f"{folder / 'claims.csv'}\n{folder / 'reproduction.html'}")


def _print(result: Result) -> None:
    table = Table(title=f"{result.figure.name}: {result.figure.title}", title_justify="left")
    for head in ("claim", "measured with", "paper", "measured", "95 % interval", "verdict"):
        table.add_column(head)
    for found in result.findings:
        span = f"{percent(found.low)} to {percent(found.high)}"
        judged = (found.paper, percent(found.measured), span, str(found.verdict))
        table.add_row(found.claim, measured_as(found), *judged)
    Console(width=None).print(table)
