"""Real vectors as actions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from isma.planning.action_code import Coded, decode, model_input

ALONE = jnp.ones(1, bool)
decoded = jax.jit(decode, static_argnums=2)


@partial(jax.jit, static_argnums=1)
def alone(code: jax.Array, servers: int) -> Coded:
    """Codes decoded one user at a time, so that no two ask the same server."""
    each = jax.vmap(lambda one: decode(one[None], ALONE, servers))(code)
    return jax.tree.map(lambda column: column[:, 0], each)


def test_by_hand() -> None:
    """u = 0.5 is the server itself, the sixth of eleven ratios, share 0.01 + 0.495."""
    middle = alone(jnp.zeros((1, 3)) + 1e-4, 6)
    assert middle.server.tolist() == [0]
    assert float(middle.offload_ratio[0]) == 0.5
    assert abs(float(middle.cpu_share[0]) - 0.505) < 1e-3
    # Both ends of the circle are the server across: three of six further on.
    ends = alone(jnp.array([[-9.0, -9.0, -9.0], [9.0, 9.0, 9.0]]), 6)
    assert ends.server.tolist() == [3, 3]
    np.testing.assert_allclose(ends.offload_ratio, [0, 1])
    np.testing.assert_allclose(ends.cpu_share, [0.01, 1])
    # u = 0.25 of 11 bins is the third ratio; 6 u + 0.5 = 2 is one server before the middle.
    quarter = alone(jnp.full((1, 3), norm.ppf(0.2501)), 6)
    assert (quarter.server.tolist(), float(quarter.offload_ratio[0])) == ([5], np.float32(0.2))


def test_normal_noise_is_uniform_over_actions() -> None:
    coded = alone(jax.random.normal(jax.random.key(0), (60_000, 3)), 6)
    np.testing.assert_allclose(np.bincount(coded.server) / 60_000, 1 / 6, atol=0.01)
    ratios = np.bincount(np.round(np.asarray(coded.offload_ratio) * 10).astype(int))
    np.testing.assert_allclose(ratios / 60_000, 1 / 11, atol=0.01)
    assert abs(float(coded.cpu_share.mean()) - 0.505) < 0.01


def test_rows_of_others_ask_for_nothing() -> None:
    coded = decoded(jnp.full((3, 3), 0.5), jnp.array([True, False, True]), 3)
    assert (np.asarray(coded.cpu_share) > 0).tolist() == [True, False, True]
    assert (np.asarray(coded.offload_ratio) > 0).tolist() == [True, False, True]


def test_model_input_by_hand() -> None:
    """Ratios of all rows, then each row's share in the column of its server; others' rows are zero."""
    coded = Coded(jnp.array([2, 0, 0]), jnp.array([1.0, 0.5, 0]), jnp.array([1.0, 0.25, 0]))
    expected = [1, 0.5, 0, *(0, 0, 1), *(0.25, 0, 0), *(0, 0, 0)]
    np.testing.assert_allclose(model_input(coded, 3), expected)


def test_a_single_server() -> None:
    coded = decoded(jnp.zeros((2, 3)), jnp.ones(2, bool), 1)
    assert coded.server.tolist() == [0, 0]
    assert np.all(np.isfinite(model_input(coded, 1)))
