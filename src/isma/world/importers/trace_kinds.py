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
from isma.world.importers.asked import ImportKind, Request
from isma.world.importers.reading import Reading


def read_trace(asked: Request) -> Reading:
    """Fixes of a request's source, and how they were understood. Raises as the kind's reader does."""
    source = asked.source
    match asked.kind:
        case ImportKind.CABSPOTTING:
            return cabspotting.read(source, asked.time_unit)
        case ImportKind.CSV:
            return csv_traces.read(source, asked.columns, asked.times, asked.crs)
        case ImportKind.GEOLIFE:
            return geolife.read(source)
        case ImportKind.NS2:
            return ns2.read(source)
        case ImportKind.PORTO:
            return porto.read(source)
        case ImportKind.SUMO:
            return sumo.read(source)
        case ImportKind.SUMO_FCD:
            return sumo_fcd.read(source, asked.net, asked.crs)
        case ImportKind.T_DRIVE:
            return t_drive.read(source, asked.time_zone)
        case ImportKind.GRAPHML | ImportKind.NODE_LINK | ImportKind.SITES:
            raise AssertionError(f"{asked.kind} is no trace")
