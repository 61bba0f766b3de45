"""What the outlook imagines: times by hand, rows that do not know of each other, lots that are alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from isma.model.outlook import (
    FARTHER,
    LENGTHS_S,
    PLACE_LOOK,
    SERVER_LOOK,
    USER_LOOK,
    Latent,
    Outlook,
    mean_farther,
)

MODEL = Outlook.make(jax.random.key(0), 8)
SEGMENTS = len(LENGTHS_S)


def test_a_way_is_the_mean_of_what_it_may_come_to() -> None:
    chances = np.zeros(len(FARTHER))
    chances[:3] = 0.5, 0.25, 0.25
    mean = 0.5 * FARTHER[0] + 0.25 * FARTHER[1] + 0.25 * FARTHER[2]
    assert float(mean_farther(jnp.log(chances))) == pytest.approx(mean)


def _seen(users: int, servers: int, seed: int = 1) -> tuple[Latent, jnp.ndarray]:
    keys = jax.random.split(jax.random.key(seed), 4)
    host = jax.random.randint(keys[0], (users,), 0, servers)
    state = MODEL.user_seen(
        MODEL.nothing(users, servers), jax.random.normal(keys[1], (users, USER_LOOK)), host
    )
    pooled = jax.random.normal(keys[2], (servers, MODEL.width))
    look = jax.random.normal(keys[3], (servers, SERVER_LOOK))
    return Latent(state, MODEL.server_seen(MODEL.nothing(users, servers), look, pooled)), host


def test_users_are_alike() -> None:
    """Users in another order have the same futures in that order, however many there are."""
    latent, host = _seen(9, 3)
    prices = MODEL.prices(latent.server)
    ways = lambda row: MODEL.ways(  # noqa: E731
        latent.user[row], latent.server[host[row]], prices.drawn[:, host[row]]
    )
    order = np.array([4, 2, 8])
    whole, part = ways(np.arange(9)), ways(order)
    np.testing.assert_allclose(part.leaves, whole.leaves[:, order], rtol=1e-5, atol=1e-6)
    place = jax.random.normal(jax.random.key(5), (9, 4, PLACE_LOOK))
    odds = MODEL.to_places(whole, place)
    assert odds.shape == (SEGMENTS, 9, 4, len(FARTHER))
    swapped = MODEL.to_places(whole, place[:, ::-1])
    np.testing.assert_allclose(swapped, odds[:, :, ::-1], rtol=1e-5, atol=1e-6)


def test_who_stays_in_its_cell_is_as_far_as_before() -> None:
    """Chances sum to 1; that of a change is at most that of having left, by the end of each segment."""
    latent, host = _seen(7, 3)
    prices = MODEL.prices(latent.server)
    ways = MODEL.ways(latent.user, latent.server[host], prices.drawn[:, host])
    place = jax.random.normal(jax.random.key(5), (7, 4, PLACE_LOOK))
    chance = np.exp(MODEL.to_places(ways, place))
    np.testing.assert_allclose(chance.sum(axis=-1), 1, rtol=1e-5)
    left = 1 - np.cumprod(1 / (1 + np.exp(ways.leaves)), axis=0)
    changed = 1 - chance[..., FARTHER.index(0.0)]
    assert np.all(changed <= left[..., None] + 1e-6)
    nobody = ways._replace(leaves=jnp.full_like(ways.leaves, -40.0))
    np.testing.assert_allclose(mean_farther(MODEL.to_places(nobody, place)), 0, atol=1e-4)


def test_futures_differ_by_what_is_drawn_and_go_on_from_it() -> None:
    """No noise gives the mean; what came in a segment changes those after it, and not itself."""
    latent, host = _seen(5, 3)
    mean, drawn = MODEL.prices(latent.server), MODEL.prices(latent.server, jnp.ones(SEGMENTS))
    np.testing.assert_allclose(mean.drawn, mean.change.mean)
    np.testing.assert_allclose(drawn.drawn, drawn.change.mean + drawn.change.std, rtol=1e-6)
    np.testing.assert_allclose(drawn.change.mean[0], mean.change.mean[0])
    assert not np.allclose(drawn.change.mean[1], mean.change.mean[1])
    price = mean.drawn[:, host]
    still = MODEL.ways(latent.user, latent.server[host], price, came=jnp.zeros((SEGMENTS, 5)))
    moves = MODEL.ways(latent.user, latent.server[host], price, came=jnp.ones((SEGMENTS, 5)))
    np.testing.assert_allclose(still.leaves[0], moves.leaves[0])
    assert not np.allclose(still.leaves[1], moves.leaves[1])
