"""Episodes of one learning server among others, as pure functions: the same for one or a batch."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt

from isma.contract import Action, Memory, Observation, Policy
from isma.environments.coding import Coding, own
from isma.environments.setting import TRAINING_WORLDS
from isma.simulator.params import Params
from isma.simulator.rollout import rollout
from isma.simulator.state import Deciding, State, draw, reset
from isma.simulator.step import before_decisions, observe, step
from isma.world.scenario import Scenario, Visibility


class EpisodeSetting(eqx.Module):
    """Parts that do not change over episodes."""

    params: Params
    others: Policy
    """Decides for all servers but the learning one, and there for newcomers between its decisions."""
    coding: Coding
    scenario: Scenario = eqx.field(static=True)
    period_ticks: int = eqx.field(static=True)
    """Its decision period: one step."""
    reward_unit_s: float = eqx.field(static=True)


class Episode(eqx.Module):
    """One world at a decision of the learning server."""

    seed: UInt[Array, ""]
    number: Int[Array, ""]
    """Episodes since that seed was given."""
    world: UInt[Array, ""]
    server: Int[Array, ""]
    """The learning server."""
    key: PRNGKeyArray
    state: State
    """At the beginning of the tick in which the server decides."""
    memory: Memory
    """Of the others."""
    seen: Observation
    """The server's view."""


class Report(NamedTuple):
    """Result of a step."""

    reward: Float[Array, ""]
    over: Bool[Array, ""]
    """The run's end is nearer than one more period."""
    world: UInt[Array, ""]
    tick: Int[Array, ""]
    """The coming one."""
    mean_s: Float[Array, ""]
    """Mean completion time behind the reward."""
    world_mean_s: Float[Array, ""]
    """That of all tasks of the period; 0 where there was none."""
    own_tasks: Int[Array, ""]
    migrations: Int[Array, ""]
    """Of all servers."""


class Led(Policy):
    """The others' policy, with one server's decisions of this moment replaced where it is due."""

    others: Policy
    chosen: Action
    server: Int[Array, ""]

    @property
    def visibility(self) -> Visibility | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The view that the others need."""
        return self.others.visibility

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Decide by the others' policy, and replace the learning server's decisions by the chosen ones."""
        action, memory = self.others.act(memory, observation, key)
        due = observation.due & (jnp.arange(observation.due.shape[0]) == self.server)
        led, chosen = due[observation.host], self.chosen
        combined = Action(
            server=jnp.where(led, chosen.server, action.server),
            offload_ratio=jnp.where(led, chosen.offload_ratio, action.offload_ratio),
            cpu_share=jnp.where(led, chosen.cpu_share, action.cpu_share),
            price_s=jnp.where(due, chosen.price_s, action.price_s),
        )
        return combined, memory


def begin(
    setting: EpisodeSetting,
    seed: UInt[Array, ""],
    number: Int[Array, ""],
    server: Int[Array, ""],
) -> Episode:
    """A new world, led by the others until the learning server is first due.

    Episode 0 of a seed is the world of that seed, with the randomness of `isma compare`; those that
    follow are drawn from the worlds for training (isma.world.splits).
    """
    params, policy = setting.params, setting.others
    world = world_of(seed, number)
    key, memory_key = jax.random.split(jax.random.key(world))
    shape = params.shape
    memory = policy.init(setting.scenario, shape.num_users, shape.num_servers, memory_key)
    state = reset(params, key)
    first = state.phase_ticks[server]

    def one_tick(carry: tuple[State, Memory]) -> tuple[State, Memory]:
        state, memory = carry
        return step(params, policy, state, memory, draw(params, key, state.tick))[:2]

    state, memory = jax.lax.while_loop(
        lambda carry: carry[0].tick < first, one_tick, (state, memory)
    )
    seen = observe_server(params, state, key, server)
    return Episode(seed, number, world, server, key, state, memory, seen)


def advance(setting: EpisodeSetting, episode: Episode, action: Any) -> tuple[Episode, Report]:
    """Carry out a decision, run one decision period, and observe."""
    params, server = setting.params, episode.server
    seen, key = episode.seen, episode.key
    chosen = setting.coding.decode(action, seen, server)
    state, memory, outcome = rollout(
        params,
        Led(setting.others, chosen, server),
        episode.state,
        episode.memory,
        key,
        setting.period_ticks,
    )
    time_s = jnp.moveaxis(outcome.completion_time_s, 0, 1).reshape(params.shape.num_users, -1)
    mean_s, world_mean_s, tasks = means_s(time_s, own(seen, server))
    report = Report(
        reward=-mean_s / setting.reward_unit_s,
        over=state.tick + setting.period_ticks > setting.scenario.time.num_ticks,
        world=episode.world,
        tick=state.tick,
        mean_s=mean_s,
        world_mean_s=world_mean_s,
        own_tasks=tasks,
        migrations=jnp.sum(outcome.migrations),
    )
    after = Episode(
        episode.seed,
        episode.number,
        episode.world,
        server,
        key,
        state,
        memory,
        observe_server(params, state, key, server),
    )
    return after, report


def shown(setting: EpisodeSetting, episode: Episode) -> Any:
    """Observation of the learning server, encoded."""
    return setting.coding.encode(episode.seen, episode.server)


def observe_server(
    params: Params, state: State, key: PRNGKeyArray, server: Int[Array, ""]
) -> Observation:
    """View of a server in the coming tick, after the broadcasts of that tick."""
    state, deciding, _ = before_decisions(params, state, draw(params, key, state.tick))
    return view(params, state, deciding, server)


def view(params: Params, state: State, deciding: Deciding, server: Int[Array, ""]) -> Observation:
    """View of one server, whether it decides or not."""
    alone = jnp.arange(params.shape.num_servers) == server
    decides = deciding.decides & (state.placement.host == server)
    one = Deciding(alone, deciding.due & alone, deciding.newcomer, decides)
    return observe(params, state, one, params.shape.visibility)


def means_s(
    time_s: Float[Array, "users tasks"], own: Bool[Array, "users"]
) -> tuple[Float[Array, ""], Float[Array, ""], Int[Array, ""]]:
    """Mean completion time of own users' tasks, and of all; and the number of own tasks.

    A server without own tasks gets the mean of all: to send every user away earns nothing.
    """
    emitted = ~jnp.isnan(time_s)
    spent_s = jnp.sum(jnp.where(emitted, time_s, 0), axis=1)
    tasks = jnp.sum(emitted, axis=1, dtype=jnp.int32)
    mean = lambda users: jnp.sum(spent_s * users) / jnp.maximum(jnp.sum(tasks * users), 1)  # noqa: E731
    number, world_mean_s = jnp.sum(tasks * own), mean(jnp.ones_like(own))
    return jnp.where(number > 0, mean(own), world_mean_s), world_mean_s, number


def world_of(seed: UInt[Array, ""], number: Int[Array, ""]) -> UInt[Array, ""]:
    """The world of an episode: at first the seed's own, then others drawn from those for training."""
    bits = jax.random.bits(jax.random.fold_in(jax.random.key(seed), number), dtype=jnp.uint32)
    drawn = TRAINING_WORLDS.start + bits % len(TRAINING_WORLDS)
    return jnp.where(number == 0, seed, drawn.astype(jnp.uint32))
