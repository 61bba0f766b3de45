"""Cross-entropy search: its arithmetic by hand, optima that are known, scores that are no numbers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, PRNGKeyArray

from isma.planning import action_code
from isma.planning.cross_entropy import PAPER, Budget, refit, search

SMALL = Budget(candidates=200, iterations=30, horizon=1, elites=20)


def test_the_papers_budget() -> None:
    """201 passes of 1000 sequences of 11 actions."""
    assert (PAPER.candidates, PAPER.iterations, PAPER.horizon, PAPER.elites) == (1000, 200, 10, 100)
    assert PAPER.steps == 11
    assert PAPER.latent_steps == 201 * 1000 * 11 == 2_211_000


def test_a_refit_by_hand() -> None:
    """Elites 1, 2, 6: mean 3; squares 4 + 1 + 9 over Q - 1 = 2, so that the deviation is √7."""
    elites = jnp.array([1.0, 2.0, 6.0]).reshape(3, 1, 1)
    old = jnp.full((1, 1), 9.0)
    mean, std = refit(elites, jnp.ones(3, bool), old, old)
    assert float(mean[0, 0]) == pytest.approx(3)
    assert float(std[0, 0]) == pytest.approx(7**0.5)
    # Without the last: mean 1.5, deviation √((0.25 + 0.25) / 1).
    mean, std = refit(elites, jnp.array([True, True, False]), old, old)
    assert float(mean[0, 0]) == pytest.approx(1.5)
    assert float(std[0, 0]) == pytest.approx(0.5**0.5)
    # One elite has no deviation: nothing changes.
    mean, std = refit(elites, jnp.array([True, False, False]), old, old)
    assert float(mean[0, 0]) == float(std[0, 0]) == 9


def test_the_first_pass_is_fitted_to_its_best_candidates() -> None:
    """The candidates are drawn again here, and sorted and averaged by NumPy."""
    budget = Budget(candidates=50, iterations=0, horizon=2, elites=5)
    key = jax.random.key(3)
    score = lambda codes, _: jnp.sum(codes[:, 0] - codes[:, 2] ** 2, axis=-1)  # noqa: E731
    found = search(score, 4, budget, key)
    draw_key, _ = jax.random.split(jax.random.split(key, 1)[0])
    drawn = np.asarray(jax.random.normal(draw_key, (50, 3, 4)), float)
    value = (drawn[:, 0] - drawn[:, 2] ** 2).sum(-1)
    best = drawn[np.argsort(-value)[:5]]
    np.testing.assert_allclose(found.mean, best.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.std, best.std(0, ddof=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.best_score, [value.max()], rtol=1e-5)


def test_a_quadratic() -> None:
    target = jnp.array([[0.5, -1.0, 2.0], [0.0, 1.5, -0.5]])
    score = lambda codes, _: -jnp.sum((codes - target) ** 2, axis=(1, 2))  # noqa: E731
    found = search(score, 3, SMALL, jax.random.key(0))
    np.testing.assert_allclose(found.mean, target, atol=0.02)
    assert float(found.spread[-1].max()) < 0.02
    assert float(found.best_score[-1]) > float(found.best_score[0])


def test_two_servers_by_hand() -> None:
    """Two users at a slow and a fast server, no radio: time is work over clock and share.

    Work 1 for both, clocks 1 and 3. Together on the fast one at half each: 2/3 and 2/3, in all 4/3.
    Apart: 1 and 1/3, in all 4/3 too. A transfer of 1 s to the fast server for user 0 alone
    decides: user 0 on the slow one (1 s) and user 1 on the fast one (1/3 s). All shares whole.
    """
    clock, transfer = jnp.array([1.0, 3.0]), jnp.array([[0.0, 1.0], [0.0, 0.0]])

    def score(codes: Array, _: PRNGKeyArray) -> Array:
        coded = action_code.decode(codes.reshape(-1, 2, 3), jnp.ones(2, bool), 2)
        alone = coded.server[:, 0] != coded.server[:, 1]
        asked = jnp.sum(coded.cpu_share, axis=1, keepdims=True)
        share = jnp.where(alone[:, None], coded.cpu_share, coded.cpu_share / jnp.maximum(asked, 1))
        way = jnp.take_along_axis(transfer[None], coded.server[..., None], axis=2)[..., 0]
        return -jnp.sum(way + 1 / (clock[coded.server] * share), axis=1)

    budget = Budget(candidates=200, iterations=30, horizon=0, elites=20)
    found = search(score, 6, budget, jax.random.key(1))
    coded = action_code.decode(found.mean[0].reshape(2, 3), jnp.ones(2, bool), 2)
    assert coded.server.tolist() == [0, 1]
    assert np.all(np.asarray(coded.cpu_share) > 0.95)


def test_what_is_no_number_never_wins() -> None:
    """Scores above 1 turn into NaN, +inf or -inf; the best that is left is near the edge."""

    def score(codes: Array, _: PRNGKeyArray) -> Array:
        x = codes[:, 0, 0]
        odd = jnp.where(x > 1, jnp.nan, jnp.where(x > 0.5, jnp.inf, x))
        return jnp.where(x < -1, -jnp.inf, odd)

    found = search(score, 1, SMALL, jax.random.key(0))
    assert 0.3 < float(found.mean[0, 0]) <= 0.5
    assert np.all(np.isfinite(found.best_score))


def test_nothing_to_choose_from_changes_nothing() -> None:
    found = search(lambda codes, _: jnp.full(codes.shape[0], jnp.nan), 2, SMALL, jax.random.key(0))
    np.testing.assert_array_equal(found.mean, np.zeros((2, 2)))
    np.testing.assert_array_equal(found.std, np.ones((2, 2)))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((10, 1, 1, 10), "elites must be at least 2 and below candidates (10), got 10"),
        ((10, 1, 1, 1), "elites must be at least 2"),
        ((1, 1, 1, 1), "at least 2 candidates"),
        ((10, -1, 1, 5), "no negative iterations"),
    ],
)
def test_budgets_that_cannot_be(numbers: tuple[int, int, int, int], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Budget(*numbers)
