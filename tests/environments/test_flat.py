import jax.numpy as jnp
import numpy as np
from helpers.small_environments import SMALL
from helpers.small_worlds import line, network, seen

import isma
from isma.environments.flat import CUT, Flat
from isma.environments.structured import LEAST_SHARE, Structured
from isma.simulator.params import build

SCENARIO = isma.load_scenario("paper", SMALL)
NETWORK = network([1e9, 1e9, 1e9], line(3))
HERE = jnp.asarray(0)
MOMENT = seen(NETWORK, host=[0, 1, 0, 0], work_s=[1.0, 9.0, 3.0, 2.0], size=7)
"""Users 0, 2 and 3 are hosted at server 0; 2 has most cycles, then 3, then 0."""


def flat(rows: int | None) -> Flat:
    return Flat.of(SCENARIO, build(SCENARIO), rows)


def test_rows_are_own_users_those_with_most_cycles_first() -> None:
    action = flat(4).decode(jnp.array([2, 1, 0, 2]), MOMENT, HERE)
    # Row 0 is user 2, row 1 user 3, row 2 user 0; row 3 is another server's user.
    np.testing.assert_array_equal(action.server[:4], [0, 1, 2, 1])


def test_own_users_beyond_the_rows_stay() -> None:
    np.testing.assert_array_equal(
        flat(1).decode(jnp.array([2]), MOMENT, HERE).server[:4], [0, 1, 2, 0]
    )


def test_an_observation_fits_its_space_and_says_how_many_there_are() -> None:
    coding = flat(None)
    assert coding.rows == 6  # Twice the even part of 7 users over 3 servers.
    vector = np.asarray(coding.encode(MOMENT, HERE))
    assert vector in coding.observation_space()
    assert np.abs(vector).max() <= CUT
    np.testing.assert_allclose(vector[0], 3 / 7, rtol=1e-6)
    rows = vector[1 : 1 + 6 * 11].reshape(6, 11)
    np.testing.assert_array_equal(rows[:, 0], [1, 1, 1, 0, 0, 0])
    assert np.all(np.diff(rows[:3, 4]) <= 0)


def test_names_say_the_same_in_si_units() -> None:
    coding = Structured.of(SCENARIO, build(SCENARIO))
    observation = {name: np.asarray(v) for name, v in coding.encode(MOMENT, HERE).items()}
    np.testing.assert_array_equal(observation["own"][:4], [1, 0, 1, 1])
    np.testing.assert_allclose(observation["cycles"][[0, 2, 3]], [1e9, 3e9, 2e9])
    action = coding.decode(
        {
            "server": jnp.array([0, 0, 2, 9, 0, 0, 0]),
            "offload_tenths": jnp.array([3, 0, 10, 5, 0, 0, 0]),
            "cpu_share": jnp.array([0.25, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]),
        },
        MOMENT,
        HERE,
    )
    np.testing.assert_allclose(action.offload_ratio[:4], [0.3, 0, 1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(action.cpu_share[:4], [0.25, 0, LEAST_SHARE, 1], rtol=1e-6)
    assert action.server[3] == 2
    assert action.price_s[0] > 0
