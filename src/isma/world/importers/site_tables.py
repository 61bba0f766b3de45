"""Sites as people have them: tables in degrees or metres, cells of OpenCelliD, or else a lattice."""

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.spatial import KDTree

from isma.errors import DataError, ScenarioError, short, some
from isma.units import METRES, quantity
from isma.world import backhaul, inputs, sites
from isma.world.importers.coordinates import DEGREES, placed
from isma.world.importers.csv_traces import X_NAMES, Y_NAMES
from isma.world.importers.decimals import numbers_of
from isma.world.sites import LATITUDE_NAMES, LONGITUDE_NAMES, Projection, SiteTable, checked
from isma.world.traces import values

LATTICE = "hexagonal"
"""In place of a file: sites on a lattice over the trace, so far apart: hexagonal:500 m."""
CELL_COLUMNS = (
    "radio", "mcc", "net", "area", "cell", "unit", "lon", "lat", "range", "samples", "changeable",
    "created", "updated", "averagesignal",
)  # fmt: skip
"""Columns of OpenCelliD's tables, which may have no header."""
_RADIO = re.compile(r"GSM|UMTS|CDMA|LTE|NR|NBIOT", re.IGNORECASE)
_COMPOSITE = ("mcc", "net", "area", "cell")
_CHUNK = 200_000
_MOST_CELLS = 2_000_000


@dataclass(frozen=True)
class SitesRead:
    """Sites as they were read, and how they were understood."""

    table: SiteTable
    """Their names and degrees."""
    lines: tuple[str, ...]
    """Interpretation of the coordinates, in words."""
    plain: bool
    """Whether their degrees are metres laid around 0 N 0 E."""


def spacing_of(text: str) -> float | None:
    """Metres between sites of a lattice that is asked for in place of a file; None for a file."""
    name, colon, distance = text.partition(":")
    if not colon or name != LATTICE:
        return None
    try:
        spacing = quantity(distance, METRES)
    except ValueError as error:
        raise ScenarioError(f"--sites {LATTICE}: {error}, got {short(distance)!r}") from None
    if not isinstance(spacing, float) or not 1 <= spacing <= 100_000:
        raise ScenarioError(
            f"--sites {LATTICE}: must be 1 m to 100 km apart, got {short(distance)!r}"
        )
    return spacing


def read(path: Path, crs: str | None = None) -> SitesRead:
    """Read a table of sites by its columns. Raises DataError with file, line and reason."""
    try:
        with inputs.table(path, "file of sites") as (file, _):
            first = file.readline(inputs.LONGEST_LINE)
    except csv.Error as error:
        raise DataError(f"{path}: sites must be a CSV file: {short(error)}") from None
    sign = sites.delimiter(first)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=sign), [])]
    folded = [name.casefold() for name in header]
    if {"radio", *_COMPOSITE} <= set(folded):
        return _cells(path, has_header=True)
    if len(header) == len(CELL_COLUMNS) and _RADIO.fullmatch(header[0]):
        return _cells(path, has_header=False)
    in_degrees = set(folded) & set(LATITUDE_NAMES) and set(folded) & set(LONGITUDE_NAMES)
    if not in_degrees and set(folded) & set(X_NAMES) and set(folded) & set(Y_NAMES):
        return _on_plane(path, header, sign, crs)
    if crs not in (None, DEGREES) and in_degrees:
        crs = None  # It is the trace's.
    table = sites.read(path)
    return SitesRead(table, (f"{len(table.ids):,} sites",), False)


def lattice(frame: pd.DataFrame, spacing_m: float, plain: bool) -> SitesRead:
    """Sites on a hexagonal lattice over a clean trace, where users pass within a cell of one.

    Raises ScenarioError for more sites than a network may have.
    """
    latitude, longitude = values(frame, "latitude"), values(frame, "longitude")
    middle = (float(np.median(latitude)), float(np.median(longitude)))
    projection = Projection(0.0, 0.0) if plain else Projection(*middle)
    fix_m = projection.to_metres(latitude, longitude)
    point_m = _lattice(fix_m, spacing_m)
    near = KDTree(point_m).query(fix_m)[1]
    point_m = point_m[np.unique(near)]
    if len(point_m) > backhaul.MOST_NODES:
        raise ScenarioError(
            f"--sites {LATTICE}: must give at most {backhaul.MOST_NODES:,} sites, got {len(point_m):,}; "
            "set them further apart"
        )
    north, east = projection.to_degrees(point_m)
    table = SiteTable(tuple(str(site) for site in range(len(point_m))), north, east)
    said = (
        f"{len(point_m):,} made-up sites on a hexagonal lattice, {spacing_m:g} m apart, where users "
        "pass: no real ones"
    )
    return SitesRead(table, (said,), plain)


def _lattice(
    fix_m: Float[np.ndarray, "fixes 2"], spacing_m: float
) -> Float[np.ndarray, "points 2"]:
    """Points of a triangular lattice over a box around the fixes."""
    low, high = fix_m.min(axis=0) - spacing_m, fix_m.max(axis=0) + spacing_m
    row_m = spacing_m * math.sqrt(3) / 2
    columns, rows = (math.ceil(side) for side in (high - low) / (spacing_m, row_m))
    if (columns + 1) * (rows + 1) > 4_000_000:
        raise ScenarioError(
            f"--sites {LATTICE}: the trace covers {columns * rows:,} cells of {spacing_m:g} m; set sites "
            "further apart, or take the fixes of one region"
        )
    row, column = np.mgrid[0 : rows + 1, 0 : columns + 1]
    east_m = low[0] + spacing_m * (column + (row % 2) / 2)
    return np.stack([east_m.ravel(), (low[1] + row_m * row).ravel()], axis=-1)


def _on_plane(path: Path, header: list[str], sign: str, crs: str | None) -> SitesRead:
    table = _text(path, sign, 0)
    label = str(path)
    identity = sites.find_column(header, sites.ID_NAMES, "the site's id", label)
    axes = []
    for names, what in ((X_NAMES, "metres east"), (Y_NAMES, "metres north")):
        column = table[table.columns[sites.find_column(header, names, what, label)]].str.strip()
        column_values = numbers_of(column, sign != ",").values
        if np.isnan(column_values).any():
            row = int(np.isnan(column_values).argmax())
            raise DataError(
                f"{path}: line {row + 2}: {column.name} must be a number, got {short(column.iloc[row])!r}"
            )
        axes.append(column_values)
    place = placed(axes[0], axes[1], crs, label)
    ids = table[table.columns[identity]].str.strip().tolist()
    where = [f"{path}: line {row + 2}" for row in range(len(ids))]
    made = checked(ids, place.latitude.tolist(), place.longitude.tolist(), where)
    return SitesRead(made, (f"{len(ids):,} sites; {place.said}",), place.plain)


def _cells(path: Path, has_header: bool) -> SitesRead:
    """Sites of OpenCelliD's cells: those at one place are one site, named by the first of its cells."""
    table = _text(path, ",", 0 if has_header else None)
    table.columns = (
        [name.strip().casefold() for name in table.columns] if has_header else CELL_COLUMNS
    )
    if len(table) > _MOST_CELLS:
        raise DataError(
            f"{path}: must have at most {_MOST_CELLS:,} cells, got {len(table):,}; take those of one region"
        )
    cell = table["mcc"] + "-" + table["net"] + "-" + table["area"] + "-" + table["cell"]
    degrees = {
        axis: np.asarray(pd.to_numeric(table[axis], errors="coerce"), np.float64)
        for axis in ("lat", "lon")
    }
    first_line = 2 if has_header else 1
    wrong = np.isnan(degrees["lat"]) | np.isnan(degrees["lon"])
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{path}: line {row + first_line}: lat and lon must be numbers of degrees")
    frame = pd.DataFrame({"id": cell.to_numpy(), **degrees})
    again = np.asarray(frame.duplicated(["lat", "lon"]))
    alone = frame.loc[~again]
    same_id = np.asarray(alone.duplicated("id"))
    if same_id.any():
        row = int(alone.index[same_id][0])
        raise DataError(
            f"{path}: line {row + first_line}: a cell must stand at one place, got {alone['id'][row]} again; "
            "keep one radio, or one of the two rows"
        )
    where = [f"{path}: line {row + first_line}" for row in alone.index]
    made = checked(alone["id"].tolist(), alone["lat"].tolist(), alone["lon"].tolist(), where)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in table["radio"].value_counts().items())
    lines = [
        f"{len(made.ids):,} sites of {len(table):,} cells of OpenCelliD ({kinds}), named mcc-net-area-cell"
    ]
    if again.any():
        lines.append(
            f"{int(again.sum()):,} cells stand where another does and are no site of their own: "
            f"{some(frame['id'][again].tolist())}"
        )
    return SitesRead(made, tuple(lines), False)


def _text(path: Path, sign: str, header: int | None) -> pd.DataFrame:
    """A table as text. Raises DataError in one line."""
    try:
        with inputs.table(path, "file of sites") as (file, _):
            table = pd.read_csv(file, sep=sign, dtype=str, keep_default_na=False, header=header)
    except (pd.errors.ParserError, csv.Error, ValueError) as error:
        raise DataError(f"{path}: sites must be a CSV file: {short(error, 120)}") from None
    if table.empty:
        raise DataError(f"{path}: must hold a row for each site, got a header alone")
    return table
