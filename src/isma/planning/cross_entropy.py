"""The cross-entropy method (paper, section III.B): a search that knows neither model nor objective."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from isma import randomness

Score = Callable[
    [Float[Array, "candidates steps numbers"], PRNGKeyArray], Float[Array, "candidates"]
]
"""Scores candidates, the more the better; randomness comes from the key."""


MOST_LATENT_STEPS, MOST_AT_ONCE = 10**9, 10**7
"""Steps of the model in a search, some 450 times the paper's, and in one pass, which memory must hold."""


class Budget(eqx.Module):
    """How much is searched; the paper's values are I = 1000, J = 200, K = 10, Q = 100."""

    candidates: int = eqx.field(static=True)
    """I: sequences drawn in each pass."""
    iterations: int = eqx.field(static=True)
    """J: passes after the first one."""
    horizon: int = eqx.field(static=True)
    """K: steps after the present one, so that a sequence has K + 1 actions."""
    elites: int = eqx.field(static=True)
    """Q: best sequences that the next distribution is fitted to."""

    def __check_init__(self) -> None:
        """Refuse budgets that cannot be searched."""
        if self.candidates < 2 or self.iterations < 0 or self.horizon < 0:
            raise ValueError(
                "a budget needs at least 2 candidates, and no negative iterations or horizon, got "
                f"{self.candidates}, {self.iterations} and {self.horizon}"
            )
        if not 2 <= self.elites < self.candidates:
            raise ValueError(
                f"elites must be at least 2 and below candidates ({self.candidates}), got {self.elites}"
            )
        if self.latent_steps > MOST_LATENT_STEPS or self.candidates * self.steps > MOST_AT_ONCE:
            raise ValueError(
                f"a search must take at most {MOST_LATENT_STEPS:,} steps of the model, and "
                f"{MOST_AT_ONCE:,} in a pass (candidates x iterations x horizon), got "
                f"{self.candidates}, {self.iterations} and {self.horizon}"
            )

    @property
    def steps(self) -> int:
        """Actions in a sequence, τ to τ + K."""
        return self.horizon + 1

    @property
    def latent_steps(self) -> int:
        """Model steps in a whole search."""
        return (self.iterations + 1) * self.candidates * self.steps


PAPER = Budget(candidates=1000, iterations=200, horizon=10, elites=100)
"""The paper's budget: 2.2 million latent steps a decision."""


class Searched(NamedTuple):
    """Result of a search, and how it went."""

    mean: Float[Array, "steps numbers"]
    std: Float[Array, "steps numbers"]
    best_score: Float[Array, "passes"]
    """Best score of each pass."""
    elite_score: Float[Array, "passes"]
    """Mean score of each pass's elites."""
    spread: Float[Array, "passes steps numbers"]
    """Standard deviation after each pass."""


def search(score: Score, numbers: int, budget: Budget, key: PRNGKeyArray) -> Searched:
    """Steps 1 to 9 of the paper: from Normal(0, I), draw, score, refit; the last mean is the answer."""
    shape = (budget.steps, numbers)

    def one_pass(fitted: tuple[Array, Array], key: PRNGKeyArray):
        mean, std = fitted
        draw_key, score_key = jax.random.split(key)
        noise = randomness.normal(draw_key, (budget.candidates, *shape), mean.dtype)
        candidates = mean + std * noise
        scores = score(candidates, score_key)
        scores = jnp.where(jnp.isfinite(scores), scores, -jnp.inf)
        best, index = jax.lax.top_k(scores, budget.elites)
        mean, std = refit(candidates[index], best > -jnp.inf, mean, std)
        return (mean, std), (best[0], jnp.mean(best), std)

    start = (jnp.zeros(shape), jnp.ones(shape))
    keys = jax.random.split(key, budget.iterations + 1)
    (mean, std), history = jax.lax.scan(one_pass, start, keys)
    return Searched(mean, std, *history)


def refit(
    elites: Float[Array, "elites steps numbers"],
    valid: Float[Array, "elites"] | Array,
    mean: Float[Array, "steps numbers"],
    std: Float[Array, "steps numbers"],
) -> tuple[Float[Array, "steps numbers"], Float[Array, "steps numbers"]]:
    """Mean (11) and standard deviation (12, by Q - 1) of the elites.

    Elites without a finite score do not count; with fewer than two that do, nothing changes.
    """
    weight = valid.astype(elites.dtype)[:, None, None]
    count = jnp.sum(weight)
    fitted_mean = jnp.sum(weight * elites, axis=0) / jnp.maximum(count, 1)
    squares = jnp.sum(weight * (elites - fitted_mean) ** 2, axis=0)
    fitted_std = jnp.sqrt(squares / jnp.maximum(count - 1, 1))
    enough = count >= 2
    return jnp.where(enough, fitted_mean, mean), jnp.where(enough, fitted_std, std)
