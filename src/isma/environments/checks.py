"""Checks of an environment's input: actions in its space, options and seeds of their types."""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv

from isma.errors import OptionError, given, unknown
from isma.randomness import LARGEST_SEED

_PROCESS = os.getpid()
"""In which JAX was imported: its threads are not there in a fork of it."""
_WAY_OUT = (
    "leave vectorization_mode out (one program steps all worlds), or give "
    'vector_kwargs={"context": "spawn"}'
)


def check_action(space: spaces.Space, action: Any, name: str = "action") -> None:
    """Refuse an action that is not in a space: names, shapes, types, numbers. Raises OptionError."""
    if isinstance(space, spaces.Dict):
        if not isinstance(action, Mapping):
            raise OptionError(
                f"{name} must be a dictionary of {', '.join(space)}, got {given(action)}"
            )
        for key in action:
            if key not in space.spaces:
                raise OptionError(f"{name}: {unknown('name', str(key), space)}")
        for key, part in space.items():
            if key not in action:
                raise OptionError(
                    f"{name} must have {key!r}, got {given(sorted(map(str, action)))}"
                )
            check_action(part, action[key], f"{name}[{key!r}]")
        return
    assert isinstance(space, spaces.MultiDiscrete | spaces.Box)
    whole = isinstance(space, spaces.MultiDiscrete)
    words = "whole numbers" if whole else "numbers"
    try:
        numbers = np.asarray(action)
    except (ValueError, TypeError):  # Rows of different lengths, or no array at all.
        raise OptionError(f"{name} must be {words}, got {given(action)}") from None
    if numbers.dtype.kind not in ("iu" if whole else "iuf"):
        got = f"an array of {numbers.dtype}" if numbers.ndim else given(action)
        raise OptionError(f"{name} must be {words}, got {got}")
    if numbers.shape != space.shape:
        raise OptionError(f"{name} must have shape {space.shape}, got {numbers.shape}")
    low = 0 if isinstance(space, spaces.MultiDiscrete) else space.low
    high = space.nvec - 1 if isinstance(space, spaces.MultiDiscrete) else space.high
    outside = ~((numbers >= low) & (numbers <= high))  # NaN is outside too.
    if outside.any():
        place = tuple(int(index) for index in np.argwhere(outside)[0])
        ends = (np.broadcast_to(end, numbers.shape)[place] for end in (low, high))
        span = " to ".join(f"{end:g}" for end in ends)
        at = ", ".join(map(str, place))
        raise OptionError(f"{name} must be {words} from {span}, got {numbers[place]} at [{at}]")


def check_whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """A whole number within bounds. Raises OptionError."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):  # pyright: ignore[reportOperatorIssue]
        bounds = f"from {least} to {most}" if most is not None else f"of {least} or more"
        raise OptionError(f"{name} must be a whole number {bounds}, got {given(value)}")
    return int(value)  # pyright: ignore[reportArgumentType]


def check_flag(name: str, value: object) -> bool:
    """True or False, and no text that stands for it. Raises OptionError."""
    if not isinstance(value, bool | np.bool_):
        raise OptionError(f"{name} must be True or False, got {given(value)}")
    return bool(value)


def check_seed(seed: object) -> int:
    """The number of a world. Raises OptionError."""
    return check_whole("seed", seed, 0, LARGEST_SEED)


def refuse_forks() -> None:
    """Refuse an environment in a forked process, or before a fork: JAX would deadlock there.

    Gymnasium's asynchronous worlds make one environment in the process that is going to be forked.
    Raises OptionError.
    """
    if os.getpid() != _PROCESS:
        raise OptionError(f"an environment must not be made in a forked process: {_WAY_OUT}")
    frame = sys._getframe()
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), AsyncVectorEnv):
            context = multiprocessing.get_context(frame.f_locals.get("context"))
            if context.get_start_method() == "fork":
                raise OptionError(
                    f"asynchronous worlds must not be forks, in which JAX does not run: {_WAY_OUT}"
                )
        frame = frame.f_back
