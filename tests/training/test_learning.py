"""Skill of a model in worlds that it has not seen."""

import jax
import pytest
from helpers.small_worlds import tiny

from isma.model.latent import Kind
from isma.training.latent import LatentLearner, LatentOptions

OPTIONS = LatentOptions(
    rounds=1,
    updates=400,
    random_worlds=64,
    scattered_worlds=64,
    planned_worlds=2,
    test_worlds=8,
    periods=20,
    batch=16,
)


@pytest.mark.slow
def test_rewards_are_forecast_in_new_worlds() -> None:
    """One step ahead and under random actions: much better than the best constant, which has 0."""
    learner = LatentLearner.make(Kind.RLSM, [tiny()], OPTIONS)
    start = learner.start(jax.random.key(0))
    before = learner.tested(start)
    after, metrics = learner.advance(start, 0, jax.random.key(2), lambda steps: None)
    assert float(before["random_user_r2"]) < 0
    assert metrics["random_r2"] > 0.3
    assert metrics["random_user_r2"] > 0.3
    assert metrics["random_known_r2"] > 0.3
    assert after.planned.filled == 0
