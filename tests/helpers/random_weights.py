"""Models with random weights."""

import equinox as eqx
import jax

random_weights = eqx.filter_jit(lambda frame, seed=0: frame.make(jax.random.key(seed)))
"""Model of a frame, drawn by one program, and not by forty that each draw a layer."""
