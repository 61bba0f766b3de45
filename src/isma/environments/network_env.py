"""All servers as agents, as a PettingZoo parallel environment: a step is a tick."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt
from pettingzoo import ParallelEnv

from isma.contract import Action, Memory, Observation, Policy
from isma.environments.checks import check_action, check_seed
from isma.environments.coding import Coding, own
from isma.environments.episode import means_s, view, world_of
from isma.environments.quantities import reward_unit_s
from isma.environments.server_env import check_finite, first_seed
from isma.environments.setting import Source, lay_out
from isma.errors import OptionError, given, unknown
from isma.simulator.params import Params
from isma.simulator.state import State, draw, reset
from isma.simulator.step import before_decisions, step


class NetworkEnv(ParallelEnv[str, Any, Any]):
    """Every server is an agent, `server_0` and so on; a step is a tick.

    In a tick only some of them decide: what the others say is ignored. Who decides is in
    `infos[agent]["acts"]`, and for which users in the observation's `decides`. Spaces are those of
    `ServerEnv`. An agent's reward is minus the mean completion time of the tasks that the users it
    hosts at the tick's beginning emit in it, in `reward_unit_s`. All agents are truncated together,
    when the scenario's duration has passed.
    """

    metadata = {"name": "isma", "render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        scenario: Source = "paper",
        *,
        overrides: Mapping[str, Any] | None = None,
        flat: bool = False,
        rows: int | None = None,
    ) -> None:
        world = lay_out(scenario, overrides, flat, rows)
        self.scenario, self.infrastructure = world.scenario, world.params.infrastructure
        self.reward_unit_s = reward_unit_s(world.scenario)
        self.render_mode = None
        self.possible_agents = [f"server_{n}" for n in range(world.params.shape.num_servers)]
        self.agents: list[str] = []
        self.observation_spaces = {
            a: world.coding.observation_space() for a in self.possible_agents
        }
        self.action_spaces = {a: world.coding.action_space() for a in self.possible_agents}
        self._params, self._coding = world.params, world.coding
        self._moment: _Moment | None = None
        self._random = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Space:
        """The space of what that agent sees."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        """The space of what that agent decides."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin the world of that seed, or the next one of the seed given last. Raises OptionError."""
        if seed is None and self._moment is not None:
            first, number = self._moment.seed, self._moment.number + 1
        else:
            first, number = check_seed(first_seed(self._random) if seed is None else seed), 0
        self._moment, observation = _begin(
            self._params, self._coding, jnp.uint32(first), jnp.int32(number)
        )
        self.agents = list(self.possible_agents)
        return self._each(observation), self._infos()

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[
        dict[str, Any],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Let those that act decide, and a tick pass.

        Raises OptionError for an action that is not in its space, PolicyError where a task never ends.
        """
        if not isinstance(actions, Mapping):
            raise OptionError(
                f"step must be given a dictionary of an action for every agent, got {given(actions)}"
            )
        if self._moment is None or not self.agents:
            raise gymnasium.error.ResetNeeded("reset() must be called before step()")
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise OptionError(
                f"step must be given an action for every agent, none for {missing[0]}"
            )
        for name in actions:
            if name not in self.action_spaces:
                raise OptionError(unknown("agent", str(name), self.possible_agents))
        for agent in self.possible_agents:
            check_action(self.action_spaces[agent], actions[agent], f"{agent}'s action")
        told = [actions[agent] for agent in self.possible_agents]
        stacked = jax.tree.map(lambda *rows: np.stack(rows), *told)
        moment, observation, mean_s = _advance(self._params, self._coding, self._moment, stacked)
        self._moment = moment
        rewards = -np.asarray(mean_s, float) / self.reward_unit_s
        check_finite(rewards)
        over = int(moment.state.tick) >= self.scenario.time.num_ticks
        found = (
            self._each(observation),
            dict(zip(self.agents, rewards.tolist(), strict=True)),
            dict.fromkeys(self.agents, False),
            dict.fromkeys(self.agents, over),
            self._infos(),
        )
        if over:
            self.agents = []
        return found

    def _each(self, observation: Any) -> dict[str, Any]:
        leaves, form = jax.tree.flatten(jax.device_get(observation))
        return {
            agent: jax.tree.unflatten(form, [np.array(leaf[number]) for leaf in leaves])
            for number, agent in enumerate(self.possible_agents)
        }

    def _infos(self) -> dict[str, dict[str, Any]]:
        assert self._moment is not None
        time_s = int(self._moment.state.tick) * self.scenario.time.tick_s
        known = {"time_s": time_s, "world": int(self._moment.world)}
        return {
            agent: {"acts": one, **known}
            for agent, one in zip(
                self.possible_agents, np.asarray(self._moment.acts).tolist(), strict=True
            )
        }


class _Moment(eqx.Module):
    """One world at the beginning of a tick."""

    seed: UInt[Array, ""]
    number: Int[Array, ""]
    """Worlds since that seed was given."""
    world: UInt[Array, ""]
    key: PRNGKeyArray
    state: State
    seen: Observation
    """With a leading axis of servers: what each of them sees."""
    acts: Bool[Array, "servers"]
    """Those that decide in this tick."""


class _Told(Policy):
    """Decides what it has been told."""

    action: Action

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """The action."""
        return self.action, memory


@jax.jit
def _begin(
    params: Params, coding: Coding, seed: UInt[Array, ""], number: Int[Array, ""]
) -> tuple[_Moment, Any]:
    world = world_of(seed, number)
    key, _ = jax.random.split(jax.random.key(world))
    return _look(params, coding, seed, number, world, key, reset(params, key))


@jax.jit
def _advance(
    params: Params, coding: Coding, moment: _Moment, actions: Any
) -> tuple[_Moment, Any, Float[Array, "servers"]]:
    servers, state, key = jnp.arange(params.shape.num_servers), moment.state, moment.key
    each = jax.vmap(coding.decode)(actions, moment.seen, servers)
    draws = draw(params, key, state.tick)
    # A user's row is that of the server which hosts it when decisions are taken.
    host = before_decisions(params, state, draws)[0].placement.host
    row = jnp.arange(params.shape.num_users)
    action = Action(
        each.server[host, row],
        each.offload_ratio[host, row],
        each.cpu_share[host, row],
        price_s=jnp.diagonal(each.price_s),
    )
    state, _, outcome = step(params, _Told(action), state, Memory.none(), draws)
    theirs = jax.vmap(own)(moment.seen, servers)
    mean_s = jax.vmap(means_s, in_axes=(None, 0))(outcome.completion_time_s, theirs)[0]
    after = _look(params, coding, moment.seed, moment.number, moment.world, key, state)
    return *after, mean_s


def _look(
    params: Params,
    coding: Coding,
    seed: UInt[Array, ""],
    number: Int[Array, ""],
    world: UInt[Array, ""],
    key: PRNGKeyArray,
    state: State,
) -> tuple[_Moment, Any]:
    """Views of all servers in the coming tick, and their observations."""
    servers = jnp.arange(params.shape.num_servers)
    begun, deciding, _ = before_decisions(params, state, draw(params, key, state.tick))
    seen = jax.vmap(view, in_axes=(None, None, None, 0))(params, begun, deciding, servers)
    moment = _Moment(seed, number, world, key, state, seen, deciding.acting)
    return moment, jax.vmap(coding.encode)(seen, servers)
