"""A trained latent model with all that a policy needs to know of it, as a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from isma.errors import CheckpointError
from isma.model import checkpoint, latent, vectors
from isma.model.latent import Kind, LatentModel, Sizes
from isma.model.vectors import Scales


@dataclass(frozen=True)
class Frame:
    """What a model's weights are to be read with."""

    kind: Kind
    num_users: int
    num_servers: int
    cells: int
    separate: bool
    """Whether every server has a model of its own."""

    @property
    def sizes(self) -> Sizes:
        """Widths of the layers."""
        return Sizes(
            observation=vectors.observation_size(self.num_users, self.num_servers),
            action=vectors.action_size(self.num_users),
            reconstructed=len(vectors.reconstructed(self.num_users, self.num_servers)),
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


@dataclass(frozen=True)
class Trained:
    """A model, how its numbers are scaled, and what its sidecar says."""

    model: LatentModel
    scales: Scales
    frame: Frame
    about: Mapping[str, Any]


def save(path: Path, trained: Trained) -> None:
    """Write weights in half precision, and the sidecar. Raises RunError."""
    scales = vectors.as_numbers(trained.scales)
    told = {"frame": asdict(trained.frame), "scales": scales, **trained.about}
    checkpoint.save(path, trained.model, told, np.dtype(np.float16))


def load(path: Path, kind: Kind) -> Trained:
    """The model in that file. Raises CheckpointError if it is missing, damaged or of another kind."""
    told = checkpoint.about(path)
    try:
        frame = Frame(**{**told["frame"], "kind": Kind(told["frame"]["kind"])})
        scales = vectors.from_numbers(told["scales"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{checkpoint.sidecar_path(path)}: does not describe a latent model"
        ) from None
    if frame.kind is not kind:
        raise CheckpointError(f"{path}: holds {frame.kind}, where {kind} is wanted")
    try:
        skeleton = eqx.filter_eval_shape(frame.make, jax.random.key(0))
    except (TypeError, ValueError, IndexError):
        raise CheckpointError(
            f"{checkpoint.sidecar_path(path)}: describes no model that can be made"
        ) from None
    return Trained(checkpoint.load(path, skeleton), scales, frame, told)
