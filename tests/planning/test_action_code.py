"""Real vectors as actions."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from isma.planning.action_code import decode, model_input


def test_by_hand() -> None:
    """u = 0.5 is the fourth of six servers, the sixth of eleven ratios, share 0.01 + 0.495."""
    middle = decode(jnp.zeros((1, 3)) + 1e-4, 6)
    assert middle.server.tolist() == [3]
    assert float(middle.offload_ratio[0]) == 0.5
    assert abs(float(middle.cpu_share[0]) - 0.505) < 1e-3
    ends = decode(jnp.array([[-9.0, -9.0, -9.0], [9.0, 9.0, 9.0]]), 6)
    assert ends.server.tolist() == [0, 5]
    np.testing.assert_allclose(ends.offload_ratio, [0, 1])
    np.testing.assert_allclose(ends.cpu_share, [0.01, 1])
    # u = 0.25 of 11 bins is the third, of 6 servers the second.
    quarter = decode(jnp.full((1, 3), norm.ppf(0.25)), 6)
    assert (quarter.server.tolist(), float(quarter.offload_ratio[0])) == ([1], np.float32(0.2))


def test_normal_noise_is_uniform_over_actions() -> None:
    coded = decode(jax.random.normal(jax.random.key(0), (60_000, 3)), 6)
    np.testing.assert_allclose(np.bincount(coded.server) / 60_000, 1 / 6, atol=0.01)
    ratios = np.bincount(np.round(np.asarray(coded.offload_ratio) * 10).astype(int))
    np.testing.assert_allclose(ratios / 60_000, 1 / 11, atol=0.01)
    assert abs(float(coded.cpu_share.mean()) - 0.505) < 0.01


def test_what_the_model_reads() -> None:
    """Users in order, first all servers, then ratios, then shares; others' users are zero."""
    coded = decode(jnp.array([[9.0, 9.0, 9.0], [-9.0, 9.0, -9.0], [9.0, 9.0, 9.0]]), 3)
    given = model_input(coded, jnp.array([True, True, False]), 3)
    np.testing.assert_allclose(given, [1, 0, 0, 1, 1, 0, 1, 0.01, 0], atol=1e-6)


def test_a_single_server() -> None:
    coded = decode(jnp.zeros((2, 3)), 1)
    assert coded.server.tolist() == [0, 0]
    assert np.all(np.isfinite(model_input(coded, jnp.ones(2, bool), 1)))
