"""Coordinates that are no latitude and longitude: metres on a plane, or a grid that has a name."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyproj
from jaxtyping import Float
from pyproj.exceptions import ProjError

from isma.errors import DataError, ScenarioError, short
from isma.world.sites import Projection

DEGREES, METRES = "degrees", "metres"
"""Values of --crs in addition to names that pyproj knows, such as EPSG:32632."""
FARTHEST_M = 100_000.0
"""How far from their origin plain metres may lie: the plane is bent around it by 0.01 % at most."""
_PLANE = Projection(0.0, 0.0)


class Placed(NamedTuple):
    """Points as degrees, and how they became these."""

    latitude: Float[np.ndarray, "points"]
    longitude: Float[np.ndarray, "points"]
    said: str
    """Interpretation of x and y, in words."""
    plain: bool
    """Whether they are metres on a plane that is nowhere on Earth."""


@dataclass(frozen=True)
class Grid:
    """A projection that a file or a person names."""

    name: str
    """Common name of the grid."""
    proj: pyproj.Transformer
    """From it to WGS84."""
    offset_m: tuple[float, float] = (0.0, 0.0)
    """Subtracted from x and y before."""

    @classmethod
    def named(cls, name: str, offset_m: tuple[float, float] = (0.0, 0.0)) -> "Grid":
        """A grid by a name that pyproj knows. Raises ScenarioError."""
        try:
            source = pyproj.CRS.from_user_input(name)
            transformer = pyproj.Transformer.from_crs(source, "EPSG:4326", always_xy=True)
        except ProjError:
            raise ScenarioError(
                f"--crs must be degrees, metres or a name like EPSG:32632, got {short(name)!r}"
            ) from None
        return cls(
            short(source.name, 60) if source.name != "unknown" else short(name, 80),
            transformer,
            offset_m,
        )

    def to_degrees(self, x: Float[np.ndarray, "points"], y: Float[np.ndarray, "points"]) -> Placed:
        """Points as degrees; NaN where they are none."""
        east, north = self.proj.transform(x - self.offset_m[0], y - self.offset_m[1])
        return Placed(_finite(north), _finite(east), f"x and y are of {self.name}", False)


def placed(
    x: Float[np.ndarray, "points"], y: Float[np.ndarray, "points"], crs: str | None, label: str
) -> Placed:
    """Points by the --crs of x and y, or by their size. Raises where that is ambiguous.

    Numbers that could be degrees may as well be metres, so they are taken for neither unasked.
    """
    x, y = _finite(x), _finite(y)
    if crs is not None and crs not in (DEGREES, METRES):
        return Grid.named(crs).to_degrees(x, y)
    if crs == DEGREES:
        return Placed(y, x, "x is longitude, y latitude, as given", False)
    far_x, far_y = (float(np.nanmax(np.abs(axis), initial=0.0)) for axis in (x, y))
    if crs is None and far_x <= 180 and far_y <= 90:
        raise ScenarioError(
            f"{label}: x up to {far_x:g} and y up to {far_y:g} may be degrees or metres; give --crs "
            "degrees (x is longitude, y latitude), --crs metres, or the grid's name (--crs EPSG:32632)"
        )
    if max(far_x, far_y) > FARTHEST_M:
        raise DataError(
            f"{label}: plain metres must lie within {FARTHEST_M / 1000:g} km of their origin, got "
            f"{max(far_x, far_y):.0f}; give the grid's name (--crs EPSG:32632), or subtract an origin "
            "from trace and sites"
        )
    latitude, longitude = _PLANE.to_degrees(np.stack([x, y], axis=-1))
    how = "as given" if crs else "by the size of the numbers"
    said = f"x and y are metres east and north, {how}, laid around 0 N 0 E"
    return Placed(_finite(latitude), _finite(longitude), said, True)


def _finite(values: Float[np.ndarray, "points"]) -> Float[np.ndarray, "points"]:
    return np.where(np.isfinite(values), values, np.nan)
