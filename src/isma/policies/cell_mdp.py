"""Migration by cell: a Markov decision process over a user's station and the host of its service."""

import logging
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.errors import PolicyError
from isma.planning.allocation import offers
from isma.planning.cells import best_hosts, station_chances
from isma.planning.distance import relative_delay
from isma.planning.migration import cost_of, one_hop_delay_s2
from isma.planning.payback import level, levels_s
from isma.policies.base import hop_delay_s, shared_out
from isma.world import backhaul, sites
from isma.world.scenario import Scenario
from isma.world.walks import walks

_LOG = logging.getLogger(__name__)
_SHORTEST_STEP_S = 5.0
"""Users hardly change stations in less, and longer steps settle sooner."""


class CellMdp(Policy):
    """Moves a service to where it costs least in the long run, knowing where users go on from a cell.

    As `mdp`, but the state is the user's station and its host, not the distance between them, and
    stations follow one another as they did in recorded walks. Load is not looked at.
    """

    horizon_s: float = eqx.field(static=True, default=600.0)
    """Time over which the future is discounted."""
    transitions: Path | None = eqx.field(static=True, default=None)
    """Trace of training days to count moves in; None: users who move as the scenario says."""

    def __check_init__(self) -> None:
        """Refuse a future of no length."""
        if self.horizon_s <= 0:
            raise PolicyError(f"cell-mdp: horizon_s must be positive, got {self.horizon_s:g}")

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Per server: where its users go from each station. Raises DataError or ScenarioError."""
        cost = cost_of(scenario.migration)
        if cost is None:
            return Memory.none()
        layout = sites.layout(scenario.sites)
        hops = backhaul.hop_counts(scenario.backhaul, layout, scenario.sites.coverage_radius_m)
        relative = relative_delay(
            cost,
            scenario.backhaul.rate_bps,
            float(np.mean(scenario.migration.state_bits)),
            float(np.mean(scenario.migration.downtime_per_hop_s)),
            int(hops.max()) + 1,
        )
        period_s = float(np.mean(np.asarray(scenario.servers.decision_period_s)))
        step_s = max(period_s, _SHORTEST_STEP_S)
        stations = walks(scenario, step_s, self.transitions)
        if not stations.size:
            _LOG.warning(
                "cell-mdp: no motion before the start of %s to learn from, so that it takes users to "
                "stay where they are; name a trace of another day, cell-mdp:transitions=FILE",
                scenario.name,
            )
        table = best_hosts(
            np.asarray(levels_s()),
            np.asarray(relative),
            station_chances(stations, num_servers),
            *(hops, step_s, self.horizon_s),
        )
        return Memory(table.astype(jnp.int16), None)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Look up where each service should be, and send it there."""
        offer = offers(observation)
        host, station = observation.host, observation.station
        if observation.infrastructure.migration is None:
            return shared_out(observation, offer, station)[0], memory
        hop_s = hop_delay_s(observation, offer)
        row = level(one_hop_delay_s2(observation) / jnp.maximum(hop_s, 1e-12))
        there = memory.per_server[host, row, station].astype(host.dtype)
        goes = observation.decides & (hop_s > 0)
        return shared_out(observation, offer, jnp.where(goes, there, host))[0], memory
