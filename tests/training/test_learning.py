"""What a model learns of worlds that it has not seen."""

import jax
import pytest
from worlds import tiny

from isma.model.latent import Kind
from isma.training.latent import LatentLearner, LatentOptions, LatentState

OPTIONS = LatentOptions(
    cells=1,
    rounds=1,
    updates=200,
    random_worlds=256,
    planned_worlds=1,
    held_out_worlds=32,
    periods=20,
    batch=16,
    kl_weight=0.1,
    length=10,
)


@pytest.fixture(scope="module")
def learner() -> LatentLearner:
    return LatentLearner.make(Kind.RLSM, [tiny()], OPTIONS)


@pytest.fixture(scope="module")
def start(learner: LatentLearner) -> LatentState:
    return learner.start(jax.random.key(0))


@pytest.mark.slow
def test_the_bound_falls_and_rewards_are_foretold(
    learner: LatentLearner, start: LatentState
) -> None:
    """On held-out worlds, up to 16 periods ahead with nothing observed: better than the last value."""
    before = learner.held_out(start, jax.random.key(1))
    after, metrics = learner.advance(start, 0, jax.random.key(2), lambda steps: None)
    assert metrics["held_out_loss"] < 0.6 * before["held_out_loss"]
    # The best constant explains nothing, the last value less than that.
    assert metrics["foretold_r2"] > max(0.25, metrics["last_value_r2"])
    assert metrics["reward_r2"] > 0.25 > before["reward_r2"]
    assert after.planned.filled == 0
