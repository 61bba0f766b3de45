"""A scenario: everything that a world is made from, as frozen and validated data.

Each field's docstring is its documentation; a number may be given with a unit (`"15.95 GHz"`).
The values and their sources are those of the paper (section IV) unless a docstring says otherwise.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from isma.errors import short
from isma.world.fields import (
    BitsPerSecond,
    BitsRange,
    CyclesRange,
    Decibels,
    DensityRange,
    Hertz,
    HertzRange,
    Metres,
    Positive,
    PositiveSeconds,
    Ratio,
    Seconds,
    SecondsRange,
    Section,
    Watts,
    check_file_given,
    check_ordered,
    check_whole,
    each,
    is_text,
)
from isma.world.motion import Road, Steady, Trace
from isma.world.switches import (
    Attendance,
    Energy,
    Failures,
    Latency,
    Migration,
    Presence,
    Propagation,
    Queues,
)


class Visibility(StrEnum):
    """Extent of the requests that a decision may see."""

    USER = "user"
    """Every user decides alone, from its own request and its host's news."""
    SERVER = "server"
    """A server sees the users that it hosts: the paper's partial observation."""
    FULL = "full"
    """Everybody sees everything: for references and bounds."""


class Remaining(StrEnum):
    """Form of the remaining computing resources F that a server broadcasts."""

    NEWCOMER = "newcomer"
    """f^e / (1 + Σ requested shares): what a newcomer who asks for everything would get."""
    LITERAL = "literal"
    """f^e (1 - Σ granted shares): zero nearly always, since nobody leaves CPU unused."""


class Time(Section):
    """How long a run is and how finely it advances."""

    duration_s: PositiveSeconds = 600.0
    """Length of a run."""
    warmup_s: Seconds = 60.0
    """What is discarded at its beginning."""
    tick_s: PositiveSeconds = 0.1
    """Step of motion, broadcasts and decisions; tasks keep their own slots."""
    slot_s: PositiveSeconds = 0.001
    """Slot in which a task is emitted."""

    @model_validator(mode="after")
    def _whole(self) -> "Time":
        check_whole("tick_s", self.tick_s, "slot_s", self.slot_s)
        check_whole("duration_s", self.duration_s, "tick_s", self.tick_s)
        check_whole("warmup_s", self.warmup_s, "tick_s", self.tick_s)
        if self.warmup_s >= self.duration_s:
            raise ValueError(
                f"warmup_s must be below duration_s ({self.duration_s:g}), got {self.warmup_s:g}: "
                f"set it too (--set warmup_s={self.duration_s // 10:g})"
            )
        if self.duration_s / self.slot_s >= 2**31:
            raise ValueError(
                f"duration_s must be below 2^31 slots ({2**31 * self.slot_s:g} s), got {self.duration_s:g}"
            )
        return self

    @property
    def num_ticks(self) -> int:
        """Ticks in a run."""
        return round(self.duration_s / self.tick_s)

    @property
    def warmup_ticks(self) -> int:
        """Ticks that are discarded."""
        return round(self.warmup_s / self.tick_s)

    @property
    def slots_per_tick(self) -> int:
        """Slots in a tick."""
        return round(self.tick_s / self.slot_s)


class Sites(Section):
    """Where the base stations stand, and beside them the edge servers."""

    kind: Literal["hexagonal", "line", "file"] = "hexagonal"
    """`hexagonal`: `count` neighbouring cells around a centre; `line`: `count` in a row; `file`: a
    table of real sites."""
    count: Annotated[int, Positive] = 6
    """Stations of a layout that is no file."""
    coverage_radius_m: Metres = 1000.0
    """Radius of a station's coverage; neighbours in a layout stand √3 times that apart."""
    file: Path | None = None
    """CSV with columns site_id, latitude, longitude (WGS84 degrees)."""
    sha256: str | None = None
    """Digest of that file, in hexadecimal: another is refused; none given: any will do."""

    @model_validator(mode="after")
    def _complete(self) -> "Sites":
        check_file_given(self.kind, self.file)
        return self


class Backhaul(Section):
    """The links between sites; hops are counted along shortest paths."""

    kind: Literal["neighbours", "gabriel", "delaunay", "file"] = "neighbours"
    """`neighbours`: sites at most 1.1 times the hexagonal spacing apart; `gabriel`, `delaunay`: edges of
    that graph up to `max_link_m`, joined to one network; `file`: GraphML or node-link JSON."""
    rate_bps: BitsPerSecond = 500e6
    """Rate of a hop (DRACM, arXiv 2012.08679)."""
    max_link_m: Metres = 6000.0
    """Longest edge of a Gabriel or Delaunay graph that is a link."""
    file: Path | None = None
    """GraphML or node-link JSON whose nodes are the sites."""
    sha256: str | None = None
    """Digest of that file, in hexadecimal: another is refused; none given: any will do."""

    @model_validator(mode="after")
    def _complete(self) -> "Backhaul":
        check_file_given(self.kind, self.file)
        return self


class Servers(Section):
    """The edge servers and when they decide."""

    count: Annotated[int, Positive] | None = None
    """How many: beside the stations nearest to where users are (k-medoids); none given: one beside
    each."""
    clock_hz: Hertz | tuple[Hertz, ...] = 15.95e9
    """CPU clock f^e: one for all servers or one for each."""
    clock_range_hz: HertzRange | None = None
    """Range from which each server's clock is drawn, uniform, in each world anew; takes the place of
    `clock_hz`."""
    decision_period_s: PositiveSeconds | tuple[PositiveSeconds, ...] = 2.0
    """Decision period D: one for all servers or one for each; every server has a phase of its own."""


class Users(Section):
    """The mobile users."""

    count: Annotated[int, Positive] | None = None
    """How many; with a trace, at most that many of those in it (none given: all)."""
    local_hz: HertzRange = (150e6, 150e6)
    """A user's own CPU clock f^L, uniform in the range."""


class Tasks(Section):
    """The component tasks; a user's values are drawn once and stay."""

    interval_s: SecondsRange = (0.05, 0.2)
    """Time between two tasks of a user, uniform, in whole slots."""
    data_bits: BitsRange = (1.6e6, 24e6)
    """Data size c, uniform (200 KB to 3 MB)."""
    cycles: CyclesRange = (6e9, 9e10)
    """CPU cycles f^r, uniform."""


class ServiceClass(Section):
    """A class of services: what one part of the users asks for, in place of `tasks`."""

    name: str
    """What it is called."""
    weight: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    """How many users ask for it, beside the weights of the other classes."""
    interval_s: SecondsRange
    """Time between two tasks of a user, uniform, in whole slots."""
    data_bits: BitsRange
    """Data size c, uniform."""
    cycles: CyclesRange | None = None
    """CPU cycles f^r, uniform; or else `cycles_per_bit`."""
    cycles_per_bit: DensityRange | None = None
    """CPU cycles for each bit of data, uniform."""

    @model_validator(mode="after")
    def _complete(self) -> "ServiceClass":
        if (self.cycles is None) == (self.cycles_per_bit is None):
            raise ValueError(f"cycles or cycles_per_bit must be given for {self.name!r}, not both")
        for name in ("interval_s", "data_bits", "cycles", "cycles_per_bit"):
            ends = getattr(self, name)
            if ends is not None:
                check_ordered(name, ends)
        return self


class Radio(Section):
    """The uplink, after JTORA (arXiv 1705.00704): PL = 140.7 + 36.7 log10(d_km) dB."""

    model: Propagation = Propagation.LOG_DISTANCE
    """How signals fade with distance."""
    bandwidth_hz: Hertz = 20e6
    """Band B of each user, or of each station where it is shared."""
    shared: bool = False
    """Whether the users of a station that offload divide its band equally; the paper's do not."""
    power_w: Watts = 0.1
    """Transmit power p (20 dBm)."""
    noise_w: Watts = 1e-13
    """Noise power N0 over that band (-100 dBm)."""
    loss_at_1km_db: Decibels = 140.7
    """Path loss at one kilometre."""
    loss_per_decade_db: Annotated[Decibels, Positive] = 36.7
    """Path loss added by each factor of ten in distance."""
    min_distance_m: Metres = 10.0
    """Shortest distance that counts."""
    carrier_hz: Annotated[Hertz, Field(ge=0.5e9, le=100e9)] = 3.5e9
    """UMi: carrier frequency, 0.5 to 100 GHz."""
    station_height_m: Annotated[Metres, Field(gt=1)] = 10.0
    """UMi: height of a station's antenna (TR 38.901: 10 m)."""
    user_height_m: Annotated[Metres, Field(gt=1)] = 1.5
    """UMi: height of a user's antenna (TR 38.901: 1.5 to 22.5 m)."""


class Broadcast(Section):
    """Broadcasts of servers about themselves: nothing about any user."""

    period_s: PositiveSeconds = 0.1
    """Time between two broadcasts; at least one tick."""
    delay_s: Seconds = 0.0
    """How late a broadcast arrives, rounded up to ticks."""
    loss_ratio: Ratio = 0.0
    """Share of broadcasts that a listener misses, independently."""
    remaining: Remaining = Remaining.NEWCOMER
    """Form in which F is computed."""


class Scenario(Section):
    """A whole world as data: what `isma compare` takes."""

    name: str = "unnamed"
    """How reports call it."""
    description: str = ""
    """One sentence for `isma scenario list`."""
    services: tuple[ServiceClass, ...] = ()
    """Classes of services, of which each user draws one by weight; none given: all have `tasks`.
    `use = NAME` in a file stands for a class of the package."""
    time: Time = Time()
    sites: Sites = Sites()
    backhaul: Backhaul = Backhaul()
    servers: Servers = Servers()
    users: Users = Users()
    tasks: Tasks = Tasks()
    radio: Radio = Radio()
    mobility: Annotated[Steady | Road | Trace, Field(discriminator="kind")] = Steady()
    broadcast: Broadcast = Broadcast()
    migration: Migration = Migration()
    latency: Latency = Latency()
    queues: Queues = Queues()
    presence: Presence = Presence()
    failures: Failures = Failures()
    energy: Energy = Energy()
    visibility: Visibility = Visibility.SERVER
    """Extent of the requests that a decision may see."""
    observe_position: bool = False
    """Whether requests carry the user's position (ETSI MEC 013); the paper's do not."""

    @model_validator(mode="after")
    def _fits(self) -> "Scenario":
        for period_s in each(self.servers.decision_period_s):
            check_whole("servers.decision_period_s", period_s, "time.tick_s", self.time.tick_s)
        if self.broadcast.period_s > self.time.tick_s:
            check_whole(
                "broadcast.period_s", self.broadcast.period_s, "time.tick_s", self.time.tick_s
            )
        for name in ("interval_s", "data_bits", "cycles"):
            check_ordered(f"tasks.{name}", getattr(self.tasks, name))
        check_ordered("users.local_hz", self.users.local_hz)
        if self.servers.clock_range_hz is not None:
            check_ordered("servers.clock_range_hz", self.servers.clock_range_hz)
        for name in ("sites", "backhaul", "mobility", "presence"):
            file = getattr(getattr(self, name), "file", None)
            if file is not None and not is_text(str(file)):  # A run's config.toml has to hold it.
                raise ValueError(f"{name}.file must have a name in UTF-8, got {short(file)}")
        for name, shortest_s in self._shortest_intervals_s().items():
            if shortest_s < self.time.slot_s:
                raise ValueError(
                    f"{name} must be at least time.slot_s ({self.time.slot_s:g}), "
                    f"got {shortest_s:g}"
                )
        for name, longest_s in self._longest_s().items():
            if longest_s / self.time.slot_s >= 2**31:
                raise ValueError(
                    f"{name} must be below 2^31 slots ({2**31 * self.time.slot_s:g} s), got {longest_s:g}"
                )
        if self.presence.enabled:
            self._visits_fit()
        if self.mobility.kind == "road" and self.sites.kind != "line":
            raise ValueError(
                f'sites.kind must be "line" when mobility.kind is "road", got "{self.sites.kind}"'
            )
        if self.mobility.kind != "trace" and self.users.count is None:
            raise ValueError("users.count must be given when users do not come from a trace")
        count, stations = self.servers.count, self.sites.count
        if self.sites.kind != "file" and count is not None and count > stations:
            raise ValueError(f"servers.count must be at most sites.count ({stations}), got {count}")
        if self.sites.kind == "file" and self.backhaul.kind == "neighbours":
            raise ValueError(
                'backhaul.kind must be "gabriel", "delaunay" or "file" for sites from a file, '
                'got "neighbours"'
            )
        return self

    @property
    def asked(self) -> tuple[Tasks | ServiceClass, ...]:
        """Demand of users: one of the classes of services each, or `tasks` all."""
        return self.services or (self.tasks,)

    def _shortest_intervals_s(self) -> dict[str, float]:
        if not self.services:
            return {"tasks.interval_s": self.tasks.interval_s[0]}
        return {f"services.interval_s of {s.name!r}": s.interval_s[0] for s in self.services}

    def _longest_s(self) -> dict[str, float]:
        """Times that are counted in slots."""
        intervals = {
            f"services.interval_s of {s.name!r}": s.interval_s[1] for s in self.services
        } or {"tasks.interval_s": self.tasks.interval_s[1]}
        return intervals | {
            "servers.decision_period_s": max(each(self.servers.decision_period_s)),
            "broadcast.period_s": self.broadcast.period_s,
        }

    def _visits_fit(self) -> None:
        if self.presence.kind is Attendance.TRACE:
            if self.mobility.kind != "trace":
                raise ValueError(
                    'mobility.kind must be "trace" when presence.kind is "trace", got '
                    f'"{self.mobility.kind}"'
                )
            return
        latest_s, duration_s = self.presence.arrival_s[1], self.time.duration_s
        if self.presence.kind is Attendance.DRAWN and latest_s >= duration_s:
            raise ValueError(
                f"presence.arrival_s must end before time.duration_s ({duration_s:g}), "
                f"got {latest_s:g}"
            )
        if self.presence.within_m is not None and self.mobility.kind != "steady":
            raise ValueError(
                f"presence.within_m must not be given with a {self.mobility.kind}, which says where "
                f"users are, got {self.presence.within_m:g}"
            )
