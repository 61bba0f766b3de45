"""Valuation: the value of time after a move, which a search adds to the marginal delay at present.

A valuation keeps a memory of its own, makes a forecast from it, and computes the delay that moving to each
candidate adds to each task beyond the present. The search needs nothing else of it: the myopic one charges a
stop over the expected duration of the gain, the planned one solves for the best path of migrations
(isma.policies.pricing.forecast_plan), and a reference knows the true future
(isma.policies.pricing.true_future).
"""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int

from isma.contract import Memory, Observation
from isma.planning.allocation import Offers, Split
from isma.planning.migration import charge_s
from isma.planning.moves import load_part, savings_s
from isma.policies.options import Duration, Factor, check_fields
from isma.policies.pricing.candidates import Candidates
from isma.policies.pricing.dwell_time import (
    PRIOR_S,
    DwellStatistics,
    GainDuration,
    count_dwell,
    gain_duration,
)
from isma.policies.pricing.mobility_forecast import MobilityForecast
from isma.policies.pricing.price_history import LongRunPrice
from isma.policies.shared import lasting_s
from isma.world.scenario import Scenario
from isma.world.switches import Migrating


class Forecast(NamedTuple):
    """Expectations of a decision: for each user, and of servers by each decision maker."""

    duration: GainDuration
    mobility: MobilityForecast | None = None
    """Future hops and channels of the users, where the valuation plans."""
    long_run: LongRunPrice | None = None
    """Long-run prices, in a row for each server that received them, if they are known."""
    weight: Float[Array, "users"] | None = None
    """Weight of the plan along that mobility against the myopic valuation; None for the plan alone."""

    def of_rows(self, row: Int[Array, "rows"]) -> "Forecast":
        """Forecast of some users alone; that of servers stays whole."""
        return self._replace(
            duration=jax.tree.map(lambda part: part[row], self.duration),
            mobility=None if self.mobility is None else self.mobility.of_rows(row),
            weight=None if self.weight is None else self.weight[row],
        )


class Valuation(eqx.Module):
    """Value of the time after a move; a pytree whose memory is opaque to the search."""

    @abstractmethod
    def init(self, scenario: Scenario, num_users: int, num_servers: int) -> Memory:
        """Memory before the first decision."""

    @abstractmethod
    def update(
        self, memory: Memory, observation: Observation, offer: Offers, here: Split
    ) -> Memory:
        """Memory after an observation; `here` is how users share their hosts now."""

    @abstractmethod
    def forecast(self, memory: Memory, observation: Observation) -> Forecast:
        """Expectations from a memory that has taken in the observation."""

    @abstractmethod
    def added_cost_s(
        self, candidates: Candidates, forecast: Forecast
    ) -> Float[Array, "users places"] | None:
        """Delay that moving to each place adds to each task beyond the present; None where all are 0.

        0 at home, infinite at a place that is not planned with.
        """

    def forecast_weight(self, memory: Memory) -> Float[Array, "servers"] | None:
        """Weight of a mobility forecast in each server's decisions, 0 to 1; None without a forecast."""
        return None


class Myopic(Valuation):
    """Stop of a migration, spread over the expected duration of its gain."""

    stay_s: Duration = eqx.field(static=True, default=PRIOR_S)
    """Prior of the dwell time in which a move must pay for the stop that it causes; 0 for one decision
    period, whatever was learned."""
    learn_dwell: bool = eqx.field(static=True, default=True)
    """Whether that time is learned from each user's hand-overs; else it is always `stay_s`."""
    downtime_weight: Factor = eqx.field(static=True, default=1.0)
    """Factor of the delay that stops of services cause: above 1 for fewer of them, at a higher mean."""

    def __check_init__(self) -> None:
        """Refuse a time in which nothing could pay."""
        check_fields("price", self)

    def init(self, scenario: Scenario, num_users: int, num_servers: int) -> Memory:
        """Dwell statistics; nothing where moves are free."""
        if not (needs_memory(scenario, self.stay_s) and self.learn_dwell):
            return Memory.none()
        return Memory(None, DwellStatistics.none(num_users))

    def update(
        self, memory: Memory, observation: Observation, offer: Offers, here: Split
    ) -> Memory:
        """Statistics with the hand-overs and migrations since the last observation."""
        if memory.per_user is None:
            return memory
        return Memory(None, count_dwell(memory.per_user, observation))

    def forecast(self, memory: Memory, observation: Observation) -> Forecast:
        """Duration of gains alone."""
        return Forecast(expected_duration(memory.per_user, observation, self.stay_s))

    def added_cost_s(
        self, candidates: Candidates, forecast: Forecast
    ) -> Float[Array, "users places"] | None:
        """Stop per task over the time for which the gain lasts."""
        return stop_cost_s(candidates, forecast.duration, self.downtime_weight)


def needs_memory(scenario: Scenario, stay_s: float) -> bool:
    """Whether anything that can be remembered matters: moves cost, and may pay later."""
    return scenario.migration.kind is not Migrating.FREE and stay_s > 0


def expected_duration(
    statistics: DwellStatistics | None, observation: Observation, stay_s: float
) -> GainDuration:
    """Expected duration of gains, by the statistics if there are any."""
    if statistics is None:
        return GainDuration.assumed(lasting_s(observation, stay_s))
    return gain_duration(statistics, observation, stay_s)


def stop_cost_s(
    candidates: Candidates, duration: GainDuration, weight: float
) -> Float[Array, "users places"] | None:
    """Weighted stop per task over the time for which each gain lasts; None where moves are free."""
    gain_s = savings_s(candidates.offer, candidates.home, candidates.root_price)
    lasts_s = duration.of(load_part(gain_s, candidates.hop_saving_s))
    cost_s = charge_s(candidates.observation, lasts_s, candidates.server)
    return None if cost_s is None else weight * cost_s
