"""Reader of each kind of trace."""

from isma.world.importers import (
    cabspotting,
    csv_traces,
    geolife,
    ns2,
    porto,
    sumo,
    sumo_fcd,
    t_drive,
)
from isma.world.importers.reading import Reading
from isma.world.importers.request import ImportKind, Request


def read_trace(request: Request) -> Reading:
    """Fixes of a request's source, and how they were understood. Raises as the kind's reader does."""
    source = request.source
    match request.kind:
        case ImportKind.CABSPOTTING:
            return cabspotting.read(source, request.time_unit)
        case ImportKind.CSV:
            return csv_traces.read(source, request.columns, request.times, request.crs)
        case ImportKind.GEOLIFE:
            return geolife.read(source)
        case ImportKind.NS2:
            return ns2.read(source)
        case ImportKind.PORTO:
            return porto.read(source)
        case ImportKind.SUMO:
            return sumo.read(source)
        case ImportKind.SUMO_FCD:
            return sumo_fcd.read(source, request.net, request.crs)
        case ImportKind.T_DRIVE:
            return t_drive.read(source, request.time_zone)
        case ImportKind.GRAPHML | ImportKind.NODE_LINK | ImportKind.SITES | ImportKind.REQUESTS:
            raise AssertionError(f"{request.kind} is no trace")
