"""Trained networks as checkpoints: weights, how numbers are scaled, and a frame to read them with."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.errors import CheckpointError
from isma.model import checkpoint, vectors
from isma.model.vectors import Scales


@runtime_checkable
class NetworkFrame(Protocol):
    """What a network's weights are to be read with: a dataclass of numbers for a sidecar."""

    @property
    def kind(self) -> str:
        """The model or policy that they belong to."""
        ...

    def make(self, key: PRNGKeyArray) -> eqx.Module:
        """A network with random weights."""
        ...


F = TypeVar("F", bound=NetworkFrame)


def save(
    path: Path, frame: NetworkFrame, network: eqx.Module, scales: Scales, about: Mapping[str, Any]
) -> None:
    """Write weights in half precision, and the sidecar. Raises RunError."""
    numbers = asdict(frame)  # pyright: ignore[reportArgumentType]
    told = {"frame": numbers, "scales": vectors.as_numbers(scales), **about}
    checkpoint.save(path, network, told, np.dtype(np.float16))


def load(path: Path, kind: str, frame_of: Callable[..., F]) -> tuple[F, Any, Scales]:
    """Frame, network and scales in that file, the frame from the sidecar's numbers.

    Raises CheckpointError if it is missing, damaged or of another kind.
    """
    frame, network = load_alone(path, kind, frame_of)
    try:
        scales = vectors.from_numbers(checkpoint.about(path)["scales"])
    except (KeyError, TypeError, ValueError):
        raise _not_told(path, kind) from None
    return frame, network, scales


def load_alone(path: Path, kind: str, frame_of: Callable[..., F]) -> tuple[F, Any]:
    """The same of a network whose numbers need no scaling. Raises CheckpointError."""
    told = checkpoint.about(path)
    try:
        numbers = dict(told["frame"])
        held = numbers.pop("kind")
    except (KeyError, TypeError, ValueError):
        raise _not_told(path, kind) from None
    if held != kind:
        raise CheckpointError(f"{path}: holds {held}, where {kind} is wanted")
    try:
        frame = frame_of(**numbers)
        skeleton = eqx.filter_eval_shape(frame.make, jax.random.key(0))
    except (TypeError, ValueError, IndexError):
        raise _not_told(path, kind) from None
    return frame, checkpoint.load(path, skeleton)


def _not_told(path: Path, kind: str) -> CheckpointError:
    return CheckpointError(
        f"{checkpoint.sidecar_path(path)}: does not describe a network of {kind}"
    )
