"""Stable-Baselines3's own kind of vector environment over ours: it has no adapter for Gymnasium's."""

from typing import Any, Literal

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]

from isma.environments.setting import Source
from isma.environments.vector_env import VectorServerEnv
from isma.errors import OptionError


class Sb3Worlds(VecEnv):
    """Many worlds for a learner of Stable-Baselines3; they are reset at once, to worlds for training."""

    def __init__(
        self,
        num_envs: int,
        scenario: Source = "paper",
        *,
        reward: Literal["own", "world"] = "own",
        **options: Any,
    ) -> None:
        if reward not in ("own", "world"):
            raise OptionError(f"reward must be own or world, got {reward!r}")
        self.worlds = VectorServerEnv(
            num_envs, scenario, flat=True, autoreset_mode=AutoresetMode.SAME_STEP, **options
        )
        self._of_all, self._actions = reward == "world", np.zeros(0)
        super().__init__(
            num_envs, self.worlds.single_observation_space, self.worlds.single_action_space
        )

    def reset(self) -> np.ndarray:
        """The worlds from the seed on that was set, or the next ones."""
        seed = self._seeds[0]
        self._reset_seeds()
        return self.worlds.reset(seed=seed)[0]

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Let a decision period pass."""
        observation, reward, _, truncated, infos = self.worlds.step(self._actions)
        if self._of_all:
            reward = -infos["world_mean_s"] / self.worlds.reward_unit_s
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for world in np.flatnonzero(truncated):
            last = infos["final_obs"][world]
            each[world] = {"terminal_observation": last, "TimeLimit.truncated": True}
        return observation, reward.astype(np.float32), truncated, each

    def close(self) -> None:
        """Close the worlds."""
        self.worlds.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the worlds, the same for all."""
        return [getattr(self.worlds, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing can be set in one world."""
        raise NotImplementedError("worlds have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Nothing can be called in one world."""
        raise NotImplementedError("worlds have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """No world is wrapped."""
        return [False] * self.num_envs
