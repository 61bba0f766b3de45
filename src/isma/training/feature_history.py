"""Features of users and servers over time, as their hosts observe them, for the forecast model."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma.contract import Memory, Observation
from isma.model.forecast import SERVER_FEATURES, USER_FEATURES
from isma.planning.allocation import Offers, Split
from isma.policies.pricing.dwell_time import count_dwell
from isma.policies.pricing.features import LastObservation, Topology, features
from isma.policies.pricing.policy import Price
from isma.policies.pricing.valuation import Forecast, Myopic
from isma.simulator.params import Params, build
from isma.simulator.state import State, active, reset
from isma.simulator.step import TickOutcome
from isma.training.record import InitialWorld, Rows, period_s, record, spread
from isma.world.scenario import Scenario

Table = Array | np.ndarray


class FeatureHistory(NamedTuple):
    """Users and servers, period by period; rows of worlds may come first."""

    user: Float[Table, "*worlds periods users features"]
    server: Float[Table, "*worlds periods servers features"]
    present: Bool[Table, "*worlds periods users"]
    """Users that their host has observed, and that have not left."""
    station: Int[Table, "*worlds periods users"]
    host: Int[Table, "*worlds periods users"]
    log_snr: Float[Table, "*worlds periods users"]
    """Log of the signal-to-noise ratio."""
    log_root_price: Float[Table, "*worlds periods servers"]
    """Log of √λ."""
    visited: Int[Table, "*worlds periods users before"]
    """Stations before the present one, the last one first."""


class _Observing(Myopic):
    """Valuation of `price`, whose memory holds the last features of all users and servers."""

    def init(self, scenario: Scenario, num_users: int, num_servers: int) -> Memory:
        """Empty statistics and features."""
        kept = super().init(scenario, num_users, num_servers)
        return Memory(
            (jnp.zeros(num_servers), jnp.zeros((num_servers, SERVER_FEATURES))),
            (
                kept.per_user,
                LastObservation.none(num_users),
                jnp.zeros((num_users, USER_FEATURES)),
            ),
        )

    def update(
        self, memory: Memory, observation: Observation, offer: Offers, here: Split
    ) -> Memory:
        """Statistics and features after the observation."""
        before, last, _ = memory.per_user
        dwell = count_dwell(before, observation)
        now = features(before, dwell, last, memory.per_server[0], observation, offer, here)
        return Memory((now.log_root_price, now.server), (dwell, now.last, now.user))

    def forecast(self, memory: Memory, observation: Observation) -> Forecast:
        """Duration of gains by the statistics."""
        return super().forecast(Memory(None, memory.per_user[0]), observation)


_POLICY = Price(valuation=_Observing())
"""`price`, with servers that keep the features of their last observation."""


def observe_features(
    scenarios: Sequence[Scenario], num_worlds: int, num_periods: int, key: PRNGKeyArray
) -> FeatureHistory:
    """History of `num_periods` periods of worlds that take the scenarios in turn. Raises ScenarioError."""
    worlds, scenario = spread(scenarios, num_worlds), scenarios[0]
    period, shape = round(period_s(scenario) / scenario.time.tick_s), worlds.shape
    each = []
    # One by one: a program for each number of worlds would take longer to compile than to run.
    for world, one in enumerate(jax.random.split(key, num_worlds)):
        params = jax.tree.map(lambda leaf, world=world: leaf[world], worlds)
        memory_key, run_key = jax.random.split(one)
        memory = _POLICY.init(scenario, shape.num_users, shape.num_servers, memory_key)
        each.append(jax.device_get(_one_world(params, memory, run_key, num_periods, period)))
    return jax.tree.map(lambda *parts: np.stack(parts), *each)


def topology_of(scenario: Scenario) -> Topology:
    """Hops from every station and server to every server."""
    return Topology.of(build(scenario).infrastructure)


@eqx.filter_jit
def _one_world(
    params: Params, memory: Memory, key: PRNGKeyArray, num_periods: int, period_ticks: int
) -> FeatureHistory:
    world_key, run_key = jax.random.split(key)
    world = InitialWorld(params, reset(params, world_key), memory, run_key)

    def at_period_end(_: State, after: State, memory: Memory, outcome: TickOutcome) -> Rows:
        """Probe of the world: features after each period, in one row."""
        log_root_price, server = memory.per_server
        dwell, last, user = memory.per_user
        present = active(params, after) & (dwell.first_slot >= 0)
        entry = FeatureHistory(
            *(user, server, present, dwell.station, dwell.host),
            *(last.snr, log_root_price, last.visited),
        )
        one_row = jax.tree.map(lambda leaf: leaf[None], entry)
        return Rows((after.tick // period_ticks)[None], one_row, ())

    ticks = jnp.asarray(num_periods * period_ticks)
    recording = record(world, _POLICY, at_period_end, num_periods, ticks)
    return jax.tree.map(lambda leaf: leaf[0], recording.entry)
