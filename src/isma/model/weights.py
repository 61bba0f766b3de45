"""Trained networks as checkpoints: weights, how numbers are scaled, and a frame to read them with."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.errors import CheckpointError, given, short
from isma.model import checkpoint, vectors
from isma.model.vectors import Scales


@runtime_checkable
class NetworkFrame(Protocol):
    """Specification of a network's weights: a dataclass of numbers for a sidecar."""

    @property
    def kind(self) -> str:
        """The model or policy that they belong to."""
        ...

    def make(self, key: PRNGKeyArray) -> eqx.Module:
        """A network with random weights."""
        ...


F = TypeVar("F", bound=NetworkFrame)


def save(
    path: Path,
    frame: NetworkFrame,
    network: eqx.Module,
    scales: Scales | None,
    about: Mapping[str, Any],
) -> None:
    """Write weights in half precision, and the sidecar, with scales if there are any. Raises RunError."""
    sidecar: dict[str, Any] = {"frame": asdict(frame)}  # pyright: ignore[reportArgumentType]
    if scales is not None:
        sidecar["scales"] = vectors.as_numbers(scales)
    sidecar |= about
    checkpoint.save(path, network, sidecar, np.dtype(np.float16))


def load(path: Path, kind: str, frame_of: Callable[..., F]) -> tuple[F, Any, Scales]:
    """Frame, network and scales in that file, the frame from the sidecar's numbers.

    Raises CheckpointError if it is missing, damaged or of another kind.
    """
    frame, network = load_alone(path, kind, frame_of)
    try:
        scales = vectors.from_numbers(checkpoint.about(path)["scales"])
    except (KeyError, TypeError, ValueError):
        raise _sidecar_error(path, kind) from None
    return frame, network, scales


def load_alone(path: Path, kind: str, frame_of: Callable[..., F]) -> tuple[F, Any]:
    """Load a network whose numbers need no scaling. Raises CheckpointError."""
    sidecar = checkpoint.about(path)
    try:
        numbers = dict(sidecar["frame"])
        held = numbers.pop("kind")
    except (KeyError, TypeError, ValueError):
        raise _sidecar_error(path, kind) from None
    if held != kind:
        raise CheckpointError(f"{path}: holds {short(held)}, where {kind} is wanted")
    try:
        frame = frame_of(**numbers)
    except TypeError:
        raise _sidecar_error(path, kind) from None
    _refuse_impossible(path, frame)
    try:
        skeleton = eqx.filter_eval_shape(frame.make, jax.random.key(0))
    except (TypeError, ValueError, IndexError):
        raise _sidecar_error(path, kind) from None
    return frame, checkpoint.load(path, skeleton)


def _refuse_impossible(path: Path, frame: NetworkFrame) -> None:
    """Refuse impossible numbers, and sizes that the file cannot hold, before a network is allocated.

    Every user, server and unit has a weight of its own, and a weight two bytes.
    """
    try:
        most = path.stat().st_size // 2
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    for field in fields(frame):  # pyright: ignore[reportArgumentType]
        value, rule = getattr(frame, field.name), None
        if field.type is int and not (_is_number(value, int) and 1 <= value <= most):
            rule = f"from 1 to {most:,}, as many as {path.name} can hold"
        if field.type is bool and not isinstance(value, bool):
            rule = "true or false"
        if field.type is float and not (_is_number(value, int | float) and 0 < value < math.inf):
            rule = "a number above 0"
        if rule is not None:
            name = f"{checkpoint.sidecar_path(path)}: frame.{field.name}"
            raise CheckpointError(f"{name} must be {rule}, got {given(value)}")


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _sidecar_error(path: Path, kind: str) -> CheckpointError:
    return CheckpointError(
        f"{checkpoint.sidecar_path(path)}: does not describe a network of {kind}"
    )
