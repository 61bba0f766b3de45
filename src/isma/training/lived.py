"""Experience user by user: on what each decision was taken, what was chosen, and what it brought."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, UInt32

from isma.contract import Action, Memory, Observation, Policy
from isma.model.situation import Asked
from isma.planning.action_grid import Choice
from isma.planning.allocation import at, completion_s, offers
from isma.planning.segment_sums import Pools
from isma.policies.learned.sequential import TakesTurns, Turns, as_action
from isma.simulator.params import Params
from isma.simulator.state import State, draw, reset
from isma.simulator.step import TickOutcome, everyone, observe, step
from isma.training.collect import Worlds, spread, ticks_for
from isma.world.scenario import Scenario, Visibility

TestKey = UInt32[Array, "words"]
"""The key of the worlds that a training is tested in, as numbers that can be stored."""


class Lived(eqx.Module):
    """The first decisions about each user, in their order."""

    turns: Turns
    own_s: Float[Array, "*rows steps"]
    """The user's mean completion time until its next decision."""
    burden_s: Float[Array, "*rows steps"]
    """What it cost the other users of its server meanwhile, together, on average over time."""
    known: Bool[Array, "*rows steps"]
    """Whether the next decision is here too, and a task lies between."""
    local_s: Float[Array, "*rows"]
    """Time of the user's task when wholly local."""
    round: Int[Array, "*rows steps"]
    """Number of the round of its world in which it was decided: of one server at one tick."""


class _Recorder(Policy):
    """A policy whose users carry, besides, what their last decision was taken on, and its number."""

    policy: TakesTurns

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        kept = self.policy.init(scenario, num_users, num_servers, key)
        none = jnp.zeros(num_users, jnp.int32)
        nothing = Turns(
            self.policy.nothing_seen(num_users, num_servers),
            Asked.nothing(num_users, num_servers),
            Choice(none, none, none),
        )
        return Memory(kept.per_server, (kept.per_user, nothing, none))

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        kept, _, number = memory.per_user
        turns, after = self.policy.decide(Memory(memory.per_server, kept), observation, key)
        action = as_action(observation, turns.choice)
        return action, Memory(
            after.per_server, (after.per_user, turns, number + observation.decides)
        )


class _Sums(eqx.Module):
    """Sums since a user's last decision."""

    time_s: Float[Array, "users"]
    tasks: Float[Array, "users"]
    burden_s: Float[Array, "users"]
    ticks: Float[Array, "users"]

    @classmethod
    def zero(cls, users: int) -> "_Sums":
        none = jnp.zeros(users)
        return cls(none, none, none, none)

    def add(self, outcome: TickOutcome, burden: Float[Array, "users"]) -> "_Sums":
        emitted = ~jnp.isnan(outcome.completion_time_s)
        return _Sums(
            self.time_s + jnp.sum(jnp.where(emitted, outcome.completion_time_s, 0), axis=1),
            self.tasks + jnp.sum(emitted, axis=1),
            self.burden_s + burden,
            self.ticks + 1,
        )


class _Tape(eqx.Module):
    """Decisions being written, a row a user."""

    lived: Lived
    length: Int[Array, "users"]


def burden_s(params: Params, state: State) -> Float[Array, "users"]:
    """Cost of each user's request to the other users of its server at this moment, in seconds.

    If j's edge branch decides, j waits η a load / s for its request s, in proportion to the load
    beyond 1. Without i the load falls by i's request. A server can tell from its own users alone.
    """
    placement = state.placement
    observation = observe(params, state, everyone(params, state), Visibility.FULL)
    offer = at(offers(observation), placement.host)
    ratio, request = placement.offload_ratio, placement.requested_share
    share = jnp.where(placement.granted_share > 0, placement.granted_share, 1)
    local_s = (1 - ratio) * offer.local_s
    by_edge = observation.visible & (ratio > 0) & (completion_s(offer, ratio, share) > local_s)
    slope_s = jnp.where(by_edge, ratio * offer.work_s / jnp.where(request > 0, request, 1), 0)
    pools = Pools(placement.host, params.shape.num_servers)
    load = pools.spread(placement.load)
    relief = jnp.maximum(load, 1) - jnp.maximum(load - request, 1)
    return relief * (pools.spread(pools.sum(slope_s)) - slope_s)


def live_in(
    scenarios: Sequence[Scenario],
    policy: TakesTurns,
    num_worlds: int,
    num_steps: int,
    key: PRNGKeyArray,
) -> Lived:
    """The first decisions about every user of worlds spread over the scenarios; rows of users."""
    worlds = spread(scenarios, num_worlds)
    # A user that is not migrated decides every period, and the last decision earns no reward.
    ticks = ticks_for(scenarios, num_steps - 1)
    keys = jax.random.split(key, num_worlds)
    lived = live(worlds, policy, scenarios[0], keys, num_steps, ticks)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), lived)


def mean_of_round(
    each: Float[Array, "rows steps"], lived: Lived, num_worlds: int
) -> Float[Array, "rows steps"]:
    """Mean over the decisions of the same round of the same world that something is known of."""
    rows = lived.round.shape[0]
    world = jnp.arange(rows)[:, None] * num_worlds // rows
    _, group = jnp.unique(
        world * (1 + jnp.max(lived.round)) + lived.round, return_inverse=True, size=lived.round.size
    )
    group = group.reshape(lived.round.shape)
    total = lambda value: jax.ops.segment_sum(  # noqa: E731
        jnp.where(lived.known, value, 0).ravel(), group.ravel(), lived.round.size
    )
    return (total(each) / jnp.maximum(total(jnp.ones_like(each)), 1))[group]


def mean_of(each: Float[Array, "rows steps"], known: Bool[Array, "rows steps"]) -> Float[Array, ""]:
    """Mean over the decisions of which something is known."""
    return jnp.sum(jnp.where(known, each, 0)) / jnp.maximum(jnp.sum(known), 1)


@eqx.filter_jit
def live(
    worlds: Worlds,
    policy: TakesTurns,
    scenario: Scenario,
    keys: Key[Array, "worlds"],
    num_steps: int,
    num_ticks: Int[Array, ""],
) -> Lived:
    """The first `num_steps` decisions about every user, as rows of worlds and users."""
    one = lambda params, key: _one_world(params, policy, scenario, key, num_steps, num_ticks)  # noqa: E731
    return jax.vmap(one)(worlds.params, keys)


def _one_world(
    params: Params,
    policy: TakesTurns,
    scenario: Scenario,
    key: PRNGKeyArray,
    num_steps: int,
    num_ticks: Int[Array, ""],
) -> Lived:
    users, servers = params.shape.num_users, params.shape.num_servers
    world_key, run_key, memory_key = jax.random.split(key, 3)
    recorder = _Recorder(policy)
    memory = recorder.init(scenario, users, servers, memory_key)
    state = reset(params, world_key)
    start = (state, memory, _Sums.zero(users), _blank(memory, state, num_steps))

    def one_tick(_: Array, carry: tuple[State, Memory, _Sums, _Tape]):
        state, memory, sums, tape = carry
        before = memory.per_user[2]
        draws = draw(params, run_key, state.tick)
        after, memory, outcome = step(params, recorder, state, memory, draws)
        _, turns, number = memory.per_user
        decides = number != before
        tape = _write(tape, decides, turns, sums, state.placement.host + servers * state.tick)
        since = jax.tree.map(lambda total: jnp.where(decides, 0, total), sums)
        sums = since.add(outcome, burden_s(params, after))
        return after, memory, sums, tape

    lived = jax.lax.fori_loop(0, num_ticks, one_tick, start)[3].lived
    return eqx.tree_at(lambda lived: lived.known, lived, lived.known.at[:, -1].set(False))


def _blank(memory: Memory, state: State, num_steps: int) -> _Tape:
    turns = jax.tree.map(
        lambda row: jnp.zeros((row.shape[0], num_steps, *row.shape[1:]), row.dtype),
        memory.per_user[1],
    )
    nothing = jnp.zeros(turns.choice.server.shape)
    known = nothing.astype(bool)
    rounds = nothing.astype(jnp.int32)
    lived = Lived(turns, nothing, nothing, known, state.requests.deadline_s, rounds)
    return _Tape(lived, jnp.zeros(nothing.shape[0], jnp.int32))


def _write(
    tape: _Tape,
    decides: Bool[Array, "users"],
    turns: Turns,
    sums: _Sums,
    round: Int[Array, "users"],
) -> _Tape:
    """Note the decisions of this tick, and what those before them brought."""
    users, steps = tape.lived.known.shape
    user = jnp.arange(users)
    # What is not decided, or past the end, is written out of range: nowhere.
    now = jnp.where(decides, tape.length, steps)
    last = jnp.where(decides & (tape.length > 0), tape.length - 1, steps)
    put = lambda old, place, new: old.at[user, place].set(new, mode="drop")  # noqa: E731
    lived = tape.lived
    return _Tape(
        Lived(
            jax.tree.map(lambda old, new: put(old, now, new), lived.turns, turns),
            put(lived.own_s, last, sums.time_s / jnp.maximum(sums.tasks, 1)),
            put(lived.burden_s, last, sums.burden_s / jnp.maximum(sums.ticks, 1)),
            put(lived.known, last, sums.tasks > 0),
            lived.local_s,
            put(lived.round, now, round),
        ),
        length=jnp.minimum(tape.length + decides, steps + 1),
    )
