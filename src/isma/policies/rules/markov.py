"""Shared parts of rules that look moves up in a table, made beforehand from how users wander."""

import logging
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int
from pydantic import Field

from isma.contract import MigrationCost, Policy
from isma.planning.cells import Cells, best_hosts, station_chances
from isma.planning.distance import relative_delay
from isma.planning.payback import levels_s
from isma.policies.options import check_fields
from isma.world.scenario import Scenario

_LOG = logging.getLogger(__name__)


class Distances(NamedTuple):
    """Distances of a scenario from station to server, and delays of moves by distance."""

    hops: Int[np.ndarray, "stations servers"]
    home: Int[np.ndarray, "servers"]
    """The station at which each server stands."""
    relative: Float[Array, "distances"]
    """Delay of a move over some hops relative to that of one hop, for the mean user."""


class Markov(Policy):
    """A rule that models the user's mobility as a Markov chain, with counted transitions."""

    name: ClassVar[str]
    """Name of the policy."""
    horizon_s: Annotated[float, Field(ge=1e-3, le=1e9)] = eqx.field(static=True, default=600.0)
    """Time over which the future is discounted, by 1 - step / horizon a step."""
    transitions: Path | None = eqx.field(static=True, default=None)
    """Trace of training days to count moves in; None: users who move as the scenario says."""

    def __check_init__(self) -> None:
        """Refuse options out of their ranges."""
        check_fields(self.name, self)

    def stations(self, scenario: Scenario, every_s: float) -> Int[np.ndarray, "samples users"]:
        """Walks to count in; a warning where there are none. Raises DataError or ScenarioError."""
        # Laying out a city takes pandas and scipy, which no policy needs to decide.
        from isma.world.walks import walks

        found = walks(scenario, every_s, self.transitions)
        if not found.size:
            _LOG.warning(
                "%s: no motion before the start of %s to learn from, so that it takes users to "
                "stay where they are; name a trace of another day, %s:transitions=FILE",
                self.name,
                scenario.name,
                self.name,
            )
        return found


def cells_along(
    distances: Distances,
    station: Int[np.ndarray, "samples users"],
    every_s: float,
    horizon_s: float,
) -> Cells:
    """Best next hosts and costs-to-go for users that move as those recorded did."""
    chances = station_chances(station, len(distances.hops))
    numbers = np.asarray(levels_s()), np.asarray(distances.relative), chances
    return best_hosts(*numbers, distances.hops, distances.home, every_s, horizon_s)


def distances_of(scenario: Scenario, cost: MigrationCost) -> Distances:
    """The network of a scenario in which moves cost something. Raises DataError or ScenarioError."""
    from isma.world.servers import network

    laid = network(scenario)
    relative = relative_delay(
        cost,
        scenario.backhaul.rate_bps,
        float(np.mean(scenario.migration.state_bits)),
        float(np.mean(scenario.migration.downtime_per_hop_s)),
        int(laid.hops.max()) + 1,
    )
    return Distances(laid.hops, laid.home, relative)
