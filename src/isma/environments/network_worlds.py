"""Many worlds with all servers as agents, as pure functions: for learners that are programs of JAX."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, UInt

from isma.environments.all_servers import NetworkMoment, advance, begin
from isma.environments.checks import check_seed
from isma.environments.flat import Flat
from isma.environments.quantities import reward_unit_s
from isma.environments.setting import Source, lay_out
from isma.errors import OptionError
from isma.simulator.params import Params
from isma.world.scenario import Scenario


class NetworkStep(NamedTuple):
    """Result of a tick in every world."""

    observation: Float[Array, "worlds agents numbers"]
    """Of the coming tick."""
    reward: Float[Array, "worlds agents"]
    """Minus the mean completion time of each agent's users, in `reward_unit_s`."""
    over: Bool[Array, "worlds"]
    """Whether the scenario's duration has passed."""
    acts: Bool[Array, "worlds agents"]
    """Those that decide in the coming tick; actions of the others are ignored."""
    own_tasks: Int[Array, "worlds agents"]
    world_mean_s: Float[Array, "worlds"]
    """Mean completion time of all tasks of the tick; 0 where there was none."""


class NetworkWorlds(eqx.Module):
    """Every server of many worlds is an agent; a step is a tick in all of them.

    What `NetworkEnv` does for one world with `flat=True`, without leaving the program: `reset` and
    `step` are pure, are compiled by themselves, and may be called inside `jax.jit`, `jax.lax.scan`
    and `jax.vmap`. Worlds do not begin anew by themselves: all are over at the same tick.
    """

    num_agents: int = eqx.field(static=True)
    reward_unit_s: float = eqx.field(static=True)
    scenario: Scenario = eqx.field(static=True)
    params: Params
    coding: Flat

    def __init__(
        self,
        scenario: Source = "paper",
        *,
        overrides: Mapping[str, Any] | None = None,
        rows: int | None = None,
    ) -> None:
        world = lay_out(scenario, overrides, True, rows)
        assert isinstance(world.coding, Flat)
        self.scenario, self.params, self.coding = world.scenario, world.params, world.coding
        self.num_agents = world.params.shape.num_servers
        self.reward_unit_s = reward_unit_s(world.scenario)

    @property
    def observation_space(self) -> spaces.Box:
        """Observation space of one agent."""
        return self.coding.observation_space()

    @property
    def action_space(self) -> spaces.MultiDiscrete:
        """Action space of one agent: a server for each of its rows."""
        return self.coding.action_space()

    def seeds(self, first: int, num_worlds: int) -> UInt[np.ndarray, "worlds"]:
        """Worlds one after another, for `reset`. Raises OptionError."""
        check_seed(first)
        if num_worlds < 1:
            raise OptionError(f"num_worlds must be at least 1, got {num_worlds}")
        check_seed(first + num_worlds - 1)
        return np.arange(first, first + num_worlds, dtype=np.uint32)

    def reset(
        self, seeds: UInt[Array, "worlds"] | Sequence[int] | np.ndarray
    ) -> tuple[NetworkMoment, Float[Array, "worlds agents numbers"], Bool[Array, "worlds agents"]]:
        """The worlds of those seeds, as in `isma compare`: state, observations, and which agents decide."""
        return _reset(self, jnp.asarray(seeds, jnp.uint32))

    def step(
        self, state: NetworkMoment, actions: Int[Array | np.ndarray, "worlds agents rows"]
    ) -> tuple[NetworkMoment, NetworkStep]:
        """Let those that act decide, and a tick pass in each world."""
        return _step(self, state, jnp.asarray(actions))


@eqx.filter_jit
def _reset(
    env: NetworkWorlds, seeds: UInt[Array, "worlds"]
) -> tuple[NetworkMoment, Float[Array, "worlds agents numbers"], Bool[Array, "worlds agents"]]:
    state = jax.vmap(lambda seed: begin(env.params, seed, jnp.int32(0)))(seeds)
    return state, jax.vmap(env.coding.encode_all)(state.seen), state.acts


@eqx.filter_jit
def _step(
    env: NetworkWorlds, state: NetworkMoment, actions: Int[Array, "worlds agents rows"]
) -> tuple[NetworkMoment, NetworkStep]:
    one = lambda moment, action: advance(env.params, env.coding, moment, action)  # noqa: E731
    after, report = jax.vmap(one)(state, actions)
    return after, NetworkStep(
        observation=jax.vmap(env.coding.encode_all)(after.seen),
        reward=-report.mean_s / env.reward_unit_s,
        over=after.state.tick >= env.scenario.time.num_ticks,
        acts=after.acts,
        own_tasks=report.own_tasks,
        world_mean_s=report.world_mean_s,
    )
