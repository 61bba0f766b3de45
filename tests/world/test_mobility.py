"""Motion and radio by hand, and what must hold wherever users wander."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import new_world
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Float

from isma.simulator.params import build
from isma.units import db_to_ratio
from isma.world import mobility
from isma.world.motion import Road
from isma.world.radio import channel_gain
from isma.world.scenario import Scenario, Sites, Users

SITE_M = jnp.array([[0.0, 0.0], [150.0, 0.0]])
RADIUS_M = jnp.asarray(100.0)
advance = jax.jit(mobility.advance)
start = jax.jit(mobility.uniform_start, static_argnums=1)


def step(
    position_m: list[list[float]], heading_rad: list[float], step_m: float
) -> tuple[Float[Array, "users 2"], Float[Array, "users"]]:
    users = len(heading_rad)
    return advance(
        *(jnp.array(position_m), jnp.array(heading_rad), jnp.zeros(users)),
        *(jnp.asarray(step_m), SITE_M, RADIUS_M),
    )


def inside(position_m: Float[Array, "users 2"], slack_m: float = 1e-3) -> np.ndarray:
    offset = np.asarray(position_m)[:, None] - np.asarray(SITE_M)
    return np.hypot(*np.moveaxis(offset, -1, 0)).min(axis=1) <= float(RADIUS_M) + slack_m


def test_a_step_and_a_turn() -> None:
    position, heading = advance(
        *(jnp.array([[10.0, 20.0]]), jnp.array([0.0]), jnp.array([jnp.pi / 2])),
        *(jnp.asarray(5.0), SITE_M, RADIUS_M),
    )
    np.testing.assert_allclose(position, [[10, 25]], atol=1e-5)
    np.testing.assert_allclose(heading, [np.pi / 2], rtol=1e-6)


def test_the_border_is_a_mirror() -> None:
    """Straight out over the rim at x = -100: 15 m past it are 15 m inside, and back.

    At an angle: from (-92, 0) by 16 m along 120° to (-100, 13.8564), 100.9554 m out at angle
    172.1109°. The mirror puts it at 99.0446 m out, (-98.1072, 13.5942), heading
    2 · 172.1109° + 180° - 120° = 404.2218°.
    """
    position, heading = step([[-95.0, 0.0], [-92.0, 0.0]], [np.pi, 2 * np.pi / 3], 20.0)
    np.testing.assert_allclose(position[0], [-85, 0], atol=1e-3)
    assert np.cos(heading[0]) == pytest.approx(1, abs=1e-6)
    position, heading = step([[-92.0, 0.0]], [2 * np.pi / 3], 16.0)
    np.testing.assert_allclose(position[0], [-98.1072, 13.5942], atol=1e-3)
    assert np.cos(heading[0] - np.deg2rad(404.2218)) == pytest.approx(1, abs=1e-6)


def test_leaving_one_disc_for_another_is_no_border() -> None:
    position, heading = step([[70.0, 0.0]], [0.0], 40.0)
    np.testing.assert_allclose(position, [[110, 0]], atol=1e-4)
    np.testing.assert_allclose(heading, [0], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_nobody_ever_leaves(seed: int) -> None:
    key = jax.random.key(seed)
    position = start(key, 16, SITE_M, RADIUS_M)
    assert inside(position).all()
    rng = np.random.default_rng(seed)
    heading, step_m = jnp.asarray(rng.uniform(0, 2 * np.pi, 16)), jnp.asarray(rng.uniform(1, 90))
    for _ in range(20):
        turn = jnp.asarray(rng.standard_normal(16))
        position, heading = advance(position, heading, turn, step_m, SITE_M, RADIUS_M)
        assert inside(position).all()


def test_starts_spread_evenly() -> None:
    """Where both discs reach, no more likely than elsewhere: area of overlap over area of union.

    Half-angle α = acos(75 / 100) = 0.722734; the lens is 2 · 100² (α - sin α cos α) = 4532.9 m²
    of 2 π 100² - 4532.9 = 58299 m²: 7.775 %.
    """
    position = np.asarray(start(jax.random.key(3), 20_000, SITE_M, RADIUS_M))
    offset = position[:, None] - np.asarray(SITE_M)
    both = (np.hypot(*np.moveaxis(offset, -1, 0)) <= 100).all(axis=1).mean()
    assert both == pytest.approx(0.07775, abs=4 * np.sqrt(0.07775 / 20_000))


def test_nearest_site() -> None:
    position = jnp.array([[[0.0, 0.0], [74.0, 3.0]], [[76.0, -3.0], [500.0, 500.0]]])
    np.testing.assert_array_equal(mobility.nearest_site(position, SITE_M), [[0, 0], [1, 1]])


@pytest.mark.parametrize(
    ("distance_m", "loss_db"),
    [(1000.0, 140.7), (100.0, 140.7 - 36.7), (10.0, 140.7 - 73.4), (1.0, 140.7 - 73.4)],
)
def test_path_loss(distance_m: float, loss_db: float) -> None:
    """140.7 dB at 1 km, 36.7 dB less a decade, and no less within 10 m."""
    gain = channel_gain(
        jnp.asarray(distance_m**2),
        jnp.asarray(db_to_ratio(3 * 36.7 - 140.7)),
        jnp.asarray(3.67),
        jnp.asarray(10.0),
    )
    assert -10 * math.log10(float(gain)) == pytest.approx(loss_db, abs=1e-3)


def test_a_drive_there_and_back() -> None:
    """30 m a step from 0 to 100 m: one goes east past the end and comes back, one west."""
    position, heading = (
        jnp.array([[80.0, 5.0], [20.0, 5.0], [50.0, 5.0]]),
        jnp.array([0.0, jnp.pi, 0]),
    )
    step, ends = jnp.asarray(30.0), jnp.array([0.0, 100.0])
    position, heading = mobility.drive(position, heading, step, ends)
    np.testing.assert_allclose(position, [[90, 5], [10, 5], [80, 5]], atol=1e-4)
    np.testing.assert_allclose(heading, [np.pi, 0, 0], atol=1e-6)
    position, heading = mobility.drive(position, heading, step, ends)
    np.testing.assert_allclose(position, [[60, 5], [40, 5], [90, 5]], atol=1e-4)
    np.testing.assert_allclose(heading, [np.pi, 0, np.pi], atol=1e-6)


def test_a_roads_users_are_on_it_and_drive_either_way() -> None:
    params = build(
        Scenario(
            sites=Sites(kind="line", count=4),
            mobility=Road(offset_m=30),
            users=Users(count=1000),
        )
    )
    np.testing.assert_allclose(np.diff(params.site_m[:, 0]), 1000 * np.sqrt(3), rtol=1e-5)
    motion = new_world(params, jax.random.key(0)).motion
    assert jnp.all(motion.position_m[:, 1] == 30)
    assert float(jnp.abs(motion.position_m[:, 0]).max()) <= 1500 * np.sqrt(3)
    assert float(motion.position_m[:, 0].std()) == pytest.approx(1500, rel=0.05)
    assert float((motion.heading_rad == 0).mean()) == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(np.unique(motion.heading_rad), [0, np.pi], rtol=1e-6)
