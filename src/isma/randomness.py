"""Draws that are the same with and without JAX's double precision.

JAX draws other bits for a 64-bit number than for a 32-bit one, so that a world would be another one
under JAX_ENABLE_X64. All that is random is drawn in 32 bits, and widened where the rest is wide
(docs/decisions/0030).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma.errors import RunError, given

LARGEST_SEED = 2**32 - 1
"""Largest seed: beyond it, and below 0, JAX repeats the draws of a seed in range."""


def check_seeds(seeds: Iterable[object]) -> tuple[int, ...]:
    """Seeds of worlds that differ, as whole numbers in their order. Raises RunError."""
    known: dict[int, None] = {}
    for seed in seeds:
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
            raise RunError(f"a seed must be a whole number, got {given(seed)}")
        if not 0 <= seed <= LARGEST_SEED:
            raise RunError(f"a seed must be from 0 to {LARGEST_SEED}, got {given(seed)}")
        if int(seed) in known:  # A world that counts twice makes intervals too narrow.
            raise RunError(f"seeds must differ, got {seed} twice")
        known[int(seed)] = None
    return tuple(known)


def uniform(
    key: PRNGKeyArray,
    shape: Sequence[int] = (),
    dtype: Any = float,
    low: float = 0.0,
    high: float = 1.0,
) -> Float[Array, "..."]:
    """Numbers evenly from `low` to below `high`."""
    return jax.random.uniform(key, shape, jnp.float32, low, high).astype(dtype)


def normal(key: PRNGKeyArray, shape: Sequence[int] = (), dtype: Any = float) -> Float[Array, "..."]:
    """Standard normal numbers."""
    return jax.random.normal(key, shape, jnp.float32).astype(dtype)


def whole(
    key: PRNGKeyArray,
    shape: Sequence[int],
    low: Int[Array, "..."] | int,
    below: Int[Array, "..."] | int,
    dtype: Any = int,
) -> Int[Array, "..."]:
    """Whole numbers evenly from `low` to `below`, without the latter."""
    return jax.random.randint(key, shape, low, below, jnp.int32).astype(dtype)
