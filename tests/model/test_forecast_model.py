"""The forecast model: means by hand, rows that do not know of each other, noise that all futures share."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.random_weights import random_weights
from jaxtyping import Array

from isma.model.forecast import (
    HOP_CHANGES,
    LENGTHS_S,
    PLACE_FEATURES,
    SERVER_FEATURES,
    USER_FEATURES,
    ForecastFrame,
    ForecastModel,
    Latent,
    mean_hop_change,
)


@cache
def model() -> ForecastModel:
    return random_weights(ForecastFrame(width=8))


forecast_prices = eqx.filter_jit(ForecastModel.forecast_prices)
forecast_users = eqx.filter_jit(ForecastModel.forecast_users)
hop_changes = eqx.filter_jit(ForecastModel.hop_changes)


SEGMENTS = len(LENGTHS_S)


def test_the_mean_change_of_hops_by_hand() -> None:
    chances = np.zeros(len(HOP_CHANGES))
    chances[:3] = 0.5, 0.25, 0.25
    mean = 0.5 * HOP_CHANGES[0] + 0.25 * HOP_CHANGES[1] + 0.25 * HOP_CHANGES[2]
    assert float(mean_hop_change(jnp.log(chances))) == pytest.approx(mean)


@eqx.filter_jit
def _seen_by(model: ForecastModel, users: int, servers: int) -> tuple[Latent, Array]:
    keys = jax.random.split(jax.random.key(1), 4)
    host = jax.random.randint(keys[0], (users,), 0, servers)
    begin = model.start(users, servers)
    state = model.update_users(begin, jax.random.normal(keys[1], (users, USER_FEATURES)), host)
    pooled = jax.random.normal(keys[2], (servers, model.width))
    features = jax.random.normal(keys[3], (servers, SERVER_FEATURES))
    return Latent(state, model.update_servers(begin, features, pooled)), host


def test_users_are_alike() -> None:
    """Users in another order have the same futures in that order, however many there are."""
    latent, host = _seen_by(model(), 9, 3)
    prices = forecast_prices(model(), latent.server)
    user, server, price = latent.user, latent.server[host], prices.sample[:, host]
    users = lambda row: forecast_users(model(), user[row], server[row], price[:, row])  # noqa: E731
    order = np.array([4, 2, 8])
    whole, part = users(np.arange(9)), users(order)
    np.testing.assert_allclose(part.leaves, whole.leaves[:, order], rtol=1e-5, atol=1e-6)
    place = jax.random.normal(jax.random.key(5), (9, 4, PLACE_FEATURES))
    odds = hop_changes(model(), whole, place)
    assert odds.shape == (SEGMENTS, 9, 4, len(HOP_CHANGES))
    swapped = hop_changes(model(), whole, place[:, ::-1])
    np.testing.assert_allclose(swapped, odds[:, :, ::-1], rtol=1e-5, atol=1e-6)


def test_a_user_that_stays_in_its_cell_is_as_far_as_before() -> None:
    """Chances sum to 1; that of a change is at most that of having left, by the end of each segment."""
    latent, host = _seen_by(model(), 7, 3)
    prices = forecast_prices(model(), latent.server)
    users = forecast_users(model(), latent.user, latent.server[host], prices.sample[:, host])
    place = jax.random.normal(jax.random.key(5), (7, 4, PLACE_FEATURES))
    chance = np.exp(hop_changes(model(), users, place))
    np.testing.assert_allclose(chance.sum(axis=-1), 1, rtol=1e-5)
    left = 1 - np.cumprod(1 / (1 + np.exp(users.leaves)), axis=0)
    changed = 1 - chance[..., HOP_CHANGES.index(0.0)]
    assert np.all(changed <= left[..., None] + 1e-6)
    nobody = users._replace(leaves=jnp.full_like(users.leaves, -40.0))
    np.testing.assert_allclose(mean_hop_change(hop_changes(model(), nobody, place)), 0, atol=1e-4)


def test_futures_differ_by_their_samples_and_go_on_from_them() -> None:
    """No noise gives the mean; the actual change of a segment alters those after it, and not itself."""
    latent, host = _seen_by(model(), 5, 3)
    mean, drawn = (
        forecast_prices(model(), latent.server),
        forecast_prices(model(), latent.server, jnp.ones(SEGMENTS)),
    )
    np.testing.assert_allclose(mean.sample, mean.change.mean)
    np.testing.assert_allclose(drawn.sample, drawn.change.mean + drawn.change.std, rtol=1e-6)
    np.testing.assert_allclose(drawn.change.mean[0], mean.change.mean[0])
    assert not np.allclose(drawn.change.mean[1], mean.change.mean[1])
    price = mean.sample[:, host]
    still = forecast_users(
        model(), latent.user, latent.server[host], price, actual=jnp.zeros((SEGMENTS, 5))
    )
    moves = forecast_users(
        model(), latent.user, latent.server[host], price, actual=jnp.ones((SEGMENTS, 5))
    )
    np.testing.assert_allclose(still.leaves[0], moves.leaves[0])
    assert not np.allclose(still.leaves[1], moves.leaves[1])
