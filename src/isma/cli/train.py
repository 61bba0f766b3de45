"""`isma train`: a learned policy's model, from simulated experience."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isma import api
from isma.cli.output import JsonOption, QuietOption, print_json
from isma.cli.progress import bar
from isma.cli.terminal import SetOption, options_of, overrides_of
from isma.training import models
from isma.training.session import Progress
from isma.world import files
from isma.world.vary import vary_from


def train(
    model: Annotated[str, typer.Argument(help=", ".join(models.NAMES))],
    scenario: Annotated[
        str, typer.Option(help="worlds to learn in: presets or TOML files, separated by commas")
    ] = "paper",
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=v1,v2,...", help="spread the worlds over a field's values"),
    ] = None,
    set_: SetOption = None,
    steps: Annotated[
        int | None, typer.Option(help="updates in all, in whole rounds", show_default="the model's")
    ] = None,
    seed: Annotated[int, typer.Option(help="decides all that is random")] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="an option of the model, as cells=1 or separate=true"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="folder to write", show_default="runs/MODEL-DIGEST"),
    ] = None,
    describe: Annotated[
        bool, typer.Option(help="print the layers beside the paper's Table I, and train nothing")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Train a model by simulation. Interrupted or killed, the same command goes on exactly there."""
    changed = overrides_of(set_)
    varied = vary_from(vary or [])
    loaded = [files.load(name.strip(), changed, varied) for name in scenario.split(",")]
    options = options_of(option)
    if describe:
        typer.echo(models.description(model, loaded[0], options))
        return
    with bar(Console(stderr=True, quiet=quiet)) as shown:
        task = shown.add_task("laying out worlds", total=None)

        def show(standing: Progress) -> None:
            shown.update(
                task,
                completed=standing.done_steps,
                total=standing.total_steps,
                description=f"{model}, {standing.label}",
            )

        trained = api.train(model, loaded, varied, steps, seed, options, out, show)
    if json:
        print_json(asdict(trained))
        return
    for line in [] if quiet else trained.lines:
        typer.echo(line)
    typer.echo(f"wrote {trained.checkpoint}\nwrote {trained.curve}")
