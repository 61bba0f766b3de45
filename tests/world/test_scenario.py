"""Scenarios: what is refused, with which words, and what comes back from a file."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from isma.errors import ScenarioError
from isma.world import files, scenario
from isma.world.scenario import Scenario

REFUSED = [
    ({"clock_hz": float("nan")}, "servers.clock_hz must be a finite number, got nan"),
    ({"clock_hz": float("inf")}, "servers.clock_hz must be a finite number"),
    (
        {"clock_hz": "-3 GHz"},
        "servers.clock_hz must be greater than or equal to 1, got -3000000000.0",
    ),
    ({"clock_hz": "3 GB"}, "servers.clock_hz must be in one of these units: Hz, kHz"),
    ({"clock_hz": "ten"}, "servers.clock_hz must be a number or a number with a unit"),
    ({"clock_hz": [1e9, -1]}, "servers.clock_hz must be greater than or equal to 1, got -1"),
    ({"clock_range_hz": [2e9, 1e9]}, "servers.clock_range_hz must be [low, high] with low at most"),
    ({"data_bits": "-1 MB"}, "tasks.data_bits must be greater than or equal to 1, got -8000000.0"),
    ({"data_bits": ["3 MB", "1 MB"]}, "tasks.data_bits must be [low, high] with low at most high"),
    ({"data_bits": [1, 2, 3]}, "tasks.data_bits must be one value or a range [low, high]"),
    ({"cycles": 0}, "tasks.cycles must be greater than or equal to 1, got 0"),
    ({"local_hz": ["2 GHz", "1 GHz"]}, "users.local_hz must be [low, high] with low at most high"),
    ({"users.count": 0}, "users.count must be greater than 0, got 0"),
    ({"users.count": 2.5}, "users.count must be a valid integer"),
    ({"users.count": True}, "users.count must not be true or false, got True"),
    ({"speed_mps": False}, "mobility.speed_mps must not be true or false, got False"),
    ({"local_hz": [True, 2e9]}, "users.local_hz must not be true or false, got"),
    ({"users.count": "1" + "0" * 30}, "users.count must be below 2^31"),
    ({"users.count": 1e30}, "users.count must be a whole number below 2^31"),
    ({"sites.count": -1}, "sites.count must be greater than 0, got -1"),
    ({"speed_mps": -1}, "mobility.speed_mps must be greater than or equal to 0, got -1"),
    ({"loss_ratio": "150 %"}, "broadcast.loss_ratio must be less than or equal to 1, got 1.5"),
    ({"delay_s": -0.1}, "broadcast.delay_s must be greater than or equal to 0"),
    ({"min_distance_m": 0}, "radio.min_distance_m must be greater than or equal to 0.01, got 0"),
    ({"tick_s": "0.15 ms"}, "time.tick_s must be a whole multiple of slot_s (0.001), got 0.00015"),
    ({"tick_s": "1.5 ms"}, "time.tick_s must be a whole multiple of slot_s (0.001), got 0.0015"),
    ({"duration_s": 10.05}, "time.duration_s must be a whole multiple of tick_s (0.1), got 10.05"),
    ({"warmup_s": 700}, "time.warmup_s must be below duration_s (600), got 700"),
    (
        {"duration_s": 60},
        "time.warmup_s must be below duration_s (60), got 60: set it too (--set warmup_s=6)",
    ),
    ({"duration_s": 1e9}, "time.duration_s must be below 2^31 slots"),
    (
        {"decision_period_s": 0.25},
        "servers.decision_period_s must be a whole multiple of time.tick_s (0.1), got 0.25",
    ),
    ({"decision_period_s": [2, 0.25]}, "servers.decision_period_s must be a whole multiple"),
    ({"broadcast.period_s": 0.25}, "broadcast.period_s must be a whole multiple of time.tick_s"),
    ({"interval_s": ["0.1 ms", "1 s"]}, "tasks.interval_s must be at least time.slot_s (0.001)"),
    ({"visibility": "all"}, "visibility must be 'user', 'server' or 'full', got 'all'"),
    ({"remaining": "x"}, "broadcast.remaining must be 'newcomer' or 'literal', got 'x'"),
    ({"mobility.kind": "fly"}, "mobility.kind must be 'steady' or 'road' or 'trace', got 'fly'"),
    ({"mobility.kind": "trace"}, "mobility.file must be given"),
    ({"migration.kind": "warm"}, "migration.kind must be 'free', 'cold' or 'precopy', got 'warm'"),
    ({"state_bits": ["3 MB", "1 MB"]}, "migration.state_bits must be [low, high] with low at most"),
    ({"downtime_per_hop_s": [-1, 2]}, "migration.downtime_per_hop_s must be greater than or equal"),
    ({"most_rounds": 0}, "migration.most_rounds must be greater than or equal to 1, got 0"),
    ({"dirty_bps": "1 MB"}, "migration.dirty_bps must be in one of these units: bit/s"),
    ({"per_hop_s": "-1 ms"}, "latency.per_hop_s must be greater than or equal to 0, got -0.001"),
    ({"queues.enabled": "many"}, "queues.enabled must be a valid boolean"),
    ({"shared": 3}, "radio.shared must be a valid boolean"),
    ({"part": "120 %"}, "presence.part must be less than or equal to 1, got 1.2"),
    ({"stay_s": [5, 1]}, "presence.stay_s must be [low, high] with low at most high, got [5, 1]"),
    ({"stay": "long"}, "presence.stay must be 'uniform' or 'exponential', got 'long'"),
    ({"radio.model": "free"}, "radio.model must be 'log-distance' or 'umi', got 'free'"),
    ({"carrier_hz": "100 MHz"}, "radio.carrier_hz must be greater than or equal to 500000000"),
    ({"user_height_m": 1}, "radio.user_height_m must be greater than 1, got 1"),
    (
        {"mean_repair_s": 0},
        "failures.mean_repair_s must be greater than or equal to 0.000000001, got 0",
    ),
    ({"restart_s": -1}, "failures.restart_s must be greater than or equal to 0, got -1"),
    (
        {"presence.enabled": True, "arrival_s": 600},
        "presence.arrival_s must end before time.duration_s (600), got 600",
    ),
    ({"sites.kind": "file"}, 'sites.file must be given when kind is "file"'),
    ({"backhaul.kind": "file"}, 'backhaul.file must be given when kind is "file"'),
]


@pytest.mark.parametrize(("overrides", "said"), REFUSED)
def test_mistakes_are_told_in_one_line(overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as told:
        files.load("paper", overrides)
    assert f"paper: {said}" in str(told.value)
    assert "\n" not in str(told.value)


ABSURD = {
    "mobility.speed_mps": (1e15, 3e8, "2e9 km/h"),
    "mobility.turn_std_rad_per_sqrt_s": (1e9,),
    "sites.coverage_radius_m": (1e-20, 0.009, 1e15, "50000 km"),
    "backhaul.rate_bps": (1e-30, 0.5, 2e15),
    "backhaul.max_link_m": (1e-20, 1e15),
    "migration.dirty_bps": (1e-30,),
    "migration.stop_bits": (1e-30,),
    "migration.state_bits": ([1e-30, 1e6], [1.0, 1e16]),
    "migration.downtime_s": (1e15,),
    "migration.downtime_per_hop_s": ([0, 1e15],),
    "latency.task_s": (1e15,),
    "latency.per_hop_s": (1e12,),
    "broadcast.delay_s": (1e12,),
    "failures.mean_between_s": (1e-30, 1e15),
    "failures.mean_repair_s": (1e-30, 1e15),
    "failures.restart_s": (1e15,),
    "presence.stay_s": ([1e-30, 1], [1, 1e15]),
    "presence.within_m": (1e-20, 1e15),
    "servers.clock_hz": (1e-30, [1e9, 0.1]),
    "servers.clock_range_hz": ([1e-30, 1e9],),
    "servers.decision_period_s": (1e-30, 1e15),
    "time.slot_s": (1e-30,),
    "users.local_hz": ([1e-30, 1e9],),
    "tasks.data_bits": ([1e-30, 1],),
    "tasks.cycles": (1e-30,),
    "tasks.interval_s": ([0.1, 1e15],),
    "radio.bandwidth_hz": (1e-30,),
    "radio.power_w": (1e-30, "200 dBm"),
    "radio.noise_w": (1e-30,),
    "radio.loss_at_1km_db": (1e15, -1),
    "radio.loss_per_decade_db": (1e15,),
    "radio.min_distance_m": (1e-20,),
    "radio.station_height_m": (1e15,),
    "energy.kappa_j_per_hz2": (1.0,),
}
"""Numbers that single precision holds and no city has."""


@pytest.mark.parametrize("field", ABSURD)
def test_what_no_city_has_is_refused(field: str) -> None:
    for value in ABSURD[field]:
        with pytest.raises(ScenarioError, match=f"{field} must be (greater|less) than") as told:
            files.load("paper", {field: value})
        assert "\n" not in str(told.value)


def test_every_number_of_a_scenario_has_limits() -> None:
    """But counts, which the size of a world limits, and the window of a trace that is another kind's."""
    reals = {
        name
        for name, value in _leaves(files.load("paper").model_dump())
        if any(isinstance(one, float) for one in (value if isinstance(value, tuple) else (value,)))
    }
    parts = {"broadcast.loss_ratio", "presence.part"}
    others = {"time.duration_s", "time.warmup_s", "time.tick_s", "broadcast.period_s"}
    others |= {"failures.detection_s", "presence.arrival_s"}  # Kinds that are tried above.
    heights = {"radio.carrier_hz", "radio.user_height_m"}
    assert reals - parts - others - heights <= set(ABSURD)


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        inner = _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else None
        found += [(prefix + name, value)] if inner is None else inner
    return found


def test_fields_that_need_each_other() -> None:
    tree = files.load("paper").model_dump()
    tree["users"].pop("count")
    with pytest.raises(ScenarioError, match=r"users.count must be given when users do not come"):
        files.validate(tree, "mine")
    tree = files.load("paper").model_dump()
    tree["sites"] |= {"kind": "file", "file": "sites.csv"}
    with pytest.raises(ScenarioError, match=r'backhaul.kind must be "gabriel", "delaunay"'):
        files.validate(tree, "mine")
    tree["mobility"] = {"kind": "trace", "file": "x.parquet", "start": "2008-05-31T18:00:00"}
    with pytest.raises(ScenarioError, match=r"mobility.start must carry a time zone"):
        files.validate(tree, "mine")
    tree["mobility"]["start"] = "2008-05-31T18:00:00Z"
    tree["backhaul"]["kind"] = "delaunay"
    tree["presence"] |= {"enabled": True, "within_m": "1 km"}
    with pytest.raises(ScenarioError, match=r"presence.within_m must not be given with a trace"):
        files.validate(tree, "mine")


def test_a_road_needs_a_line_of_stations() -> None:
    tree = {"users": {"count": 3}, "mobility": {"kind": "road"}}
    with pytest.raises(
        ScenarioError, match=r'sites.kind must be "line" when mobility.kind is "road"'
    ):
        files.validate(tree, "mine")
    tree["sites"] = {"kind": "line"}
    assert files.validate(tree, "mine").mobility.kind == "road"
    tree["mobility"] |= {"offset_m": 0}
    with pytest.raises(
        ScenarioError, match=r"mobility.offset_m must be greater than or equal to 0.01"
    ):
        files.validate(tree, "mine")


def test_a_scenario_is_frozen() -> None:
    paper = files.load("paper")
    with pytest.raises(ValidationError):
        paper.users.count = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_the_defaults_are_the_papers_values() -> None:
    """The preset names every field of its sections; none may drift from the class's defaults."""
    preset, plain = files.load("paper"), Scenario(users=scenario.Users(count=40))
    assert preset.model_dump(exclude={"name", "description"}) == plain.model_dump(
        exclude={"name", "description"}
    )


def test_ticks_and_slots() -> None:
    """600 s in ticks of 100 ms, slots of 1 ms: rounding must not lose one (0.1 is no binary number)."""
    time = files.load("paper").time
    assert (time.num_ticks, time.warmup_ticks, time.slots_per_tick) == (6000, 600, 100)


@settings(deadline=None)
@given(
    st.integers(1, 10_000),
    st.integers(1, 500),
    st.floats(1e6, 1e12),
    st.tuples(st.floats(1, 1e9), st.floats(1, 1e9)),
    st.sampled_from(scenario.Visibility),
    st.just(0.0) | st.floats(1e-30, 1),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
)
def test_what_is_written_is_read_back(
    ticks: int,
    slots: int,
    clock_hz: float,
    data_bits: tuple[float, float],
    visibility: scenario.Visibility,
    loss_ratio: float,
    name: str,
) -> None:
    slot_s = 0.001
    tick_s = slots * slot_s
    made = Scenario(
        name=name,
        time=scenario.Time(duration_s=ticks * tick_s, warmup_s=0, tick_s=tick_s, slot_s=slot_s),
        servers=scenario.Servers(clock_hz=(clock_hz, 1.0), decision_period_s=7 * tick_s),
        users=scenario.Users(count=3),
        tasks=scenario.Tasks(data_bits=tuple(sorted(data_bits))),
        broadcast=scenario.Broadcast(period_s=tick_s, loss_ratio=loss_ratio),
        visibility=visibility,
    )
    text = files.dumps(made)
    again = files.validate(tomllib.loads(text), "again")
    assert again == made
    assert files.dumps(again) == text
