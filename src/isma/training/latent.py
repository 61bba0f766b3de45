"""Training of a latent space model: collect with the planner, fit sequences, in turn (PlaNet's loop)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from isma.contract import Policy
from isma.errors import RunError
from isma.model import vectors, weights
from isma.model.bound import Objective, Sequences
from isma.model.frame import Frame
from isma.model.latent import Kind, LatentModel
from isma.model.vectors import Scales
from isma.planning.cross_entropy import Budget
from isma.policies.latent import LatentPlanner
from isma.training.collect import RandomCode, collect, first_memory, spread, ticks_for
from isma.training.fit import SEEN, Experience, Fitting
from isma.training.options import at_least, not_negative, positive
from isma.training.replay import Replay
from isma.training.session import Metrics
from isma.world.scenario import Scenario

_ORDER_SEED = 0
_BLOCK = 20
"""Updates that run as one program, between two words on progress."""

COLLECTING = Budget(candidates=32, iterations=3, horizon=10, elites=6)
"""The planner's budget while collecting."""


@dataclass(frozen=True)
class LatentOptions:
    """The model's form, and how much is collected and fitted."""

    cells: int = 5
    """Stacked LSTM cells."""
    separate: bool = False
    """Whether every server gets a model of its own."""

    rounds: int = 12
    """Rounds of collecting and fitting; the planner acts from the second one on."""
    updates: int = 200
    """Updates in each round."""
    random_worlds: int = 256
    """Worlds with random actions in each round, forgotten after it."""
    planned_worlds: int = 2
    """Worlds of each later round, decided by the planner with noise, and kept."""
    held_out_worlds: int = 8
    """Worlds with random actions that are never trained on."""
    periods: int = 30
    """Decision periods collected in each world."""
    noise_std: float = 0.3
    """Noise on the planned code while collecting."""
    batch: int = 8
    """Sequences of each server in a batch."""
    length: int = 15
    """Decisions in a sequence."""
    learning_rate: float = 1e-3
    """Step size of Adam at first; it falls to zero over the training."""
    clip_norm: float = 100.0
    """Largest norm of a gradient."""
    reward_std: float = 3.0
    """Standard deviation that the first rewards are scaled to: with that of a reward as it is, far
    below one, unit variance would hide it behind 166 observed numbers."""
    kl_weight: float = 0.03
    """Weight of the divergence in the bound: with 1, and unit variance on data in [0, 1], nothing that
    is seen is worth a nat, and the state holds nothing (docs/readings.md)."""
    free_nats: float = 0.0
    """Divergence that costs nothing, in nats a step."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        counts = ("cells", "rounds", "updates", "random_worlds", "planned_worlds")
        at_least(self, 1, *counts, "held_out_worlds", "batch")
        positive(self, "learning_rate", "clip_norm", "reward_std")
        not_negative(self, "noise_std", "kl_weight", "free_nats")
        if not 2 <= self.length <= self.periods:
            raise ValueError(
                f"length must be at least 2 and at most periods ({self.periods}), got {self.length}"
            )
        if self.periods <= SEEN:
            raise ValueError(f"periods must be above {SEEN}, got {self.periods}")


class LatentState(eqx.Module):
    """All that the next round depends on."""

    model: LatentModel
    optimiser: Any
    planned: Replay
    held_out: Sequences
    """Worlds that are never trained on."""
    reward_mean: Float[Array, ""]
    """Of the first random worlds; rewards are kept less this, over `reward_unit`."""
    reward_unit: Float[Array, ""]


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
        frame = Frame(kind, *sizes, options.separate)
        return cls(frame, tuple(scenarios), options, vectors.scales(scenarios))

    def for_steps(self, steps: int) -> "LatentLearner":
        """The same with `steps` updates in all: as many whole rounds as that gives, at least one."""
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
        """Random weights and no experience, but for what is held out."""
        model_key, held_out_key = jax.random.split(key)
        model, plan = self.frame.make(model_key), self.options
        raw = self._collect(RandomCode(), self._scenarios(plan.held_out_worlds), held_out_key)
        mean = jnp.mean(raw.reward, where=raw.counted)
        unit = jnp.std(raw.reward, where=raw.counted) / plan.reward_std
        planned = Replay.blank(max(1, plan.rounds - 1) * plan.planned_worlds, raw)
        optimiser = self._fitting.first(model)
        return LatentState(model, optimiser, planned, _scaled(raw, mean, unit), mean, unit)

    def advance(
        self,
        state: LatentState,
        number: int,
        key: PRNGKeyArray,
        on_steps: Callable[[int], None],
    ) -> tuple[LatentState, Metrics]:
        """Collect with what is known so far, then fit."""
        explore_key, plan_key, fit_key, test_key = jax.random.split(key, 4)
        plan, fitting = self.options, self._fitting
        scale = lambda raw: _scaled(raw, state.reward_mean, state.reward_unit)  # noqa: E731
        found = self._collect(RandomCode(), self._scenarios(plan.random_worlds), explore_key)
        explored, planned = Replay.of(scale(found)), state.planned
        if number > 0:
            these = self._scenarios(plan.planned_worlds, number)
            found = self._collect(self._explorer(state.model), these, plan_key)
            planned = planned.add(scale(found))
        experience = Experience(explored, planned)
        model, optimiser, terms = state.model, state.optimiser, None
        keys = jax.random.split(fit_key, plan.updates)
        for done in range(0, plan.updates, _BLOCK):
            some = keys[done : done + _BLOCK]
            model, optimiser, terms = fitting.updates(model, optimiser, experience, some)
            on_steps(min(done + _BLOCK, plan.updates))
        metrics = {
            "collected_reward": jnp.mean(found.reward, where=found.counted),
            **(terms._asdict() if terms is not None else {}),
        }
        state = eqx.tree_at(
            lambda s: (s.model, s.optimiser, s.planned), state, (model, optimiser, planned)
        )
        known = {name: float(value) for name, value in metrics.items()}
        return state, {**known, **self.held_out(state, test_key)}

    def held_out(self, state: LatentState, key: PRNGKeyArray) -> Metrics:
        """How well the model does on worlds that it is never trained on."""
        found = self._fitting.held_out(state.model, state.held_out, key)
        return {name: float(value) for name, value in found.items()}

    def finish(self, state: LatentState, out: Path, about: Mapping[str, Any]) -> Path:
        """Write the weights for the policy that plans with them."""
        path = out / f"{self.frame.kind}.safetensors"
        weights.save(path, self.frame, state.model, self.scales, about)
        return path

    def _explorer(self, model: LatentModel) -> Policy:
        noise = jnp.asarray(self.options.noise_std)
        frame = self.frame
        return LatentPlanner(
            *(model, self.scales, COLLECTING, noise),
            *(frame.num_users, frame.num_servers, frame.separate),
        )

    def _scenarios(self, worlds: int, turn: int = 0) -> list[Scenario]:
        """One for each world, from one turn to the next: all in turn, and each few spread over all."""
        known = self.scenarios
        order = np.random.default_rng(_ORDER_SEED).permutation(len(known))
        return [known[order[(turn * worlds + world) % len(known)]] for world in range(worlds)]

    def _collect(
        self, policy: Policy, scenarios: Sequence[Scenario], key: PRNGKeyArray
    ) -> Sequences:
        number = len(scenarios)
        worlds = spread(scenarios, number)
        memory_key, world_key = jax.random.split(key)
        keys, firsts = jax.random.split(world_key, number), jax.random.split(memory_key, number)
        memory = first_memory(policy, self.scales, scenarios[0], worlds, firsts)
        periods = self.options.periods
        ticks = ticks_for(scenarios, periods)
        return collect(worlds, policy, self.scales, memory, keys, periods, ticks)

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
            objective=Objective(plan.free_nats, plan.kl_weight),
        )


def _scaled(raw: Sequences, mean: Float[Array, ""], unit: Float[Array, ""]) -> Sequences:
    return eqx.tree_at(lambda s: s.reward, raw, (raw.reward - mean) / unit)
