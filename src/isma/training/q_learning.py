"""Q-learning from kept transitions (Mnih et al., Nature 2015), with double Q (arXiv 1509.06461)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PRNGKeyArray

from isma.model.layers import Mlp
from isma.training.ring import Ring, Transitions


class QLearning(eqx.Module):
    """How values are learned; everything in it is static."""

    batch: int = eqx.field(static=True)
    """Transitions in an update."""
    learning_rate: float = eqx.field(static=True)
    total_updates: int = eqx.field(static=True)
    """Updates in a whole training: over them the learning rate falls to zero."""
    clip_norm: float = eqx.field(static=True)
    discount: float = eqx.field(static=True)

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """Adam with clipped gradients."""
        falling = optax.linear_schedule(self.learning_rate, 0.0, self.total_updates)
        return optax.chain(optax.clip_by_global_norm(self.clip_norm), optax.adam(falling))

    def first(self, network: Mlp) -> Any:
        """The optimiser's state before the first update."""
        return self.optimiser.init(eqx.filter(network, eqx.is_array))

    @eqx.filter_jit
    def updates(
        self, network: Mlp, target: Mlp, optimiser: Any, kept: Ring, keys: Key[Array, "updates"]
    ) -> tuple[Mlp, Any, Float[Array, ""]]:
        """One update for each key; the loss is the mean over them."""
        arrays, rest = eqx.partition(network, eqx.is_array)

        def one(carry: tuple[Mlp, Any], key: PRNGKeyArray):
            arrays, optimiser = carry
            batch = kept.sample(key, self.batch)
            value = lambda arrays: self.loss(eqx.combine(arrays, rest), target, batch)  # noqa: E731
            loss, gradient = jax.value_and_grad(value)(arrays)
            step, optimiser = self.optimiser.update(gradient, optimiser)
            return (eqx.apply_updates(arrays, step), optimiser), loss

        (arrays, optimiser), loss = jax.lax.scan(one, (arrays, optimiser), keys)
        return eqx.combine(arrays, rest), optimiser, jnp.mean(loss)

    def loss(self, network: Mlp, target: Mlp, batch: Transitions) -> Float[Array, ""]:
        """Huber loss of the values of what was done.

        The network says what is best next, the target network what that is worth.
        """
        best = jnp.argmax(network(batch.following), axis=1)
        worth = batch.reward + self.discount * _at(target(batch.following), best)
        error = _at(network(batch.seen), batch.number) - jax.lax.stop_gradient(worth)
        loss = jnp.where(batch.known, optax.huber_loss(error), 0)
        return jnp.sum(loss) / jnp.maximum(jnp.sum(batch.known), 1)


def _at(values: Float[Array, "batch actions"], number: Array) -> Float[Array, "batch"]:
    return jnp.take_along_axis(values, number[:, None], axis=1)[:, 0]
