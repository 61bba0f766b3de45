"""All servers as agents, as a PettingZoo parallel environment: a step is a tick."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Float, Int, UInt
from pettingzoo import ParallelEnv

from isma.environments.all_servers import NetworkMoment, advance, begin
from isma.environments.checks import check_action, check_seed
from isma.environments.coding import Coding
from isma.environments.picture import FRAMES_PER_S, RENDER_MODES, check_render_mode, picture
from isma.environments.quantities import reward_unit_s
from isma.environments.server_env import check_finite, first_seed
from isma.environments.setting import Source, lay_out
from isma.errors import OptionError, given, unknown
from isma.simulator.params import Params


class NetworkEnv(ParallelEnv[str, Any, Any]):
    """Every server is an agent, `server_0` and so on; a step is a tick.

    In a tick only some of them decide: actions of the others are ignored. Which decide is in
    `infos[agent]["acts"]`, and for which users in the observation's `decides`. Spaces are those of
    `ServerEnv`. An agent's reward is minus the mean completion time of the tasks that the users it
    hosts at the tick's beginning emit in it, in `reward_unit_s`. All agents are truncated together,
    when the scenario's duration has passed.
    """

    metadata = {  # noqa: RUF012
        "name": "isma",
        "render_modes": list(RENDER_MODES),
        "render_fps": FRAMES_PER_S,
    }

    def __init__(
        self,
        scenario: Source = "paper",
        *,
        overrides: Mapping[str, Any] | None = None,
        flat: bool = False,
        rows: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        world = lay_out(scenario, overrides, flat, rows)
        self.scenario, self.infrastructure = world.scenario, world.params.infrastructure
        self.reward_unit_s = reward_unit_s(world.scenario)
        self.render_mode = check_render_mode(render_mode)
        self.possible_agents = [f"server_{n}" for n in range(world.params.shape.num_servers)]
        self.agents: list[str] = []
        self.observation_spaces = {
            a: world.coding.observation_space() for a in self.possible_agents
        }
        self.action_spaces = {a: world.coding.action_space() for a in self.possible_agents}
        self._params, self._coding = world.params, world.coding
        self._moment: NetworkMoment | None = None
        self._random = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Space:
        """Observation space of an agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        """Action space of an agent."""
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
        """Carry out the actions of the acting agents, and advance a tick.

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
        ordered = [actions[agent] for agent in self.possible_agents]
        stacked = jax.tree.map(lambda *rows: np.stack(rows), *ordered)
        moment, observation, mean_s = _advance(self._params, self._coding, self._moment, stacked)
        self._moment = moment
        rewards = -np.asarray(mean_s, float) / self.reward_unit_s
        check_finite(rewards)
        over = int(moment.state.tick) >= self.scenario.time.num_ticks
        result = (
            self._each(observation),
            dict(zip(self.agents, rewards.tolist(), strict=True)),
            dict.fromkeys(self.agents, False),
            dict.fromkeys(self.agents, over),
            self._infos(),
        )
        if over:
            self.agents = []
        return result

    def render(self) -> Any:
        """A picture of the world as it is, with `render_mode="rgb_array"`; None without."""
        if self._moment is None:
            raise gymnasium.error.ResetNeeded("reset() must be called before render()")
        if self.render_mode is None:
            return None
        return picture(self._params, self._moment.state)

    def _each(self, observation: Any) -> dict[str, Any]:
        leaves, form = jax.tree.flatten(jax.device_get(observation))
        return {
            agent: jax.tree.unflatten(form, [np.array(leaf[number]) for leaf in leaves])
            for number, agent in enumerate(self.possible_agents)
        }

    def _infos(self) -> dict[str, dict[str, Any]]:
        assert self._moment is not None
        time_s = int(self._moment.state.tick) * self.scenario.time.tick_s
        common = {"time_s": time_s, "world": int(self._moment.world)}
        return {
            agent: {"acts": one, **common}
            for agent, one in zip(
                self.possible_agents, np.asarray(self._moment.acts).tolist(), strict=True
            )
        }


@jax.jit
def _begin(
    params: Params, coding: Coding, seed: UInt[Array, ""], number: Int[Array, ""]
) -> tuple[NetworkMoment, Any]:
    moment = begin(params, seed, number)
    return moment, coding.encode_all(moment.seen)


@jax.jit
def _advance(
    params: Params, coding: Coding, moment: NetworkMoment, actions: Any
) -> tuple[NetworkMoment, Any, Float[Array, "servers"]]:
    after, report = advance(params, coding, moment, actions)
    return after, coding.encode_all(after.seen), report.mean_s
