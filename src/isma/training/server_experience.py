"""Experience of servers: sequences of observations, actions and rewards, for the latent models."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.model import speedup, vectors
from isma.model.elbo import Sequences
from isma.model.vectors import Scales
from isma.planning import action_code
from isma.planning.action_code import Coded
from isma.policies.learned import known_physics
from isma.policies.learned.known_physics import Setting
from isma.simulator.params import Params
from isma.simulator.state import State, reset
from isma.simulator.step import TickOutcome
from isma.training.record import (
    InitialWorld,
    Recording,
    Rows,
    completed,
    record,
    spread,
    ticks_for,
)
from isma.when import choose
from isma.world.scenario import Scenario


class ServerExperience(eqx.Module):
    """Sequences, and the completion times of the same decisions by known equations."""

    sequences: Sequences
    local_s: Float[Array, "*rows steps users"]
    """Completion times on the users' own CPUs."""
    known_s: Float[Array, "*rows steps users"]
    """Completion times by equations (1) to (6) with other servers' load as last broadcast."""


def collect_servers(
    scenarios: Sequence[Scenario],
    policy: Policy,
    scales: Scales,
    largest: float,
    num_steps: int,
    key: PRNGKeyArray,
    in_turn: bool = False,
) -> ServerExperience:
    """The first decisions of every server in a world of each scenario; rows of worlds and servers.

    A user's reward is that of `isma.model.speedup` by the mean completion time of its tasks through
    the period that follows, wherever it is hosted. Worlds run as one batch to the end of the longest or,
    `in_turn`, one after another, each to its own end: faster where decisions cost more than ticks.
    Raises ScenarioError.
    """
    worlds, noting = spread(scenarios, len(scenarios)), _Noting(policy, scales)
    sizes = (worlds.shape.num_users, worlds.shape.num_servers)
    memory_keys, keys = (jax.random.split(one, len(scenarios)) for one in jax.random.split(key))
    memory = jax.vmap(lambda key: noting.init(scenarios[0], *sizes, key))(memory_keys)
    starts = InitialRuns(worlds, memory, keys, ticks_for(scenarios, num_steps))
    return _collect(starts, noting, largest, num_steps, in_turn)


class InitialRuns(NamedTuple):
    """Worlds before their first tick, and the ticks that each runs."""

    params: Params
    memory: Memory
    key: Key[Array, "worlds"]
    num_ticks: Int[Array, "worlds"]


@eqx.filter_jit
def _collect(
    starts: InitialRuns, policy: "_Noting", largest: float, num_steps: int, in_turn: bool
) -> ServerExperience:
    def one(start: InitialRuns, num_ticks: Int[Array, ""]) -> ServerExperience:
        world_key, run_key = jax.random.split(start.key)
        world = InitialWorld(start.params, reset(start.params, world_key), start.memory, run_key)
        # One more: the last reward is complete with the decision that follows.
        recording = record(world, policy, _decisions, num_steps + 1, num_ticks)
        return _experience(recording, largest, num_steps)

    if in_turn:
        return jax.lax.map(lambda start: one(start, start.num_ticks), starts)
    return jax.vmap(one, in_axes=(0, None))(starts, jnp.max(starts.num_ticks))


class _Note(eqx.Module):
    """A server's last decision, in the rows of its own observation."""

    number: Int[Array, "servers"]
    """Decisions taken at its periods' ends."""
    vector: Float[Array, "servers observation"]
    action: Float[Array, "servers action"]
    user: Int[Array, "servers rows"]
    own: Bool[Array, "servers rows"]
    """Rows that stand for its users."""
    local_s: Float[Array, "servers rows"]
    known_s: Float[Array, "servers rows"]


class _Noting(Policy):
    """A policy whose servers note, besides, their last decision at a period's end."""

    policy: Policy
    scales: Scales

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        kept = self.policy.init(scenario, num_users, num_servers, key)
        rows = jnp.zeros((num_servers, num_users))
        blank = _Note(
            number=jnp.zeros(num_servers, jnp.int32),
            vector=jnp.zeros((num_servers, vectors.observation_size(num_users, num_servers))),
            action=jnp.zeros((num_servers, vectors.action_size(num_users, num_servers))),
            user=rows.astype(jnp.int32),
            own=rows.astype(bool),
            local_s=rows,
            known_s=rows,
        )
        return Memory((kept.per_server, blank), kept.per_user)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        per_server, note = memory.per_server
        action, kept = self.policy.act(Memory(per_server, memory.per_user), observation, key)
        servers = observation.acting.shape[0]
        seen = vectors.see(observation, self.scales)
        setting = known_physics.settings(observation, seen.user)
        each = jax.vmap(partial(_noted, action, servers))
        done, known_s = each(jnp.arange(servers), setting, seen.user, seen.own)
        local_s = observation.requests.deadline_s[seen.user]
        new = _Note(note.number + 1, seen.vector, done, seen.user, seen.own, local_s, known_s)
        return action, Memory((kept.per_server, choose(observation.due, new, note)), kept.per_user)


def _noted(
    action: Action,
    servers: int,
    server: Int[Array, ""],
    setting: Setting,
    user: Int[Array, "rows"],
    own: Bool[Array, "rows"],
) -> tuple[Float[Array, "action"], Float[Array, "rows"]]:
    """One server's action as a model reads it, and its users' completion times by known equations."""
    target = (action.server[user] - server) % servers
    coded = Coded(target, action.offload_ratio[user], action.cpu_share[user]).of(own)
    return action_code.model_input(coded, servers), known_physics.times_s(setting, coded)


def _decisions(before: State, after: State, memory: Memory, outcome: TickOutcome) -> Rows:
    """Probe of servers' decisions; times are summed from the beginning of the run."""
    note: _Note = memory.per_server[1]
    amount = tuple(jnp.broadcast_to(each, note.known_s.shape) for each in completed(outcome))
    return Rows(note.number, note, amount)


def _experience(recording: Recording, largest: float, steps: int) -> ServerExperience:
    """Sequences of one world: a reward is of the tasks between a decision and the next.

    Where no decision follows the sums do not grow, and no task counts.
    """
    note: _Note = jax.tree.map(lambda leaf: leaf[:, :steps], recording.entry)
    took, tasks = (
        jnp.take_along_axis(total[:, 1:] - total[:, :-1], note.user, axis=2)
        for total in recording.total
    )
    counted = note.own & (tasks > 0)
    reward = speedup.reward(took / jnp.maximum(tasks, 1), note.local_s, largest)
    sequences = Sequences(note.vector, note.action, jnp.where(counted, reward, 0), counted)
    return ServerExperience(sequences, note.local_s, note.known_s)


def blank(users: int, servers: int, rows: tuple[int, ...]) -> Sequences:
    """Sequences of which nothing is written yet; the last of the rows are steps."""
    return Sequences(
        observation=jnp.zeros((*rows, vectors.observation_size(users, servers))),
        action=jnp.zeros((*rows, vectors.action_size(users, servers))),
        reward=jnp.zeros((*rows, users)),
        counted=jnp.zeros((*rows, users), bool),
    )
