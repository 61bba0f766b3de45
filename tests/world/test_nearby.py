"""What is near in a large city, against looking at everything."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from isma.world import files, mobility
from isma.world.nearby import (
    delaunay_neighbours,
    is_large,
    nearest_servers,
    servers_near,
    station_neighbours,
)
from isma.world.servers import network

walk = jax.jit(mobility.walk_to_nearest)
CITY = {"sites.count": 200, "users.count": 100}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 7, 40]), st.booleans())
def test_walking_ends_at_the_nearest(seed: int, stations: int, in_a_row: bool) -> None:
    """From anywhere to anywhere, also outside of all stations, and where they stand in a row.

    A metre apart or more: to single precision, two that stand millimetres apart are equally far.
    """
    rng = np.random.default_rng(seed)
    east_m = rng.choice(2000, stations, replace=False) - 1000.0
    site_m = np.stack([east_m, rng.uniform(-1000, 1000, stations)], axis=1)
    if in_a_row:
        site_m[:, 1] = 0.5 * site_m[:, 0]
    neighbours = delaunay_neighbours(site_m)
    neighbours = np.pad(neighbours, ((0, 0), (0, 40 - neighbours.shape[1])), mode="edge")
    point_m = rng.uniform(-2000, 2000, (50, 2))
    station = jnp.asarray(rng.integers(0, stations, 50), jnp.int32)
    found = np.asarray(
        walk(jnp.asarray(point_m), station, jnp.asarray(site_m), jnp.asarray(neighbours))
    )
    way_m = np.linalg.norm(point_m[:, None] - site_m, axis=2)
    np.testing.assert_allclose(way_m[np.arange(50), found], way_m.min(axis=1), rtol=1e-4)


def test_motion_is_the_same_either_way() -> None:
    """60 steps on a lattice, border included: both look for the nearest station at every step."""
    laid = network(files.load("metropolis", {"sites.count": 40, "users.count": 200}))
    site_m = jnp.asarray(laid.layout.position_m, float)
    neighbours, radius_m = jnp.asarray(delaunay_neighbours(np.asarray(site_m))), jnp.asarray(289.0)
    start, turning = jax.random.split(jax.random.key(0))
    here = mobility.uniform_start_by_retries(start, 200, site_m, radius_m, neighbours)
    heading = jnp.linspace(0, 2 * jnp.pi, 200)
    a = b = (here, heading)
    station = mobility.nearest_site(here, site_m)

    @jax.jit
    def both(a, b, station, turn):
        step_m = jnp.asarray(40.0)
        a = mobility.advance(*a, turn, step_m, site_m, radius_m)
        walk = lambda at_m: mobility.walk_to_nearest(at_m, station, site_m, neighbours)  # noqa: E731
        b = mobility.advance(*b, turn, step_m, site_m, radius_m, walk)
        return a, b, mobility.walk_to_nearest(b[0], station, site_m, neighbours)

    for turn in jax.random.normal(turning, (60, 200)):
        a, b, station = both(a, b, station, 0.3 * turn)
        way_m = jnp.linalg.norm(b[0][:, None] - site_m, axis=2)
        np.testing.assert_allclose(
            way_m[jnp.arange(200), station], way_m.min(axis=1), rtol=1e-5, atol=1e-3
        )
        np.testing.assert_allclose(b[0], a[0], atol=1e-2)
        b = a


def test_users_start_evenly_where_there_is_coverage() -> None:
    """Every cell of the lattice is as large: 20,000 users on 40 stations are 500 each, give or take."""
    laid = network(files.load("metropolis", {"sites.count": 40, "users.count": 200}))
    site_m = jnp.asarray(laid.layout.position_m, float)
    neighbours = jnp.asarray(delaunay_neighbours(laid.layout.position_m))
    found = mobility.uniform_start_by_retries(
        jax.random.key(1), 20_000, site_m, jnp.asarray(289.0), neighbours
    )
    way_m = np.linalg.norm(np.asarray(found)[:, None] - np.asarray(site_m), axis=2)
    assert way_m.min(axis=1).max() <= 289.0 + 1e-2
    inner = np.bincount(way_m.argmin(axis=1), minlength=40)[:19]
    assert np.all(np.abs(inner - inner.mean()) < 5 * np.sqrt(inner.mean()))


def test_near_servers_are_those_with_the_fewest_hops() -> None:
    laid = network(files.load("metropolis", {**CITY, "servers.count": 90}))
    near = nearest_servers(laid, 19)
    np.testing.assert_array_equal(near[:, 0], laid.nearest)
    hops = np.take_along_axis(laid.hops, near, axis=1)
    np.testing.assert_array_equal(np.sort(hops, 1), np.sort(laid.hops, 1)[:, :19])
    assert all(len(set(row)) == 19 for row in near.tolist())


def test_on_a_lattice_they_are_all_within_two_hops() -> None:
    """6 neighbours and the 12 around those, in the middle."""
    laid = network(files.load("metropolis", CITY))
    assert sorted(laid.hops[0][nearest_servers(laid, 19)[0]]) == [0] + [1] * 6 + [2] * 12


def test_small_worlds_have_no_such_tables() -> None:
    laid = network(files.load("paper"))
    assert servers_near(laid, 40) is None
    assert station_neighbours(laid, 40) is None
    assert is_large(100_000, 1_000)
    assert not is_large(250, 209)
