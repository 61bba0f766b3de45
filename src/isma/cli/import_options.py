"""Options of `isma scenario import`."""

from pathlib import Path
from typing import Annotated

import typer

from isma.cli.terminal import cycles, seconds
from isma.world.importers.request import ImportKind
from isma.world.importers.request_traces import Session

KindArgument = Annotated[str, typer.Argument(help=", ".join(ImportKind))]
SourceArgument = Annotated[Path, typer.Argument(help="the trace or the topology")]
OutOption = Annotated[Path, typer.Option(help="scenario file to write; its tables go beside it")]
SitesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|hexagonal:DISTANCE",
        help="CSV of sites with id, latitude, longitude (or x, y; or OpenCelliD's cells); or made-up "
        "sites so far apart where users pass, as hexagonal:500m",
    ),
]
StartOption = Annotated[
    str | None,
    typer.Option(help="first moment, as 2008-05-31T18:00:00Z", show_default="the busiest"),
]
DurationOption = Annotated[str | None, typer.Option(help="length of the run, as 7200 or '2 h'")]
TimeUnitOption = Annotated[
    str | None,
    typer.Option(help="what numbers of time count: s, ms, us, ns, min or h", show_default="s"),
]
TimeFormatOption = Annotated[
    str | None,
    typer.Option(help="how dates are written, as %d/%m/%Y %H:%M:%S", show_default="by their look"),
]
TimeZoneOption = Annotated[
    str | None,
    typer.Option(
        help="whose clocks dates without a zone are on, as Europe/Rome", show_default="UTC"
    ),
]
CrsOption = Annotated[
    str | None,
    typer.Option(
        metavar="degrees|metres|EPSG:NUMBER", help="what x and y are, of trace and sites alike"
    ),
]
NetOption = Annotated[
    Path | None, typer.Option(help="the SUMO network of a projected trace (.net.xml)")
]
CellsOption = Annotated[
    Path | None,
    typer.Option(help="recorded serving cells to compare with (cell_of_cab.csv.gz)"),
]
WorldOption = Annotated[
    str,
    typer.Option(
        help="what is not in the data: paper, or full (services, queues, migration, shared band)"
    ),
]
MigrationOption = Annotated[
    str | None,
    typer.Option(help="what a move costs: free, cold or precopy", show_default="the world's"),
]
MaxGapOption = Annotated[
    str | None,
    typer.Option(
        help="longest time between two fixes of a user that is there, as 300 or '5 min'",
        show_default="300 s",
    ),
]
MaxSpeedOption = Annotated[
    str | None,
    typer.Option(
        help="faster between two fixes is a jump, dropped: as 50 or '180 km/h'",
        show_default="50 m/s",
    ),
]
SessionOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="requests: how long a user stays, as '60 s'", show_default="60 s"
    ),
]
SessionRequestsOption = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="requests: how many each user has", show_default="10"),
]
CyclesPerTokenOption = Annotated[
    str | None,
    typer.Option(
        metavar="CYCLES",
        help="requests: work of a token, as '125 Mcycles' (a model with 10^9 weights)",
        show_default="125 Mcycles",
    ),
]
BackhaulOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|gabriel|delaunay",
        help="GraphML or node-link JSON whose nodes are the sites, or links drawn between them",
        show_default="gabriel",
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        help="the CSV's columns by name or number: id=taxi,time=t, or id,time,lat,lon in that order"
    ),
]
ServicesOption = Annotated[
    str | None,
    typer.Option(
        help="classes of services that users draw from, with commas: video-analytics,batch",
        show_default="the world's",
    ),
]
UsersOption = Annotated[
    str,
    typer.Option(
        metavar="present|throughout",
        help="who of a trace takes part: all, each while it has fixes, or who has them throughout",
    ),
]


def session_of(duration: str | None, requests: int | None, per_token: str | None) -> Session | None:
    """Assumptions of a trace of requests as typed; None where nothing was. Raises ScenarioError."""
    typed = {
        "duration_s": seconds(duration, "--session"),
        "requests": requests,
        "cycles_per_token": cycles(per_token, "--cycles-per-token"),
    }
    given = {name: value for name, value in typed.items() if value is not None}
    return Session(**given) if given else None
