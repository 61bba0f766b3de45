"""The variational bound that training raises, equation (8), and what a model foretells without looking."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma.model.latent import Carry, LatentModel

_DRAWS = 8
"""Imagined futures that an expectation is taken over."""


class Sequences(eqx.Module):
    """What servers saw, did and got, decision by decision."""

    observation: Float[Array, "*rows steps observation"]
    action: Float[Array, "*rows steps action"]
    """A_τ, taken on o_τ."""
    reward: Float[Array, "*rows steps"]
    """What A_τ brought until the next decision."""
    counted: Bool[Array, "*rows steps"]
    """Whether that reward is known: a server without users gets none."""


class Objective(eqx.Module):
    """What the paper leaves open in (8)."""

    free_nats: float = eqx.field(static=True, default=1.0)
    """Divergence that costs nothing, in nats a step (Kingma et al. 2016; Hafner et al. 2019)."""
    kl_weight: float = eqx.field(static=True, default=1.0)


class Terms(NamedTuple):
    """Parts of the bound, means a step, in nats up to a constant."""

    loss: Float[Array, ""]
    """What training lowers: the negative bound, with the free nats."""
    observation: Float[Array, ""]
    """Half the squared error of the reconstruction: identity covariance."""
    reward: Float[Array, ""]
    """Half the squared error of the reward: unit variance."""
    divergence: Float[Array, ""]
    """KL between what is inferred and what was foretold."""


def negative_bound(
    model: LatentModel,
    batch: Sequences,
    reconstructed: Int[np.ndarray, "reconstructed"],
    objective: Objective,
    key: PRNGKeyArray,
) -> Terms:
    """The negative bound of a batch of sequences, which is (8) with its expectation by one sample."""
    carry, divergence = _follow(model, batch, key)
    wrong = model.reconstruct(carry) - batch.observation[..., reconstructed]
    observation = 0.5 * jnp.mean(jnp.sum(wrong**2, axis=-1))
    # The reward of A_τ is read off at τ + 1.
    ahead = model.reward(carry)[..., 1:]
    known = batch.counted[..., :-1]
    off = jnp.where(known, ahead - batch.reward[..., :-1], 0)
    reward = 0.5 * jnp.sum(off**2) / jnp.maximum(jnp.sum(known), 1)
    paid = jnp.maximum(divergence, objective.free_nats)
    loss = observation + reward + objective.kl_weight * jnp.mean(paid)
    return Terms(loss, observation, reward, jnp.mean(divergence))


def _follow(
    model: LatentModel, batch: Sequences, key: PRNGKeyArray
) -> tuple[Carry, Float[Array, "*rows steps"]]:
    """Beliefs along the sequences, and how far each observation moved them, in nats."""
    rows, steps = batch.reward.shape[:-1], batch.reward.shape[-1]
    before = jnp.concatenate([jnp.zeros_like(batch.action[..., :1, :]), batch.action], axis=-2)

    def one(carry: Carry, step: tuple[Array, Array, PRNGKeyArray]):
        observation, action, drawn = step
        carry, seen, foretold = model.observe(carry, action, observation, drawn)
        if model.stochastic:
            moved = seen.divergence_from(foretold)
        else:
            # Deviation: the divergence of two unit Gaussians; else nothing would train the
            # transition through which a plan is imagined (docs/readings.md).
            moved = 0.5 * jnp.sum((seen.mean - foretold.mean) ** 2, axis=-1)
        return carry, (carry, moved)

    inputs = (
        jnp.moveaxis(batch.observation, -2, 0),
        jnp.moveaxis(before[..., :-1, :], -2, 0),
        jax.random.split(key, steps),
    )
    _, (carry, moved) = jax.lax.scan(one, model.start(rows), inputs)
    back = lambda leaf, axis: jnp.moveaxis(leaf, 0, axis)  # noqa: E731
    return jax.tree.map(lambda leaf: back(leaf, -2), carry), back(moved, -1)


def foretell(
    model: LatentModel, batch: Sequences, seen: int, key: PRNGKeyArray
) -> Float[Array, "*rows ahead"]:
    """Expected rewards of the actions from the last of `seen` observations on, with nothing more seen.

    The mean over some imagined futures: a single one holds what chance drew for it.
    """
    draws = _DRAWS if model.stochastic else 1
    one = lambda key: _imagined(model, batch, seen, key)  # noqa: E731
    return jnp.mean(jax.vmap(one)(jax.random.split(key, draws)), axis=0)


def _imagined(
    model: LatentModel, batch: Sequences, seen: int, key: PRNGKeyArray
) -> Float[Array, "*rows ahead"]:
    rows, steps = batch.reward.shape[:-1], batch.reward.shape[-1]
    follow_key, ahead_key = jax.random.split(key)
    known = jax.tree.map(lambda leaf: leaf[(slice(None),) * len(rows) + (slice(seen),)], batch)
    carries, _ = _follow(model, known, follow_key)
    last = jax.tree.map(lambda leaf: leaf[(slice(None),) * len(rows) + (-1,)], carries)

    def one(carry: Carry, step: tuple[Array, PRNGKeyArray]):
        carry = model.imagine(carry, *step)
        return carry, model.reward(carry)

    actions = jnp.moveaxis(batch.action[..., seen - 1 :, :], -2, 0)
    keys = jax.random.split(ahead_key, steps - seen + 1)
    return jnp.moveaxis(jax.lax.scan(one, last, (actions, keys))[1], 0, -1)
