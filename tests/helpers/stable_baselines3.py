"""Stable-Baselines3's own kind of vector environment over ours: it has no adapter for Gymnasium's."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv


class Worlds(VecEnv):
    """Many worlds for a learner of Stable-Baselines3, which wants them to begin anew at once."""

    def __init__(self, worlds: VectorEnv) -> None:
        assert worlds.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        self.worlds, self._actions = worlds, np.zeros(0)
        super().__init__(
            worlds.num_envs, worlds.single_observation_space, worlds.single_action_space
        )

    def reset(self) -> np.ndarray:
        seed = self._seeds[0]
        self._reset_seeds()
        return self.worlds.reset(seed=seed)[0]

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        observation, reward, _, truncated, infos = self.worlds.step(self._actions)
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for world in np.flatnonzero(truncated):
            last = infos["final_obs"][world]
            each[world] = {"terminal_observation": last, "TimeLimit.truncated": True}
        return observation, reward.astype(np.float32), truncated, each

    def close(self) -> None:
        self.worlds.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.worlds, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs
