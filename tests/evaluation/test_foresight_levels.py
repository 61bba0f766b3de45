"""Levels of foresight and the table of bounds: what references see, and a grid that goes on after a stop."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers.small_worlds import tiny

from isma import api
from isma.contract import Memory
from isma.errors import ScenarioError
from isma.evaluation import cell
from isma.evaluation.bounding import run_bound
from isma.evaluation.bounding.foresight_levels import price_with_foresight
from isma.evaluation.bounding.known_future import every_tick
from isma.evaluation.bounding.run_bound import Reach, closed
from isma.planning.allocation import offers
from isma.planning.segment_sums import Pools
from isma.policies.pricing.candidates import all_servers
from isma.policies.pricing.true_future import TrueFuture
from isma.policies.pricing.valuation import Forecast
from isma.policies.rules.local_random import Local
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.simulator.step import everyone, observe
from isma.world.scenario import Visibility

COSTLY = {"migration.kind": "cold", "migration.downtime_per_hop_s": 0.5, "latency.per_hop_s": 1}


def test_a_level_knows_the_stations_of_the_run_itself() -> None:
    """Every 5 s, in the world in which policies are run; and nothing beyond its time."""
    scenario = tiny(COSTLY)
    params = build(scenario)
    found = price_with_foresight(scenario, every_tick(scenario, params, 7), 10.0)
    assert found.valuation.segments == 2
    key = jax.random.split(jax.random.key(7))[0]
    state, policy = jax.jit(reset)(params, key), Local()
    memory = policy.init(scenario, params.shape.num_users, params.shape.num_servers, key)
    for moment in range(4):
        np.testing.assert_array_equal(found.valuation.track.station[moment], state.station)
        state, memory, _ = run_chunk(params, policy, state, memory, key, 50)
    blind = price_with_foresight(scenario, every_tick(scenario, params, 7), 0.0)
    assert (blind.valuation.segments, blind.valuation.known) == (1, 0)
    assert (
        price_with_foresight(
            scenario, every_tick(scenario, params, 7), 7.0
        ).valuation.track.step_slots
        == 3500
    )


@pytest.mark.slow
def test_what_is_beyond_its_time_changes_nothing() -> None:
    """Another track from there on, and the same is to come; another within it, and something else."""
    scenario = tiny(COSTLY)
    params = build(scenario)
    state = jax.jit(reset)(params, jax.random.key(0))
    seen = observe(params, state, everyone(params, state), Visibility.SERVER)
    home = Pools(seen.pool(seen.host), seen.num_pools)
    root_price = jnp.broadcast_to(jnp.array([1.0, 2.0, 3.0]), (3, 3))
    places = all_servers(seen, offers(seen), home, root_price)
    ticks = every_tick(scenario, params, 0)
    for foresight_s, known in ((0.0, 0), (10.0, 2)):
        level = price_with_foresight(scenario, ticks, foresight_s).valuation
        assert isinstance(level, TrueFuture)
        forecast: Forecast = level.forecast(Memory.none(), seen)
        later_s = level.added_cost_s(places, forecast)
        for first, same in ((1, known == 0), (known + 1, True)):
            station = (level.track.station.at[first:].add(1)) % 3
            other = replace(level, track=replace(level.track, station=station))
            found = jnp.array_equal(other.added_cost_s(places, forecast), later_s)
            assert bool(found) is same


@pytest.mark.slow
def test_a_grid_is_kept_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vary = {"latency.per_hop_s": (0.5, 1.0), "migration.downtime_per_hop_s": (0.5, 1.0)}
    ask = lambda: api.bound(  # noqa: E731
        *(tiny(COSTLY), [3], ("stay", "nearest"), vary, (0.0, 10.0), tmp_path)
    )
    found = ask()
    table = pd.read_csv(tmp_path / "bounds.csv")
    assert len(table) == len(found) == 4
    assert (tmp_path / "gaps.svg").exists()
    for row in found:
        means = [*row.mean_s.values(), *row.foresight_mean_s.values()]
        assert row.bound_s <= min(means) * (1 + 1e-5)
    assert list(table["foresight_10_mean_s"]) == pytest.approx(
        [row.foresight_mean_s["10"] for row in found]
    )
    kept = (tmp_path / "bounds.csv").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(run_bound, "run_bound_s", lambda *_, **__: pytest.fail("was run again"))
        patch.setattr(cell, "run", lambda *_, **__: pytest.fail("was run again"))
        assert ask() == found
    assert (tmp_path / "bounds.csv").read_bytes() == kept
    hurt = sorted((tmp_path / "worlds").iterdir())[0]
    hurt.write_text(hurt.read_text().replace("1", "2", 1))
    assert ask() == found
    assert (tmp_path / "bounds.csv").read_bytes() == kept


def test_what_is_closed_by_hand() -> None:
    """Best over both worlds is a: 4 + 6 = 10, above 8; a level at 9 closes half."""
    worlds = [
        Reach({}, 0, 3.0, 3.0, {"a": 4.0, "b": 3.5}, {"30": 3.5}, 0.0),
        Reach({}, 1, 5.0, 5.0, {"a": 6.0, "b": 7.5}, {"30": 5.5}, 0.0),
    ]
    assert closed(worlds, "30") == pytest.approx(0.5)


def test_a_city_that_is_too_large_is_refused_and_nothing_written(tmp_path: Path) -> None:
    """100,000 users and 1,000 stations: before anything is laid out by user and place."""
    with pytest.raises(ScenarioError, match=r"at most 524,288 .* got 100,000 users and 1,000"):
        api.bound("metropolis", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
