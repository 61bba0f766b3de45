"""Long-run prices of servers, by the prices that were heard of them."""

import dataclasses
from collections.abc import Sequence
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import line, network, seen
from hypothesis import given
from hypothesis import strategies as st

from isma.contract import Observation
from isma.policies.pricing.price_history import PriceHistory, update_history

DECAY_S = 30.0
HEARINGS = st.lists(
    st.tuples(st.floats(0.1, 10), *[st.floats(0, 100, width=32)] * 3), min_size=1, max_size=6
)


@cache
def quiet(servers: int) -> Observation:
    return seen(network([1e9] * servers, line(servers)), [0], [0])


def telling(at_s: float, price_s: Sequence[float]) -> Observation:
    """All servers hear the same prices."""
    servers, observation = len(price_s), quiet(len(price_s))
    price = jnp.tile(jnp.asarray(price_s, float), (servers, 1))
    slot = jnp.asarray(round(at_s / float(observation.infrastructure.slot_s)))
    news = dataclasses.replace(observation.news, price_s=price)
    return dataclasses.replace(observation, news=news, slot=slot)


_hear = jax.jit(update_history)
_long_run = jax.jit(lambda heard: heard.long_run(DECAY_S))


def after(hearings: Sequence[tuple[float, Sequence[float]]]) -> PriceHistory:
    """What is known after hearing such prices at such times."""
    heard = PriceHistory.none(len(hearings[0][1]))
    for at_s, price_s in hearings:
        heard = _hear(heard, telling(at_s, price_s))
    return heard


@given(HEARINGS)
def test_means_count_for_how_long_they_took(hearings: list[tuple[float, ...]]) -> None:
    """Beside the whole record; what is heard first says nothing of the time before."""
    passed_s = np.array([hearing[0] for hearing in hearings])
    price_s = [list(hearing[1:]) for hearing in hearings]
    heard = after([(0.0, [7.0, 8.0, 9.0]), *zip(np.cumsum(passed_s), price_s, strict=True)])
    pull = np.sqrt(np.asarray(price_s, np.float64))
    mean = np.average(pull, axis=0, weights=passed_s)
    np.testing.assert_allclose(heard.known_s[0], passed_s.sum(), rtol=1e-2)
    np.testing.assert_allclose(heard.mean[0], mean, rtol=0.03, atol=0.02)
    apart = _long_run(heard).lasting_part[0] * (heard.mean[0] - heard.mean[0].mean())
    np.testing.assert_allclose(_long_run(heard).deviation[0], apart, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("hearings", "part"),
    [
        ([(2.0 * step, [1.0, 4.0, 9.0]) for step in range(99)], 1.0),  # Who is full stays full.
        (
            [(2.0 * step, [[1.0, 4.0, 9.0], [9.0, 4.0, 1.0]][step % 2]) for step in range(99)],
            0.0,  # It is another one's turn each time.
        ),
        (
            [(2.0 * step, [4.0, 4.0, 4.0]) for step in range(99)],
            0.0,
        ),  # There is nothing to tell apart,
        ([(0.0, [1.0, 4.0, 9.0])], 0.0),  # or one hearing to go by.
    ],
)
def test_what_lasts_is_told_from_what_comes_and_goes(
    hearings: list[tuple[float, list[float]]], part: float
) -> None:
    np.testing.assert_allclose(_long_run(after(hearings)).lasting_part, part, atol=1e-3)


@pytest.mark.parametrize("minutes", [0.5, 2, 10])
@pytest.mark.parametrize("lasting", [0.0, 0.5])
def test_chance_is_not_taken_for_what_lasts(minutes: float, lasting: float) -> None:
    """√λ of 200 servers, a part of whose variance lasts; the rest forgets itself in half a minute."""
    rng, servers, step_s = np.random.default_rng(1), 200, 2.0
    kept = np.exp(-step_s / DECAY_S)
    own = np.sqrt(lasting) * rng.normal(size=servers)
    odd = np.sqrt(1 - lasting) * rng.normal(size=servers)
    hearings = []
    for step in range(round(60 * minutes / step_s) + 1):
        hearings.append((step_s * step, (6 + own + odd) ** 2))
        odd = kept * odd + np.sqrt((1 - lasting) * (1 - kept**2)) * rng.normal(size=servers)
    np.testing.assert_allclose(_long_run(after(hearings)).lasting_part[0], lasting, atol=0.12)
