"""Fields that count only while another field has a certain value: without effect where it is switched off.

Every such field is in one table, FIELDS, with its condition.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from isma.world.scenario import Scenario
from isma.world.switches import Attendance, Migrating, Propagation

_SHOWN = 3
"""Fields that a warning names."""


class Need(NamedTuple):
    """A condition on another field: one of these values."""

    switch: str
    """That field's dotted name."""
    values: tuple[object, ...]
    """Values of the switch for which the field counts; the first is suggested. Empty: any number above 0."""

    def met(self, value: object) -> bool:
        """Whether the switch's value lets the field count."""
        if not self.values:
            return isinstance(value, int | float) and value > 0
        return value in self.values

    @property
    def way_out(self) -> str:
        """The override that lets the field count."""
        return f"{self.switch}={_shown(self.values[0], 'null') if self.values else 1}"


_COSTS = Need("migration.kind", (Migrating.COLD, Migrating.PRECOPY))
_PRECOPY = Need("migration.kind", (Migrating.PRECOPY,))
_ENABLED, _PART = Need("presence.enabled", (True,)), Need("presence.part", ())
_DRAWN = (_ENABLED, Need("presence.kind", (Attendance.DRAWN,)))
_RECORDED = (_ENABLED, Need("presence.kind", (Attendance.RECORDED,)))
_VISITS = (_ENABLED, Need("presence.kind", (Attendance.DRAWN, Attendance.RECORDED)))
_VISITORS = (*_VISITS, _PART)
_FAILING = (Need("failures.enabled", (True,)),)
_UMI = (Need("radio.model", (Propagation.UMI,)),)
_LOG_DISTANCE = (Need("radio.model", (Propagation.LOG_DISTANCE,)),)
_PLAIN = (Need("services", ((),)),)

FIELDS: Mapping[str, tuple[Need, ...]] = {
    "sites.count": (Need("sites.kind", ("hexagonal", "line")),),
    "sites.file": (Need("sites.kind", ("file",)),),
    "sites.sha256": (Need("sites.kind", ("file",)),),
    "backhaul.max_link_m": (Need("backhaul.kind", ("gabriel", "delaunay")),),
    "backhaul.file": (Need("backhaul.kind", ("file",)),),
    "backhaul.sha256": (Need("backhaul.kind", ("file",)),),
    "servers.clock_hz": (Need("servers.clock_range_hz", (None,)),),
    "tasks.interval_s": _PLAIN,
    "tasks.data_bits": _PLAIN,
    "tasks.cycles": _PLAIN,
    "radio.loss_at_1km_db": _LOG_DISTANCE,
    "radio.loss_per_decade_db": _LOG_DISTANCE,
    "radio.carrier_hz": _UMI,
    "radio.station_height_m": _UMI,
    "radio.user_height_m": _UMI,
    "mobility.speed_mps": (Need("mobility.kind", ("steady", "road")),),
    "mobility.turn_std_rad_per_sqrt_s": (
        Need("mobility.kind", ("steady",)),
        Need("mobility.speed_mps", ()),
    ),
    "mobility.offset_m": (Need("mobility.kind", ("road",)),),
    "mobility.file": (Need("mobility.kind", ("trace",)),),
    "mobility.sha256": (Need("mobility.kind", ("trace",)),),
    "mobility.start": (Need("mobility.kind", ("trace",)),),
    "mobility.max_gap_s": (Need("mobility.kind", ("trace",)),),
    "migration.state_bits": (_COSTS,),
    "migration.downtime_s": (_COSTS,),
    "migration.downtime_per_hop_s": (_COSTS,),
    "migration.dirty_bps": (_PRECOPY,),
    "migration.stop_bits": (_PRECOPY,),
    "migration.most_rounds": (_PRECOPY,),
    "presence.kind": (_ENABLED,),
    "presence.part": _VISITS,
    "presence.arrival_s": (*_DRAWN, _PART),
    "presence.file": _RECORDED,
    "presence.sha256": _RECORDED,
    "presence.stay_s": _VISITORS,
    "presence.stay": _VISITORS,
    "presence.within_m": _VISITORS,
    "failures.mean_between_s": _FAILING,
    "failures.mean_repair_s": _FAILING,
    "failures.detection_s": _FAILING,
    "failures.restart_s": _FAILING,
    "energy.kappa_j_per_hz2": (Need("energy.enabled", (True,)),),
}
"""Fields by dotted name, with the condition of each; all others always count."""

LABELS = frozenset({"name", "description"})
"""Fields that no result depends on."""


def idle(field: str, scenario: Scenario, besides: Collection[str] = ()) -> Need | None:
    """Condition that a field lacks to count in a scenario; None where it counts, or is still to be set.

    `besides` names fields that are varied, or set in another place.
    """
    for need in FIELDS.get(field, ()):
        if need.switch not in besides and not need.met(_value(scenario, need.switch)):
            return need
    return None


def said(field: str, scenario: Scenario, need: Need) -> str:
    """Message that a field changes nothing, with the way out."""
    now = _shown(_value(scenario, need.switch))
    kept = f"{field} changes nothing while {need.switch} = {now}"
    return f"{kept}: add --set {need.way_out}, or leave it out"


def warning(scenario: Scenario, given: Iterable[str], besides: Collection[str]) -> str | None:
    """Warning of fields that a file gives without effect; None where all count, or are defaults."""
    idle_fields: dict[Need, list[str]] = {}
    for field in given:
        need = idle(field, scenario, besides)
        if need is not None and not _is_default(scenario, field):
            idle_fields.setdefault(need, []).append(field)
    if not idle_fields:
        return None
    parts = []
    for need, fields in idle_fields.items():
        more = len(fields) - _SHOWN
        names = ", ".join(fields[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        verb = "change" if len(fields) > 1 else "changes"
        now = _shown(_value(scenario, need.switch))
        parts.append(f"{names} {verb} nothing while {need.switch} = {now} (set {need.way_out})")
    return "; ".join(parts)


def _is_default(scenario: Scenario, field: str) -> bool:
    section, _, name = field.rpartition(".")
    table = _value(scenario, section) if section else scenario
    return getattr(table, name) == type(table).model_fields[name].get_default()


def _value(scenario: Scenario, field: str) -> Any:
    value: Any = scenario
    for name in field.split("."):
        value = getattr(value, name)
    return value


def _shown(value: object, nothing: str = "none") -> str:
    """A value as a person types it."""
    if value is None:
        return nothing
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        if not value or not hasattr(value[0], "name"):
            return str(list(value))
        return ", ".join(str(service.name) for service in value)
    return str(value.value) if isinstance(value, Enum) else str(value)
