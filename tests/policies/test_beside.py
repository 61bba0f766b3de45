"""What a task costs beside a server: load and clocks, however far away that server is."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import at_random, line, network, seen

from isma.contract import Latency, Observation
from isma.planning.allocation import offers
from isma.planning.moves import costs_s
from isma.policies.beside import Beside, after_s2, cost_beside, sooner_beside_s
from isma.policies.dwelling import Lasting
from isma.policies.heard import Usual
from isma.policies.price import Weighed

SLOW = Latency(jnp.asarray(0.01), jnp.asarray(0.3))
"""A hop costs a task 0.3 s."""


def weighed(observation: Observation, pull: list[float], usual: Usual | None = None) -> Weighed:
    """All servers, of which every user knows the same √λ."""
    users = len(observation.host)
    rows = jnp.tile(jnp.asarray(pull), (users, 1))
    nothing = jnp.zeros_like(rows)
    return Weighed(
        *(observation, offers(observation), jnp.arange(len(pull))[None], observation.host, rows),
        *(jnp.mean(rows, axis=1), jnp.zeros(users), nothing, usual),
    )


def from_home(places: Weighed) -> Beside:
    """That of all places in order: home is the first server in these worlds."""
    column = jnp.broadcast_to(jnp.arange(places.pull.shape[1]), places.pull.shape)
    return cost_beside(places, costs_s(places.offer, places.home, places.pull), column)


def road(servers: int, work_s: float = 1.0, local_s: float = 3.0) -> Observation:
    net = replace(network([1e9] * servers, line(servers)), latency=SLOW)
    return seen(net, [0], [0], data_mbit=0.1, work_s=work_s, local_s=local_s)


def test_where_no_hop_lies_between_it_is_what_joining_costs() -> None:
    observation = seen(network([1e9, 4e9], [[0.0, 0.0], [0.0, 0.0]]), [0], [0])
    places = weighed(observation, [3.0, 2.0])
    all_s = costs_s(places.offer, places.home, places.pull)
    np.testing.assert_allclose(from_home(places).now_s[0], all_s[0], rtol=1e-5)


@pytest.mark.parametrize("servers", [3, 12, 120])
def test_how_many_servers_there_are_makes_no_stop_cheaper(servers: int) -> None:
    """Most of a long road is too far to be served from."""
    places = weighed(road(servers), [0.5] * servers)
    np.testing.assert_allclose(
        from_home(places).typical_s[0, 0], from_home(places).typical_s[0, -1]
    )
    few = weighed(road(3), [0.5] * 3)
    gain = places.observation.gain
    np.testing.assert_allclose(sooner_beside_s(places, gain), sooner_beside_s(few, gain), rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(-3, 3))
def test_it_is_sooner_by_no_more_than_a_task_takes_alone(seed: int, change: float) -> None:
    observation = at_random(seed)
    places = weighed(observation, [0.1, 3.0, 8.0])
    sooner_s = sooner_beside_s(places, observation.gain * jnp.exp(change))
    assert np.all(np.asarray(sooner_s) >= 0)
    assert np.all(np.asarray(sooner_s) <= np.asarray(places.offer.local_s[:, 0]) * (1 + 1e-6))
    home_s = np.asarray(places.offer.local_s[:, 0] - from_home(places).typical_s[:, 0])
    at_present_s = sooner_beside_s(places, observation.gain)
    at_home = np.asarray(observation.host) == 0
    np.testing.assert_allclose(at_present_s[at_home], home_s[at_home], rtol=1e-4, atol=1e-5)


def test_home_is_reckoned_without_the_user_itself() -> None:
    """It asks for all that home asks for: to it, home is idle, and usually as far as that is sure."""
    observation = seen(network([1e9] * 2, [[0.0, 0.0], [0.0, 0.0]]), [0], [0])
    users = len(observation.host)
    own = float(jnp.sqrt(jnp.asarray(1.0)))
    usual = Usual(jnp.tile(jnp.asarray([own / 2, -own / 2]), (users, 1)), jnp.ones(users))
    found = from_home(weighed(observation, [own, 0.0], usual))
    np.testing.assert_allclose(found.now_s[0, 0], found.now_s[0, 1], rtol=1e-5)
    np.testing.assert_allclose(found.usual_s[0, 0], found.usual_s[0, 1], rtol=1e-5)


def test_a_clock_is_no_load_that_goes() -> None:
    """Two idle servers, one four times as fast: so it will be, whatever was heard."""
    found = from_home(weighed(seen(network([1e9, 4e9], line(2)), [0], [0]), [0.0, 0.0]))
    assert float(found.typical_s[0, 1]) < float(found.typical_s[0, 0]) - 0.5
    np.testing.assert_array_equal(found.usual_s, found.typical_s)


@pytest.mark.parametrize(
    ("hops", "stays"),
    [
        ([[0.0, 3.0], [0.0, 3.0]], [60.0, 60.0]),  # It stays in its cell for a minute.
        ([[0.0, 2.0], [0.0, 3.0]], [60.0, 120.0]),  # It is leaving: a hop comes off each minute.
        ([[0.0, 8.0], [0.0, 9.0]], [60.0, 200.0]),  # No longer than the plan was.
    ],
)
def test_what_follows_lasts_a_stay_or_until_it_is_back(
    hops: list[list[float]], stays: list[float]
) -> None:
    one = jnp.ones((1, 2))
    lasts = Lasting.believed(jnp.asarray([60.0]))
    way_s = jnp.asarray([hops[-1]])[None]
    ahead = jnp.asarray(hops)[:, None, None]
    found = after_s2(Beside(one, one, one), lasts, way_s, ahead, jnp.asarray(200.0))
    expected = np.asarray(hops[-1]) * stays + 60.0
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5)


def test_load_goes_on_closing_after_the_end() -> None:
    """What is left of now fades within its time, and 0.3 of a stay is as usual, the rest as anywhere."""
    lasts = Lasting.believed(jnp.asarray([60.0]))._replace(gap_s=jnp.asarray([10.0]))
    beside = Beside(jnp.asarray([[5.0, 3.0]]), jnp.asarray([[2.0, 3.0]]), jnp.ones((1, 2)))
    flat = jnp.zeros((2, 1, 1, 2))
    found = after_s2(beside, lasts, jnp.zeros((1, 1, 2)), flat, jnp.asarray(10.0))
    expected = [60 + 18 * 1 + 10 * np.exp(-1) * 3, 60 + 18 * 2]
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5)
