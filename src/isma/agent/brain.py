"""A policy of the simulator at a real server: agent views in, actions out.

The same object that is compared in the simulator decides; here its Observation is built from an agent's
view. Actions depend on the views alone, in their order, so that recorded views give the same actions
again, bit for bit.
"""

import json
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from isma.agent.situation import AgentView, Proposal, ProposedAction
from isma.contract import (
    Action,
    HopLatency,
    Infrastructure,
    Memory,
    News,
    Observation,
    Policy,
    Requests,
)
from isma.errors import PolicyError
from isma.planning.migration import cost_of
from isma.policies import registry
from isma.storage import digest
from isma.world.scenario import Scenario, Visibility

_LEAST_ROWS = 16


class Brain:
    """One policy with its memory: a row for each context that is here."""

    def __init__(self, name: str, scenario: Scenario) -> None:
        self.name, self._scenario = name, scenario
        self.digest = digest(
            json.dumps(registry.identity(name), sort_keys=True, default=str).encode()
        )
        self._policy = registry.get(name)
        if self._policy.visibility is Visibility.FULL:
            raise PolicyError(f"{name} needs to see all servers' users, which no agent does")
        self._act = eqx.filter_jit(_act)
        self._rows: dict[str, int] = {}
        self._capacity = 0
        self._memory = Memory.none()
        self._fresh = Memory.none()

    def propose(self, situation: AgentView) -> Proposal:
        """The policy's actions for this server's users."""
        self._seat([row.context for row in situation.users], len(situation.servers))
        seen = observation(situation, self._scenario, self._rows, self._capacity)
        key = jax.random.key(situation.number)
        action, new = self._act(self._policy, self._memory, seen, key)
        self._memory = self._memory.renewed(new, seen)
        return self._proposal(situation, action)

    def _seat(self, contexts: Sequence[str], servers: int) -> None:
        """Give each context a row of memory, an initial one to new contexts."""
        self._rows = {name: row for name, row in self._rows.items() if name in set(contexts)}
        while len(contexts) > self._capacity:
            self._grow(max(2 * self._capacity, _LEAST_ROWS), servers)
        free = iter(sorted(set(range(self._capacity)) - set(self._rows.values())))
        fresh = np.zeros(self._capacity, bool)
        for context in contexts:
            if context not in self._rows:
                self._rows[context] = row = next(free)
                fresh[row] = True
        if fresh.any():
            self._memory = Memory(
                self._memory.per_server,
                jax.tree.map(
                    lambda new, old: jnp.where(_over(fresh, new), new, old),
                    self._fresh.per_user,
                    self._memory.per_user,
                ),
            )

    def _grow(self, capacity: int, servers: int) -> None:
        fresh = self._policy.init(self._scenario, capacity, servers, jax.random.key(0))
        old, used = self._memory, self._capacity
        per_user = fresh.per_user
        if used:
            per_user = jax.tree.map(
                lambda new, kept: new.at[:used].set(kept), fresh.per_user, old.per_user
            )
        self._memory = Memory(old.per_server if used else fresh.per_server, per_user)
        self._fresh, self._capacity = fresh, capacity

    def _proposal(self, situation: AgentView, action: Action) -> Proposal:
        server, ratio, share = (
            np.asarray(part) for part in (action.server, action.offload_ratio, action.cpu_share)
        )
        choices = tuple(
            ProposedAction(row.context, int(server[at]), float(ratio[at]), float(share[at]))
            for row in situation.users
            for at in (self._rows[row.context],)
        )
        price_s = float(np.asarray(action.price_s)[situation.me])
        return Proposal(situation.number, self.name, self.digest, choices, price_s)


def _act(
    policy: Policy, memory: Memory, seen: Observation, key: jax.Array
) -> tuple[Action, Memory]:
    return policy.act(memory, seen, key)


def _over(fresh: np.ndarray, leaf: jax.Array) -> jax.Array:
    return jnp.asarray(fresh.reshape((-1,) + (1,) * (leaf.ndim - 1)))


def observation(
    situation: AgentView, scenario: Scenario, rows: dict[str, int], capacity: int
) -> Observation:
    """The contract's view of this server now; rows without a user are zero and invisible."""
    servers, me = len(situation.servers), situation.me

    def column(pick: str) -> jax.Array:
        values = np.zeros(capacity)
        for row in situation.users:
            values[rows[row.context]] = getattr(row, pick)
        return jnp.asarray(values)

    visible = np.zeros(capacity, bool)
    visible[[rows[row.context] for row in situation.users]] = True
    here = jnp.asarray(visible)
    none = jnp.zeros(capacity)
    acting = jnp.arange(servers) == me
    return Observation(
        infrastructure=_infrastructure(situation, scenario),
        requests=Requests(
            *(
                column(name)
                for name in ("data_bits", "cycles", "local_hz", "deadline_s", "interval_s")
            ),
            state_bits=none,
            downtime_per_hop_s=none,
        ),
        gain=column("gain"),
        station=column("station").astype(jnp.int32),
        host=jnp.where(here, me, 0).astype(jnp.int32),
        wait_s=none,
        visible=here,
        decides=here,
        acting=acting,
        due=acting,
        slot=jnp.asarray(situation.slot, jnp.int32),
        news=News(
            *(
                _of_me(part, me)
                for part in (situation.remaining_hz, situation.price_s, situation.age_s)
            )
        ),
        position_m=None,
        visibility=Visibility.SERVER,
    )


def _of_me(row: Sequence[float], me: int) -> jax.Array:
    """A table of news with this server's row alone: the news of other servers is unknown."""
    table = np.zeros((len(row), len(row)))
    table[me] = row
    return jnp.asarray(table)


def _infrastructure(situation: AgentView, scenario: Scenario) -> Infrastructure:
    servers, radio, latency = len(situation.servers), scenario.radio, scenario.latency
    return Infrastructure(
        server_hz=jnp.asarray(situation.server_hz),
        decision_period_s=jnp.full(servers, situation.decision_period_s),
        broadcast_period_s=jnp.asarray(situation.broadcast_period_s),
        hops=jnp.asarray(1.0 - np.eye(servers)),  # Every agent is every other's neighbour.
        backhaul_rate_bps=jnp.asarray(scenario.backhaul.rate_bps),
        bandwidth_hz=jnp.asarray(radio.bandwidth_hz),
        power_w=jnp.asarray(radio.power_w),
        noise_w=jnp.asarray(radio.noise_w),
        slot_s=jnp.asarray(scenario.time.slot_s),
        latency=(
            HopLatency(jnp.asarray(latency.task_s), jnp.asarray(latency.per_hop_s))
            if latency.on
            else None
        ),
        migration=cost_of(scenario.migration),
    )
