"""Actions on a grid: a server, one of eleven offload ratios, and a share of 0.1, 0.2, …, 1."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int

from isma.planning.action_code import Coded
from isma.planning.allocation import RATIOS

SHARES = tuple(step / 10 for step in range(1, 11))
"""The shares of a server's CPU that may be asked for (docs/method/readings.md, row DQN)."""


class Choice(eqx.Module):
    """An action by its places on the grid."""

    server: Int[Array, "*rows"]
    ratio: Int[Array, "*rows"]
    """Place in `RATIOS`."""
    share: Int[Array, "*rows"]
    """Place in `SHARES`."""


def choice_of(number: Int[Array, "*rows"]) -> Choice:
    """The action of a number; servers vary slowest, shares fastest."""
    ratio_and_share = number % (len(RATIOS) * len(SHARES))
    return Choice(
        server=number // (len(RATIOS) * len(SHARES)),
        ratio=ratio_and_share // len(SHARES),
        share=ratio_and_share % len(SHARES),
    )


def number_of(choice: Choice) -> Int[Array, "*rows"]:
    """The number of an action, from 0 to `grid_size` - 1."""
    return (choice.server * len(RATIOS) + choice.ratio) * len(SHARES) + choice.share


def grid_size(servers: int) -> int:
    """How many actions there are."""
    return servers * len(RATIOS) * len(SHARES)


def coded(choice: Choice) -> Coded:
    """The action at those places."""
    return Coded(
        choice.server, jnp.asarray(RATIOS)[choice.ratio], jnp.asarray(SHARES)[choice.share]
    )
