"""Street canyons: the report's formulas at chosen points, and how chance is spread over space."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from isma.world import umi
from isma.world.radio import channel_gain

AT_3_5_GHZ = (jnp.asarray(3.5e9), jnp.asarray(10.0), jnp.asarray(1.5))
DISTANCE_M = jnp.linspace(10, 2000, 200)


@partial(jax.jit, static_argnums=1)
def loss_db(distance_m: Array, sees: bool) -> Array:
    return umi.loss_db(distance_m, jnp.full(distance_m.shape, sees), *AT_3_5_GHZ)


def test_losses_by_hand() -> None:
    """d₃ = √(d² + 8.5²), 20 log10 3.5 = 10.881, the bend at 4 · 9 · 0.5 · 3.5e9 / 3e8 = 210 m.

    100 m: 32.4 + 21 · 2.00156 + 10.881 = 85.314; 22.4 + 35.3 · 2.00156 + 11.589 = 104.644.
    1 km: 32.4 + 40 · 3.00002 + 10.881 - 9.5 log10(210² + 8.5²) = 119.153; 22.4 + 105.901 + 11.589.
    """
    at = jnp.array([100.0, 1000.0])
    np.testing.assert_allclose(loss_db(at, True), [85.3142, 119.1531], atol=1e-3)
    np.testing.assert_allclose(loss_db(at, False), [104.6438, 139.8892], atol=1e-3)


def test_the_bend_is_no_step_and_walls_never_help() -> None:
    at = jnp.array([209.99, 210.01])
    near, far = loss_db(at, True)
    assert float(far) == pytest.approx(float(near), abs=0.02)
    assert jnp.all(loss_db(DISTANCE_M, False) >= loss_db(DISTANCE_M, True))
    for sees in (True, False):
        assert jnp.all(jnp.diff(loss_db(DISTANCE_M, sees)) > 0)


def test_it_is_near_the_papers_line_where_there_are_walls() -> None:
    """JTORA's 140.7 + 36.7 log10(d / km) is within 1.3 dB of it from 50 to 1000 m."""
    distance_m = jnp.linspace(50, 1000, 100)
    gain = channel_gain(
        distance_m**2, jnp.asarray(10 ** ((3 * 36.7 - 140.7) / 10)), jnp.asarray(3.67), jnp.ones(())
    )
    np.testing.assert_allclose(-10 * jnp.log10(gain), loss_db(distance_m, False), atol=1.3)


def test_sight_is_as_likely_as_the_report_says() -> None:
    """Always up to 18 m; 0.231 at 100 m; 0.036 at 500 m."""
    chance = jax.jit(umi.sight_chance)(jnp.array([10.0, 18.0, 100.0, 500.0]))
    np.testing.assert_allclose(chance, [1, 1, 0.230985, 0.036001], atol=1e-5)
    sight = jax.random.normal(jax.random.key(0), (100_000,))
    has_sight = jax.jit(umi.has_sight)
    for distance_m, expected in ((15.0, 1.0), (100.0, 0.231)):
        share = has_sight(jnp.full(sight.shape, distance_m), sight).mean()
        assert float(share) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(
    ("way_m", "reach_m"), [(0.0, 10.0), (5.0, 10.0), (13.0, 13.0), (200.0, 50.0)]
)
def test_chance_fades_with_the_way_gone(way_m: float, reach_m: float) -> None:
    """Correlation e^(-way / reach), also when the way is gone in steps; still standard normal."""
    begin, *steps = jax.random.normal(jax.random.key(1), (6, 50_000))
    value = begin
    for draw in steps:
        value = umi.wander(value, draw, jnp.full(draw.shape, way_m / 5), reach_m)
    assert float(value.std()) == pytest.approx(1, abs=0.02)
    found = float(np.corrcoef(begin, value)[0, 1])
    assert found == pytest.approx(np.exp(-way_m / reach_m), abs=0.02)
