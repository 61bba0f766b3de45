"""Switches of a scenario beyond the paper's world; each is off unless it is asked for.

Equations and sources: docs/method/simulation.md and docs/method/readings.md.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from isma.world.fields import (
    Bits,
    BitsPerSecond,
    BitsRange,
    Metres,
    PositiveSeconds,
    Ratio,
    Seconds,
    SecondsRange,
    Section,
    WaitRange,
    check_ordered,
)


class Migrating(StrEnum):
    """How a service moves to another server."""

    FREE = "free"
    """At once and at no cost, as in the paper."""
    COLD = "cold"
    """It stops, its state is sent, it starts."""
    PRECOPY = "precopy"
    """Pre-copy: it runs on while its state is sent, in rounds of dirtied memory; the last one stops it."""


class Propagation(StrEnum):
    """How signals fade with distance."""

    LOG_DISTANCE = "log-distance"
    """A straight line over the logarithm of the distance (JTORA)."""
    UMI = "umi"
    """Streets: with or without line of sight, and shadowing (3GPP TR 38.901, UMi street canyon)."""


class Migration(Section):
    """Cost of moving a service; values of DRACM (arXiv 2012.08679) and Xen's pre-copy."""

    kind: Migrating = Migrating.FREE
    """How a service moves."""
    state_bits: BitsRange = (4e6, 8e8)
    """State of a user's service, uniform (0.5 to 100 MB), sent at the backhaul's rate per hop."""
    downtime_s: Seconds = 0.0
    """Time for which every move stops the service, however near."""
    downtime_per_hop_s: WaitRange = (1.0, 3.0)
    """Time for which it stops for each hop, uniform for each user."""
    dirty_bps: BitsPerSecond = 40e6
    """Pre-copy: rate at which a running service changes its state."""
    stop_bits: Bits = 50 * 4096 * 8.0
    """Pre-copy: changes that are few enough to stop for (Xen: 50 pages of 4 KiB)."""
    most_rounds: Annotated[int, Field(ge=1, le=100)] = 5
    """Pre-copy: most rounds in which the service still runs (Xen: 5)."""

    @model_validator(mode="after")
    def _ranges(self) -> "Migration":
        check_ordered("state_bits", self.state_bits)
        check_ordered("downtime_per_hop_s", self.downtime_per_hop_s)
        return self


class Latency(Section):
    """Time that a task needs to reach a server, however small it is: equation (4) has none."""

    task_s: Seconds = 0.0
    """Added to the edge branch of every task that uses a server."""
    per_hop_s: Seconds = 0.0
    """Added for each hop over the backhaul (DRACM: 20 ms)."""

    @property
    def on(self) -> bool:
        """Whether there is any."""
        return self.task_s > 0 or self.per_hop_s > 0


class Queues(Section):
    """Tasks that wait for one another: at the user's own CPU and at its share of the server."""

    enabled: bool = False
    """Whether a task waits for those before it; in the paper none does."""


class Attendance(StrEnum):
    """Sources of the times at which users come and leave."""

    DRAWN = "drawn"
    """Visitors come at a drawn time and stay for a drawn time."""
    RECORDED = "recorded"
    """Visitors come at times drawn from a table of recorded ones, and stay for a drawn time."""
    TRACE = "trace"
    """Users are there from their first to their last fix; a gap above `mobility.max_gap_s` is an absence."""


class VisitLength(StrEnum):
    """How long visitors stay."""

    UNIFORM = "uniform"
    """Any time in the range is as likely."""
    EXPONENTIAL = "exponential"
    """At least the range's low end, and its high end on average: having stayed says nothing."""


class Presence(Section):
    """Arrival and departure of users; the paper's are all present throughout."""

    enabled: bool = False
    """Whether some users are visitors."""
    kind: Attendance = Attendance.DRAWN
    """When they come and leave."""
    part: Ratio = 1.0
    """Part of the users that are visitors, to the nearest whole user; the others stay throughout."""
    arrival_s: WaitRange = (0.0, 300.0)
    """When a visitor comes and has its first task, uniform: a short range is a crowd."""
    file: Path | None = None
    """CSV with a column time_s: recorded times from the run's beginning, of which each visitor draws one."""
    sha256: str | None = None
    """Digest of that file, in hexadecimal: another is refused; none given: any will do."""
    stay_s: SecondsRange = (120.0, 600.0)
    """How long it stays."""
    stay: VisitLength = VisitLength.UNIFORM
    """How that time is spread."""
    within_m: Metres | None = None
    """Visitors appear within this distance of the first station; none given: anywhere."""

    @model_validator(mode="after")
    def _ranges(self) -> "Presence":
        check_ordered("arrival_s", self.arrival_s)
        check_ordered("stay_s", self.stay_s)
        if self.kind is Attendance.RECORDED and self.file is None:
            raise ValueError('file must be given when kind is "recorded"')
        return self

    @property
    def recorded(self) -> bool:
        """Whether visitors come at recorded times."""
        return self.enabled and self.kind is Attendance.RECORDED

    @property
    def by_trace(self) -> bool:
        """Whether users are there while their trace says so."""
        return self.enabled and self.kind is Attendance.TRACE


class Failures(Section):
    """Servers that fail and are repaired; the paper's never do."""

    enabled: bool = False
    """Whether servers fail."""
    mean_between_s: PositiveSeconds = 3600.0
    """Time from a repair to the next failure of a server, exponential, on average."""
    mean_repair_s: PositiveSeconds = 60.0
    """Time that a repair takes, exponential, on average."""
    detection_s: Seconds = 2.0
    """Time after which users of a failed server turn to another one; at least a tick."""
    restart_s: Seconds = 5.0
    """Time that a service needs to start again, its state lost."""


class Energy(Section):
    """Energy of a task from its user's battery: counted, not decided by."""

    enabled: bool = False
    """Whether it is computed."""
    kappa_j_per_hz2: Annotated[float, Field(gt=0, le=1e-15)] = 5e-27
    """Energy of a CPU cycle over the square of the clock (JTORA, arXiv 1705.00704)."""
