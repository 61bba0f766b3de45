"""The paper's vectors of a server, by hand, and that they hold nothing of another server's users."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from helpers.small_worlds import SERVERS, USERS, at_random, network, seen, tiny

from isma.model import vectors
from isma.model.vectors import Scales, reconstructed, scales, see
from isma.world.files import load

ROUND = Scales(
    data_bits=jnp.asarray(4e6),
    local_hz=jnp.asarray(1e9),
    cycles=jnp.asarray(10e9),
    deadline_s=jnp.asarray(100.0),
    server_hz=jnp.asarray(2e9),
    gain_low_db=jnp.asarray(-20.0),
    gain_high_db=jnp.asarray(20.0),
)


def test_by_hand() -> None:
    """Two users at server 0, one at server 1; gain 1 is 0 dB, the middle of its range."""
    observation = seen(
        network([2e9, 1e9], [[0, 1], [1, 0]]),
        host=[0, 1, 0],
        data_mbit=[1.0, 2.0, 4.0],
        work_s=[1.0, 2.0, 5.0],
        local_s=[10.0, 20.0, 200.0],
        load=[1.0, 0.0],
        size=3,
    )
    found = see(observation, ROUND)
    # Own users in the first rows, the one with the most work first.
    assert found.own.tolist() == [[True, True, False], [True, False, False]]
    assert found.user[0, :2].tolist() == [2, 0]
    assert int(found.user[1, 0]) == 1
    expected = [
        *(1, 1, 0),  # U
        *(1, 0.25, 0),  # c / 4 Mbit
        *(0.025, 0.1, 0),  # f^L: 5e9 cycles in 200 s, 1e9 in 10 s, over 1 GHz
        *(0.5, 0.1, 0),  # f^r / 10 Gcycles
        *(0.5, 0.5, 0),  # g
        *(1, 0.1, 0),  # δmax / 100 s, no more than 1
        *(0.5, 0.5),  # F: 2 GHz shared with one, 1 GHz idle, over 2 GHz
    ]
    np.testing.assert_allclose(found.vector[0], expected, rtol=1e-5)


def test_news_is_counted_from_the_server_itself() -> None:
    """F of 1, 2 and 4 GHz: server 1 reads its own first, then those of servers 2 and 0."""
    observation = seen(
        network([1e9, 2e9, 4e9], [[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
        host=[0, 1, 0],
        data_mbit=[1.0, 2.0, 4.0],
        work_s=[1.0, 2.0, 5.0],
        local_s=[10.0, 20.0, 200.0],
        load=[0.0, 0.0, 0.0],
        size=3,
    )
    found = see(observation, ROUND)
    np.testing.assert_allclose(found.vector[0, -3:], [0.5, 1, 1], rtol=1e-5)
    np.testing.assert_allclose(found.vector[1, -3:], [1, 1, 0.5], rtol=1e-5)


def test_the_papers_sizes() -> None:
    """40 users and 6 servers: 246 numbers seen, 166 given back, 280 done."""
    assert vectors.observation_size(40, 6) == 246
    assert len(reconstructed(40, 6)) == 166
    assert vectors.action_size(40, 6) == 280
    names = np.repeat(["U", "c", "L", "r", "g", "d", "F"], [40] * 6 + [6])
    assert list(names[reconstructed(40, 6)]) == list(
        np.repeat(["U", "c", "r", "g", "F"], [40] * 4 + [6])
    )


def test_scales_of_several_scenarios() -> None:
    slow, fast = load("paper", {"clock_hz": "3.19 GHz"}), load("paper", {"local_hz": "350 MHz"})
    found = scales([slow, fast])
    assert float(found.server_hz) == np.float32(15.95e9)
    assert float(found.local_hz) == np.float32(350e6)
    assert float(found.deadline_s) == np.float32(9e10 / 150e6)
    assert float(found.gain_low_db) == np.float32(-140.7)
    np.testing.assert_allclose(float(found.gain_high_db), -140.7 + 2 * 36.7, rtol=1e-6)


def test_others_users_are_zero_and_change_nothing() -> None:
    observation = at_random(0)
    mine = np.asarray(observation.host == 0)
    scale = scales([tiny()])
    found = see(observation, scale).vector[0]
    columns = np.asarray(found[: 6 * USERS]).reshape(6, USERS)
    assert not columns[:, mine.sum() :].any()
    assert columns[0, : mine.sum()].all()
    other = at_random(1)
    rows = lambda o: (o.requests.data_bits, o.requests.cycles, o.gain)  # noqa: E731
    mixed = [jnp.where(mine, a, b) for a, b in zip(rows(observation), rows(other), strict=True)]
    changed = eqx.tree_at(rows, observation, mixed)
    np.testing.assert_array_equal(see(changed, scale).vector[0], found)
    assert found.shape == (6 * USERS + SERVERS,)


def test_scales_of_what_is_switched_on() -> None:
    """Classes of services in place of tasks, clocks from a range, and streets in place of a line.

    UMi at 1 km without line of sight: d3 = √(1000² + 8.5²) = 1000.04 m, 22.4 + 35.3 · 3.000016 +
    21.3 · 0.544068 = 139.89 dB. At 10 m in sight: d3 = 13.1244 m, 32.4 + 21 · 1.118082 + 10.8814 =
    66.76 dB.
    """
    frame = {"name": "frames", "interval_s": 0.1, "data_bits": [1e5, 4e5], "cycles": [1e8, 2e9]}
    film = {"name": "film", "interval_s": 1, "data_bits": [1e6, 5e6], "cycles_per_bit": [100, 1000]}
    found = scales(
        [
            load(
                "paper",
                {
                    "services": [frame, film],
                    "clock_range_hz": ["20 GHz", "30 GHz"],
                    "radio.model": "umi",
                },
            )
        ]
    )
    assert float(found.data_bits) == np.float32(5e6)
    assert float(found.cycles) == np.float32(5e9)
    assert float(found.deadline_s) == np.float32(5e9 / 150e6)
    assert float(found.server_hz) == np.float32(30e9)
    np.testing.assert_allclose(float(found.gain_low_db), -139.89, atol=0.02)
    np.testing.assert_allclose(float(found.gain_high_db), -66.76, atol=0.02)
