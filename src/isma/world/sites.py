"""Where base stations stand: hexagonal neighbours, a row, or a table of real sites in degrees."""

import csv
import itertools
import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pyproj
from jaxtyping import Float

from isma.errors import DataError, short, some
from isma.world import inputs, scenario

ID_NAMES = ("site_id", "cell_id", "id", "site", "cell", "station_id", "node_id", "name")
"""Names of the column of a site's identity, the likeliest first; case does not matter."""
LATITUDE_NAMES = ("latitude", "lat")
"""Names of the column of degrees north."""
LONGITUDE_NAMES = ("longitude", "lon", "lng", "long")
"""Names of the column of degrees east."""
_COMPARED = 100  # names that a message's hint is looked for among


@dataclass(frozen=True)
class Projection:
    """Turns WGS84 degrees into metres around a centre and back (azimuthal equidistant)."""

    latitude: float
    """Degrees north of the centre."""
    longitude: float
    """Degrees east of the centre."""

    def to_metres(
        self, latitude: Float[np.ndarray, "points"], longitude: Float[np.ndarray, "points"]
    ) -> Float[np.ndarray, "points 2"]:
        """Metres east and north of the centre."""
        return np.stack(self._proj()(longitude, latitude), axis=-1)

    def to_degrees(
        self, position_m: Float[np.ndarray, "points 2"]
    ) -> tuple[Float[np.ndarray, "points"], Float[np.ndarray, "points"]]:
        """Latitude and longitude of points in metres."""
        longitude, latitude = self._proj()(position_m[:, 0], position_m[:, 1], inverse=True)
        return latitude, longitude

    def _proj(self) -> pyproj.Proj:
        return pyproj.Proj(proj="aeqd", lat_0=self.latitude, lon_0=self.longitude, ellps="WGS84")


@dataclass(frozen=True)
class SiteTable:
    """Sites as a table gives them: identities and WGS84 degrees."""

    ids: tuple[str, ...]
    """Unlike one another."""
    latitude: Float[np.ndarray, "stations"]
    """Degrees north."""
    longitude: Float[np.ndarray, "stations"]
    """Degrees east."""


@dataclass(frozen=True)
class Layout:
    """Positions of the stations on the plane; edge servers are at stations."""

    ids: tuple[str, ...]
    """A name for each station."""
    position_m: Float[np.ndarray, "stations 2"]
    """Metres east and north."""
    projection: Projection | None
    """How degrees become these metres; None for a layout that is nowhere on Earth."""


def layout(sites: scenario.Sites) -> Layout:
    """Place a scenario's stations; raises DataError for a table that cannot be used."""
    if sites.file is not None and sites.kind == "file":
        return from_table(read(sites.file))
    spacing_m = math.sqrt(3) * sites.coverage_radius_m
    position_m = (line if sites.kind == "line" else hexagonal)(sites.count, spacing_m)
    return Layout(tuple(str(site) for site in range(sites.count)), position_m, None)


def hexagonal(count: int, spacing_m: float) -> Float[np.ndarray, "stations 2"]:
    """Points of a triangular lattice, ring by ring around the origin, `spacing_m` apart."""
    corner = [(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)]
    axial, ring = [(0, 0)], 0
    while len(axial) < count:
        ring += 1
        for side in range(6):
            (q, r), (dq, dr) = corner[side], corner[(side + 2) % 6]
            axial += [(ring * q + step * dq, ring * r + step * dr) for step in range(ring)]
    q, r = np.array(axial[:count], dtype=np.float64).T
    return spacing_m * np.stack([q + r / 2, r * math.sqrt(3) / 2], axis=-1)


def line(count: int, spacing_m: float) -> Float[np.ndarray, "stations 2"]:
    """Points in a row from west to east, the middle of them at the origin."""
    east_m = (np.arange(count) - (count - 1) / 2) * spacing_m
    return np.stack([east_m, np.zeros(count)], axis=-1)


def from_table(table: SiteTable) -> Layout:
    """Project a table of sites on the plane around their middle."""
    east = np.radians(table.longitude)
    middle = math.degrees(math.atan2(np.sin(east).mean(), np.cos(east).mean()))
    projection = Projection(float(table.latitude.mean()), middle)
    return Layout(table.ids, projection.to_metres(table.latitude, table.longitude), projection)


def read(path: Path) -> SiteTable:
    """Read a CSV of sites with columns site_id, latitude, longitude (or their usual other names).

    Raises DataError with file, line and reason.
    """
    try:
        with inputs.table(path, "file of sites") as (file, _):
            return _parse(file, path)
    except csv.Error as error:
        raise DataError(f"{path}: sites must be a CSV file: {short(error)}") from None


def checked(
    ids: Sequence[str],
    latitude: Sequence[float],
    longitude: Sequence[float],
    where: Sequence[str],
) -> SiteTable:
    """Make a table of sites whose values hold; `where` says of each row where it comes from.

    Raises DataError for a coordinate that is no degree, and for an identity or place taken twice.
    """
    seen_ids: dict[str, str] = {}
    seen_places: dict[tuple[float, float], str] = {}
    for name, north, east, place in zip(ids, latitude, longitude, where, strict=True):
        _in_range(place, "latitude", north, 90)
        _in_range(place, "longitude", east, 180)
        if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
            raise DataError(
                f"{place}: a site's id must be text on one line, got {short(ascii(name))}"
            )
        if name in seen_ids:
            raise DataError(
                f"{place}: site ids must differ, got {short(name)!r} again after {seen_ids[name]}"
            )
        if (north, east) in seen_places:
            raise DataError(
                f"{place}: sites must stand apart, got {north:g}, {east:g} again after "
                f"{seen_places[north, east]}; keep one of the two"
            )
        seen_ids[name], seen_places[north, east] = place, place
    return SiteTable(tuple(ids), np.array(latitude, np.float64), np.array(longitude, np.float64))


def dumps(table: SiteTable) -> str:
    """Write a table of sites as CSV; `read` gives the same table back."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["site_id", "latitude", "longitude"])
    rows = zip(table.ids, table.latitude.tolist(), table.longitude.tolist(), strict=True)
    writer.writerows(rows)
    return text.getvalue()


def find_column(header: Sequence[str], names: Sequence[str], what: str, label: str) -> int:
    """Index of the first column called one of `names`, in any case; `what` names its content in errors.

    Raises DataError that says which columns there are and which is nearest.
    """
    folded = [short(column).casefold() for column in header]
    for name in names:
        if name.casefold() in folded:
            return folded.index(name.casefold())
    near = [
        header[folded.index(match)]
        for name in names
        for match in get_close_matches(name.casefold(), folded[:_COMPARED], n=1, cutoff=0.6)
    ]
    hint = f"; the nearest is {short(near[0])!r}" if near else ""
    if not near and any(_is_number(column) for column in header):
        hint = "; the first line must name the columns"
    raise DataError(
        f"{label}: a column with {what} must be called one of {some(map(str, names), len(ID_NAMES))}; "
        f"the columns are {some(header)}{hint}"
    )


def delimiter(header: str) -> str:
    """The sign that parts a table's columns: a comma unless semicolons or tabs are more."""
    return max(",;\t", key=header.count)


def _parse(file: TextIOWrapper, path: Path) -> SiteTable:
    first = file.readline(inputs.LONGEST_LINE)
    if not first.strip():
        raise DataError(f"{path}: must hold a header and a row for each site, got an empty file")
    rows = _rows(itertools.chain([first], file), delimiter(first), path)
    _, header = next(rows)
    identity = find_column(header, ID_NAMES, "the site's id", str(path))
    north = find_column(header, LATITUDE_NAMES, "degrees north", str(path))
    east = find_column(header, LONGITUDE_NAMES, "degrees east", str(path))
    ids, latitude, longitude, where = [], [], [], []
    for place, row in rows:
        if not row[identity].strip():
            raise DataError(f"{place}: {header[identity]} must be given, got nothing")
        ids.append(row[identity].strip())
        latitude.append(_degrees(place, header[north], row[north]))
        longitude.append(_degrees(place, header[east], row[east]))
        where.append(place)
    if not ids:
        raise DataError(f"{path}: must hold a row for each site, got a header alone")
    return checked(ids, latitude, longitude, where)


def _rows(file: Iterable[str], sign: str, path: Path) -> Iterator[tuple[str, list[str]]]:
    """Rows that are not blank, the header first, each with its file and line."""
    reader = csv.reader(file, delimiter=sign)
    width = None
    for row in reader:
        place = f"{path}: line {reader.line_num}"
        if not any(cell.strip() for cell in row):
            continue
        if width is not None and len(row) != width:
            raise DataError(f"{place}: must have {width} columns as the header, got {len(row)}")
        width = len(row)
        yield place, row


def _degrees(place: str, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(
            f"{place}: {column} must be a number of degrees, got {short(text)!r}"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _in_range(place: str, what: str, degrees: float, limit: int) -> None:
    if not abs(degrees) <= limit:
        raise DataError(
            f"{place}: {what} must lie between -{limit} and {limit} degrees, got {degrees:g}"
        )
