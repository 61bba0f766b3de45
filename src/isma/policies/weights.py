"""Trained networks of learned policies as checkpoints: weights, how numbers are scaled, and a frame."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.errors import CheckpointError
from isma.model import checkpoint, vectors
from isma.model.vectors import Scales


@dataclass(frozen=True)
class Frame(ABC):
    """What a network's weights are to be read with: numbers in a sidecar."""

    kind: ClassVar[str]
    """The policy that they belong to."""

    @abstractmethod
    def make(self, key: PRNGKeyArray) -> eqx.Module:
        """A network with random weights."""


F = TypeVar("F", bound=Frame)


def save(
    path: Path, frame: Frame, network: eqx.Module, scales: Scales, about: Mapping[str, Any]
) -> None:
    """Write weights in half precision, and the sidecar. Raises RunError."""
    told = {
        "frame": {"kind": frame.kind, **asdict(frame)},
        "scales": vectors.as_numbers(scales),
        **about,
    }
    checkpoint.save(path, network, told, np.dtype(np.float16))


def load(path: Path, frame_type: type[F]) -> tuple[F, Any, Scales]:
    """Frame, network and scales in that file. Raises CheckpointError if it is not of this kind."""
    told = checkpoint.about(path)
    try:
        numbers = dict(told["frame"])
        kind = numbers.pop("kind")
        scales = vectors.from_numbers(told["scales"])
    except (KeyError, TypeError, ValueError):
        raise _not_told(path, frame_type) from None
    if kind != frame_type.kind:
        raise CheckpointError(f"{path}: holds {kind}, where {frame_type.kind} is wanted")
    try:
        frame = frame_type(**numbers)
        skeleton = eqx.filter_eval_shape(frame.make, jax.random.key(0))
    except (TypeError, ValueError):
        raise _not_told(path, frame_type) from None
    return frame, checkpoint.load(path, skeleton), scales


def _not_told(path: Path, frame_type: type[Frame]) -> CheckpointError:
    sidecar = checkpoint.sidecar_path(path)
    return CheckpointError(f"{sidecar}: does not describe a network of {frame_type.kind}")
