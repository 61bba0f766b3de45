"""Records of hosts about their users over time, from a batch of simulated worlds."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from isma.contract import Memory, Observation
from isma.model.outlook import SERVER_LOOK, USER_LOOK
from isma.planning.allocation import Offers, Split
from isma.policies.pricing.dwell_time import count_dwell
from isma.policies.pricing.features import LastObservation, Topology, features
from isma.policies.pricing.policy import Price
from isma.policies.pricing.valuation import Forecast, Myopic
from isma.simulator.params import Params, build
from isma.simulator.state import active, draw, reset
from isma.simulator.step import step
from isma.training.collect import spread
from isma.world.scenario import Scenario

Table = Array | np.ndarray


class Watched(NamedTuple):
    """Users and servers, period by period; rows of worlds may come first."""

    user: Float[Table, "*worlds periods users look"]
    server: Float[Table, "*worlds periods servers look"]
    there: Bool[Table, "*worlds periods users"]
    """Users whose host sees them."""
    station: Int[Table, "*worlds periods users"]
    host: Int[Table, "*worlds periods users"]
    snr: Float[Table, "*worlds periods users"]
    """Log of the signal-to-noise ratio."""
    pull: Float[Table, "*worlds periods servers"]
    """Log of √λ."""
    visited: Int[Table, "*worlds periods users before"]
    """Stations before the present one, the last one first."""


class Watching(Myopic):
    """Valuation of `price`, whose memory holds the last features of all users and servers."""

    def init(self, scenario: Scenario, num_users: int, num_servers: int) -> Memory:
        """Empty statistics and features."""
        kept = super().init(scenario, num_users, num_servers)
        return Memory(
            (jnp.zeros(num_servers), jnp.zeros((num_servers, SERVER_LOOK))),
            (
                kept.per_user,
                LastObservation.none(num_users),
                jnp.zeros((num_users, USER_LOOK)),
            ),
        )

    def update(
        self, memory: Memory, observation: Observation, offer: Offers, here: Split
    ) -> Memory:
        """Statistics and features after the observation."""
        before, last, _ = memory.per_user
        seen = count_dwell(before, observation)
        now = features(before, seen, last, memory.per_server[0], observation, offer, here)
        return Memory((now.log_root_price, now.server), (seen, now.last, now.user))

    def forecast(self, memory: Memory, observation: Observation) -> Forecast:
        """Duration of gains by the statistics."""
        return super().forecast(Memory(None, memory.per_user[0]), observation)


WATCHER = Price(valuation=Watching())
"""`price`, with servers that note what they see."""


def watch(
    scenarios: Sequence[Scenario], num_worlds: int, num_periods: int, key: PRNGKeyArray
) -> Watched:
    """So many periods of worlds that take the scenarios in turn. Raises ScenarioError."""
    worlds, scenario = spread(scenarios, num_worlds), scenarios[0]
    ticks, shape = round(period_s(scenario) / scenario.time.tick_s), worlds.params.shape
    each = []
    # One by one: a program for each number of worlds would take longer to compile than to run.
    for world, one in enumerate(jax.random.split(key, num_worlds)):
        params = jax.tree.map(lambda leaf, world=world: leaf[world], worlds.params)
        memory_key, run_key = jax.random.split(one)
        memory = WATCHER.init(scenario, shape.num_users, shape.num_servers, memory_key)
        each.append(jax.device_get(_one_world(params, memory, run_key, num_periods, ticks)))
    return jax.tree.map(lambda *parts: np.stack(parts), *each)


def period_s(scenario: Scenario) -> float:
    """Time between two looks: the longest decision period."""
    return float(np.max(np.asarray(scenario.servers.decision_period_s)))


def ground_of(scenario: Scenario) -> Topology:
    """Hops from every station and server to every server."""
    return Topology.of(build(scenario).infrastructure)


@eqx.filter_jit
def _one_world(
    params: Params, memory: Memory, key: PRNGKeyArray, num_periods: int, ticks: int
) -> Watched:
    world_key, run_key = jax.random.split(key)

    def one_tick(_: Array, carry):
        state, memory = carry
        return step(params, WATCHER, state, memory, draw(params, run_key, state.tick))[:2]

    def one_period(carry, _):
        state, memory = jax.lax.fori_loop(0, ticks, one_tick, carry)
        pull, server = memory.per_server
        seen, last, user = memory.per_user
        there = active(params, state) & (seen.first_slot >= 0)
        found = Watched(
            *(user, server, there, seen.station, seen.host, last.snr, pull, last.visited)
        )
        return (state, memory), found

    start = (reset(params, world_key), memory)
    return jax.lax.scan(one_period, start, None, num_periods)[1]
