"""Experience of users: inputs and choice of each decision about a user, and its outcome, for DQN and DRAC."""

from collections.abc import Callable, Sequence
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree

from isma.contract import Action, Memory, Observation, Policy
from isma.model.situation import Asked
from isma.planning.action_grid import Choice
from isma.planning.allocation import completion_s, offers
from isma.planning.segment_sums import Pools
from isma.policies.learned.sequential import TakesTurns, Turns
from isma.simulator.params import Params
from isma.simulator.state import State, reset
from isma.simulator.step import TickOutcome, everyone, observe
from isma.training.record import (
    InitialWorld,
    Recording,
    Rows,
    completed,
    record,
    spread,
    ticks_for,
)
from isma.world.scenario import Scenario, Visibility

View = Callable[[Params, State], PyTree]
"""Global view of a world before a tick; a pytree itself (`jax.tree_util.Partial`)."""


class UserExperience(eqx.Module):
    """The first decisions about each user, in their order."""

    turns: Turns
    own_s: Float[Array, "*rows steps"]
    """Mean completion time of the user until its next decision."""
    burden_s: Float[Array, "*rows steps"]
    """Delay that it caused to the other users of its server meanwhile, together, on average over time."""
    known: Bool[Array, "*rows steps"]
    """Whether the next decision is here too, and a task lies between."""
    local_s: Float[Array, "*rows"]
    """Time of the user's task when wholly local."""
    round: Int[Array, "*rows steps"]
    """Number of the decision round of its world: of one server at one tick."""
    everybody: "Everybody | None" = None
    """Where it is asked for."""

    def mean_of_round(
        self, each: Float[Array, "rows steps"], num_worlds: int
    ) -> Float[Array, "rows steps"]:
        """Mean over the known decisions of a round; rows are of `num_worlds` worlds, one after another."""
        rows = self.round.shape[0]
        world = jnp.arange(rows)[:, None] * num_worlds // rows
        number = world * (1 + jnp.max(self.round)) + self.round
        _, group = jnp.unique(number, return_inverse=True, size=number.size)
        group = group.reshape(number.shape)
        total = lambda value: jax.ops.segment_sum(  # noqa: E731
            jnp.where(self.known, value, 0).ravel(), group.ravel(), number.size
        )
        return (total(each) / jnp.maximum(total(jnp.ones_like(each)), 1))[group]


class Everybody(eqx.Module):
    """Effect of each decision on the whole world."""

    view: PyTree
    """Global view of the world at the decision."""
    mean_s: Float[Array, "*rows steps"]
    """Mean completion time of all users' tasks until the user's next decision."""


def mean_of(each: Float[Array, "rows steps"], known: Bool[Array, "rows steps"]) -> Float[Array, ""]:
    """Mean over the known decisions."""
    return jnp.sum(jnp.where(known, each, 0)) / jnp.maximum(jnp.sum(known), 1)


def collect_users(
    scenarios: Sequence[Scenario],
    policy: TakesTurns,
    num_worlds: int,
    num_steps: int,
    key: PRNGKeyArray,
    view: View | None = None,
) -> UserExperience:
    """The first decisions about every user of worlds spread over the scenarios; rows of users.

    With a view of the whole world, also the mean completion time of all. Raises ScenarioError.
    """
    # A user that is not migrated decides every period, and the last decision earns no reward.
    ticks = jnp.max(ticks_for(scenarios, num_steps - 1))
    worlds, keys = spread(scenarios, num_worlds), jax.random.split(key, num_worlds)
    experience = _collect(worlds, policy, scenarios[0], keys, num_steps, ticks, view)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), experience)


@eqx.filter_jit
def _collect(
    worlds: Params,
    policy: TakesTurns,
    scenario: Scenario,
    keys: Key[Array, "worlds"],
    num_steps: int,
    num_ticks: Int[Array, ""],
    view: View | None,
) -> UserExperience:
    noting, shape = _Noting(policy), worlds.shape

    def one(params: Params, key: PRNGKeyArray) -> UserExperience:
        world_key, run_key, memory_key = jax.random.split(key, 3)
        memory = noting.init(scenario, shape.num_users, shape.num_servers, memory_key)
        world = InitialWorld(params, reset(params, world_key), memory, run_key)
        probe = partial(_decisions, params, view)
        # One more: sums are complete with the decision that follows.
        recording = record(world, noting, probe, num_steps + 1, num_ticks, since_entry=True)
        return _experience(recording, world.state.requests.deadline_s, num_steps)

    return jax.vmap(one)(worlds, keys)


class _Note(eqx.Module):
    """Last decision about each user."""

    number: Int[Array, "users"]
    """Decisions so far."""
    turns: Turns


class _Noting(Policy):
    """A policy whose users carry, besides, a note on the last decision about them."""

    policy: TakesTurns

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        kept = self.policy.init(scenario, num_users, num_servers, key)
        none = jnp.zeros(num_users, jnp.int32)
        seen = self.policy.nothing_seen(num_users, num_servers)
        asked = Asked.nothing(num_users, num_servers)
        blank = _Note(none, Turns(seen, asked, Choice(none, none, none)))
        return Memory(kept.per_server, (kept.per_user, blank))

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        kept, note = memory.per_user
        turns, after = self.policy.decide(Memory(memory.per_server, kept), observation, key)
        note = _Note(note.number + observation.decides, turns)
        action = self.policy.carry_out(observation, turns.choice)
        return action, Memory(after.per_server, (after.per_user, note))


def _decisions(
    params: Params,
    view: View | None,
    before: State,
    after: State,
    memory: Memory,
    outcome: TickOutcome,
) -> Rows:
    """Probe of decisions about users; times are summed from one to the next."""
    note: _Note = memory.per_user[1]
    time_s, tasks = completed(outcome)
    amount = (time_s, tasks, burden_s(params, after), jnp.ones_like(time_s))
    number = before.placement.host + params.shape.num_servers * before.tick
    if view is None:
        return Rows(note.number, (note.turns, number, None), (amount, None))
    # The same for all users: a row of experience is complete in itself.
    of_all = lambda leaf: jnp.broadcast_to(leaf, (len(time_s), *leaf.shape))  # noqa: E731
    world = jax.tree.map(of_all, view(params, before))
    all_tasks = (of_all(jnp.sum(time_s)), of_all(jnp.sum(tasks)))
    return Rows(note.number, (note.turns, number, world), (amount, all_tasks))


def _experience(recording: Recording, local_s: Array, steps: int) -> UserExperience:
    """Outcomes of one world's decisions: means between each and the next, 0 where none follows."""
    turns, number, world = jax.tree.map(lambda leaf: leaf[:, :steps], recording.entry)
    amount, of_all = jax.tree.map(lambda total: total[:, 1:], recording.total)
    time_s, tasks, burden_s, ticks = amount
    everybody = None
    if of_all is not None:
        everybody = Everybody(world, of_all[0] / jnp.maximum(of_all[1], 1))
    return UserExperience(
        turns,
        own_s=time_s / jnp.maximum(tasks, 1),
        burden_s=burden_s / jnp.maximum(ticks, 1),
        known=(tasks > 0).at[:, -1].set(False),
        local_s=local_s,
        round=number,
        everybody=everybody,
    )


def burden_s(params: Params, state: State) -> Float[Array, "users"]:
    """Cost of each user's request to the other users of its server at this moment, in seconds.

    If j's edge branch decides, j waits η a load / s for its request s, in proportion to the load
    beyond 1. Without i the load falls by i's request. A server can tell from its own users alone.
    """
    placement = state.placement
    observation = observe(params, state, everyone(params, state), Visibility.FULL)
    offer = offers(observation).at(placement.host)
    ratio, request = placement.offload_ratio, placement.requested_share
    share = jnp.where(placement.granted_share > 0, placement.granted_share, 1)
    local_s = (1 - ratio) * offer.local_s
    by_edge = observation.visible & (ratio > 0) & (completion_s(offer, ratio, share) > local_s)
    slope_s = jnp.where(by_edge, ratio * offer.work_s / jnp.where(request > 0, request, 1), 0)
    pools = Pools(placement.host, params.shape.num_servers)
    load = pools.spread(placement.load)
    relief = jnp.maximum(load, 1) - jnp.maximum(load - request, 1)
    return relief * (pools.spread(pools.sum(slope_s)) - slope_s)
