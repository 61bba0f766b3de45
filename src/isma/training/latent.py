"""Training of a latent space model: collect with the planner, fit sequences, in turn (PlaNet's loop)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, UInt32

from isma.contract import Policy
from isma.errors import RunError
from isma.model import vectors, weights
from isma.model.elbo import Objective, Sequences
from isma.model.frame import Frame
from isma.model.latent import Kind, LatentModel
from isma.model.vectors import Scales
from isma.planning.cross_entropy import Budget
from isma.policies.learned.cross_entropy_planner import Exploration, Search
from isma.policies.learned.latent_planner import LatentPlanner
from isma.training import workload
from isma.training.collect import (
    Collected,
    RandomCode,
    Scattered,
    blank,
    collect,
    first_memory,
    spread,
    ticks_for,
)
from isma.training.fit import SEEN, Experience, Fitting
from isma.training.options import at_least, not_negative, positive, within
from isma.training.replay import Replay
from isma.training.session import Metrics
from isma.world.scenario import Scenario

_ORDER_SEED = 0
_BLOCK = 60
"""Updates that run as one program, between two words on progress."""

COLLECTING = Budget(candidates=64, iterations=5, horizon=0, elites=8)
"""The planner's budget while collecting."""
TESTING = Budget(candidates=200, iterations=10, horizon=0, elites=20)
"""The planner's budget in the worlds that a training is tested in."""


@dataclass(frozen=True)
class LatentOptions:
    """The model's form, and how much is collected and fitted (docs/decisions/0031)."""

    cells: int = 1
    """Stacked LSTM cells."""
    separate: bool = False
    """Whether every server gets a model of its own."""

    rounds: int = 30
    """Rounds of collecting and fitting; the planner acts from the second one on."""
    updates: int = 900
    """Updates in each round."""
    random_worlds: int = 12
    """Worlds of each round with random codes as actions, forgotten after it."""
    scattered_worlds: int = 96
    """Worlds of each round in which every user acts by itself at random, forgotten after it."""
    planned_worlds: int = 12
    """Worlds of each later round that the planner decides, with noise, and that are kept."""
    kept_rounds: int = 30
    """Rounds of planned worlds that are kept; the oldest make room."""
    planned_part: float = 0.5
    """Part of a batch that is planned."""
    test_worlds: int = 4
    """Worlds that the planner decides without noise, and that are never trained on."""
    test_every: int = 10
    """Rounds from one test to the next."""
    periods: int = 24
    """Decision periods collected in each world."""
    remote_price_s: float = 30.0
    """Price on shares requested from other servers in half of the planned worlds, in seconds of a
    user's delay for a whole CPU; the other half is planned without."""
    batch: int = 3
    """Sequences of each server in a batch."""
    length: int = 6
    """Decisions in a sequence."""
    learning_rate: float = 2.5e-3
    """Step size of Adam at first; it falls to zero over the training, by a cosine."""
    clip_norm: float = 10.0
    """Largest norm of a gradient."""
    reward_weight: float = 250.0
    """Inverse variance of a user's reward, beside 1 of each observed number."""
    mean_weight: float = 1.0
    """Weight of the error of a server's mean reward beside that of each user's."""
    kl_weight: float = 0.0005
    """Weight of the divergence in the bound."""
    free_nats: float = 0.0
    """Divergence that costs nothing, in nats a step."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        counts = ("cells", "rounds", "updates", "random_worlds", "scattered_worlds", "batch")
        at_least(self, 1, *counts, "kept_rounds", "test_worlds", "test_every")
        at_least(self, 2, "planned_worlds")
        positive(self, "learning_rate", "clip_norm", "reward_weight")
        not_negative(self, "kl_weight", "free_nats", "mean_weight", "remote_price_s")
        within(self, 0, 1, "planned_part")
        if not 2 <= self.length <= self.periods:
            raise ValueError(
                f"length must be at least 2 and at most periods ({self.periods}), got {self.length}"
            )
        if self.periods <= SEEN + 1:
            raise ValueError(f"periods must be above {SEEN + 1}, got {self.periods}")


class LatentState(eqx.Module):
    """All that the next round depends on."""

    model: LatentModel
    optimiser: Any
    planned: Replay
    test_key: UInt32[Array, "words"]
    """The key of the worlds that the training is tested in."""


@dataclass(frozen=True)
class LatentLearner:
    """Trains one of the paper's models on worlds spread over the scenarios."""

    frame: Frame
    scenarios: tuple[Scenario, ...]
    options: LatentOptions
    scales: Scales

    @classmethod
    def make(
        cls,
        kind: Kind,
        scenarios: Sequence[Scenario],
        options: LatentOptions,
    ) -> "LatentLearner":
        """A learner for worlds of these scenarios' size. Raises ScenarioError."""
        shape = spread(scenarios, 1).params.shape
        sizes = (shape.num_users, shape.num_servers, options.cells)
        frame = Frame(kind, *sizes, options.separate, workload.largest_speedup(scenarios))
        return cls(frame, tuple(scenarios), options, vectors.scales(scenarios))

    def for_steps(self, steps: int) -> "LatentLearner":
        """Learner with `steps` updates in all: as many whole rounds as that gives, at least one."""
        if steps < 1:
            raise RunError(f"steps must be at least 1, got {steps}")
        updates = min(self.options.updates, steps)
        rounds = -(-steps // updates)
        return replace(self, options=replace(self.options, rounds=rounds, updates=updates))

    @property
    def rounds(self) -> int:
        """Rounds of a whole training."""
        return self.options.rounds

    @property
    def steps_per_round(self) -> int:
        """Updates in a round."""
        return self.options.updates

    def start(self, key: PRNGKeyArray) -> LatentState:
        """Random weights and no experience."""
        model_key, test_key = jax.random.split(key)
        model, plan = self.frame.make(model_key), self.options
        users, servers = self.frame.num_users, self.frame.num_servers
        like = blank(users, servers, (servers, plan.periods))
        worlds = plan.kept_rounds * plan.planned_worlds
        room = Replay.blank(worlds, jax.tree.map(lambda leaf: leaf[None], like))
        return LatentState(model, self._fitting.first(model), room, jax.random.key_data(test_key))

    def advance(
        self,
        state: LatentState,
        number: int,
        key: PRNGKeyArray,
        on_steps: Callable[[int], None],
    ) -> tuple[LatentState, Metrics]:
        """Collect with what is known so far, then fit."""
        explore_key, plan_key, fit_key = jax.random.split(key, 3)
        plan, fitting, planned = self.options, self._fitting, state.planned
        explored = Replay.of(self._explored(explore_key))
        metrics: dict[str, Array] = {}
        if number > 0:
            found = self._planned(state.model, number, plan_key)
            planned = planned.add(found)
            metrics["planned_reward"] = jnp.mean(found.mean_reward, where=found.known)
        experience = Experience(explored, planned, plan.planned_part)
        model, optimiser, terms = state.model, state.optimiser, None
        keys = jax.random.split(fit_key, plan.updates)
        for done in range(0, plan.updates, _BLOCK):
            some = keys[done : done + _BLOCK]
            model, optimiser, terms = fitting.updates(model, optimiser, experience, some)
            on_steps(min(done + _BLOCK, plan.updates))
        metrics |= terms._asdict() if terms is not None else {}
        state = LatentState(model, optimiser, planned, state.test_key)
        if (number + 1) % plan.test_every == 0 or number == self.rounds - 1:
            metrics |= self.tested(state)
        return state, {name: float(value) for name, value in metrics.items()}

    def tested(self, state: LatentState) -> dict[str, Array]:
        """Skill of the model's forecasts in worlds that it is never trained on, by whose actions.

        `random_*`: random codes; `plan_*`: its own plans, with more search than when collecting,
        no noise and no price.
        """
        key = jax.random.wrap_key_data(state.test_key)
        keys, test = jax.random.split(key, 3), self._scenarios(self.options.test_worlds)
        planner = self._planner(state.model, Search(TESTING))
        policies = {"random": RandomCode(), "plan": planner}
        metrics: dict[str, Array] = {}
        for (name, policy), one in zip(policies.items(), keys, strict=False):
            worlds = self._collect(policy, test, one)
            found = self._fitting.skill(state.model, worlds, self.frame.largest, keys[2])
            metrics |= {f"{name}_{measure}": value for measure, value in found.items()}
        return metrics

    def finish(self, state: LatentState, out: Path, about: Mapping[str, Any]) -> Path:
        """Write the weights for the policy that plans with them."""
        path = out / f"{self.frame.kind}.safetensors"
        weights.save(path, self.frame, state.model, self.scales, about)
        return path

    def _explored(self, key: PRNGKeyArray) -> Sequences:
        """Worlds with random actions of two kinds."""
        plan = self.options
        kinds = ((RandomCode(), plan.random_worlds), (Scattered(), plan.scattered_worlds))
        return self._several([(one, self._scenarios(worlds)) for one, worlds in kinds], key)

    def _planned(self, model: LatentModel, turn: int, key: PRNGKeyArray) -> Sequences:
        """Worlds that the planner decides with noise, half of them with a price on remote shares."""
        worlds = self._scenarios(self.options.planned_worlds, turn)
        half = len(worlds) // 2
        plain = Search(COLLECTING, exploration=Exploration())
        priced = replace(plain, remote_price_s=self.options.remote_price_s)
        halves = ((plain, worlds[:half]), (priced, worlds[half:]))
        return self._several([(self._planner(model, one), some) for one, some in halves], key)

    def _several(
        self, policies: Sequence[tuple[Policy, Sequence[Scenario]]], key: PRNGKeyArray
    ) -> Sequences:
        """Worlds of several policies, one policy's after another's."""
        keys = jax.random.split(key, len(policies))
        found = [
            self._collect(policy, scenarios, one).sequences
            for (policy, scenarios), one in zip(policies, keys, strict=True)
        ]
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *found)

    def _planner(self, model: LatentModel, search: Search) -> LatentPlanner:
        return LatentPlanner(search, self.frame, model, self.scales)

    def _scenarios(self, worlds: int, turn: int = 0) -> list[Scenario]:
        """One for each world, from one turn to the next: all in turn, and each few spread over all."""
        known = self.scenarios
        order = np.random.default_rng(_ORDER_SEED).permutation(len(known))
        return [known[order[(turn * worlds + world) % len(known)]] for world in range(worlds)]

    def _collect(
        self, policy: Policy, scenarios: Sequence[Scenario], key: PRNGKeyArray
    ) -> Collected:
        number = len(scenarios)
        worlds = spread(scenarios, number)
        memory_key, world_key = jax.random.split(key)
        keys, firsts = jax.random.split(world_key, number), jax.random.split(memory_key, number)
        memory = first_memory(policy, self.scales, scenarios[0], worlds, firsts)
        periods = self.options.periods
        ticks = ticks_for(scenarios, periods)
        given = (worlds, policy, self.scales, self.frame.largest)
        return collect(*given, memory, keys, periods, ticks)

    @property
    def _fitting(self) -> Fitting:
        plan, frame = self.options, self.frame
        which = vectors.reconstructed(frame.num_users, frame.num_servers)
        return Fitting(
            *(plan.batch, plan.length, plan.learning_rate),
            total_updates=plan.rounds * plan.updates,
            clip_norm=plan.clip_norm,
            reconstructed=tuple(which.tolist()),
            separate=frame.separate,
            objective=Objective(
                plan.kl_weight, plan.free_nats, plan.reward_weight, plan.mean_weight
            ),
        )
