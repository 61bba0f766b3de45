"""Migration by cell: a Markov decision process over a user's station and the host of its service."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation
from isma.planning.allocation import offers
from isma.planning.migration import cost_of, one_hop_delay_s2
from isma.planning.payback import level
from isma.policies.rules.markov import Markov, cells_along, distances_of
from isma.policies.shared import hop_delay_s, nearest, refuse_large, shared_out
from isma.world.scenario import Scenario

_SHORTEST_STEP_S = 5.0
"""Users hardly change stations in less, and longer steps settle sooner."""


class CellMdp(Markov):
    """Moves a service to where it costs least in the long run, knowing where users go on from a cell.

    As `mdp`, but the state is the user's station and its host, not the distance between them, and
    stations follow one another as they did in recorded walks. Load is not looked at.
    """

    name: ClassVar[str] = "cell-mdp"

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Per server: where its users go from each station. Raises DataError or ScenarioError."""
        refuse_large(self.name, num_users, num_servers)
        cost = cost_of(scenario.migration)
        if cost is None:
            return Memory.none()
        distances = distances_of(scenario, cost)
        period_s = float(np.mean(np.asarray(scenario.servers.decision_period_s)))
        step_s = max(period_s, _SHORTEST_STEP_S)
        cells = cells_along(distances, self.stations(scenario, step_s), step_s, self.horizon_s)
        return Memory(jnp.transpose(cells.goes, (2, 0, 1)).astype(jnp.int16), None)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Look up where each service should be, and send it there."""
        offer = offers(observation)
        host, station = observation.host, observation.station
        if observation.infrastructure.migration is None:
            return shared_out(observation, offer, nearest(observation))[0], memory
        hop_s = hop_delay_s(observation, offer)
        row = level(one_hop_delay_s2(observation) / jnp.maximum(hop_s, 1e-12))
        there = memory.per_server[host, row, station].astype(host.dtype)
        goes = observation.decides & (hop_s > 0)
        return shared_out(observation, offer, jnp.where(goes, there, host))[0], memory
