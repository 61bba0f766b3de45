"""Experience: what servers saw, did and got, period by period, from a batch of simulated worlds."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from isma import randomness
from isma.contract import Action, Memory, Observation, Policy
from isma.errors import ScenarioError
from isma.model import speedup, vectors
from isma.model.elbo import Sequences
from isma.model.vectors import Scales
from isma.planning import action_code
from isma.planning.action_code import Coded
from isma.planning.allocation import RATIOS
from isma.policies.learned import known_physics
from isma.policies.learned.known_physics import Setting
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
        alone = jax.vmap(lambda code: action_code.decode(code[None], jnp.ones(1, bool), servers))
        coded = jax.tree.map(lambda column: column[:, 0], alone(centre + spread * noise))
        return _action(observation, coded.server, coded.offload_ratio, coded.cpu_share), Memory(
            kept, None
        )


class Scattered(Policy):
    """Every user for itself: it stays or goes anywhere, mostly offloads all, and asks for some share.

    At each decision a server draws how many of its users leave, mostly few, and how much they ask
    for: what others do at random hides what one's own action brings.
    """

    whole: float = eqx.field(static=True, default=0.75)
    """Part of the users that offload all of a task; the others any part of it."""
    shares: tuple[float, float] = eqx.field(static=True, default=(0.05, 0.7))
    """Ends of the range of a server's median share, drawn evenly on a logarithmic scale."""
    share_spread: float = eqx.field(static=True, default=0.8)
    """Standard deviation of the logarithm of its users' shares."""

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Draw the actions."""
        users, servers = observation.host.shape[0], observation.acting.shape[0]
        keys = jax.random.split(key, 7)
        leaving = randomness.uniform(keys[0], (servers,)) ** 3
        leaves = randomness.uniform(keys[1], (users,)) < leaving[observation.host]
        step = jnp.where(leaves, randomness.whole(keys[2], (users,), 0, servers), 0)
        last = len(RATIOS) - 1
        any_ratio = randomness.whole(keys[3], (users,), 0, last + 1) / last
        ratio = jnp.where((randomness.uniform(keys[4], (users,)) < self.whole), 1.0, any_ratio)
        low, high = self.shares
        median = low * (high / low) ** randomness.uniform(keys[5], (servers,))
        spread = jnp.exp(self.share_spread * randomness.normal(keys[6], (users,)))
        share = jnp.clip(median[observation.host] * spread, action_code.LEAST_SHARE, 1)
        return _action(observation, step, ratio, share), memory


def _action(
    observation: Observation,
    server: Int[Array, "users"],
    offload_ratio: Float[Array, "users"],
    cpu_share: Float[Array, "users"],
) -> Action:
    """Actions whose servers are counted from each user's host."""
    servers = observation.acting.shape[0]
    target = (observation.host + server) % servers
    return Action(target, offload_ratio, cpu_share, jnp.zeros(servers))


def _drawn(servers: int, key: PRNGKeyArray) -> tuple[Array, Array]:
    """A centre, normal, and a spread, uniform up to 1, of each number of a code."""
    centre, spread = jax.random.split(key)
    shape = (servers, action_code.NUMBERS)
    return randomness.normal(centre, shape), randomness.uniform(spread, shape)


class _Record(eqx.Module):
    """A server's last decision, in the rows of its own view."""

    number: Int[Array, "servers"]
    """Decisions taken at its periods' ends."""
    vector: Float[Array, "servers observation"]
    action: Float[Array, "servers action"]
    user: Int[Array, "servers rows"]
    own: Bool[Array, "servers rows"]
    local_s: Float[Array, "servers rows"]
    """Completion times on the users' own CPUs."""
    known_s: Float[Array, "servers rows"]
    """Completion times by equations (1) to (6) and F as heard (isma.policies.learned.known_physics)."""


class _Recorder(Policy):
    """A policy whose servers remember, besides, their last view and action at a period's end."""

    policy: Policy
    scales: Scales

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        kept = self.policy.init(scenario, num_users, num_servers, key)
        rows = jnp.zeros((num_servers, num_users))
        nothing = _Record(
            jnp.zeros(num_servers, jnp.int32),
            jnp.zeros((num_servers, vectors.observation_size(num_users, num_servers))),
            jnp.zeros((num_servers, vectors.action_size(num_users, num_servers))),
            rows.astype(jnp.int32),
            rows.astype(bool),
            rows,
            rows,
        )
        return Memory((kept.per_server, nothing), kept.per_user)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        per_server, record = memory.per_server
        action, kept = self.policy.act(Memory(per_server, memory.per_user), observation, key)
        servers = observation.acting.shape[0]
        seen = vectors.see(observation, self.scales)
        setting = known_physics.settings(observation, seen.user)
        each = jax.vmap(partial(_recorded, action, servers))
        done, known_s = each(jnp.arange(servers), setting, seen.user, seen.own)
        local_s = observation.requests.deadline_s[seen.user]
        new = _Record(record.number + 1, seen.vector, done, seen.user, seen.own, local_s, known_s)
        record = choose(observation.due, new, record)
        return action, Memory((kept.per_server, record), kept.per_user)


def _recorded(
    action: Action,
    servers: int,
    server: Int[Array, ""],
    setting: Setting,
    user: Int[Array, "rows"],
    own: Bool[Array, "rows"],
) -> tuple[Float[Array, "action"], Float[Array, "rows"]]:
    """One server's action as a model reads it, and its users' completion times as physics has them."""
    target = (action.server[user] - server) % servers
    coded = Coded(target, action.offload_ratio[user], action.cpu_share[user]).of(own)
    return action_code.model_input(coded, servers), known_physics.times_s(setting, coded)


class _Sums(eqx.Module):
    """Sums of the times of users' tasks since the run's beginning."""

    time_s: Float[Array, "*servers users"]
    tasks: Float[Array, "*servers users"]


class Collected(eqx.Module):
    """Sequences, and what known equations say of the same decisions."""

    sequences: Sequences
    local_s: Float[Array, "*rows steps users"]
    """Completion times on the users' own CPUs."""
    known_s: Float[Array, "*rows steps users"]
    """Completion times by equations (1) to (6) with other servers' load as last heard."""


class _Tape(eqx.Module):
    """Sequences being written, a row a server."""

    collected: Collected
    length: Int[Array, "servers"]
    at_decision: _Sums
    """The sums when each server last decided."""
    user: Int[Array, "servers rows"]
    own: Bool[Array, "servers rows"]
    """The rows that stood for its users then."""
    local_s: Float[Array, "servers rows"]


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
    """Common form of the worlds of one batch: sizes, and what is switched on."""
    leaves, structure = jax.tree.flatten(params)
    return structure, [leaf.shape for leaf in leaves]


@eqx.filter_jit
def collect(
    worlds: Worlds,
    policy: Policy,
    scales: Scales,
    largest: float,
    memory: Memory,
    keys: Key[Array, "worlds"],
    num_steps: int,
    num_ticks: Int[Array, ""],
) -> Collected:
    """The first `num_steps` decisions of every server, as rows of worlds and servers.

    A user's reward is that of `isma.model.speedup` by the mean completion time of its tasks through
    the period that follows, wherever it is hosted.
    """
    run = _Run(_Recorder(policy, scales), largest, num_steps)
    return jax.vmap(lambda params, memory, key: _one_world(run, params, memory, key, num_ticks))(
        worlds.params, memory, keys
    )


def first_memory(
    policy: Policy,
    scales: Scales,
    scenario: Scenario,
    worlds: Worlds,
    keys: Key[Array, "worlds"],
) -> Memory:
    """Memory of a policy and its recorder before the first decision of each world."""
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


class _Run(NamedTuple):
    """Everything that all worlds of a collection have in common."""

    recorder: _Recorder
    largest: float
    num_steps: int


def _one_world(
    run: _Run, params: Params, memory: Memory, key: PRNGKeyArray, num_ticks: Int[Array, ""]
) -> Collected:
    world_key, run_key = jax.random.split(key)
    state = reset(params, world_key)
    users = jnp.zeros(params.shape.num_users)
    start = (state, memory, _Sums(users, users), _blank(params, run.num_steps))

    def one_tick(_: Array, carry: tuple[State, Memory, _Sums, _Tape]):
        state, memory, sums, tape = carry
        after, memory, outcome = step(
            params, run.recorder, state, memory, draw(params, run_key, state.tick)
        )
        tape = _write(tape, memory.per_server[1], sums, run.largest)
        emitted = ~jnp.isnan(outcome.completion_time_s)
        took = jnp.sum(jnp.where(emitted, outcome.completion_time_s, 0), axis=1)
        sums = _Sums(sums.time_s + took, sums.tasks + jnp.sum(emitted, axis=1))
        return after, memory, sums, tape

    return jax.lax.fori_loop(0, num_ticks, one_tick, start)[3].collected


def blank(users: int, servers: int, rows: tuple[int, ...]) -> Sequences:
    """Sequences of which nothing is written yet; the last of the rows are steps."""
    return Sequences(
        observation=jnp.zeros((*rows, vectors.observation_size(users, servers))),
        action=jnp.zeros((*rows, vectors.action_size(users, servers))),
        reward=jnp.zeros((*rows, users)),
        counted=jnp.zeros((*rows, users), bool),
    )


def _blank(params: Params, num_steps: int) -> _Tape:
    users, servers = params.shape.num_users, params.shape.num_servers
    rows = (servers, num_steps)
    none, times_s = jnp.zeros((servers, users)), jnp.zeros((*rows, users))
    user, length = none.astype(jnp.int32), jnp.zeros(servers, jnp.int32)
    collected = Collected(blank(users, servers, rows), times_s, times_s)
    return _Tape(collected, length, _Sums(none, none), user, none.astype(bool), none)


def _write(tape: _Tape, record: _Record, sums: _Sums, largest: float) -> _Tape:
    """Note the decisions of this tick, and the rewards of those before them."""
    due = record.number > tape.length
    servers, steps = tape.collected.known_s.shape[:2]
    reward, counted = _reward(tape, sums, largest)
    row = jnp.arange(servers)
    # What is not due, or past the end, is written out of range: nowhere.
    now = jnp.where(due, tape.length, steps)
    last = jnp.where(due & (tape.length > 0), tape.length - 1, steps)
    put = lambda old, at, new: old.at[row, at].set(new, mode="drop")  # noqa: E731
    sequences = tape.collected.sequences
    return _Tape(
        Collected(
            Sequences(
                observation=put(sequences.observation, now, record.vector),
                action=put(sequences.action, now, record.action),
                reward=put(sequences.reward, last, reward),
                counted=put(sequences.counted, last, counted),
            ),
            put(tape.collected.local_s, now, record.local_s),
            put(tape.collected.known_s, now, record.known_s),
        ),
        length=tape.length + due,
        at_decision=choose(due, sums, tape.at_decision),
        user=choose(due, record.user, tape.user),
        own=choose(due, record.own, tape.own),
        local_s=choose(due, record.local_s, tape.local_s),
    )


def _reward(
    tape: _Tape, sums: _Sums, largest: float
) -> tuple[Float[Array, "servers rows"], Bool[Array, "servers rows"]]:
    """Rewards since each server's last decision, in the rows of its view then."""
    since = jax.tree.map(lambda now, then: now - then, sums, tape.at_decision)
    rows = jax.tree.map(lambda value: jnp.take_along_axis(value, tape.user, axis=1), since)
    counted = tape.own & (rows.tasks > 0)
    time_s = rows.time_s / jnp.maximum(rows.tasks, 1)
    return jnp.where(counted, speedup.reward(time_s, tape.local_s, largest), 0), counted
