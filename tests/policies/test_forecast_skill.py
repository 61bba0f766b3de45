"""Skill of forecasts, measured where they are used: what was forecast beside what came."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import line, network, seen
from jaxtyping import Array

from isma.contract import Observation
from isma.policies.pricing.forecast_skill import (
    ForecastSkill,
    NotedForecasts,
    compare,
    note,
    noted_rows,
)

HORIZONS = 2
"""2 and 6 s."""


@jax.jit
def taken_in(
    noted: NotedForecasts, skill: ForecastSkill, change: Array, observation: Observation
) -> tuple[NotedForecasts, ForecastSkill]:
    """A moment: what is due is compared, and what is forecast now noted."""
    noted, skill = compare(noted, skill, observation)
    return note(noted, jnp.arange(1), change, observation), skill


def at(time_s: float, station: int, host: int) -> Observation:
    """One user, among three servers in a row."""
    observation = seen(network([1e9] * 3, line(3)), [host], [station], size=1)
    slot = jnp.asarray(round(time_s / float(observation.infrastructure.slot_s)))
    return dataclasses.replace(observation, slot=slot)


def forecast(*hops: float) -> Array:
    """Forecast changes of the hops to its host, in 2 and 6 s."""
    return jnp.array([hops])


def after(*moments: tuple[float, int, int, Array]) -> tuple[NotedForecasts, ForecastSkill]:
    """Moments are time, station, host and what is forecast then."""
    noted, skill = NotedForecasts.none(1, HORIZONS), ForecastSkill.none(3)
    for time_s, station, host, change in moments:
        noted, skill = taken_in(noted, skill, change, at(time_s, station, host))
    return noted, skill


@pytest.mark.parametrize(
    ("station", "weight"),
    [
        (1, 1.0),  # It has gone as was forecast.
        (0, 0.0),  # It has stayed.
        (2, 1.0),  # It has gone farther still: no more than the forecast counts.
    ],
)
def test_a_forecast_counts_as_far_as_it_came_true(station: int, weight: float) -> None:
    _, skill = after((0, 0, 0, forecast(1.0, 9.0)), (2, station, 0, forecast(0.0, 0.0)))
    np.testing.assert_allclose(skill.weight(0.0), [weight, 0, 0])


def test_before_anything_was_borne_out_it_does_not_count() -> None:
    """After one hop of doubt and one that came true: 1 / (1/2 + 1)."""
    _, none = after((0, 0, 0, forecast(1.0, 1.0)), (1.5, 1, 0, forecast(1.0, 1.0)))
    np.testing.assert_array_equal(none.weight(1.0), [0, 0, 0])
    _, some = after((0, 0, 0, forecast(1.0, 1.0)), (2.0, 1, 0, forecast(1.0, 1.0)))
    np.testing.assert_allclose(some.weight(1.0), [2 / 3, 0, 0])


def test_where_persistence_is_nearer_a_forecast_counts_in_part() -> None:
    """Three forecasts of one hop, of which one came true: 1 / (3/2)."""
    moments = [(0.0, 0), (2.0, 1), (4.0, 1), (6.0, 1)]
    _, skill = after(*((time_s, place, 0, forecast(1.0, 0.0)) for time_s, place in moments))
    assert float(skill.weight(0.0)[0]) == pytest.approx(2 / 3)


def test_what_was_forecast_travels_with_the_service() -> None:
    """The new host compares, with the hops to the one at which it was forecast."""
    noted, skill = after((0, 0, 0, forecast(2.0, 9.0)), (2, 2, 1, forecast(0.5, 0.5)))
    np.testing.assert_allclose(skill.agreed, [0, 4, 0])
    np.testing.assert_array_equal(noted.server[0], [1, 0])
    np.testing.assert_allclose(noted.hops[0], [1, 0])
    np.testing.assert_allclose(noted.change[0], [0.5, 9])


def test_a_user_out_of_sight_teaches_nobody() -> None:
    noted, skill = after((0, 0, 0, forecast(1.0, 1.0)))
    unseen = eqx.tree_at(lambda o: o.visible, at(2, 1, 0), jnp.array([False]))
    _, skill = taken_in(noted, skill, forecast(1.0, 1.0), unseen)
    assert float(jnp.sum(skill.forecast)) == 0


@pytest.mark.parametrize(("users", "rows"), [(5, 5), (4096, 4096), (10_000, 3334)])
def test_in_a_large_city_some_users_tell_enough(users: int, rows: int) -> None:
    row = np.asarray(noted_rows(users))
    assert len(row) == rows
    assert row.max() < users
