"""Gradient descent of every training: Adam on clipped gradients, with a step size that falls to zero."""

from typing import Any, TypeVar

import equinox as eqx
import optax
from jaxtyping import PyTree

Arrays = TypeVar("Arrays", bound=PyTree)


class Descent(eqx.Module):
    """Optimiser of a whole training; everything in it is static."""

    learning_rate: float = eqx.field(static=True)
    """Step size at first."""
    total_updates: int = eqx.field(static=True)
    """Updates in a whole training, over which the step size falls to zero."""
    clip_norm: float = eqx.field(static=True)
    """Largest norm of a gradient."""
    cosine: bool = eqx.field(static=True, default=False)
    """Whether the step size falls by a cosine; else by a straight line."""

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        falling = (
            optax.cosine_decay_schedule(self.learning_rate, self.total_updates)
            if self.cosine
            else optax.linear_schedule(self.learning_rate, 0.0, self.total_updates)
        )
        return optax.chain(optax.clip_by_global_norm(self.clip_norm), optax.adam(falling))

    def first(self, network: PyTree) -> Any:
        """The optimiser's state before the first update."""
        return self._optimiser.init(eqx.filter(network, eqx.is_array))

    def update(self, network: Arrays, optimiser: Any, gradient: Arrays) -> tuple[Arrays, Any]:
        """The network and the optimiser's state after one step."""
        step, optimiser = self._optimiser.update(gradient, optimiser)
        return eqx.apply_updates(network, step), optimiser
