"""The evidence lower bound (ELBO) of equation (8), and rewards forecast by imagination."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma.model.latent import Carry, LatentModel

_DRAWS = 8
"""Imagined futures in an expectation."""


class Sequences(eqx.Module):
    """Observations, actions and rewards of servers, decision by decision."""

    observation: Float[Array, "*rows steps observation"]
    action: Float[Array, "*rows steps action"]
    """A_τ, taken on o_τ."""
    reward: Float[Array, "*rows steps users"]
    """Reward of A_τ until the next decision, for each row of users."""
    counted: Bool[Array, "*rows steps users"]
    """Whether that reward is known: rows that stand for a user which had a task."""

    @property
    def known(self) -> Bool[Array, "*rows steps"]:
        """Whether any user's reward is known."""
        return jnp.any(self.counted, axis=-1)

    @property
    def mean_reward(self) -> Float[Array, "*rows steps"]:
        """The scalar reward r: the mean over the users decided for."""
        return mean_over(self.reward, self.counted)


class Objective(eqx.Module):
    """Weights that the paper leaves open in (8)."""

    kl_weight: float = eqx.field(static=True, default=1.0)
    free_nats: float = eqx.field(static=True, default=0.0)
    """Divergence that costs nothing, in nats a step (Kingma et al. 2016; Hafner et al. 2019)."""
    reward_weight: float = eqx.field(static=True, default=1.0)
    """Inverse variance of a reward; the covariance of an observation is the identity."""
    mean_weight: float = eqx.field(static=True, default=0.0)
    """Weight of the error of a server's mean reward, by which plans are ranked, relative to each user's."""


class Terms(NamedTuple):
    """Parts of the bound, means a step, in nats up to a constant."""

    loss: Float[Array, ""]
    """The negative bound, which training lowers."""
    observation: Float[Array, ""]
    """Half the squared error of the reconstruction: identity covariance."""
    reward: Float[Array, ""]
    """Error of the rewards once the next observation is seen, from the inferred state."""
    forecast: Float[Array, ""]
    """Error of the rewards before it is seen, from the imagined state, as a plan reads them."""
    divergence: Float[Array, ""]
    """KL between the inferred and the imagined state."""


class _Followed(NamedTuple):
    """A model led along sequences."""

    inferred: Carry
    imagined: Carry
    """One step ahead, before the observation is seen."""
    divergence: Float[Array, "*rows steps"]


def negative_bound(
    model: LatentModel,
    batch: Sequences,
    reconstructed: Int[np.ndarray, "reconstructed"],
    objective: Objective,
    key: PRNGKeyArray,
) -> Terms:
    """The negative bound of a batch of sequences, which is (8) with its expectation by one sample.

    Rewards are read from the inferred state, as in (8), and from the imagined one as well: the
    latter is all that a plan has.
    """
    trajectory = _follow(model, batch, key)
    wrong = model.reconstruct(trajectory.inferred) - batch.observation[..., reconstructed]
    observation = 0.5 * jnp.mean(jnp.sum(wrong**2, axis=-1))
    reward = _reward_error(model.reward(trajectory.inferred), batch, objective)
    forecast = _reward_error(model.reward(trajectory.imagined), batch, objective)
    paid = jnp.maximum(trajectory.divergence, objective.free_nats)
    loss = (
        observation
        + objective.reward_weight * (reward + forecast)
        + objective.kl_weight * jnp.mean(paid)
    )
    return Terms(loss, observation, reward, forecast, jnp.mean(trajectory.divergence))


def mean_over(
    value: Float[Array, "*#rows users"], counted: Bool[Array, "*#rows users"]
) -> Float[Array, "*#rows"]:
    """Mean over the users that count; 0 where there is none."""
    total = jnp.sum(jnp.where(counted, value, 0), axis=-1)
    return total / jnp.maximum(jnp.sum(counted, axis=-1), 1)


def _reward_error(
    read: Float[Array, "*rows steps users"], batch: Sequences, objective: Objective
) -> Float[Array, ""]:
    """Half the squared error a user, and of a server's mean; the reward of A_τ is read at τ + 1."""
    counted = batch.counted[..., :-1, :]
    error = jnp.where(counted, read[..., 1:, :] - batch.reward[..., :-1, :], 0)
    each = jnp.sum(error**2) / jnp.maximum(jnp.sum(counted), 1)
    known = jnp.sum(batch.known[..., :-1])
    mean = jnp.sum(mean_over(error, counted) ** 2) / jnp.maximum(known, 1)
    return 0.5 * (each + objective.mean_weight * mean)


def _follow(model: LatentModel, batch: Sequences, key: PRNGKeyArray) -> _Followed:
    """States along the sequences, imagined and inferred, and their divergence in nats."""
    rows, steps = batch.counted.shape[:-2], batch.counted.shape[-2]
    before = jnp.concatenate([jnp.zeros_like(batch.action[..., :1, :]), batch.action], axis=-2)

    def one(carry: Carry, step: tuple[Array, Array, PRNGKeyArray]):
        observation, action, drawn = step
        inferred_key, imagined_key = jax.random.split(drawn)
        carry, seen, ahead = model.observe(carry, action, observation, inferred_key)
        if model.stochastic:
            divergence = seen.divergence_from(ahead)
        else:
            # Deviation: the divergence of two unit Gaussians; else nothing would train the
            # transition through which a plan is imagined (docs/method/readings.md).
            divergence = 0.5 * jnp.sum((seen.mean - ahead.mean) ** 2, axis=-1)
        imagined = Carry(carry.memory, model.draw(ahead, imagined_key))
        return carry, _Followed(carry, imagined, divergence)

    inputs = (
        jnp.moveaxis(batch.observation, -2, 0),
        jnp.moveaxis(before[..., :-1, :], -2, 0),
        jax.random.split(key, steps),
    )
    _, trajectory = jax.lax.scan(one, model.start(rows), inputs)
    behind_rows = lambda leaf: jnp.moveaxis(leaf, 0, len(rows))  # noqa: E731
    return jax.tree.map(behind_rows, trajectory)


def one_ahead(
    model: LatentModel, batch: Sequences, key: PRNGKeyArray
) -> Float[Array, "*rows steps users"]:
    """Expected rewards of each action given all that was seen up to it; the last action's are absent.

    A mean over several imagined states: a single one holds its own chance.
    """
    draws = _DRAWS if model.stochastic else 1

    def one(key: PRNGKeyArray) -> Float[Array, "*rows steps users"]:
        return model.reward(_follow(model, batch, key).imagined)[..., 1:, :]

    return jnp.mean(jax.vmap(one)(jax.random.split(key, draws)), axis=0)


def several_ahead(
    model: LatentModel, batch: Sequences, seen: int, key: PRNGKeyArray
) -> Float[Array, "*rows ahead users"]:
    """Expected rewards of the actions from the last of `seen` observations on, with no later one seen."""
    draws = _DRAWS if model.stochastic else 1
    one = lambda key: _imagined(model, batch, seen, key)  # noqa: E731
    return jnp.mean(jax.vmap(one)(jax.random.split(key, draws)), axis=0)


def _imagined(
    model: LatentModel, batch: Sequences, seen: int, key: PRNGKeyArray
) -> Float[Array, "*rows ahead users"]:
    rows, steps = batch.counted.shape[:-2], batch.counted.shape[-2]
    follow_key, ahead_key = jax.random.split(key)
    cut = lambda leaf, at: leaf[(slice(None),) * len(rows) + (at,)]  # noqa: E731
    known = jax.tree.map(lambda leaf: cut(leaf, slice(seen)), batch)
    last = jax.tree.map(lambda leaf: cut(leaf, -1), _follow(model, known, follow_key).inferred)

    def one(carry: Carry, step: tuple[Array, PRNGKeyArray]):
        carry = model.imagine(carry, *step)
        return carry, model.reward(carry)

    actions = jnp.moveaxis(batch.action[..., seen - 1 :, :], -2, 0)
    keys = jax.random.split(ahead_key, steps - seen + 1)
    return jnp.moveaxis(jax.lax.scan(one, last, (actions, keys))[1], 0, len(rows))
