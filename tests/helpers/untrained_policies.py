"""Learned policies with random weights, of the tests' size: what they decide is arbitrary, how is not."""

from collections.abc import Callable
from functools import cache

import equinox as eqx
import jax.numpy as jnp

from helpers.random_weights import random_weights
from helpers.small_worlds import SERVERS, USERS, tiny
from isma.contract import Policy
from isma.model import vectors
from isma.model.forecast import ForecastFrame
from isma.model.frame import Frame
from isma.model.latent import Kind
from isma.planning.cross_entropy import Budget
from isma.policies.learned.cross_entropy_planner import Search
from isma.policies.learned.dqn import Dqn, DqnFrame
from isma.policies.learned.drac import Drac, DracFrame
from isma.policies.learned.known_physics import KnownPhysics
from isma.policies.learned.latent_planner import LatentPlanner
from isma.policies.learned.team import Team, TeamFrame
from isma.policies.pricing.forecast_plan import Planned
from isma.policies.pricing.policy import Price

BUDGET = Budget(candidates=12, iterations=1, horizon=2, elites=3)


def planner(kind: Kind, separate: bool = False, budget: Budget = BUDGET) -> LatentPlanner:
    """The paper's planner on an untrained model of two cells."""
    frame = Frame(kind, USERS, SERVERS, cells=2, separate=separate, largest=4.0)
    model = random_weights(frame)
    scales = vectors.scales([tiny()])
    return LatentPlanner(Search(budget), frame, model, scales)


def dqn(explore: float = 0.0) -> Dqn:
    """DQN with an untrained network."""
    frame = DqnFrame(SERVERS, width=16)
    network = random_weights(frame)
    return Dqn(network, vectors.scales([tiny()]), jnp.asarray(explore), SERVERS)


def drac(explores: bool = False) -> Drac:
    """The recurrent actor-critic with an untrained network, its odds as far from equal as others'."""
    network = random_weights(DracFrame(width=16))
    network = eqx.tree_at(lambda n: n.actor.weight, network, replace_fn=lambda weight: 100 * weight)
    return Drac(network, vectors.scales([tiny()]), jnp.asarray(explores))


def team(kind: str = "ippo", explores: bool = False) -> Team:
    """Servers that share an untrained network, its odds as far from equal as others'."""
    network = random_weights(TeamFrame(kind, width=16))
    network = eqx.tree_at(lambda n: n.actor.weight, network, replace_fn=lambda weight: 100 * weight)
    return Team(network, vectors.scales([tiny()]), jnp.asarray(explores))


def isma2() -> Price:
    """The newest policy with an untrained forecast model, that foresees more than a trained one."""
    model = random_weights(ForecastFrame(width=8))
    model = eqx.tree_at(lambda o: o.farther.weight, model, replace_fn=lambda w: 5 * w)
    return Price(valuation=Planned(forecast_model=model))


PLANNERS: dict[str, Callable[[], Policy]] = {
    "isma": lambda: planner(Kind.RLSM),
    "slsm": lambda: planner(Kind.SLSM),
    "dlsm": lambda: planner(Kind.DLSM),
    "isma-separate": lambda: planner(Kind.RLSM, separate=True),
    "known-physics": lambda: KnownPhysics(Search(BUDGET)),
}

POLICIES: dict[str, Callable[[], Policy]] = {
    **PLANNERS,
    "dqn": dqn,
    "dqn-exploring": lambda: dqn(0.5),
    "drac": drac,
    "drac-exploring": lambda: drac(explores=True),
    "ippo": team,
    "mappo": lambda: team("mappo"),
    "mappo-exploring": lambda: team("mappo", explores=True),
    "isma2": isma2,
}
"""Policies by name, each made where it is needed: drawing all of their weights takes seconds."""


@cache
def named(name: str) -> Policy:
    """Policy of that name."""
    return POLICIES[name]()
