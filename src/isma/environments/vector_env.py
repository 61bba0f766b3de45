"""Many worlds of one learning server at once, as a Gymnasium vector environment: one program."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate
from jaxtyping import Array, Bool, Int, UInt

from isma.environments.checks import check_action, check_seed, check_whole
from isma.environments.episode import Episode, EpisodeSetting, Report, advance, begin, shown
from isma.environments.picture import FRAMES_PER_S, RENDER_MODES, check_render_mode, picture
from isma.environments.server_env import check_finite, first_seed, own_arrays, setting, step_result
from isma.environments.setting import Source
from isma.errors import OptionError

_NEXT = -1
"""In place of a seed: go on to the next world."""
_BLOCKS = 8
"""Number of blocks in which worlds begin, if all begin at once."""


class VectorServerEnv(VectorEnv[Any, Any, np.ndarray]):
    """`ServerEnv` in `num_envs` worlds, with the same options; each world goes as it would alone.

    With `server=None` the servers take turns: each world has another learner. Worlds that are over
    are reset as `autoreset_mode` says: `NextStep`, `SameStep` or `Disabled`, as Gymnasium defines
    them.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Source = "paper",
        *,
        server: int | None = 0,
        others: str = "price",
        overrides: Mapping[str, Any] | None = None,
        flat: bool = False,
        rows: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        self.num_envs = num_envs = check_whole("num_envs", num_envs, 1)
        self._mode = _mode(autoreset_mode)
        self.metadata = {
            "render_modes": list(RENDER_MODES),
            "render_fps": FRAMES_PER_S,
            "autoreset_mode": self._mode,
        }
        self._setting = setting(scenario, server, others, overrides, flat, rows)
        servers = self._setting.params.shape.num_servers
        self._server = (
            np.arange(num_envs) % servers if server is None else np.full(num_envs, server)
        )
        self._server = self._server.astype(np.int32)
        self.reward_unit_s = self._setting.reward_unit_s
        self.scenario = self._setting.scenario
        self.infrastructure = self._setting.params.infrastructure
        self.single_observation_space = self._setting.coding.observation_space()
        self.single_action_space = self._setting.coding.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._episodes: Episode | None = None
        self._over = np.zeros(num_envs, bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Begin the worlds `seed`, `seed + 1`, …, or those listed; None stands for a world's next one.

        With `options={"reset_mask": …}` only those of the mask. Raises OptionError.
        """
        given = _seeds(seed, self.num_envs)
        several = seed is None or isinstance(seed, Sequence | np.ndarray)
        super().reset(seed=None if several else given[0].item())
        mask = _mask(options, self.num_envs)
        if self._episodes is None:
            mask = np.ones_like(mask)
        self._renew(mask, *self._next(given))
        self._over = self._over & ~mask
        return self._shown(), _infos(self._where(), mask)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Decide in all worlds, and let a decision period pass in each.

        Raises OptionError for actions that are not in the space, PolicyError where a task never ends.
        """
        if self._episodes is None:
            raise gymnasium.error.ResetNeeded("reset() must be called before step()")
        if self._mode is AutoresetMode.DISABLED and self._over.any():
            raise gymnasium.error.ResetNeeded(
                f"{self._over.sum()} worlds are over: reset them before step(), with "
                'options={"reset_mask": mask} or all'
            )
        check_action(self.action_space, actions, "actions")
        skipped = self._over
        self._episodes, observation, report = _advance(self._setting, self._episodes, actions)
        rewards, over, report_info = step_result(own_arrays(report), self.scenario.time.tick_s)
        rewards, over = np.where(skipped, 0.0, rewards), over & ~skipped
        check_finite(rewards)
        at_once = self._mode is AutoresetMode.SAME_STEP
        renewed = over if at_once else skipped
        seen = own_arrays(observation)
        final: dict[str, Any] = {}
        if at_once and over.any():
            last = _of_those(over, seen, self.observation_space)
            final = {"final_obs": last, "final_info": _infos(report_info, over)}
        if renewed.any():
            self._renew(renewed, *self._next(_seeds(None, self.num_envs)))
            seen = self._shown()
        self._over = over & ~renewed
        infos = _infos(report_info, ~renewed) | _infos(self._where(), np.ones_like(over))
        infos |= _infos(final, over)
        return seen, rewards, np.zeros_like(over), over.copy(), infos

    def render(self) -> tuple[Any, ...] | None:
        """A picture of each world as it is, with `render_mode="rgb_array"`; None without."""
        if self._episodes is None:
            raise gymnasium.error.ResetNeeded("reset() must be called before render()")
        if self.render_mode is None:
            return None
        states = self._episodes.state
        one = lambda number: jax.tree.map(lambda leaf: leaf[number], states)  # noqa: E731
        return tuple(picture(self._setting.params, one(number)) for number in range(self.num_envs))

    def _renew(
        self,
        mask: Bool[np.ndarray, "worlds"],
        seed: UInt[np.ndarray, "worlds"],
        number: Int[np.ndarray, "worlds"],
    ) -> None:
        """Begin episodes in the worlds of the mask, in blocks of one size: one program."""
        size = max(1, self.num_envs // _BLOCKS)
        begins = np.flatnonzero(mask)
        for start in range(0, len(begins), size):
            block = begins[start : start + size]
            block = np.pad(block, (0, size - len(block)), mode="edge")
            begun = _begin(self._setting, seed[block], number[block], self._server[block])
            if self._episodes is None:
                self._episodes = _like(begun, self.num_envs)
            self._episodes = _put(self._episodes, block, begun)

    def _shown(self) -> Any:
        assert self._episodes is not None
        return own_arrays(_shown(self._setting, self._episodes))

    def _where(self) -> dict[str, np.ndarray]:
        assert self._episodes is not None
        tick = np.asarray(self._episodes.state.tick, float)
        return {
            "world": np.array(self._episodes.world),
            "time_s": tick * self.scenario.time.tick_s,
        }

    def _next(self, given: Int[np.ndarray, "worlds"]) -> tuple[np.ndarray, np.ndarray]:
        """Seed and number of each world's next episode."""
        named = given != _NEXT
        if self._episodes is None:
            seed = first_seed(self.np_random) + np.arange(self.num_envs)
            number = np.zeros(self.num_envs, np.int32)
        else:
            seed = np.asarray(self._episodes.seed)
            number = np.where(named, 0, np.asarray(self._episodes.number) + 1)
        return np.where(named, given, seed).astype(np.uint32), number.astype(np.int32)


_begin = jax.jit(jax.vmap(begin, in_axes=(None, 0, 0, 0)))
_shown = jax.jit(jax.vmap(shown, in_axes=(None, 0)))


@jax.jit
def _advance(
    setting: EpisodeSetting, episodes: Episode, actions: Any
) -> tuple[Episode, Any, Report]:
    episodes, report = jax.vmap(advance, in_axes=(None, 0, 0))(setting, episodes, actions)
    return episodes, _shown(setting, episodes), report


@partial(jax.jit, static_argnums=1)
def _like(block: Episode, worlds: int) -> Episode:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], (worlds, *leaf.shape[1:])), block)


@jax.jit
def _put(episodes: Episode, worlds: Int[Array, "block"], block: Episode) -> Episode:
    return jax.tree.map(lambda all, new: all.at[worlds].set(new), episodes, block)


def _mode(named: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(named)
    except ValueError:
        known = ", ".join(mode.value for mode in AutoresetMode)
        raise OptionError(f"autoreset_mode must be one of {known}, got {named!r}") from None


def _seeds(seed: int | Sequence[int | None] | None, worlds: int) -> Int[np.ndarray, "worlds"]:
    if seed is None:
        return np.full(worlds, _NEXT)
    if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str):
        first = check_seed(seed)
        check_seed(first + worlds - 1)
        return first + np.arange(worlds)
    if len(seed) != worlds:
        raise OptionError(f"seed must have one entry for each of {worlds} worlds, got {len(seed)}")
    return np.array([_NEXT if one is None else check_seed(one) for one in seed])


def _mask(options: Mapping[str, Any] | None, worlds: int) -> Bool[np.ndarray, "worlds"]:
    """Which worlds a reset is for."""
    if not options or "reset_mask" not in options:
        return np.ones(worlds, bool)
    mask = np.asarray(options["reset_mask"])
    if mask.shape != (worlds,) or mask.dtype != bool or not mask.any():
        raise OptionError(
            f"reset_mask must be an array of {worlds} booleans, one of them True, got {mask!r}"
        )
    return mask


def _infos(values: Mapping[str, np.ndarray], mask: Bool[np.ndarray, "worlds"]) -> dict[str, Any]:
    """Each value with the mask of the worlds that have it, as Gymnasium defines."""
    return {**values, **{f"_{name}": mask.copy() for name in values}}


def _of_those(over: Bool[np.ndarray, "worlds"], last: Any, space: gymnasium.Space) -> np.ndarray:
    """The last observations of the worlds that are over, as objects; None for others."""
    rows = np.full(len(over), None, object)
    for world, observation in enumerate(iterate(space, own_arrays(last))):
        if over[world]:
            rows[world] = observation
    return rows
