"""`isma report`: a finished run's table, findings and report, without running anything."""

from pathlib import Path
from typing import Annotated

import typer

from isma.cli.output import JsonOption, QuietOption


def report(
    run: Annotated[Path, typer.Argument(help="folder of a run that isma compare wrote")],
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Print a finished run again, and draw its report anew from its tables; nothing is simulated."""
    from isma.cli.comparison import print_run
    from isma.evaluation.comparison.tables import Run
    from isma.evaluation.report import page

    page.write(run)
    print_run(Run.load(run), quiet, json)
