"""Learned policies with random weights, of the tests' size: what they decide is arbitrary, how is not."""

import jax
import jax.numpy as jnp
from worlds import SERVERS, USERS, tiny

from isma.contract import Policy
from isma.model import vectors
from isma.model.latent import Kind
from isma.model.saved import Frame
from isma.planning.cross_entropy import Budget
from isma.policies.latent import LatentPlanner

BUDGET = Budget(candidates=12, iterations=1, horizon=2, elites=3)


def planner(kind: Kind, separate: bool = False, budget: Budget = BUDGET) -> LatentPlanner:
    """The paper's planner on an untrained model of two cells."""
    frame = Frame(kind, USERS, SERVERS, cells=2, separate=separate)
    model = frame.make(jax.random.key(0))
    scales = vectors.scales([tiny()])
    return LatentPlanner(
        *(model, scales, budget, jnp.asarray(0.0)),
        *(USERS, SERVERS, separate),
    )


POLICIES: dict[str, Policy] = {
    "isma": planner(Kind.RLSM),
    "slsm": planner(Kind.SLSM),
    "dlsm": planner(Kind.DLSM),
    "isma-separate": planner(Kind.RLSM, separate=True),
}
