"""Migration by distance: a Markov decision process over the hops between a user and its service."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from isma.contract import Action, Memory, Observation
from isma.planning.allocation import offers
from isma.planning.distance import best_distances, transitions
from isma.planning.migration import cost_of, one_hop_delay_s2
from isma.planning.payback import level, levels_s
from isma.policies.rules.markov import Distances, Markov, distances_of
from isma.policies.shared import detour, excess_s, nearest, refuse_large, shared_out
from isma.world.scenario import Scenario

_DISTANCE_FIRST = 1e4
"""Weight of the distance to the user; the distance to the host only breaks ties."""


class Mdp(Markov):
    """Moves a service to the distance from its user that costs least in the long run.

    Wang et al. (ToN 2019) solve one user's problem, which is the same for all; here users differ in
    data and state. All that matters of that is how long one hop takes to pay back; a table covers a
    range of payback times. Distances are hops beyond those to the nearest server, which is at the user's
    station unless there are fewer servers than stations; a move counts by the hops that it saves.
    """

    name: ClassVar[str] = "mdp"

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Per server: the table for its decision period. Raises DataError or ScenarioError."""
        refuse_large(self.name, num_users, num_servers)
        cost = cost_of(scenario.migration)
        if cost is None:
            return Memory.none()
        distances = distances_of(scenario, cost)
        period_s = np.broadcast_to(np.asarray(scenario.servers.decision_period_s), (num_servers,))
        periods_s, which = np.unique(period_s, return_inverse=True)
        tables = [self._table(scenario, distances, float(each)) for each in periods_s]
        return Memory(jnp.stack(tables).astype(jnp.int16)[which], None)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Look up how far each service should be, and send it there."""
        offer, host = offers(observation), observation.host
        if observation.infrastructure.migration is None:
            return shared_out(observation, offer, nearest(observation))[0], memory
        distance = detour(observation)
        excess = excess_s(observation, offer)
        hop_s = jnp.maximum(excess, 1e-12) / jnp.maximum(distance, 1)
        row = level(one_hop_delay_s2(observation) / hop_s)
        left = memory.per_server[host, row, distance.astype(jnp.int32)]
        goes = observation.decides & (excess > 0) & (left < distance)
        target = jnp.where(goes, _at_distance(observation, left), host)
        return shared_out(observation, offer, target)[0], memory

    def _table(
        self, scenario: Scenario, distances: Distances, period_s: float
    ) -> Int[Array, "levels distances"]:
        hops = distances.hops
        chances = jnp.asarray(transitions(self.stations(scenario, period_s), hops), float)
        numbers = (jnp.asarray(period_s), jnp.asarray(self.horizon_s))
        return best_distances(levels_s(), distances.relative[: len(chances)], chances, *numbers)


def _at_distance(observation: Observation, left: Int[Array, "users"]) -> Int[Array, "users"]:
    """The server `left` hops beyond the nearest, or as close to that as possible, and then to the host."""
    infrastructure = observation.infrastructure
    off = jnp.abs(infrastructure.detour(observation.station) - left[:, None])
    far = infrastructure.between[observation.host]
    return jnp.argmin(_DISTANCE_FIRST * off + far, axis=1).astype(jnp.int32)
