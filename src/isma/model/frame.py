"""Specification of a latent model's weights: the numbers that they are read with."""

from dataclasses import dataclass

import equinox as eqx
import jax

from isma.model import latent, vectors
from isma.model.latent import Kind, LatentModel, Sizes


@dataclass(frozen=True)
class Frame:
    """Numbers that a model's weights are read with."""

    kind: Kind
    num_users: int
    num_servers: int
    cells: int
    separate: bool
    """Whether every server has a model of its own."""
    largest: float
    """Logarithm of the speed-up over a user's own CPU whose reward is 1 (isma.model.speedup)."""

    @property
    def sizes(self) -> Sizes:
        """Widths of the layers."""
        return Sizes(
            observation=vectors.observation_size(self.num_users, self.num_servers),
            action=vectors.action_size(self.num_users, self.num_servers),
            reconstructed=len(vectors.reconstructed(self.num_users, self.num_servers)),
            users=self.num_users,
            cells=self.cells,
        )

    def make(self, key: jax.Array) -> LatentModel:
        """A model with random weights; one for each server, along a leading axis, if separate."""
        one = lambda key: latent.make(self.kind, self.sizes, key)  # noqa: E731
        return (
            eqx.filter_vmap(one)(jax.random.split(key, self.num_servers))
            if self.separate
            else one(key)
        )
