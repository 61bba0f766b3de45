"""Fitting a latent model to kept sequences, for one model or one of each server."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from isma.model.bound import Objective, Sequences, Terms, foretell, negative_bound
from isma.model.latent import LatentModel
from isma.training.replay import Replay

SEEN = 5
"""Decisions that are observed before rewards are foretold."""


class Experience(eqx.Module):
    """What is fitted: as many sequences of the one as of the other."""

    explored: Replay
    """Random actions."""
    planned: Replay
    """What the planner did; may be empty."""

    def sample(self, key: PRNGKeyArray, number: int, steps: int) -> Sequences:
        """So many sequences of every server, half of them planned if there are any."""
        explored_key, planned_key = jax.random.split(key)
        explored = self.explored.sample(explored_key, number, steps)
        planned = self.planned.sample(planned_key, number, steps)
        wanted = (jnp.arange(number) % 2 == 0) & (self.planned.filled > 0)

        def choose(one: Array, other: Array) -> Array:
            return jnp.where(wanted.reshape(1, -1, *(1,) * (one.ndim - 2)), one, other)

        return jax.tree.map(choose, planned, explored)


class Fitting(eqx.Module):
    """How a model is fitted; everything in it is static."""

    batch: int = eqx.field(static=True)
    """Sequences of each server in a batch."""
    length: int = eqx.field(static=True)
    """Decisions in a sequence."""
    learning_rate: float = eqx.field(static=True)
    total_updates: int = eqx.field(static=True)
    """Updates in a whole training: over them the learning rate falls to zero."""
    clip_norm: float = eqx.field(static=True)
    reconstructed: tuple[int, ...] = eqx.field(static=True)
    """Entries of the observation that the model gives back."""
    separate: bool = eqx.field(static=True)
    objective: Objective

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """Adam with clipped gradients."""
        falling = optax.linear_schedule(self.learning_rate, 0.0, self.total_updates)
        return optax.chain(optax.clip_by_global_norm(self.clip_norm), optax.adam(falling))

    def first(self, model: LatentModel) -> Any:
        """The optimiser's state before the first update."""
        init = self.optimiser.init
        arrays = eqx.filter(model, eqx.is_array)
        return jax.vmap(init)(arrays) if self.separate else init(arrays)

    @eqx.filter_jit
    def updates(
        self,
        model: LatentModel,
        optimiser: Any,
        experience: Experience,
        keys: Key[Array, "updates"],
    ) -> tuple[LatentModel, Any, Terms]:
        """One update for each key; the terms are means over them."""
        arrays, rest = eqx.partition(model, eqx.is_array)

        def one(carry: tuple[LatentModel, Any], key: PRNGKeyArray):
            arrays, optimiser = carry
            sample_key, fit_key = jax.random.split(key)
            batch = experience.sample(sample_key, self.batch, self.length)
            if self.separate:
                fit_keys = jax.random.split(fit_key, batch.reward.shape[0])
                update = jax.vmap(lambda *each: self._update(rest, *each))
                arrays, optimiser, terms = update(arrays, optimiser, batch, fit_keys)
                terms = jax.tree.map(jnp.mean, terms)
            else:
                arrays, optimiser, terms = self._update(rest, arrays, optimiser, batch, fit_key)
            return (arrays, optimiser), terms

        (arrays, optimiser), terms = jax.lax.scan(one, (arrays, optimiser), keys)
        return eqx.combine(arrays, rest), optimiser, jax.tree.map(jnp.mean, terms)

    @eqx.filter_jit
    def held_out(
        self, model: LatentModel, worlds: Sequences, key: PRNGKeyArray
    ) -> dict[str, Float[Array, ""]]:
        """The bound on these worlds, and the part of the rewards' variance that is explained there.

        `reward_r2`: once the next observation is seen, at all decisions; `foretold_r2`: up to ten and
        more periods ahead of the first five decisions, with none seen; `last_value_r2`: by the last
        reward that was got before. The variance is that after the first five, in all three.
        """
        bound_key, ahead_key = jax.random.split(key)
        by_server = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), worlds)
        which = np.asarray(self.reconstructed)

        def terms_of(model: LatentModel, rows: Sequences) -> Terms:
            return negative_bound(model, rows, which, self.objective, bound_key)

        def ahead_of(model: LatentModel, rows: Sequences) -> Array:
            return foretell(model, rows, SEEN, ahead_key)

        axes = eqx.if_array(0) if self.separate else None
        over = lambda function: eqx.filter_vmap(function, in_axes=(axes, 0))(model, by_server)  # noqa: E731
        terms, ahead = jax.tree.map(jnp.mean, over(terms_of)), over(ahead_of)
        known, reward = by_server.counted[..., SEEN - 1 :], by_server.reward[..., SEEN - 1 :]
        mean = lambda value: jnp.sum(jnp.where(known, value, 0)) / jnp.sum(known)  # noqa: E731
        variance = mean((reward - mean(reward)) ** 2)
        last = by_server.reward[..., SEEN - 2, None]
        return {
            "held_out_loss": terms.loss,
            "held_out_observation": terms.observation,
            "reward_r2": 1 - 2 * terms.reward / variance,
            "foretold_r2": 1 - mean((ahead - reward) ** 2) / variance,
            "last_value_r2": 1 - mean((last - reward) ** 2) / variance,
        }

    def _update(
        self,
        rest: LatentModel,
        arrays: LatentModel,
        optimiser: Any,
        batch: Sequences,
        key: PRNGKeyArray,
    ) -> tuple[LatentModel, Any, Terms]:
        which: Int[np.ndarray, "reconstructed"] = np.asarray(self.reconstructed)

        def loss(arrays: LatentModel) -> tuple[Float[Array, ""], Terms]:
            terms = negative_bound(eqx.combine(arrays, rest), batch, which, self.objective, key)
            return terms.loss, terms

        gradient, terms = jax.grad(loss, has_aux=True)(arrays)
        step, optimiser = self.optimiser.update(gradient, optimiser)
        return eqx.apply_updates(arrays, step), optimiser, terms
