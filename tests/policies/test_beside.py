"""What a task costs wherever its service is, and what follows a plan."""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Float
from worlds import at_random, costing, line, network, seen

from isma.contract import Latency, Observation
from isma.planning.allocation import offers
from isma.planning.moves import costs_s
from isma.policies.beside import Load, after_s2, cost_s, load_of, sooner_beside_s
from isma.policies.dwelling import Lasting
from isma.policies.heard import Usual
from isma.policies.isma2 import Isma2
from isma.policies.price import Weighed

SLOW = Latency(jnp.asarray(0.01), jnp.asarray(0.3))
"""A hop costs a task 0.3 s."""
ALONE_S, WORK_S = 3.0, 1.0


def weighed(observation: Observation, pull: list[float], usual: Usual | None = None) -> Weighed:
    """All servers, of which every user knows the same √λ."""
    users = len(observation.host)
    rows = jnp.tile(jnp.asarray(pull), (users, 1))
    nothing = jnp.zeros_like(rows)
    return Weighed(
        *(observation, offers(observation), jnp.arange(len(pull))[None], observation.host, rows),
        *(jnp.mean(rows, axis=1), nothing, usual),
    )


def home_first(observation: Observation, servers: int) -> Array:
    """All places of each user."""
    others = (observation.host[:, None] + jnp.arange(servers)) % servers
    return others.astype(jnp.int32)


def loads(places: Weighed) -> Load:
    return load_of(places, home_first(places.observation, places.pull.shape[1]))


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
    load = loads(places)
    hops = hops_now(observation, load.server)
    all_s = costs_s(places.offer, places.home, places.pull)
    weighed_s = jnp.take_along_axis(all_s, load.server, axis=1)
    found_s = cost_s(observation, hops, load.work_s, load.now, observation.gain)
    np.testing.assert_allclose(found_s, weighed_s, rtol=1e-5)


def test_who_is_served_farther_away_minds_load_less() -> None:
    """Hops and load do not add up: who would do a task alone pays for neither."""
    observation = road(3)
    load = loads(weighed(observation, [0.8] * 3))
    at = lambda hops, pull: float(  # noqa: E731
        cost_s(
            *(observation, jnp.full_like(load.now, hops), load.work_s),
            *(pull * load.typical, observation.gain),
        )[0, 1]
    )
    assert 0 < at(2, 1) - at(2, 0) < at(0, 1) - at(0, 0) - 0.05
    assert at(50, 1) == at(50, 0) == pytest.approx(ALONE_S)


def test_part_of_a_hop_costs_part_of_its_delay() -> None:
    observation = road(3)
    load = loads(weighed(observation, [0.0] * 3))
    ways = jnp.asarray([0.0, 0.5, 1.0])[:, None, None] * jnp.ones_like(load.now)
    found_s = cost_s(observation, ways, load.work_s, load.now, observation.gain)[:, 0, 1]
    assert found_s[0] + 0.05 < found_s[1] < found_s[2] - 0.05


@pytest.mark.parametrize("servers", [3, 12, 120])
def test_how_many_servers_there_are_makes_no_stop_cheaper(servers: int) -> None:
    """Most of a long road is too far to be served from, which makes none of it emptier."""

    def next_door_s(number: int) -> float:
        places = weighed(costing(road(number), downtime_s=2.0), [0.5] * number)
        lasts = Lasting.believed(jnp.full(len(places.home), 60.0))
        later_s = Isma2().later_s(places, lasts, None)
        assert later_s is not None
        return float(later_s[0, 1])

    assert next_door_s(servers) == pytest.approx(next_door_s(2), rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(-3, 3))
def test_it_is_sooner_by_no_more_than_a_task_takes_alone(seed: int, change: float) -> None:
    observation = at_random(seed)
    load = loads(weighed(observation, [3.0] * 3))
    gain = observation.gain * jnp.exp(change)
    sooner_s = np.asarray(sooner_beside_s(observation, load, gain))
    near = eqx.tree_at(lambda net: net.hops, observation.infrastructure, jnp.zeros((3, 3)))
    there = weighed(replace(observation, infrastructure=near, gain=gain), [3.0] * 3)
    beside_s = costs_s(there.offer, there.home, there.pull)
    alone_s = np.asarray(there.offer.local_s[:, 0])
    elsewhere = (np.asarray(there.home) + 1) % 3
    expected_s = alone_s - np.asarray(beside_s)[np.arange(len(alone_s)), elsewhere]
    np.testing.assert_allclose(sooner_s, expected_s, rtol=1e-4, atol=1e-5)
    assert np.all((sooner_s >= 0) & (sooner_s <= alone_s * (1 + 1e-6)))


def test_home_is_reckoned_without_the_user_itself() -> None:
    """It asks for all that home asks for: to it, home is idle, and usually as far as that is sure."""
    observation = seen(network([1e9] * 2, [[0.0, 0.0], [0.0, 0.0]]), [0], [0])
    users = len(observation.host)
    own = float(jnp.sqrt(jnp.asarray(1.0)))
    usual = Usual(jnp.tile(jnp.asarray([own / 2, -own / 2]), (users, 1)), jnp.ones(users))
    found = loads(weighed(observation, [own, 0.0], usual))
    np.testing.assert_allclose(found.now[0], [0, 0], atol=1e-5)
    np.testing.assert_allclose(found.usual[0], [0, 0], atol=1e-5)


def test_a_clock_is_no_load_that_goes() -> None:
    """Two idle servers, one four times as fast: so it will be, whatever was heard."""
    observation = seen(network([1e9, 4e9], line(2)), [0], [0])
    load = loads(weighed(observation, [0.0, 0.0]))
    np.testing.assert_array_equal(load.now, load.usual)
    here = jnp.zeros_like(load.now)
    beside_s = cost_s(observation, here, load.work_s, load.usual, observation.gain)
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
    load = loads(weighed(observation, [0.5, 0.5]))
    load = load._replace(now=load.usual)  # Nothing is odd at present.
    ahead = jnp.asarray(hops)[:, None, None] * jnp.ones_like(load.now)
    found = _after(observation, load, ahead, ahead_s=200.0)
    far_s, near_s = (
        cost_s(observation, way, load.work_s, load.usual, observation.gain)[0]
        for way in (ahead[-1, 0], jnp.zeros_like(load.now))
    )
    expected = (far_s - near_s) * jnp.asarray(stays) + near_s * 60.0
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_load_goes_on_closing_after_the_end() -> None:
    """What is left of now is so for its time, and 0.3 of a stay is as usual, the rest as anywhere."""
    observation = road(2)
    load = loads(weighed(observation, [0.5, 0.5]))
    now, usual = jnp.zeros_like(load.now).at[:, 0].set(0.9), load.usual.at[:, 0].set(0.7)
    load = load._replace(now=now, usual=usual)
    hop = jnp.ones((2, 1, *load.now.shape))  # A hop away, each costs less.
    found = _after(observation, load, hop, ahead_s=10.0, gap_s=10.0)
    at_s = lambda pull: cost_s(  # noqa: E731
        observation, hop[0, 0], load.work_s, pull, observation.gain
    )[0]
    left = usual + np.exp(-1) * (now - usual)
    expected = 60 * at_s(0.7 * load.typical + 0.3 * usual) + 10 * (at_s(left) - at_s(usual))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def _after(
    observation: Observation,
    load: Load,
    hops: Float[Array, "segments 1 users places"],
    ahead_s: float,
    gap_s: float = 60.0,
) -> Float[Array, "places"]:
    """What follows for the first user, who stays in a cell for a minute."""
    users = len(observation.host)
    lasts = Lasting.believed(jnp.full(users, 60.0))._replace(gap_s=jnp.full(users, gap_s))
    gain = observation.gain[None]
    return after_s2(observation, load, lasts, hops, gain, jnp.asarray(ahead_s))[0, 0]
