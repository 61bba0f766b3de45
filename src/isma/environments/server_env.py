"""One learning server among others, as a Gymnasium environment."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from isma.environments.checks import check_action, check_seed, check_whole
from isma.environments.episode import Episode, EpisodeSetting, Report, advance, begin, shown
from isma.environments.picture import FRAMES_PER_S, RENDER_MODES, check_render_mode, picture
from isma.environments.quantities import reward_unit_s
from isma.environments.setting import TRAINING_WORLDS, Source, check_server, lay_out
from isma.errors import OptionError, PolicyError, given
from isma.policies import registry


def setting(
    scenario: Source,
    server: int | None,
    others: str,
    overrides: Mapping[str, Any] | None,
    flat: bool,
    rows: int | None,
) -> EpisodeSetting:
    """All options, checked. Raises IsmaError."""
    if not isinstance(others, str):
        raise OptionError(f"others must be a policy's name, got {given(others)}")
    policy = registry.get(others)
    world = lay_out(scenario, overrides, flat, rows)
    return EpisodeSetting(
        world.params,
        policy,
        world.coding,
        world.scenario,
        check_server(server, world),
        reward_unit_s(world.scenario),
    )


class ServerEnv(gymnasium.Env[Any, Any]):
    """A server learns, the others run a named policy; a step is the learner's decision period.

    Observation and action are dictionaries of columns in SI units, or with `flat` a vector and a
    server for each row (docs/environments.md). The reward is minus the mean completion time of the
    tasks that its own users emit in the period, in `reward_unit_s`. It truncates where the
    scenario's duration leaves no whole period, and never terminates.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": FRAMES_PER_S}  # noqa: RUF012  # as in Gymnasium

    def __init__(
        self,
        scenario: Source = "paper",
        *,
        server: int = 0,
        others: str = "price",
        overrides: Mapping[str, Any] | None = None,
        flat: bool = False,
        rows: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        if server is None:  # Many worlds may have another learner each; one world has one.
            check_whole("server", server, 0)
        self._setting = setting(scenario, server, others, overrides, flat, rows)
        self._server = np.int32(server)
        self.reward_unit_s = self._setting.reward_unit_s
        self.scenario = self._setting.scenario
        self.infrastructure = self._setting.params.infrastructure
        self.observation_space = self._setting.coding.observation_space()
        self.action_space = self._setting.coding.action_space()
        self._episode: Episode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin the world of that seed, or the next one of the seed given last. Raises OptionError."""
        seed = None if seed is None else check_seed(seed)
        super().reset(seed=seed)
        if seed is None and self._episode is not None:
            first, number = self._episode.seed, self._episode.number + 1
        else:
            first = first_seed(self.np_random) if seed is None else seed
            first, number = jnp.uint32(first), jnp.int32(0)
        self._episode = episode = _begin(self._setting, first, number, self._server)
        time_s = int(episode.state.tick) * self.scenario.time.tick_s
        observation = own_arrays(_shown(self._setting, episode))
        return observation, {"time_s": time_s, "world": int(episode.world)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Decide, and let a decision period pass.

        Raises OptionError for an action that is not in the space, PolicyError where a task never ends.
        """
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("reset() must be called before step()")
        check_action(self.action_space, action)
        self._episode, observation, report = _advance(self._setting, self._episode, action)
        one = Report(*(value.item() for value in jax.device_get(report)))
        reward, over, info = step_result(one, self.scenario.time.tick_s)
        check_finite(reward)
        return own_arrays(observation), reward, False, over, info

    def render(self) -> Any:
        """A picture of the world as it is, with `render_mode="rgb_array"`; None without."""
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("reset() must be called before render()")
        if self.render_mode is None:
            return None
        return picture(self._setting.params, self._episode.state)


_begin = jax.jit(begin)
_shown = jax.jit(shown)


@jax.jit
def _advance(setting: EpisodeSetting, episode: Episode, action: Any) -> tuple[Episode, Any, Report]:
    episode, report = advance(setting, episode, action)
    return episode, shown(setting, episode), report


def first_seed(random: np.random.Generator) -> int:
    """A random world for training, where no seed is given."""
    return int(random.integers(TRAINING_WORLDS.start, TRAINING_WORLDS.stop))


def own_arrays(observation: Any) -> Any:
    """Copies as NumPy arrays, which nothing else refers to."""
    return jax.tree.map(np.array, observation)


def step_result(report: Any, tick_s: float) -> tuple[Any, Any, dict[str, Any]]:
    """Reward, whether it is over, and the rest by name; the same for one world and for many."""
    info = report._asdict()
    reward, over = info.pop("reward"), info.pop("over")
    return reward, over, {"time_s": info.pop("tick") * tick_s, **info}


def check_finite(reward: float | np.ndarray) -> None:
    """Refuse a world in which a task never ends. Raises PolicyError."""
    if not np.all(np.isfinite(reward)):
        raise PolicyError(
            "a task never finishes: the others' policy asks for no CPU share, or for what is no number"
        )
