"""Marginal delay of a task wherever its service is, and the terminal cost of a plan."""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import at_random, costing, line, network, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Float

from isma.contract import HopLatency, Observation
from isma.planning.allocation import offers
from isma.planning.moves import marginal_costs_s
from isma.planning.segment_sums import Pools
from isma.policies.pricing.candidates import Candidates, all_servers
from isma.policies.pricing.dwell_time import GainDuration
from isma.policies.pricing.forecast_plan import Planned
from isma.policies.pricing.marginal_cost import (
    RootPrices,
    marginal_cost_s,
    offload_gain_s,
    root_prices_of,
    terminal_cost_s2,
)
from isma.policies.pricing.mobility_forecast import Persistence
from isma.policies.pricing.price_history import LongRunPrice
from isma.policies.pricing.valuation import Forecast

SLOW = HopLatency(jnp.asarray(0.01), jnp.asarray(0.3))
"""A hop costs a task 0.3 s."""
ALONE_S, WORK_S = 3.0, 1.0


def weighed(observation: Observation, root_price: list[float]) -> Candidates:
    """All servers, of which everybody knows the same √λ."""
    home = Pools(observation.pool(observation.host), observation.num_pools)
    known = jnp.tile(jnp.asarray(root_price), (len(root_price), 1))
    return all_servers(observation, offers(observation), home, known)


def home_first(observation: Observation, servers: int) -> Array:
    """All places of each user."""
    others = (observation.host[:, None] + jnp.arange(servers)) % servers
    return others.astype(jnp.int32)


def prices_of(places: Candidates, long_run: LongRunPrice | None = None) -> RootPrices:
    servers = places.root_price.shape[1]
    return root_prices_of(places, home_first(places.observation, servers), long_run)


def hops_now(observation: Observation, server: Array) -> Float[Array, "users places"]:
    return observation.infrastructure.hops[observation.station[:, None], server]


def road(servers: int) -> Observation:
    net = replace(network([1e9] * servers, line(servers)), latency=SLOW)
    return seen(net, [0], [0], data_mbit=0.1, work_s=WORK_S, local_s=ALONE_S)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_as_things_are_it_costs_what_moves_are_weighed_by(seed: int) -> None:
    """The plan's present is that of `price`: what it adds beyond it is only what will change."""
    observation = at_random(seed)
    places = weighed(observation, [0.1, 3.0, 8.0])
    load = prices_of(places)
    hops = hops_now(observation, load.server)
    all_s = marginal_costs_s(places.offer, places.home, places.root_price)
    weighed_s = jnp.take_along_axis(all_s, load.server, axis=1)
    found_s = marginal_cost_s(observation, hops, load.work_s, load.now, observation.gain)
    np.testing.assert_allclose(found_s, weighed_s, rtol=1e-5)


def test_who_is_served_farther_away_minds_load_less() -> None:
    """Hops and load do not add up: who would do a task alone pays for neither."""
    observation = road(3)
    load = prices_of(weighed(observation, [0.8] * 3))
    at = lambda hops, pull: float(  # noqa: E731
        marginal_cost_s(
            *(observation, jnp.full_like(load.now, hops), load.work_s),
            *(pull * load.mean, observation.gain),
        )[0, 1]
    )
    assert 0 < at(2, 1) - at(2, 0) < at(0, 1) - at(0, 0) - 0.05
    assert at(50, 1) == at(50, 0) == pytest.approx(ALONE_S)


def test_part_of_a_hop_costs_part_of_its_delay() -> None:
    observation = road(3)
    load = prices_of(weighed(observation, [0.0] * 3))
    ways = jnp.asarray([0.0, 0.5, 1.0])[:, None, None] * jnp.ones_like(load.now)
    found_s = marginal_cost_s(observation, ways, load.work_s, load.now, observation.gain)[:, 0, 1]
    assert found_s[0] + 0.05 < found_s[1] < found_s[2] - 0.05


@pytest.mark.slow
@pytest.mark.parametrize("servers", [3, 12, 120])
def test_how_many_servers_there_are_makes_no_stop_cheaper(servers: int) -> None:
    """Most of a long road is too far to be served from, which makes none of it emptier."""

    def next_door_s(number: int) -> float:
        places = weighed(costing(road(number), downtime_s=2.0), [0.5] * number)
        lasts = GainDuration.assumed(jnp.full(len(places.home), 60.0))
        later_s = Planned().added_cost_s(places, Forecast(lasts, Persistence()))
        assert later_s is not None
        return float(later_s[0, 1])

    assert next_door_s(servers) == pytest.approx(next_door_s(2), rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(-3, 3))
def test_it_is_sooner_by_no_more_than_a_task_takes_alone(seed: int, change: float) -> None:
    observation = at_random(seed)
    load = prices_of(weighed(observation, [3.0] * 3))
    gain = observation.gain * jnp.exp(change)
    sooner_s = np.asarray(offload_gain_s(observation, load, gain))
    near = eqx.tree_at(lambda net: net.hops, observation.infrastructure, jnp.zeros((3, 3)))
    there = weighed(replace(observation, infrastructure=near, gain=gain), [3.0] * 3)
    beside_s = marginal_costs_s(there.offer, there.home, there.root_price)
    alone_s = np.asarray(there.offer.local_s[:, 0])
    elsewhere = (np.asarray(there.home) + 1) % 3
    expected_s = alone_s - np.asarray(beside_s)[np.arange(len(alone_s)), elsewhere]
    np.testing.assert_allclose(sooner_s, expected_s, rtol=1e-4, atol=1e-5)
    assert np.all((sooner_s >= 0) & (sooner_s <= alone_s * (1 + 1e-6)))


def test_home_is_reckoned_without_the_user_itself() -> None:
    """It asks for all that home asks for: to it, home is idle, and usually as far as that is sure."""
    observation = seen(network([1e9] * 2, [[0.0, 0.0], [0.0, 0.0]]), [0], [0])
    own = float(jnp.sqrt(jnp.asarray(1.0)))
    usual = LongRunPrice(jnp.tile(jnp.asarray([own / 2, -own / 2]), (2, 1)), jnp.ones(2))
    found = prices_of(weighed(observation, [own, 0.0]), usual)
    np.testing.assert_allclose(found.now[0], [0, 0], atol=1e-5)
    np.testing.assert_allclose(found.long_run[0], [0, 0], atol=1e-5)


def test_a_clock_is_no_load_that_goes() -> None:
    """Two idle servers, one four times as fast: so it will be, whatever was heard."""
    observation = seen(network([1e9, 4e9], line(2)), [0], [0])
    load = prices_of(weighed(observation, [0.0, 0.0]))
    np.testing.assert_array_equal(load.now, load.long_run)
    here = jnp.zeros_like(load.now)
    beside_s = marginal_cost_s(observation, here, load.work_s, load.long_run, observation.gain)
    assert float(beside_s[0, 1]) < float(beside_s[0, 0]) - 0.5


@pytest.mark.parametrize(
    ("hops", "stays"),
    [
        ([[0.0, 1.0], [0.0, 1.0]], [60.0, 60.0]),  # It stays in its cell for a minute.
        ([[0.0, 0.0], [0.0, 1.0]], [60.0, 60.0]),  # It is leaving: that hop comes off in a minute.
        ([[0.0, 2.0], [0.0, 3.0]], [60.0, 120.0]),  # Three of them, one after the other.
        ([[0.0, 8.0], [0.0, 9.0]], [60.0, 200.0]),  # No longer than the plan was.
    ],
)
def test_what_follows_lasts_a_stay_or_until_it_is_back(
    hops: list[list[float]], stays: list[float]
) -> None:
    observation = road(2)
    load = prices_of(weighed(observation, [0.5, 0.5]))
    load = load._replace(now=load.long_run)  # Nothing is odd at present.
    ahead = jnp.asarray(hops)[:, None, :] * jnp.ones_like(load.now)
    found = _after(observation, load, ahead, ahead_s=200.0)
    far_s, near_s = (
        marginal_cost_s(observation, way, load.work_s, load.long_run, observation.gain)[0]
        for way in (ahead[-1], jnp.zeros_like(load.now))
    )
    expected = (far_s - near_s) * jnp.asarray(stays) + near_s * 60.0
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_user_is_leaving_where_hops_grow_by_more_than_it_takes() -> None:
    """A hop farther in the last segment: a stay and half of three hops, unless two are asked for."""
    observation = road(2)
    load = prices_of(weighed(observation, [0.5, 0.5]))
    load = load._replace(now=load.long_run)
    ahead = jnp.asarray([[0.0, 2.0], [0.0, 3.0]])[:, None, :] * jnp.ones_like(load.now)
    leaving, staying = (
        _after(observation, load, ahead, ahead_s=200.0, leaving_hops=hops)[1] for hops in (0.9, 2.0)
    )
    far_s, near_s = (
        marginal_cost_s(observation, way, load.work_s, load.long_run, observation.gain)[0, 1]
        for way in (ahead[-1], jnp.zeros_like(load.now))
    )
    np.testing.assert_allclose(leaving - staying, 60 * (far_s - near_s), rtol=1e-4)


@pytest.mark.parametrize("residual_load", [0.0, 0.3, 1.0])
def test_load_goes_on_closing_after_the_end(residual_load: float) -> None:
    """What is left of now is so for its time, and a part of a stay is as usual, the rest as anywhere."""
    observation = road(2)
    load = prices_of(weighed(observation, [0.5, 0.5]))
    now, usual = jnp.zeros_like(load.now).at[:, 0].set(0.9), load.long_run.at[:, 0].set(0.7)
    load = load._replace(now=now, long_run=usual)
    hop = jnp.ones((2, *load.now.shape))  # A hop away, each costs less.
    found = _after(observation, load, hop, ahead_s=10.0, gap_s=10.0, residual_load=residual_load)
    at_s = lambda pull: marginal_cost_s(  # noqa: E731
        observation, hop[0], load.work_s, pull, observation.gain
    )[0]
    left = usual + np.exp(-1) * (now - usual)
    expected = 60 * at_s((1 - residual_load) * load.mean + residual_load * usual) + 10 * (
        at_s(left) - at_s(usual)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def _after(
    observation: Observation,
    load: RootPrices,
    hops: Float[Array, "segments users places"],
    ahead_s: float,
    gap_s: float = 60.0,
    residual_load: float = 0.3,
    leaving_hops: float = 0.1,
) -> Float[Array, "places"]:
    """What follows for the first user, who stays in a cell for a minute."""
    users = len(observation.host)
    lasts = GainDuration.assumed(jnp.full(users, 60.0))._replace(gap_s=jnp.full(users, gap_s))
    return terminal_cost_s2(
        observation,
        load,
        lasts,
        hops=hops,
        gain=observation.gain,
        horizon_s=jnp.asarray(ahead_s),
        residual_load=residual_load,
        leaving_hops=leaving_hops,
    )[0]
