"""Fitting a latent model to kept sequences, for one model or one of each server."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from isma.model import speedup
from isma.model.elbo import (
    Objective,
    Sequences,
    Terms,
    mean_over,
    negative_bound,
    one_ahead,
    several_ahead,
)
from isma.model.latent import LatentModel
from isma.training.descent import Descent
from isma.training.replay import Replay
from isma.training.server_experience import ServerExperience

SEEN = 5
"""Decisions that are observed before rewards are forecast."""


class Experience(eqx.Module):
    """Sequences that a model is fitted to."""

    explored: Replay
    """Actions at random."""
    planned: Replay
    """Actions of the planner, with noise; may be empty."""
    planned_part: float = eqx.field(static=True)
    """Part of a batch that is planned, once there is any."""

    def sample(self, key: PRNGKeyArray, number: int, steps: int) -> Sequences:
        """A batch of `number` sequences of every server."""
        explored_key, planned_key = jax.random.split(key)
        explored = self.explored.sequences(explored_key, number, steps)
        planned = self.planned.sequences(planned_key, number, steps)
        wanted = jnp.arange(number) < round(self.planned_part * number)
        wanted = wanted & (self.planned.written > 0)

        def choose(one: Array, other: Array) -> Array:
            return jnp.where(wanted.reshape(1, -1, *(1,) * (one.ndim - 2)), one, other)

        return jax.tree.map(choose, planned, explored)


class Fitting(eqx.Module):
    """How a model is fitted; everything in it is static."""

    descent: Descent
    batch: int = eqx.field(static=True)
    """Sequences of each server in a batch."""
    length: int = eqx.field(static=True)
    """Decisions in a sequence."""
    reconstructed: tuple[int, ...] = eqx.field(static=True)
    """Entries of the observation that the model gives back."""
    separate: bool = eqx.field(static=True)
    objective: Objective

    def first(self, model: LatentModel) -> Any:
        """The optimiser's state before the first update."""
        first = self.descent.first
        return eqx.filter_vmap(first)(model) if self.separate else first(model)

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
                fit_keys = jax.random.split(fit_key, batch.counted.shape[0])
                update = jax.vmap(lambda *each: self._update(rest, *each))
                arrays, optimiser, terms = update(arrays, optimiser, batch, fit_keys)
                terms = jax.tree.map(jnp.mean, terms)
            else:
                arrays, optimiser, terms = self._update(rest, arrays, optimiser, batch, fit_key)
            return (arrays, optimiser), terms

        (arrays, optimiser), terms = jax.lax.scan(one, (arrays, optimiser), keys)
        return eqx.combine(arrays, rest), optimiser, jax.tree.map(jnp.mean, terms)

    @eqx.filter_jit
    def skill(
        self, model: LatentModel, worlds: ServerExperience, largest: float, key: PRNGKeyArray
    ) -> dict[str, Float[Array, ""]]:
        """How well a model forecasts the rewards of worlds that it was not fitted to.

        `user_r2`: part of the variance of each user's reward that is explained one step ahead; `r2`:
        of a server's mean completion time, which plans are judged by; `calibrated_r2`: of the latter
        once a straight line has corrected the forecast; `ahead_r2`: as many steps ahead as there are,
        with nothing seen meanwhile, calibrated; `known_user_r2`, `known_r2`: by equations (1) to (6),
        one step ahead, calibrated; `regret_s`: completion time less forecast, one step ahead, which a
        plan has lost in truth; `mean_s`: the mean completion time.
        """
        batch = worlds.sequences
        axes = eqx.if_array(0) if self.separate else None

        def forecast(
            of: Callable[[LatentModel, Sequences], Float[Array, "worlds ahead users"]],
        ) -> Float[Array, "worlds servers ahead users"]:
            by_server = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), batch)
            return jnp.moveaxis(eqx.filter_vmap(of, in_axes=(axes, 0))(model, by_server), 0, 1)

        ahead = forecast(lambda model, rows: one_ahead(model, rows, key))[..., SEEN - 1 :, :]
        far = forecast(lambda model, rows: several_ahead(model, rows, SEEN, key))[..., :-1, :]
        counted = batch.counted[..., SEEN - 1 : -1, :]
        reward = batch.reward[..., SEEN - 1 : -1, :]
        local_s, known_s = (
            table[..., SEEN - 1 : -1, :] for table in (worlds.local_s, worlds.known_s)
        )
        known = speedup.reward(known_s, local_s, largest)
        any_of = jnp.any(counted, axis=-1)
        true, one, several, by_physics = (
            mean_over(speedup.time_s(value, local_s, largest), counted)
            for value in (reward, ahead, far, known)
        )
        return {
            "user_r2": _r2(ahead, reward, counted),
            "known_user_r2": _correlation(known, reward, counted) ** 2,
            "r2": _r2(one, true, any_of),
            "calibrated_r2": _correlation(one, true, any_of) ** 2,
            "ahead_r2": _correlation(several, true, any_of) ** 2,
            "known_r2": _correlation(by_physics, true, any_of) ** 2,
            "regret_s": jnp.mean(true - one, where=any_of),
            "mean_s": jnp.mean(true, where=any_of),
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
        return *self.descent.update(arrays, optimiser, gradient), terms


def _r2(predicted: Array, true: Array, where: Array) -> Float[Array, ""]:
    variance = jnp.var(true, where=where)
    return 1 - jnp.mean((predicted - true) ** 2, where=where) / variance


def _correlation(one: Array, other: Array, where: Array) -> Float[Array, ""]:
    off = [value - jnp.mean(value, where=where) for value in (one, other)]
    product = jnp.mean(off[0] * off[1], where=where)
    return product / jnp.sqrt(jnp.var(one, where=where) * jnp.var(other, where=where))
