"""Q-learning from kept transitions (Mnih et al., Nature 2015), with double Q (arXiv 1509.06461)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PRNGKeyArray

from isma.model.layers import Mlp
from isma.training.descent import Descent
from isma.training.replay import Replay, Transitions


class QLearning(eqx.Module):
    """How values are learned; everything in it is static."""

    descent: Descent
    batch: int = eqx.field(static=True)
    """Transitions in an update."""
    discount: float = eqx.field(static=True)
    """γ, for each decision."""

    @eqx.filter_jit
    def updates(
        self, network: Mlp, target: Mlp, optimiser: Any, kept: Replay, keys: Key[Array, "updates"]
    ) -> tuple[Mlp, Any, Float[Array, ""]]:
        """One update for each key; the loss is the mean over them."""
        arrays, rest = eqx.partition(network, eqx.is_array)

        def one(carry: tuple[Mlp, Any], key: PRNGKeyArray):
            arrays, optimiser = carry
            batch = kept.transitions(key, self.batch)
            value = lambda arrays: self.loss(eqx.combine(arrays, rest), target, batch)  # noqa: E731
            loss, gradient = jax.value_and_grad(value)(arrays)
            return self.descent.update(arrays, optimiser, gradient), loss

        (arrays, optimiser), loss = jax.lax.scan(one, (arrays, optimiser), keys)
        return eqx.combine(arrays, rest), optimiser, jnp.mean(loss)

    def loss(self, network: Mlp, target: Mlp, batch: Transitions) -> Float[Array, ""]:
        """Huber loss of the Q-values of the actions taken.

        Double Q-learning: the network chooses the best next action, the target network evaluates it.
        """
        best = jnp.argmax(network(batch.following), axis=1)
        worth = batch.reward + self.discount * _at(target(batch.following), best)
        error = _at(network(batch.seen), batch.number) - jax.lax.stop_gradient(worth)
        loss = jnp.where(batch.known, optax.huber_loss(error), 0)
        return jnp.sum(loss) / jnp.maximum(jnp.sum(batch.known), 1)


def _at(values: Float[Array, "batch actions"], number: Array) -> Float[Array, "batch"]:
    return jnp.take_along_axis(values, number[:, None], axis=1)[:, 0]
