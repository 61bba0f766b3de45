"""`isma reproduce`: the paper's figures and claims."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isma import api
from isma.cli.output import Column, JsonOption, QuietOption, print_json, print_table
from isma.cli.progress import bar
from isma.errors import RunError
from isma.evaluation.report.formatting import percent
from isma.reproduction.page import measured_as
from isma.reproduction.result import Result
from isma.reproduction.run import FIGURES, Progress
from isma.reproduction.scale import SCALES

_STUDIES = {"budgets": api.budgets, "planner": api.planner}
"""Studies of the planner's search, in addition to the paper's figures."""


def reproduce(
    figure: Annotated[str, typer.Argument(help=", ".join([*FIGURES, "all", *_STUDIES]))],
    scale: Annotated[str, typer.Option(help=", ".join(SCALES))] = "smoke",
    scenario: Annotated[str, typer.Option(help="what the figures vary")] = "paper",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="folder to write",
            show_default="runs/reproduce-SCALE or runs/STUDY-SCALE",
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="models that a reproduction of that scale has trained, as its folder models/",
            show_default="train them",
        ),
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Run the paper's figures again and judge its claims. Interrupted, the same command goes on."""
    with bar(Console(stderr=True, quiet=quiet)) as shown:
        task = shown.add_task("laying out worlds", total=None)

        def show(standing: Progress) -> None:
            shown.update(
                task, completed=standing.done, total=standing.total, description=standing.label
            )

        if figure in _STUDIES:
            if models is not None:
                raise RunError(f"--models is for figures, and {figure} takes the models of isma")
            folder, found = _STUDIES[figure](scale, out, show)
            shown.stop()
            if json:
                print_json({"study": figure, "rows": found.to_dict("records")})
                return
            table_text = "" if quiet else f"{found.to_string(index=False)}\n"
            typer.echo(f"{table_text}{folder / figure}.png")
            return
        folder, results = api.reproduce(figure, scale, out, show, scenario, models)
    if json:
        print_json({"folder": folder, "figures": [_tree(result) for result in results]})
        return
    for result in [] if quiet else results:
        _print(result)
    typer.echo(f"{folder / 'claims.csv'}\n{folder / 'reproduction.html'}")


def _tree(result: Result) -> dict[str, object]:
    claims = [asdict(found) for found in result.findings]
    return {"figure": result.figure.name, "title": result.figure.title, "claims": claims}


def _print(result: Result) -> None:
    found = result.findings
    spans = [f"{percent(one.low)} to {percent(one.high)}" for one in found]
    columns = [
        Column("claim", [one.claim for one in found], is_text=True),
        Column("measured with", [measured_as(one) for one in found], 2, is_text=True),
        Column("paper", [one.paper for one in found], 1, is_text=True),
        Column("measured", [percent(one.measured) for one in found]),
        Column("95 % interval", spans, 3),
        Column("verdict", [str(one.verdict) for one in found], is_text=True),
    ]
    print_table(f"{result.figure.name}: {result.figure.title}", columns, "claims.csv")
