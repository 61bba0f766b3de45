"""Experience: what servers saw, did and got, period by period, from a batch of simulated worlds."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from isma import randomness
from isma.contract import Action, Memory, Observation, Policy
from isma.errors import ScenarioError
from isma.model import vectors
from isma.model.bound import Sequences
from isma.model.vectors import Scales
from isma.planning import action_code
from isma.planning.action_code import Coded
from isma.simulator.params import Params, build
from isma.simulator.state import State, draw, reset
from isma.simulator.step import step
from isma.when import choose
from isma.world.scenario import Scenario


class RandomCode(Policy):
    """Normal noise as actions, around a centre and with a spread that a server keeps for a while.

    Were every number drawn by itself, a server's mean reward would hardly differ between decisions,
    and all experience would lie far from any good action.
    """

    change: float = eqx.field(static=True, default=0.25)
    """Chance that a server draws a new centre and spread at a decision."""

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Draw the first centres and spreads."""
        return Memory(_drawn(num_servers, key), None)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Decode the noise."""
        users, servers = observation.host.shape[0], observation.acting.shape[0]
        change_key, draw_key, noise_key = jax.random.split(key, 3)
        changes = (randomness.uniform(change_key, (servers, 1)) < self.change) & observation.due[
            :, None
        ]
        choose = lambda new, old: jnp.where(changes, new, old)  # noqa: E731
        kept = jax.tree.map(choose, _drawn(servers, draw_key), memory.per_server)
        centre, spread = (rows[observation.host] for rows in kept)
        noise = randomness.normal(noise_key, (users, action_code.NUMBERS))
        coded = action_code.decode(centre + spread * noise, servers)
        no_price = jnp.zeros(servers)
        action = Action(coded.server, coded.offload_ratio, coded.cpu_share, no_price)
        return action, Memory(kept, None)


def _drawn(servers: int, key: PRNGKeyArray) -> tuple[Array, Array]:
    """A centre, normal, and a spread, uniform up to 1, of each number of a code."""
    centre, spread = jax.random.split(key)
    shape = (servers, action_code.NUMBERS)
    return randomness.normal(centre, shape), randomness.uniform(spread, shape)


class _Record(eqx.Module):
    """A server's last decision."""

    number: Int[Array, "servers"]
    """How many it has taken at its periods' ends."""
    vector: Float[Array, "servers observation"]
    action: Float[Array, "servers action"]
    own: Bool[Array, "servers users"]


class _Recorder(Policy):
    """A policy whose servers remember, besides, what they last saw and did at a period's end."""

    policy: Policy
    scales: Scales

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        kept = self.policy.init(scenario, num_users, num_servers, key)
        nothing = _Record(
            jnp.zeros(num_servers, jnp.int32),
            jnp.zeros((num_servers, vectors.observation_size(num_users, num_servers))),
            jnp.zeros((num_servers, vectors.action_size(num_users))),
            jnp.zeros((num_servers, num_users), bool),
        )
        return Memory((kept.per_server, nothing), kept.per_user)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        per_server, record = memory.per_server
        action, kept = self.policy.act(Memory(per_server, memory.per_user), observation, key)
        seen = vectors.see(observation, self.scales)
        coded = Coded(action.server, action.offload_ratio, action.cpu_share)
        done = action_code.model_input(coded, seen.own, observation.acting.shape[0])
        new = _Record(record.number + 1, seen.vector, done, seen.own)
        record = choose(observation.due, new, record)
        return action, Memory((kept.per_server, record), kept.per_user)


class _Sums(eqx.Module):
    """What users' tasks took since the run's beginning."""

    time_s: Float[Array, "*servers users"]
    tasks: Float[Array, "*servers users"]


class _Tape(eqx.Module):
    """Sequences being written, a row a server."""

    sequences: Sequences
    length: Int[Array, "servers"]
    at_decision: _Sums
    """The sums when each server last decided."""
    own: Bool[Array, "servers users"]
    """Whom it then decided for."""


class Worlds(eqx.Module):
    """A batch of worlds to collect in; their numbers may differ, their shapes may not."""

    params: Params
    """With a leading axis of worlds."""
    num_worlds: int = eqx.field(static=True)


def spread(scenarios: Sequence[Scenario], num_worlds: int) -> Worlds:
    """Worlds that take the scenarios in turn. Raises ScenarioError if these differ in shape."""
    points = [build(scenario) for scenario in scenarios]
    if any(_form(point) != _form(points[0]) for point in points):
        raise ScenarioError(
            "scenarios that are trained on together must have equal numbers of users, servers and "
            "tasks a tick, and the same switches: vary a number only"
        )
    chosen = [points[world % len(points)] for world in range(num_worlds)]
    return Worlds(jax.tree.map(lambda *leaves: jnp.stack(leaves), *chosen), num_worlds)


def kinds(scenarios: Sequence[Scenario]) -> list[list[Scenario]]:
    """The scenarios by what can be one batch of worlds that decide equally often. Raises ScenarioError."""
    found: dict[str, list[Scenario]] = {}
    for scenario in scenarios:
        form = f"{_form(build(scenario))} {scenario.servers.decision_period_s}"
        found.setdefault(form, []).append(scenario)
    return list(found.values())


def _form(params: Params) -> tuple[object, list[tuple[int, ...]]]:
    """What worlds must have in common to be one batch: sizes, and what is switched on."""
    leaves, structure = jax.tree.flatten(params)
    return structure, [leaf.shape for leaf in leaves]


@eqx.filter_jit
def collect(
    worlds: Worlds,
    policy: Policy,
    scales: Scales,
    memory: Memory,
    keys: Key[Array, "worlds"],
    num_steps: int,
    num_ticks: Int[Array, ""],
) -> Sequences:
    """The first `num_steps` decisions of every server, as rows of worlds and servers."""
    recorder = _Recorder(policy, scales)
    return jax.vmap(
        lambda params, memory, key: _one_world(params, recorder, memory, key, num_steps, num_ticks)
    )(worlds.params, memory, keys)


def first_memory(
    policy: Policy,
    scales: Scales,
    scenario: Scenario,
    worlds: Worlds,
    keys: Key[Array, "worlds"],
) -> Memory:
    """What a policy and its recorder remember before the first decision of each world."""
    shape = worlds.params.shape
    recorder = _Recorder(policy, scales)
    return jax.vmap(lambda key: recorder.init(scenario, shape.num_users, shape.num_servers, key))(
        keys
    )


def ticks_for(scenarios: Sequence[Scenario], num_steps: int) -> Int[Array, ""]:
    """Ticks after which every server has had `num_steps` periods and the one that rewards the last."""
    longest = max(
        jnp.max(jnp.asarray(scenario.servers.decision_period_s)) / scenario.time.tick_s
        for scenario in scenarios
    )
    return jnp.asarray(round(float(longest) * (num_steps + 1)) + 1)


def _one_world(
    params: Params,
    recorder: _Recorder,
    memory: Memory,
    key: PRNGKeyArray,
    num_steps: int,
    num_ticks: Int[Array, ""],
) -> Sequences:
    world_key, run_key = jax.random.split(key)
    state = reset(params, world_key)
    users = jnp.zeros(params.shape.num_users)
    start = (state, memory, _Sums(users, users), _blank(params, num_steps))

    def one_tick(_: Array, carry: tuple[State, Memory, _Sums, _Tape]):
        state, memory, sums, tape = carry
        after, memory, outcome = step(
            params, recorder, state, memory, draw(params, run_key, state.tick)
        )
        tape = _write(tape, memory.per_server[1], sums, state)
        emitted = ~jnp.isnan(outcome.completion_time_s)
        took = jnp.sum(jnp.where(emitted, outcome.completion_time_s, 0), axis=1)
        sums = _Sums(sums.time_s + took, sums.tasks + jnp.sum(emitted, axis=1))
        return after, memory, sums, tape

    return jax.lax.fori_loop(0, num_ticks, one_tick, start)[3].sequences


def _blank(params: Params, num_steps: int) -> _Tape:
    users, servers = params.shape.num_users, params.shape.num_servers
    rows = (servers, num_steps)
    sequences = Sequences(
        observation=jnp.zeros((*rows, vectors.observation_size(users, servers))),
        action=jnp.zeros((*rows, vectors.action_size(users))),
        reward=jnp.zeros(rows),
        counted=jnp.zeros(rows, bool),
    )
    none = jnp.zeros((servers, users))
    return _Tape(sequences, jnp.zeros(servers, jnp.int32), _Sums(none, none), none.astype(bool))


def _write(tape: _Tape, record: _Record, sums: _Sums, state: State) -> _Tape:
    """Note the decisions of this tick, and the rewards of those before them."""
    due = record.number > tape.length
    servers, steps = tape.sequences.reward.shape
    reward, counted = _reward(tape, sums, state.requests.deadline_s)
    row = jnp.arange(servers)
    # What is not due, or past the end, is written out of range: nowhere.
    now = jnp.where(due, tape.length, steps)
    last = jnp.where(due & (tape.length > 0), tape.length - 1, steps)
    put = lambda old, at, new: old.at[row, at].set(new, mode="drop")  # noqa: E731
    sequences = tape.sequences
    return _Tape(
        Sequences(
            observation=put(sequences.observation, now, record.vector),
            action=put(sequences.action, now, record.action),
            reward=put(sequences.reward, last, reward),
            counted=put(sequences.counted, last, counted),
        ),
        length=tape.length + due,
        at_decision=choose(due, sums, tape.at_decision),
        own=choose(due, record.own, tape.own),
    )


def _reward(
    tape: _Tape, sums: _Sums, local_s: Float[Array, "users"]
) -> tuple[Float[Array, "servers"], Bool[Array, "servers"]]:
    """1 − mean(t_i) / mean(t_i wholly local) over the users decided for, wherever they are hosted."""
    tasks = sums.tasks - tape.at_decision.tasks
    counts = tape.own & (tasks > 0)
    mean_s = (sums.time_s - tape.at_decision.time_s) / jnp.maximum(tasks, 1)
    spent = jnp.sum(jnp.where(counts, mean_s, 0), axis=1)
    local = jnp.sum(jnp.where(counts, local_s, 0), axis=1)
    return 1 - spent / jnp.where(local > 0, local, 1), local > 0
