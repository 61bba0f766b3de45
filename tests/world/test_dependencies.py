"""Fields of what is switched off: refused where they are typed, warned about in a file, never silent."""

import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from helpers.small_worlds import tiny

from isma.errors import ScenarioError, ScenarioWarning
from isma.evaluation import cell
from isma.policies import registry
from isma.simulator.params import build
from isma.world import dependencies, files
from isma.world.scenario import Scenario
from isma.world.vary import points

WORLD = {"users.count": 7, "sites.count": 3, "duration_s": 20, "warmup_s": 5}
ON: dict[str, dict[str, Any]] = {
    "migration.": {"migration.kind": "precopy"},
    "presence.": {"presence.enabled": True},
    "failures.": {"failures.enabled": True},
    "energy.": {"energy.enabled": True},
    "radio.carrier_hz": {"radio.model": "umi"},
    "radio.station_height_m": {"radio.model": "umi"},
    "radio.user_height_m": {"radio.model": "umi"},
    "backhaul.max_link_m": {"backhaul.kind": "delaunay"},
    "backhaul.kind": {"sites.count": 8},
    "broadcast.": {"servers.clock_hz": "2 GHz"},
}
"""What makes a field count, by the beginning of its name."""
SOON: dict[str, dict[str, Any]] = {
    "presence.enabled": {"presence.arrival_s": [0, 10], "presence.stay_s": [5, 10]},
    "failures.enabled": {"failures.mean_between_s": 10},
}
"""What makes a switch show in so short a run."""
SERVICE = {"name": "a", "interval_s": [0.1, 0.2], "data_bits": [1e6, 2e6], "cycles": [1e9, 2e9]}
TRIED: dict[str, tuple[Any, Any]] = {
    "time.duration_s": (20, 30),
    "time.warmup_s": (5, 10),
    "time.tick_s": (0.1, 0.5),
    "time.slot_s": (0.001, 0.01),
    "sites.kind": ("hexagonal", "line"),
    "sites.count": (3, 4),
    "sites.coverage_radius_m": (1000, 300),
    "backhaul.kind": ("neighbours", "delaunay"),
    "backhaul.rate_bps": (5e8, 5e6),
    "backhaul.max_link_m": (6000, 1),
    "servers.count": (3, 2),
    "servers.clock_hz": (15.95e9, 3e9),
    "servers.clock_range_hz": ([1e9, 2e9], [3e9, 4e9]),
    "servers.decision_period_s": (2, 5),
    "users.count": (7, 8),
    "users.local_hz": (1.5e8, 3e8),
    "tasks.interval_s": ([0.05, 0.2], [0.1, 0.3]),
    "tasks.data_bits": ([1.6e6, 2.4e7], [1e5, 1e6]),
    "tasks.cycles": ([6e9, 9e10], [6e8, 9e9]),
    "services": ([], [SERVICE]),
    "radio.model": ("log-distance", "umi"),
    "radio.bandwidth_hz": (2e7, 1e7),
    "radio.shared": (False, True),
    "radio.power_w": (0.1, 0.01),
    "radio.noise_w": (1e-13, 1e-12),
    "radio.loss_at_1km_db": (140.7, 130),
    "radio.loss_per_decade_db": (36.7, 30),
    "radio.min_distance_m": (10, 900),
    "radio.carrier_hz": (3.5e9, 28e9),
    "radio.station_height_m": (10, 25),
    "radio.user_height_m": (1.5, 10),
    "mobility.kind": ("steady", "road"),
    "mobility.speed_mps": (30, 10),
    "mobility.turn_std_rad_per_sqrt_s": (0.1, 2),
    "broadcast.period_s": (0.1, 5),
    "broadcast.delay_s": (0, 3),
    "broadcast.loss_ratio": (0, 0.9),
    "broadcast.remaining": ("newcomer", "literal"),
    "migration.kind": ("free", "cold"),
    "migration.state_bits": ([4e6, 8e8], [4e8, 8e9]),
    "migration.downtime_s": (0, 1),
    "migration.downtime_per_hop_s": ([1, 3], [0.1, 0.2]),
    "migration.dirty_bps": (4e7, 4e8),
    "migration.stop_bits": (50 * 4096 * 8, 1e8),
    "migration.most_rounds": (5, 1),
    "latency.task_s": (0, 0.5),
    "latency.per_hop_s": (0, 2),
    "queues.enabled": (False, True),
    "presence.enabled": (False, True),
    "presence.part": (1, 0.5),
    "presence.arrival_s": ([0, 10], [0, 2]),
    "presence.stay_s": ([5, 10], [2, 4]),
    "presence.stay": ("uniform", "exponential"),
    "presence.within_m": (None, 200),
    "failures.enabled": (False, True),
    "failures.mean_between_s": (10, 4),
    "failures.mean_repair_s": (60, 2),
    "failures.detection_s": (2, 5),
    "failures.restart_s": (5, 0.1),
    "energy.enabled": (False, True),
    "energy.kappa_j_per_hz2": (5e-27, 1e-26),
    "visibility": ("server", "full"),
}
"""Two values of each field that can be tried in a world without files."""
NEEDS_FILES = {
    "sites.file",
    "backhaul.file",
    "mobility.file",
    "mobility.start",
    "mobility.max_gap_s",
    "presence.kind",
    "presence.file",
}
OF_ONES_OWN = {"observe_position"}
"""Read by nobody's policy here: the findings say that all points are equal."""


def world(field: str, value: Any, on: dict[str, Any]) -> Scenario:
    changes = {**WORLD, **on, field: value}
    for switch, besides in SOON.items():
        if changes.get(switch):
            changes = {**besides, **changes}
    if field == "mobility.kind" and value == "road":
        return files.validate(road(), "road")
    return files.load("paper", changes)


def road() -> dict[str, Any]:
    tree = tiny().model_dump()
    tree["sites"]["kind"] = "line"
    tree["mobility"] = {"kind": "road"}
    return tree


POLICIES = ("random", "price")
"""One that moves whatever it costs, and one that reads what others broadcast."""


def numbers(scenario: Scenario, policy: str = "random") -> list[np.ndarray]:
    """All that comes of a run, but how long it took."""
    found = cell.run(scenario, build(scenario), registry.get(policy), 3, lambda ticks: None)
    return [np.asarray(leaf) for name, leaf in sorted(vars(found).items()) if name != "wall_s"]


def differ(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return any(
        a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(one, other, strict=True)
    )


def counts(field: str, on: dict[str, Any]) -> bool:
    one, other = (world(field, value, on) for value in TRIED[field])
    return any(differ(numbers(one, policy), numbers(other, policy)) for policy in POLICIES)


def on_for(field: str) -> dict[str, Any]:
    found = next((on for start, on in ON.items() if field.startswith(start)), {})
    return {name: value for name, value in found.items() if name != field}


def test_every_field_is_tried() -> None:
    known = {*files.field_names(), "mobility.kind"} - dependencies.LABELS
    known = {name for name in known if not name.endswith(".sha256")}  # Seals of imported tables.
    assert set(TRIED) | NEEDS_FILES | OF_ONES_OWN | {"mobility.offset_m"} == known
    assert set(dependencies.FIELDS) <= set(files.field_names())


@pytest.mark.slow
@pytest.mark.parametrize("field", TRIED)
def test_a_field_changes_the_numbers_where_it_counts(field: str) -> None:
    assert counts(field, on_for(field))


@pytest.mark.parametrize("field", ["radio.loss_at_1km_db", "migration.downtime_per_hop_s"])
def test_a_field_changes_the_numbers(field: str) -> None:
    assert counts(field, on_for(field))


SWITCHED_OFF = sorted(set(dependencies.FIELDS) & set(TRIED))
OTHER_SIDE: dict[str, dict[str, Any]] = {
    "servers.clock_hz": {"servers.clock_range_hz": [1e9, 2e9]},
    "radio.loss_at_1km_db": {"radio.model": "umi"},
    "radio.loss_per_decade_db": {"radio.model": "umi"},
    "tasks.": {"services": [SERVICE]},
    "mobility.turn_std": {"mobility.speed_mps": 0},
}
"""What switches off fields that count in the paper's world."""


@pytest.mark.parametrize("field", SWITCHED_OFF)
def test_what_is_switched_off_is_refused_where_it_is_typed(field: str) -> None:
    off = next((off for start, off in OTHER_SIDE.items() if field.startswith(start)), {})
    if field in ("sites.count", "mobility.speed_mps"):
        pytest.skip("counts wherever there are no files")
    first, second = TRIED[field]
    need = dependencies.FIELDS[field][-1]
    said = rf"^{field} changes nothing while .* = .*: add --set {need.switch.split('.')[0]}"
    with pytest.raises(ScenarioError, match=said):
        files.load("paper", {**off, field: second})
    base = files.load("paper", off)
    # Lists are compared one by one: to vary over them is refused before anything else.
    varied = "must be single numbers or words" if isinstance(first, list | tuple) else said
    with pytest.raises(ScenarioError, match=varied):
        points(base, {field: (first, second)})
    with pytest.raises(ScenarioError, match=said):
        files.override(base, {field: second})


def test_the_way_out_is_one() -> None:
    """Each refusal's `--set`, as typed, lets the field count."""
    from isma.world.vary import scalar

    tried = 0
    for field in SWITCHED_OFF:
        off = next((off for start, off in OTHER_SIDE.items() if field.startswith(start)), {})
        scenario = files.load("paper", off)
        for need in dependencies.FIELDS[field]:
            if dependencies.idle(field, scenario) is None:
                continue
            switch, _, value = need.way_out.partition("=")
            if switch == "mobility.kind":
                continue
            scenario = files.override(scenario, {switch: scalar(value)})
            tried += 1
        assert dependencies.idle(field, scenario) is None, field
    assert tried > 20


def test_a_switch_that_is_varied_too_lets_a_field_count() -> None:
    vary = {"migration.kind": ("free", "cold"), "migration.downtime_s": (1, 2)}
    assert len(points(tiny(), vary)) == 4
    set_before = files.load("paper", {"migration.downtime_s": 1}, varied=["migration.kind"])
    assert set_before.migration.downtime_s == 1
    with pytest.raises(ScenarioError, match="dirty_bps changes nothing while"):
        points(tiny(), {"migration.kind": ("free", "cold"), "migration.dirty_bps": (1e6, 1e7)})


def test_a_label_is_not_varied() -> None:
    with pytest.raises(ScenarioError, match="name is a label"):
        points(tiny(), {"name": ("a", "b")})


def test_a_field_of_another_kind_of_motion_says_of_which() -> None:
    with pytest.raises(ScenarioError, match=r"mobility.offset_m must .* steady: .* kind road$"):
        files.load("paper", {"mobility.offset_m": 3})
    with pytest.raises(ScenarioError, match=r"mobility.speed_mps .* of kind steady or road$"):
        files.validate({"mobility": {"kind": "trace", "file": "a", "speed_mps": 3}}, "mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[migration]\ndowntime_s = 5",
            "migration.downtime_s changes nothing while migration.kind",
        ),
        (
            '[radio]\nmodel = "umi"\nloss_at_1km_db = 3',
            "loss_at_1km_db changes nothing while radio.",
        ),
        (
            "[failures]\nrestart_s = 1\ndetection_s = 1",
            "failures.restart_s, failures.detection_s ch",
        ),
        ("[queues]\nenabled = true", None),
        ("[migration]\ndowntime_s = 0", None),
    ],
)
def test_a_file_is_warned_about(text: str, said: str | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[users]\ncount = 3\n{text}\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        files.load(path)
    told = [str(one.message) for one in caught if one.category is ScenarioWarning]
    if said is None:
        assert told == []
    else:
        assert len(told) == 1
        assert said in told[0]
        assert len(told[0]) < 500


def test_what_is_switched_off_on_purpose_is_not_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[users]\ncount = 3\n[migration]\nkind = "cold"\ndowntime_s = 5\n')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files.load(path, {"migration.kind": "free"})
        files.load(path, varied=["migration.kind"])


@pytest.mark.parametrize("preset", files.preset_names())
def test_presets_and_what_is_written_back_are_silent(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "back.toml"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path.write_text(files.dumps(files.load(preset)))
        files.load(path)


def test_numbers_are_the_same_for_the_same_world() -> None:
    """Else every field would seem to count."""
    assert not differ(numbers(tiny()), numbers(tiny()))
    assert jax.config.jax_enable_x64 is False
