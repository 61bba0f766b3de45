"""Windows of feature histories, and targets of forecasts by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from isma.model.forecast import HOP_CHANGES, HORIZONS_S, SERVER_FEATURES, USER_FEATURES
from isma.policies.pricing.features import Topology, place_features, road_end
from isma.training.feature_history import FeatureHistory
from isma.training.forecast_windows import History

PERIODS, SERVERS = 40, 4
HOPS = np.abs(np.subtract.outer(np.arange(SERVERS), np.arange(SERVERS))).astype(np.float32)
ROAD = Topology(jnp.asarray(HOPS), jnp.asarray(HOPS))
features, end_of = jax.jit(place_features), jax.jit(road_end)


def observed() -> FeatureHistory:
    """Two users on a road of four stations, observed every 2 s.

    The first goes from station 0 to 1 in period 3 and to 2 in period 10; its service moves from
    server 0 to 1 in period 5. The second stays at station 3, and is gone from period 6 on.
    """
    period = np.arange(PERIODS)
    station = np.stack([(period >= 3) + 1 * (period >= 10), np.full(PERIODS, 3)], axis=1)
    host = np.stack([1 * (period >= 5), np.full(PERIODS, 3)], axis=1)
    present = np.stack([period >= 0, period < 6], axis=1)
    snr = np.stack([0.5 * period, np.zeros(PERIODS)], axis=1)
    log_root_price = np.zeros((PERIODS, SERVERS))
    log_root_price[:, 1], log_root_price[7:, 2] = -0.25 * period, -7.0
    parts = (
        *(np.zeros((PERIODS, 2, USER_FEATURES)), np.zeros((PERIODS, SERVERS, SERVER_FEATURES))),
        *(present, station, host, snr, log_root_price, np.full((PERIODS, 2, 3), -1)),
    )
    return FeatureHistory(*(part[None] for part in parts))


def test_events_and_amounts_by_hand() -> None:
    """From period 1, at 2 s: segments end at 4, 8, 16, 32, ... s, in periods 2, 4, 8, 16, ..."""
    history = History.of(observed(), 2.0, ROAD)
    assert history.ends.tolist() == [1, 3, 7, 15, 31, 63]
    after = history.targets(np.array([0]), 1, np.random.default_rng(0))
    np.testing.assert_array_equal(after.leaves.value[:, 0], [0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(after.leaves.known[:, 0], [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(after.moves.value[:, 0], [0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(after.moves.known[:, 0], [1, 1, 1, 0, 0, 0])
    # Of the second user no more is known once it is gone.
    np.testing.assert_array_equal(after.leaves.known[:, 1], [1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(after.channel.value[:4, 0], [0.5, 1.0, 2.0, 4.0])
    np.testing.assert_array_equal(after.channel.known[:, 0], [1, 1, 1, 1, 1, 0])
    np.testing.assert_allclose(after.price.value[:4, 1], [-0.25, -0.5, -1.0, -2.0])
    # From period 7 on nobody is left on server 2: it has no price.
    np.testing.assert_array_equal(after.price.known[:4, 2], [1, 1, 0, 0])


def test_changes_of_hops_by_hand() -> None:
    history = History.of(observed(), 2.0, ROAD)
    after = history.targets(np.array([0]), 1, np.random.default_rng(0))
    later = np.array([0, 1, 1, 2])  # stations of the first user at the segments' ends
    hops = np.expm1(np.asarray(after.place[0, :, 0]))  # all four, in an order by chance
    for place, far in enumerate(hops.round().astype(int)):
        came = np.asarray(HOP_CHANGES)[np.asarray(after.hop_change)[:4, 0, place]]
        np.testing.assert_allclose(came, HOPS[later, far] - HOPS[0, far])
    assert sorted(hops.round()) == [0, 1, 2, 3]


def test_features_of_places_by_hand() -> None:
    """At station 2, before at 1 and still before at 0: server 3, where the road ends, is nearer by a hop
    each time, and one hop off; back from there it is two hops to server 2 and four to server 0."""
    found = features(ROAD, jnp.array([2]), jnp.array([[1, 0, -1]]), jnp.array([[3, 2, 0]]))
    user = [2 / 3, 1 / 4, np.exp(-1)]
    np.testing.assert_allclose(
        found[0],
        [
            [np.log(2), 1 / 4, 0, 1, 2, 0, 1 / 4, *user],
            [0, 0, 1, 1, 2, 0, 2 / 4, *user],
            [np.log(3), 2 / 4, 0, -1, -2, 0, 4 / 4, *user],
        ],
        rtol=1e-6,
    )


def test_where_a_road_ends_by_hand() -> None:
    """Coming from 1 to 2 it ends at 3, from 2 to 1 at 0; at 3 one is there; from nowhere it is not known."""
    end = end_of(jnp.asarray(HOPS), jnp.array([2, 1, 3, 2]), jnp.array([1, 2, 2, -1]))
    np.testing.assert_array_equal(end.server[:3], [3, 0, 3])
    np.testing.assert_array_equal(end.room, [1, 1, 0, 0])
    np.testing.assert_array_equal(end.known, [True, True, True, False])


def test_far_off_a_city_ends_nowhere() -> None:
    end = end_of(jnp.zeros((1, 257)), jnp.array([0, 0]), jnp.array([0, -1]))
    np.testing.assert_array_equal(end.room, [16, 0])
    np.testing.assert_array_equal(end.known, [True, False])


def test_an_end_where_stations_outnumber_servers() -> None:
    """Six stations, servers beside 1 and 3: going east from 1 to 2 the road ends at 3, from where it is two
    hops to the other; beyond it nothing is ahead, and all is as far as where nothing is known."""
    hops = np.abs(np.arange(6.0)[:, None] - np.array([1.0, 3.0]))
    ground = Topology(jnp.asarray(hops), jnp.asarray(hops[[1, 3]]))
    station, visited = jnp.array([2, 5]), jnp.array([[1, -1, -1], [4, -1, -1]])
    end = end_of(jnp.asarray(hops), station, visited[:, 0])
    np.testing.assert_array_equal(end.known, [True, False])
    assert (int(end.server[0]), float(end.room[0])) == (1, 1.0)
    by_end = 4 * features(ground, station, visited, jnp.array([[0, 1], [0, 1]]))[:, :, 6]
    np.testing.assert_allclose(by_end, [[1 + 2, 1], [16, 16]])


def test_windows_hold_several_worlds_side_by_side() -> None:
    two = FeatureHistory(*(np.concatenate([part, part]) for part in observed()))
    window = History.of(two, 2.0, ROAD).window(5, 2, rows=4, rng=np.random.default_rng(0))
    assert window.user.shape[:2] == (5, 4)
    assert window.server.shape[:2] == (5, 2 * SERVERS)
    assert int(window.host.max()) == 3 + SERVERS
    assert window.targets.leaves.value.shape == (2, len(HORIZONS_S), 4)
