"""Motion of users as data: a steady walk, a road, or recorded fixes."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from isma.world.fields import Metres, MetresPerSecond, PositiveSeconds, Section


class Steady(Section):
    """Motion at a fixed speed whose heading turns slowly at random, reflected at the border."""

    kind: Literal["steady"] = "steady"
    speed_mps: MetresPerSecond = 120 / 3.6
    """Speed of every user."""
    turn_std_rad_per_sqrt_s: Annotated[float, Field(ge=0, le=1000)] = 0.1
    """Standard deviation of the heading's change after one second; it grows with √t."""


class Road(Section):
    """Motion on a straight road past a line of stations, turning round at the last of them."""

    kind: Literal["road"] = "road"
    speed_mps: MetresPerSecond = 120 / 3.6
    """Speed of every user; half of them drive either way, by chance."""
    offset_m: Metres = 50.0
    """Distance of the road from the line of stations."""


class Trace(Section):
    """Motion along recorded fixes, linear between them."""

    kind: Literal["trace"] = "trace"
    file: Path
    """Parquet with columns user_id, time_s (UNIX), latitude, longitude, as the importers write it."""
    sha256: str | None = None
    """Digest of that file, in hexadecimal: another is refused; none given: any will do."""
    start: datetime | None = None
    """First moment of the run, with its time zone; none given: the file's first fix."""
    max_gap_s: PositiveSeconds = 300.0
    """A user takes part if none of its gaps in the run's window is longer."""

    @model_validator(mode="after")
    def _zoned(self) -> "Trace":
        if self.start is not None and self.start.tzinfo is None:
            raise ValueError(
                f"start must carry a time zone (2008-05-31T18:00:00Z), got {self.start.isoformat()}"
            )
        return self
