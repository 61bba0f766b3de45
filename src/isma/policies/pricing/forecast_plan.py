"""Planned valuation, of `isma2`: receding-horizon planning along a learned forecast of the users.

Known is computed: CPU shares, offload ratios, the cost of a migration (isma.policies.pricing.search).
Hidden is how users and servers go on. A recurrent model with the same weights for every user
(isma.model.forecast) takes in each host's observations and forecasts from there. A user moves now if that is
how the best sequence of servers over the next two minutes begins: the shortest path
(isma.planning.migration_path) with a terminal cost.
"""

from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

from isma.contract import Memory, Observation
from isma.model.forecast import LENGTHS_S, ForecastModel, Latent
from isma.planning.allocation import Offers, Split
from isma.planning.migration_path import at_places, decaying, least_cost_s2
from isma.planning.moves import marginal_costs_s
from isma.planning.segment_sums import Pools
from isma.policies.options import (
    Distance,
    Duration,
    Factor,
    Part,
    Positive,
    PositiveDuration,
    check_fields,
)
from isma.policies.pricing.candidates import Candidates
from isma.policies.pricing.dwell_time import PRIOR_S, DwellStatistics, count_dwell
from isma.policies.pricing.features import Features, LastObservation, features
from isma.policies.pricing.forecast_skill import (
    ForecastSkill,
    NotedForecasts,
    compare,
    note,
    noted_rows,
)
from isma.policies.pricing.marginal_cost import (
    marginal_cost_s,
    offload_gain_s,
    root_prices_of,
    terminal_cost_s2,
)
from isma.policies.pricing.mobility_forecast import Modelled, Persistence
from isma.policies.pricing.price_history import PriceHistory, update_history
from isma.policies.pricing.valuation import (
    Forecast,
    Valuation,
    expected_duration,
    needs_memory,
    stop_cost_s,
)
from isma.world.scenario import Scenario, Visibility


class UserMemory(eqx.Module):
    """Memory of each user; it travels with the service."""

    dwell: DwellStatistics
    last: LastObservation | None
    """Reference of features; None without a model, as the state."""
    state: Float[Array, "users width"] | None
    """Recurrent state of the model."""
    noted: NotedForecasts | None = None
    """Forecasts whose outcome is still to come."""


class ServerMemory(eqx.Module):
    """Memory of each server about itself and the prices that it received."""

    prices: PriceHistory
    log_root_price: Float[Array, "servers"] | None
    """Log of √λ at its last decision; None without a model, as the state."""
    state: Float[Array, "servers width"] | None
    """Recurrent state of the model."""
    skill: ForecastSkill | None = None
    """Skill of its forecasts so far."""


class Planned(Valuation):
    """Cost-to-go of the best path of migrations, where users and loads go as is forecast."""

    forecast_model: ForecastModel | None = None
    """The trained model; None to plan as if users stayed where they are."""
    segments: Annotated[int, Field(ge=1, le=len(LENGTHS_S))] = eqx.field(
        static=True, default=len(LENGTHS_S)
    )
    """Segments of time that are planned over, each twice as long as the one before."""
    places: Positive = eqx.field(static=True, default=16)
    """Servers that are planned with for each user, home included."""
    stay_s: Duration = eqx.field(static=True, default=PRIOR_S)
    """Prior mean of a user's dwell time at a station; 0 for no plan, and moves that pay within one decision
    period."""
    price_decay_s: PositiveDuration = eqx.field(static=True, default=30.0)
    """τ: time constant with which a server's price reverts to its long-run mean; not tuned: in a city its
    deviation halves in half a minute (docs/research/0024)."""
    residual_load: Part = eqx.field(static=True, default=0.3)
    """Part of a server's long-run excess of load that is expected to last beyond the horizon."""
    leaving_hops: Distance = eqx.field(static=True, default=0.1)
    """Hops by which a user's distance from a server must grow, over the last two segments, for it to be
    leaving."""
    doubt_hops2: Annotated[float, Field(ge=0, le=1e6)] = eqx.field(static=True, default=1.0)
    """Prior doubt of a server's forecasts, c in isma.policies.pricing.forecast_skill; they count in full
    from twice as many squared hops that came as forecast."""
    downtime_weight: Factor = eqx.field(static=True, default=1.0)
    """Factor of the delay that stops of services cause: above 1 for fewer of them, at a higher mean."""

    def __check_init__(self) -> None:
        """Refuse a horizon beyond the model's, and a plan without servers."""
        check_fields("isma2", self)

    def init(self, scenario: Scenario, num_users: int, num_servers: int) -> Memory:
        """Empty statistics and states; where every user decides alone, there is no memory of servers."""
        if not needs_memory(scenario, self.stay_s):
            return Memory.none()
        dwell = DwellStatistics.none(num_users)
        if scenario.visibility is Visibility.USER:
            return Memory(None, UserMemory(dwell, None, None))
        prices = PriceHistory.none(num_servers)
        if self.forecast_model is None:
            return Memory(ServerMemory(prices, None, None), UserMemory(dwell, None, None))
        states = self.forecast_model.start(num_users, num_servers)
        return Memory(
            ServerMemory(
                prices, jnp.zeros(num_servers), states.server, ForecastSkill.none(num_servers)
            ),
            UserMemory(
                dwell,
                LastObservation.none(num_users),
                states.user,
                NotedForecasts.none(num_users, self.segments),
            ),
        )

    def update(
        self, memory: Memory, observation: Observation, offer: Offers, here: Split
    ) -> Memory:
        """Statistics, history and states after the observation."""
        user, server = memory.per_user, memory.per_server
        if user is None:
            return memory
        dwell = count_dwell(user.dwell, observation)
        if server is None:
            return Memory(None, UserMemory(dwell, None, None))
        prices = update_history(server.prices, observation)
        if self.forecast_model is None or user.state is None:
            return Memory(ServerMemory(prices, None, None), UserMemory(dwell, None, None))
        before = server.log_root_price
        now = features(user.dwell, dwell, user.last, before, observation, offer, here)
        states = self._next_states(Latent(user.state, server.state), now, observation)
        noted, skill = compare(user.noted, server.skill, observation)
        coming = self._mobility(states, now.last, observation)
        noted = self._note(noted, coming, observation)
        return Memory(
            ServerMemory(prices, now.log_root_price, states.server, skill),
            UserMemory(dwell, now.last, states.user, noted),
        )

    def forecast(self, memory: Memory, observation: Observation) -> Forecast:
        """Duration of gains, futures of users, long-run prices; the first alone where no server plans."""
        user, server = memory.per_user, memory.per_server
        dwell = None if user is None else user.dwell
        duration = expected_duration(dwell, observation, self.stay_s)
        if user is None or server is None:
            return Forecast(duration)
        long_run = server.prices.long_run(self.price_decay_s)
        if self.forecast_model is None or user.state is None:
            return Forecast(duration, Persistence(), long_run)
        mobility = self._mobility(Latent(user.state, server.state), user.last, observation)
        weight = self.forecast_weight(memory)
        assert weight is not None  # Where there is a model, its skill is measured.
        return Forecast(duration, mobility, long_run, weight[observation.host])

    def forecast_weight(self, memory: Memory) -> Float[Array, "servers"] | None:
        """Weight of the plan, as far as each server's forecasts have been borne out."""
        skill = None if memory.per_server is None else memory.per_server.skill
        return None if skill is None else skill.weight(self.doubt_hops2)

    def added_cost_s(
        self, candidates: Candidates, forecast: Forecast
    ) -> Float[Array, "users places"] | None:
        """Cost-to-go of going to each place now beyond the present moment, if the best moves follow.

        All is relative to home at present: hops and channel as the user goes, load as services move on.
        """
        observation, duration = candidates.observation, forecast.duration
        if observation.infrastructure.migration is None or forecast.mobility is None:
            return stop_cost_s(candidates, duration, self.downtime_weight)
        joined_s = marginal_costs_s(candidates.offer, candidates.home, candidates.root_price)
        number, user = joined_s.shape[1], jnp.arange(len(joined_s))
        saved_s = joined_s[user, candidates.home][:, None] - joined_s
        foremost = saved_s.at[user, candidates.home].set(jnp.inf)
        column = jax.lax.top_k(foremost, min(self.places, number))[1]
        length_s = jnp.asarray(LENGTHS_S[: self.segments])
        prices = root_prices_of(candidates, column, forecast.long_run)
        hops, gain = forecast.mobility.expect(observation, prices.server, self.segments)
        root_price = decaying(prices.now, prices.long_run, duration.gap_s, length_s)
        cost_s2 = least_cost_s2(
            observation,
            prices.server,
            length_s,
            cost_s=marginal_cost_s(observation, hops, prices.work_s, root_price, gain),
            terminal_s2=terminal_cost_s2(
                observation,
                prices,
                duration,
                hops=hops[-2:],
                gain=gain[-1],
                horizon_s=jnp.sum(length_s),
                residual_load=self.residual_load,
                leaving_hops=self.leaving_hops,
            ),
            offload_gain_s=offload_gain_s(observation, prices, gain),
            terminal_lasts_s=duration.hops_s,
            downtime_weight=self.downtime_weight,
        )
        # Staying now and going after the first segment is a path too: going now saves no more than that.
        more_s = (cost_s2 - cost_s2[:, :1]) / length_s[0]
        planned_s = more_s + jnp.take_along_axis(saved_s, column, axis=1)
        planned_s = at_places(planned_s, column, number)
        myopic_s = stop_cost_s(candidates, duration, self.downtime_weight)
        if forecast.weight is None or myopic_s is None:
            return planned_s
        weight = forecast.weight[:, None]
        blended_s = weight * planned_s + (1 - weight) * myopic_s
        return jnp.where(weight > 0, blended_s, myopic_s)

    def _note(
        self, noted: NotedForecasts, coming: Modelled, observation: Observation
    ) -> NotedForecasts:
        """Open forecasts, with the present one of the hops by which users move away from their hosts."""
        row = noted_rows(len(observation.host))
        some, seen = coming.of_rows(row), observation.of_rows(row)
        change = some.hop_changes(seen, seen.host[:, None], self.segments)[..., 0]
        return note(noted, row, change.T, observation)

    def _mobility(
        self, states: Latent, last: LastObservation, observation: Observation
    ) -> Modelled:
        """The model's forecast from the states that it has reached."""
        assert self.forecast_model is not None
        prices, host = self.forecast_model.forecast_prices(states.server).sample, observation.host
        return Modelled(
            self.forecast_model,
            user=states.user,
            host=states.server[host],
            price=jnp.moveaxis(prices[:, host], 0, -1),
            visited=last.visited,
        )

    def _next_states(self, before: Latent, now: Features, observation: Observation) -> Latent:
        """Recurrent states after an observation: of users, and of servers with their users' mean."""
        assert self.forecast_model is not None
        user = self.forecast_model.update_users(before, now.user, observation.host)
        home = Pools(observation.pool(observation.host), observation.num_pools)
        number = home.sum(observation.visible.astype(user.dtype))
        pooled = home.sum(user) / jnp.maximum(number, 1)[:, None]
        return Latent(user, self.forecast_model.update_servers(before, now.server, pooled))
