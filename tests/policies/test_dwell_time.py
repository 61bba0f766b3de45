"""How long gains last, from hand-overs and moves (isma.policies.pricing.dwell_time)."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import tiny

from isma.contract import Memory, Observation
from isma.errors import PolicyError
from isma.policies import registry
from isma.policies.pricing.dwell_time import (
    DwellStatistics,
    GainDuration,
    count_dwell,
    gain_duration,
)
from isma.policies.pricing.policy import price
from isma.simulator.params import build
from isma.simulator.state import reset
from isma.simulator.step import everyone, observe
from isma.world import files
from isma.world.scenario import Visibility


def _seen_at(slot: int, station: int, host: int = 0) -> Observation:
    """One look at all users of a small world, all of them at one station and one server."""
    params = build(tiny())
    state = jax.jit(reset)(params, jax.random.key(0))
    seen = observe(params, state, everyone(params, state), Visibility.SERVER)
    where = jnp.full_like(seen.station, station)
    served = jnp.full_like(seen.host, host)
    return replace(seen, slot=jnp.asarray(slot, jnp.int32), station=where, host=served)


def test_a_user_that_changes_stations_is_expected_to_go_on_so() -> None:
    """Looked at every 20 s with slots of 1 ms; believed beforehand: 60 s.

    At 0 s (0 + 60) / 1 = 60; at 20 s, still there, 80 / 1; at 40 s, elsewhere, 100 / 2 = 50.
    """
    known, found = None, []
    for slot, station in ((0, 0), (20_000, 0), (40_000, 1)):
        observation = _seen_at(slot, station)
        known = count_dwell(known or DwellStatistics.none(observation.host.shape[0]), observation)
        found.append(float(gain_duration(known, observation, 60.0).hops_s[0]))
    slot_s = float(_seen_at(0, 0).infrastructure.slot_s)
    assert slot_s == pytest.approx(1e-3)
    assert found == pytest.approx([60.0, 80.0, 50.0], rel=1e-5)


def test_a_service_that_moves_is_expected_to_go_on_so() -> None:
    """Its user stays at one station: what hops gain lasts longer and longer."""
    known = DwellStatistics.none(_seen_at(0, 0).host.shape[0])
    for slot, host in ((0, 0), (20_000, 1), (40_000, 2)):
        observation = _seen_at(slot, 0, host)
        known = count_dwell(known, observation)
    found = gain_duration(known, observation, 60.0)
    assert float(found.hops_s[0]) == pytest.approx(100.0)
    assert float(found.load_s[0]) == pytest.approx(100.0 / 3)
    assert float(found.gap_s[0]) == pytest.approx(100.0 / 5)  # of each move there was another
    assert float(found.longest_s[0]) == pytest.approx(100.0)


def test_a_gain_lasts_by_what_it_consists_of() -> None:
    lasts = GainDuration(jnp.array([10.0]), jnp.array([50.0]), jnp.array([30.0]))
    np.testing.assert_allclose(lasts.of(jnp.array([[0.0, 0.25, 1.0]])), [[10.0, 20.0, 50.0]])


def test_only_where_moves_cost_is_anything_remembered() -> None:
    """`paper` has free moves; `stay_s=0` and `learn_dwell=false` ask for no learning."""
    key = jax.random.key(0)
    free, costly = files.load("paper"), files.load("highway")
    assert price().init(free, 40, 6, key) == Memory.none()
    assert price(learn_dwell=False).init(costly, 40, 12, key) == Memory.none()
    assert price(stay_s=0.0).init(costly, 40, 12, key) == Memory.none()
    kept = price().init(costly, 40, 12, key).per_user
    np.testing.assert_array_equal(kept.first_slot, -np.ones(40))


def test_learning_is_on_or_off_and_has_a_new_name() -> None:
    """The message names the rule and the value, or what the option is called now."""
    with pytest.raises(PolicyError, match=r"learn_dwell must be true or false, got '2'"):
        registry.get("price:learn_dwell=2")
    with pytest.raises(PolicyError, match=r"learns is now learn_dwell"):
        registry.get("price:learns=0")
    assert registry.get("price:learn_dwell=0") == registry.get("price:learn_dwell=false")
