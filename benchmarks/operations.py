"""Nominal operations of a plan: those of its matrix products, by the model's own weights."""

import jax

from isma.model.latent import LatentModel
from isma.planning.cross_entropy import Budget


def layer_shapes(model: LatentModel) -> list[tuple[int, int]]:
    """Inputs and outputs of every layer that an imagined step applies: all but encoder and observation."""
    applied = (model.transition, model.reward_model, getattr(model, "lstm", None))
    return [leaf.shape for leaf in jax.tree.leaves(applied) if getattr(leaf, "ndim", 0) == 2]


def multiply_adds(model: LatentModel) -> int:
    """Multiply-adds of one latent step of one candidate."""
    return sum(inputs * outputs for inputs, outputs in layer_shapes(model))


def of_plan(model: LatentModel, budget: Budget) -> int:
    """Operations of a whole search, a multiply-add being two.

    Nominal: what a plan spares (the first step's recurrent products, which its candidates share)
    counts, and all but matrix products (noise, activations, sorting) do not.
    """
    return 2 * multiply_adds(model) * budget.latent_steps
