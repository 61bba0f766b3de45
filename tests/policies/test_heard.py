"""What is usual at servers, by the prices that were heard of them."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import line, network, seen

from isma.contract import Observation
from isma.policies.heard import Heard, hear

PRICES = st.lists(
    st.lists(st.floats(0, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=6
)


def telling(price_s: list[float]) -> Observation:
    """All three servers hear the same prices."""
    observation = seen(network([1e9] * 3, line(3)), [0], [0])
    heard = dataclasses.replace(observation.news, price_s=jnp.tile(jnp.asarray(price_s), (3, 1)))
    return dataclasses.replace(observation, news=heard)


def after(prices: list[list[float]]) -> Heard:
    heard = Heard.nothing(3)
    for price_s in prices:
        heard = hear(heard, telling(price_s))
    return heard


@given(PRICES)
def test_means_and_how_much_of_the_differences_lasts(prices: list[list[float]]) -> None:
    """Beside the same from the whole record."""
    pull, usual = np.sqrt(np.asarray(prices, np.float64)), after(prices).usual()
    np.testing.assert_allclose(usual.pull[0], pull.mean(0), rtol=1e-4, atol=1e-5)
    within = pull.var(axis=1).mean()
    if within > 1e-3:
        np.testing.assert_allclose(usual.part[0], pull.mean(0).var() / within, atol=1e-3)


@pytest.mark.parametrize(
    ("prices", "part"),
    [
        ([[1.0, 4.0, 9.0]] * 8, 1.0),  # Who is full stays full.
        ([[1.0, 4.0, 9.0], [9.0, 4.0, 1.0]] * 4, 0.0),  # It is another one's turn each time.
        ([[4.0, 4.0, 4.0]] * 8, 0.0),  # There is nothing to tell apart,
        ([], 0.0),  # or to go by.
    ],
)
def test_what_lasts_is_told_from_what_comes_and_goes(
    prices: list[list[float]], part: float
) -> None:
    np.testing.assert_allclose(after(prices).usual().part, part, atol=1e-6)
