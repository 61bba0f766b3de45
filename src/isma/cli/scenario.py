"""`isma scenario`: look at scenarios, check them, make them from data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from isma.cli import import_options
from isma.cli.output import JsonOption, QuietOption, print_json
from isma.cli.terminal import (
    ScenarioArgument,
    SetOption,
    metres_per_second,
    moment,
    overrides_of,
    seconds,
)
from isma.simulator.params import fit
from isma.world import files
from isma.world.importers.csv_traces import Columns
from isma.world.importers.make import import_scenario

app = typer.Typer(help="Look at scenarios, check them, make them from data.", no_args_is_help=True)


@app.command("list")
def list_scenarios(quiet: QuietOption = False, json: JsonOption = False) -> None:
    """The presets, and those that are made from data that you bring."""
    presets = {name: files.load(name).description for name in files.preset_names()}
    made = {name: f"made by: {command}" for name, command in files.IMPORTED.items()}
    if json:
        print_json({"presets": presets, "imported": files.IMPORTED})
        return
    for name, description in {**presets, **made}.items():
        typer.echo(name if quiet else f"{name:16} {description}")


@app.command()
def show(
    name: ScenarioArgument,
    set_: SetOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Every field of a scenario, as a TOML file in SI units."""
    loaded = files.load(name, overrides_of(set_))
    if json:
        print_json(loaded.model_dump(mode="json", exclude_none=True))
    elif not quiet:
        typer.echo(files.dumps(loaded), nl=False)


@app.command()
def check(
    file: ScenarioArgument,
    set_: SetOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Whether a scenario can be run, its data included; what it holds, in a line."""
    loaded = files.load(file, overrides_of(set_))
    shape = fit(loaded)
    bare = shape.num_stations - shape.num_servers
    at_stations = f" at {shape.num_stations} stations" if bare else ""
    if json:
        sizes = {name: getattr(shape, f"num_{name}") for name in ("servers", "stations", "users")}
        print_json({"scenario": loaded.name, **sizes, **loaded.time.model_dump(mode="json")})
    if quiet or json:
        return
    typer.echo(
        f"{loaded.name}: {shape.num_servers} servers{at_stations}, {shape.num_users} users, "
        f"{loaded.time.duration_s:g} s in ticks of {loaded.time.tick_s:g} s: fit to run"
    )


@app.command()
def draw(
    file: ScenarioArgument,
    out: Annotated[Path, typer.Option(help="folder for presence.svg and presence.png")],
    set_: SetOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """How many users of a trace are there, over time, as a figure."""
    from isma.evaluation.report.figures import drawing, presence, style

    scenario = files.load(file, overrides_of(set_))
    with style.theme():
        made = drawing.save(presence.draw(scenario), out)
    _tell([], [made.svg_path, made.png_path], quiet, json)


@app.command()
def export(
    source: Annotated[str, typer.Argument(help="a scenario, or the folder of a run")],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Sites, links, users and (of a run) migrations as GeoJSON, for maps of other programs."""
    from isma.evaluation import geojson

    _tell(*geojson.export(source, out), quiet, json)


@app.command("import")
def import_(
    kind: import_options.KindArgument,
    source: import_options.SourceArgument,
    out: import_options.OutOption,
    sites: import_options.SitesOption = None,
    backhaul: import_options.BackhaulOption = None,
    start: import_options.StartOption = None,
    duration: import_options.DurationOption = None,
    columns: import_options.ColumnsOption = None,
    time_unit: import_options.TimeUnitOption = None,
    time_format: import_options.TimeFormatOption = None,
    time_zone: import_options.TimeZoneOption = None,
    crs: import_options.CrsOption = None,
    net: import_options.NetOption = None,
    cells: import_options.CellsOption = None,
    world: import_options.WorldOption = "paper",
    migration: import_options.MigrationOption = None,
    services: import_options.ServicesOption = None,
    users: import_options.UsersOption = "present",
    max_gap: import_options.MaxGapOption = None,
    max_speed: import_options.MaxSpeedOption = None,
    session: import_options.SessionOption = None,
    session_requests: import_options.SessionRequestsOption = None,
    cycles_per_token: import_options.CyclesPerTokenOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Make a scenario from real traces, sites and topologies; say what was dropped and why."""
    result = import_scenario(
        kind,
        source,
        out,
        sites,
        backhaul,
        moment(start),
        seconds(duration),
        columns=None if columns is None else Columns.typed(columns),
        cells=cells,
        world=world,
        time_unit=time_unit,
        migration=migration,
        users=users,
        max_gap_s=seconds(max_gap, "--max-gap"),
        max_speed_mps=metres_per_second(max_speed),
        time_format=time_format,
        time_zone=time_zone,
        crs=crs,
        net=net,
        session=import_options.session_of(session, session_requests, cycles_per_token),
        services=[name.strip() for name in (services or "").split(",") if name.strip()],
    )
    _tell(result.lines, result.paths, quiet, json)


def _tell(lines: Sequence[str], paths: Sequence[Path], quiet: bool, json: bool) -> None:
    """Print what there is to say, and the files written."""
    if json:
        print_json({"said": lines, "wrote": paths})
        return
    for line in [] if quiet else lines:
        typer.echo(line)
    for path in paths:
        typer.echo(f"wrote {path}")
