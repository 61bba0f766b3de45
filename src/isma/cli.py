"""The commands: the only module that talks to a terminal."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from isma import api, units
from isma.benchmarks import simulator
from isma.errors import IsmaError, RunError, ScenarioError
from isma.evaluation.compare import Progress as Standing
from isma.evaluation.plan import scalar, vary_from
from isma.evaluation.tables import Point, Run
from isma.evaluation.words import findings
from isma.policies import registry
from isma.simulator.params import build
from isma.world import files
from isma.world.importers.csv_traces import Columns
from isma.world.importers.make import import_scenario
from isma.world.scenario import Scenario

app = typer.Typer(
    help="When, where and how a mobile user's service moves between edge servers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
scenario_app = typer.Typer(
    help="Look at scenarios, check them, make them from data.", no_args_is_help=True
)
bench_app = typer.Typer(help="Speed, with a peer beside it in the same run.", no_args_is_help=True)
app.add_typer(scenario_app, name="scenario")
app.add_typer(bench_app, name="bench")


INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

ScenarioArgument = Annotated[str, typer.Argument(help="a preset's name or a TOML file")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="override a field of the scenario"),
]


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and a status that is not 0."""
    # package.module:Class is looked up here first, as python -m does.
    sys.path.insert(0, os.getcwd())
    try:
        status = app(standalone_mode=False) or 0
        if status == INTERRUPTED:  # What typer makes of Ctrl-C, without a word.
            raise KeyboardInterrupt
    except typer.TyperException as error:
        _fail(f"{getattr(error, 'format_message', error.__str__)()} (isma --help tells more)")
        status = 2
    except IsmaError as error:
        _fail(str(error))
        status = 1
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; what is finished is kept, and the same command goes on from there")
        status = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


@app.command()
def compare(
    scenario: ScenarioArgument,
    policies: Annotated[
        str | None,
        typer.Option(
            help="names separated by commas, with options as threshold:hops=3, or package.module:Class"
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="worlds to run each policy in [default: 5]")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=v1,v2,...", help="run at several values of a field; at most twice"
        ),
    ] = None,
    set_: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="folder to write [default: runs/NAME-DIGEST]")
    ] = None,
) -> None:
    """Simulate, tabulate, draw, explain: which policy serves this city's users best, and by how much."""
    loaded = files.load(scenario, _overrides(set_))
    again = files.run_table(scenario) or {}
    names = policies.split(",") if policies is not None else again.get("policies", registry.DEFAULT)
    worlds = range(seeds) if seeds is not None else again.get("seeds", range(5))
    if seeds is not None and seeds < 1:
        raise RunError(f"--seeds must be at least 1, got {seeds}")
    varied = vary_from(vary) if vary else again.get("vary", {})
    _compare(loaded, [name.strip() for name in names], list(worlds), varied, out)


def _compare(
    loaded: Scenario, policies: list[str], seeds: list[int], vary: dict, out: Path | None
) -> None:
    console = Console(stderr=True)
    with _bar(console) as bar:
        task = bar.add_task("laying out the city", total=None)

        def show(standing: Standing) -> None:
            bar.update(
                task,
                completed=standing.done_ticks,
                total=standing.total_ticks,
                description=standing.label,
            )

        run = api.compare(loaded, policies, seeds, vary, out, show)
    for point in run.points:
        _print_summary(run, point)
    out_console = Console(width=None if sys.stdout.isatty() else 100)
    for sentence in findings(run):
        out_console.print(f"- {sentence}", markup=False, highlight=False)
    out_console.print(
        f"\n{run.folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True
    )


def _bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description:32.32}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    return Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True
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


@scenario_app.command("list")
def list_scenarios() -> None:
    """The presets, and those that are made from data that you bring."""
    for name in files.preset_names():
        typer.echo(f"{name:16} {files.load(name).description}")
    for name, command in files.IMPORTED.items():
        typer.echo(f"{name:16} made by: {command}")


@scenario_app.command()
def show(name: ScenarioArgument, set_: SetOption = None) -> None:
    """Every field of a scenario, as a TOML file in SI units."""
    typer.echo(files.dumps(files.load(name, _overrides(set_))), nl=False)


@scenario_app.command()
def check(file: ScenarioArgument, set_: SetOption = None) -> None:
    """Whether a scenario can be run, its data included; what it holds, in a line."""
    loaded = files.load(file, _overrides(set_))
    shape = build(loaded).shape
    typer.echo(
        f"{loaded.name}: {shape.num_servers} servers, {shape.num_users} users, "
        f"{loaded.time.duration_s:g} s in ticks of {loaded.time.tick_s:g} s: fit to run"
    )


@scenario_app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(help="cabspotting, csv, graphml or node-link")],
    source: Annotated[Path, typer.Argument(help="the trace or the topology")],
    out: Annotated[Path, typer.Option(help="scenario file to write; its tables go beside it")],
    sites: Annotated[
        Path | None, typer.Option(help="CSV of sites with id, latitude, longitude")
    ] = None,
    backhaul: Annotated[
        Path | None, typer.Option(help="GraphML or node-link JSON whose nodes are the sites")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="first moment, as 2008-05-31T18:00:00Z [default: the busiest]"),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="length of the run, as 7200 or '2 h'")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="the CSV's columns: id,time,latitude,longitude")
    ] = None,
    cells: Annotated[
        Path | None,
        typer.Option(help="recorded serving cells to compare with (cell_of_cab.csv.gz)"),
    ] = None,
    world: Annotated[
        str,
        typer.Option(
            help="what is not in the data: paper, or full (services, queues, migration, shared band)"
        ),
    ] = "paper",
) -> None:
    """Make a scenario from real traces, sites and topologies; say what was dropped and why."""
    named = None
    if columns is not None:
        parts = [part.strip() for part in columns.split(",")]
        if len(parts) != 4:
            raise ScenarioError(
                f"--columns must name four columns (id,time,latitude,longitude), got {columns!r}"
            )
        named = Columns(*parts)
    result = import_scenario(
        kind,
        source,
        out,
        sites,
        backhaul,
        _moment(start),
        _seconds(duration),
        columns=named,
        cells=cells,
        world=world,
    )
    for line in result.lines:
        typer.echo(line)
    for path in result.paths:
        typer.echo(f"wrote {path}")


@bench_app.command("simulator")
def bench_simulator(
    json: Annotated[bool, typer.Option("--json", help="figures as JSON")] = False,
) -> None:
    """Simulated user-steps a second on `paper`: one world, a batch, long runs, and a NumPy loop."""
    with _bar(Console(stderr=True)) as bar:
        task = bar.add_task("warming up", total=None)
        figures = simulator.measure(lambda label: bar.update(task, description=label))
    typer.echo(simulator.as_json(figures) if json else simulator.as_text(figures))


def _overrides(texts: list[str] | None) -> dict:
    overrides = {}
    for text in texts or []:
        field, equals, value = text.partition("=")
        if not equals:
            raise ScenarioError(f"--set is written FIELD=VALUE, got {text!r}")
        overrides[field.strip()] = scalar(value)
    return overrides


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ScenarioError(
            f"--start must be a moment like 2008-05-31T18:00:00Z, got {text!r}"
        ) from None
    if moment.tzinfo is None:
        raise ScenarioError(f"--start must carry a time zone (2008-05-31T18:00:00Z), got {text!r}")
    return moment


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = units.quantity(text, units.SECONDS)
    except ValueError as error:
        raise ScenarioError(f"--duration {error}, got {text!r}") from None
    if not isinstance(value, float) or not 0 < value < float("inf"):
        raise ScenarioError(f"--duration must be above 0, got {text!r}")
    return value


def _fail(message: str) -> None:
    print(f"isma: {' '.join(message.split())}", file=sys.stderr)


if __name__ == "__main__":
    main()
