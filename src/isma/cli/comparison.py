"""A comparison on the terminal: a bar while it runs, a table for each point, the findings."""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from isma import api
from isma.cli.terminal import bar
from isma.evaluation.comparison.compare import CompareProgress as Standing
from isma.evaluation.comparison.precision import widest
from isma.evaluation.comparison.tables import Point, Run
from isma.evaluation.report.findings import findings
from isma.world.scenario import Scenario
from isma.world.vary import Vary


def run_and_print(
    loaded: Scenario,
    policies: list[str],
    seeds: list[int],
    vary: Vary,
    limit_s: float | None,
    out: Path | None,
    until: float | None,
) -> None:
    """Compare, then print what came of it. Raises IsmaError."""
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
        told = f"{last.computed} computed, {last.taken_up} reused"
        console.print(f"results (a policy in a world): {told}", highlight=False)
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
