"""Common workload of all simulators: the same users on the same trajectories, followed by their services."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.state import State, draw, reset
from isma.simulator.step import step
from isma.world import files
from isma.world.scenario import Scenario

SEED = 0
"""Of the world whose users all simulators follow."""


@dataclass(frozen=True)
class Walk:
    """Positions and stations of users at the beginning of every step and after the last."""

    site_m: Float[np.ndarray, "stations 2"]
    links: tuple[tuple[int, int], ...]
    """Pairs of stations that the backhaul joins."""
    position_m: Float[np.ndarray, "moments users 2"]
    station: Int[np.ndarray, "moments users"]

    @property
    def steps(self) -> int:
        """Steps from the first moment to the last."""
        return len(self.station) - 1

    @property
    def users(self) -> int:
        """Number of users."""
        return self.station.shape[1]

    def handovers(self, steps: int) -> int:
        """Hand-overs in the first `steps` steps."""
        return int(np.count_nonzero(np.diff(self.station[: steps + 1], axis=0)))


@dataclass(frozen=True)
class Counts:
    """Counts of a run, read from the simulator's own state after it."""

    user_steps: int
    """Steps in which a user was served, all users together."""
    moves: int | None
    """Services (or where there are none, attachments) that followed; None where nothing counts them."""


@dataclass(frozen=True)
class PeerReady:
    """A simulator set up for one run: only `go` is timed."""

    go: Callable[[], None]
    count: Callable[[], Counts]


def scenario() -> Scenario:
    """The preset `paper`, deciding in every step: as a simulator without decision periods follows."""
    tick_s = files.load("paper").time.tick_s
    return files.load("paper", {"servers.decision_period_s": tick_s})


def record(steps: int) -> Walk:
    """Trajectories of users in our own simulator; they do not depend on decisions."""
    params, policy = build(scenario()), registry.get("local")
    key = jax.random.key(SEED)
    start = reset(params, key)
    memory = policy.init(scenario(), params.shape.num_users, params.shape.num_servers, key)

    def one(carry: tuple, tick: Int[Array, ""]) -> tuple:
        state, memory = carry
        state, memory, _ = step(params, policy, state, memory, draw(params, key, tick))
        return (state, memory), _seen(state)

    _, after = jax.lax.scan(one, (start, memory), jnp.arange(steps))
    position_m, station = (
        np.concatenate([np.asarray(first)[None], np.asarray(rest)])
        for first, rest in zip(_seen(start), after, strict=True)
    )
    return Walk(np.asarray(params.site_m), _links(params), position_m, station)


def _seen(state: State) -> tuple[Float[Array, "users 2"], Int[Array, "users"]]:
    return state.motion.position_m, state.station


def _links(params: Params) -> tuple[tuple[int, int], ...]:
    hops = np.asarray(params.infrastructure.hops)
    return tuple((int(a), int(b)) for a, b in np.argwhere(hops == 1) if a < b)
