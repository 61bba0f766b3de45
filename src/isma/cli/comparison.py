"""A comparison on the terminal: progress while it runs, a table for each point, the findings."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console

from isma import api
from isma.cli.output import Column, print_json, print_lines, print_path, print_table
from isma.cli.progress import bar
from isma.evaluation.comparison.compare import CompareProgress as Standing
from isma.evaluation.comparison.precision import widest
from isma.evaluation.comparison.score import Score
from isma.evaluation.comparison.tables import REPLAY_PAGE, Point, Run, numbers
from isma.evaluation.report import formatting
from isma.evaluation.report.findings import findings
from isma.world.scenario import Scenario
from isma.world.vary import Vary

REFERENCE = "*"
"""Mark of a reference, which cannot be run in practice."""


def run_and_print(
    loaded: Scenario,
    policies: list[str],
    seeds: list[int],
    vary: Vary,
    limit_s: float | None,
    out: Path | None,
    until: float | None,
    quiet: bool,
    as_json: bool,
    workers: int | None = None,
    engine: str = "threads",
) -> None:
    """Compare, then print the results. Raises IsmaError."""
    console = Console(stderr=True, quiet=quiet)
    with _progress(console) as show:
        run = api.compare(
            loaded,
            policies,
            seeds,
            vary,
            out,
            show,
            limit_s,
            until,
            command=typed_command(),
            workers=workers,
            engine=engine,
        )
    if until is not None:
        rows = [row for point in run.points for row in run.ranked(point)]
        half, number = (widest(rows) or ("", 0.0))[1], len(run.config["run"]["seeds"])
        console.print(f"until {until:.2%}: {half:.2%} with {number} seeds", highlight=False)
    print_run(run, quiet, as_json)


def shard_and_print(
    loaded: Scenario,
    policies: list[str],
    seeds: list[int],
    vary: Vary,
    limit_s: float | None,
    out: Path | None,
    shard: str,
    quiet: bool,
    as_json: bool,
    workers: int | None = None,
) -> None:
    """Compute a shard, then print where it is. Raises IsmaError."""
    console = Console(stderr=True, quiet=quiet)
    with _progress(console) as show:
        folder = api.compare_shard(
            loaded, shard, policies, seeds, vary, out, show, limit_s, workers
        )
    if as_json:
        print_json({"scenario": loaded.name, "folder": str(folder), "shard": shard})
        return
    if not quiet:
        typer.echo(f"shard {shard} is done, and has no report: isma merge puts all shards together")
    print_path(folder)


def merge_and_print(
    folders: list[Path], out: Path | None, policies: list[str] | None, quiet: bool, as_json: bool
) -> None:
    """Merge shards, then print the results. Raises IsmaError."""
    with _progress(Console(stderr=True, quiet=quiet)) as show:
        run = api.merge(folders, out, policies, show, typed_command())
    print_run(run, quiet, as_json)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[Standing], None]]:
    """Progress of a comparison as a bar, and in the end how many results were computed."""
    last: Standing | None = None
    with bar(console) as shown:
        task = shown.add_task("laying out the city", total=None)

        def show(standing: Standing) -> None:
            nonlocal last
            last = standing
            shown.update(
                task,
                completed=standing.part if standing.label else 1.0,
                total=1.0,
                description=f"{standing.stage:7} {standing.label}" if standing.label else "done",
            )

        yield show
    if last is not None:
        counts = f"{last.computed} computed, {last.taken_up} reused"
        console.print(f"results (a policy in a world): {counts}", highlight=False)


def typed_command() -> str:
    """The command as it was typed, to be typed again."""
    return shlex.join(["isma", *sys.argv[1:]])


def print_run(run: Run, quiet: bool, as_json: bool) -> None:
    """Print a run: as JSON, or where its report is, before that unless `quiet` tables and findings."""
    report = run.folder / "report.html"
    if as_json:
        print_json(as_tree(run))
        return
    if not quiet:
        for point in run.points:
            title = ", ".join(f"{f} = {v}" for f, v in zip(run.vary, point, strict=True))
            print_table(title or run.name, summary_columns(run, point), "summary.csv")
        if run.references:
            typer.echo(f"{REFERENCE} a reference: it sees what no policy may see")
        print_lines(findings(run))
        print()
    print_path(report)
    replay = run.folder / REPLAY_PAGE
    if replay.is_file() and not quiet:
        print_path(replay)


def as_tree(run: Run) -> dict[str, object]:
    """A run for programs: a row of all columns for each policy at each point, and the findings."""
    return {
        "scenario": run.name,
        "folder": str(run.folder),
        "report": str(run.folder / "report.html"),
        "seeds": run.config["run"].get("seeds", []),
        "points": [
            {
                "at": dict(zip(run.vary, point, strict=True)),
                "policies": [asdict(row) for row in run.standing(point)],
            }
            for point in run.points
        ],
        "findings": findings(run),
    }


def summary_columns(run: Run, point: Point) -> list[Column]:
    """A point's table; where the terminal is narrow, columns that rank the policies stay longest."""
    rows = run.standing(point)
    unit, scale = formatting.time_unit(numbers(run.summary, "mean_s").tolist())
    time = lambda seconds: formatting.number(seconds / scale, 4)  # noqa: E731
    share = lambda ratio: formatting.percent(ratio, signed=True)  # noqa: E731
    names = [row.policy + (REFERENCE if row.reference else "") for row in rows]
    return [
        Column("policy", names, is_text=True),
        Column(f"mean {unit}", [time(row.mean_s) for row in rows], 0),
        Column("95 % interval", [_span(time(r.mean_s_low), time(r.mean_s_high)) for r in rows], 3),
        Column("above best", [share(row.above_best_ratio) for row in rows], 0),
        Column("95 % paired", [_paired(row) for row in rows], 1),
        Column("above bound", [share(row.above_bound_ratio) for row in rows], 2),
        Column(f"p95 {unit}", [time(row.p95_s) for row in rows], 4),
        Column("moves/user/h", [f"{row.migrations_per_user_hour:.1f}" for row in rows], 5),
        Column("overload", [formatting.percent(row.overload_ratio) for row in rows], 6),
    ]


def _span(low: str, high: str) -> str:
    return "–" if "–" in (low, high) else f"{low} to {high}"


def _paired(row: Score) -> str:
    gap = row.above_best
    if gap.low != gap.low or gap.ratio == 0:  # One world alone has no interval, and the best none.
        return "–"
    return formatting.percent_span(gap.low, gap.high)
