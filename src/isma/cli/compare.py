"""`isma compare`: simulate, tabulate, draw, explain."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from isma import api
from isma.cli.terminal import (
    ScenarioArgument,
    SetOption,
    bar,
    named,
    overrides_of,
    seconds,
    seeds_of,
)
from isma.errors import RunError
from isma.evaluation.compare import Progress as Standing
from isma.evaluation.precision import widest
from isma.evaluation.tables import Point, Run
from isma.evaluation.until import MOST_SEEDS
from isma.evaluation.words import findings
from isma.policies import registry
from isma.world import files
from isma.world.scenario import Scenario
from isma.world.vary import Vary, vary_from


def compare(
    scenario: ScenarioArgument,
    policies: Annotated[
        str | None,
        typer.Option(
            help="names separated by commas, with options as threshold:hops=3, or package.module:Class",
            show_default=f"{', '.join(registry.DEFAULT)}; isma2 besides where moves cost",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N|A..B",
            help="worlds to run each policy in: how many, or which",
            show_default="5",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="add seeds until paired intervals are that narrow, as 0.5%, or "
            f"{MOST_SEEDS} are run",
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=v1,v2,...", help="run at several values of a field; at most twice"
        ),
    ] = None,
    set_: SetOption = None,
    p95_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="with --vary servers=...: how many keep 95 % of tasks within it, as '60 s'",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder to write; one with runs of this scenario is gone on with, and says what is "
            "not typed",
            show_default="runs/NAME-DIGEST",
        ),
    ] = None,
) -> None:
    """Simulate, tabulate, draw, explain: which policy serves this city's users best, and by how much."""
    source = scenario if out is None or files.run_table(scenario) else out / "config.toml"
    again = (files.run_table(source) if Path(source).is_file() else None) or {}
    varied = vary_from(vary) if vary else again.get("vary", {})
    loaded = files.load(scenario, overrides_of(set_), varied)
    names = named(policies, again, str(source)) or list(registry.default_for(loaded))
    worlds = seeds_of(seeds) or again.get("seeds", list(range(5)))
    limit_s = seconds(p95_limit, "--p95-limit") or again.get("p95_limit_s")
    _compare(loaded, names, worlds, varied, limit_s, out, _share(until))


def _share(text: str | None) -> float | None:
    """A share as typed: 0.5% or 0.005. Raises RunError."""
    form = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(%?)\s*", text or "")
    value = float(form[1]) / (100 if form[2] else 1) if form else 0.0
    if text is not None and not 0 < value < 1:
        raise RunError(f"--until must be a share between 0 and 1, as 0.5% or 0.005, got {text!r}")
    return value if text is not None else None


def _compare(
    loaded: Scenario,
    policies: list[str],
    seeds: list[int],
    vary: Vary,
    limit_s: float | None,
    out: Path | None,
    until: float | None,
) -> None:
    console = Console(stderr=True)
    last: Standing | None = None
    with bar(console) as shown:
        task = shown.add_task("laying out the city", total=None)

        def show(standing: Standing) -> None:
            nonlocal last
            last = standing
            shown.update(
                task,
                completed=standing.done_ticks,
                total=standing.total_ticks,
                description=standing.label,
            )

        run = api.compare(loaded, policies, seeds, vary, out, show, limit_s, until)
    if last is not None:
        console.print(f"cells: {last.computed} computed, {last.taken_up} taken up", highlight=False)
    if until is not None:
        rows = [row for point in run.points for row in run.ranked(point)]
        half, number = (widest(rows) or ("", 0.0))[1], len(run.config["run"]["seeds"])
        console.print(f"until {until:.2%}: {half:.2%} with {number} seeds", highlight=False)
    for point in run.points:
        _print_summary(run, point)
    out_console = Console(width=None if sys.stdout.isatty() else 100)
    for sentence in findings(run):
        out_console.print(f"- {sentence}", markup=False, highlight=False)
    out_console.print(
        f"\n{run.folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True
    )


def _print_summary(run: Run, point: Point) -> None:
    title = (
        ", ".join(f"{field} = {value}" for field, value in zip(run.vary, point, strict=True))
        or run.name
    )
    table = Table(title=title, title_justify="left")
    heads = (
        "policy",
        "mean s",
        "95 % interval",
        "above best",
        "p95 s",
        "moves/user/h",
        "overload",
        "above bound",
    )
    for head in heads:
        table.add_column(head, justify="left" if head == "policy" else "right", no_wrap=True)
    for row in run.standing(point):
        table.add_row(
            row.policy + (" (reference)" if row.reference else ""),
            f"{row.mean_s:.4g}",
            f"{row.mean_s_low:.4g} .. {row.mean_s_high:.4g}",
            f"{row.above_best_ratio:+.2%}",
            f"{row.p95_s:.4g}",
            f"{row.migrations_per_user_hour:.1f}",
            f"{row.overload_ratio:.1%}",
            f"{row.above_bound_ratio:+.2%}",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
