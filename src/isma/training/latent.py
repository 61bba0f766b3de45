"""Training of a latent space model: collect with the planner, fit sequences, in turn (PlaNet's loop)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from pydantic import Field
from pydantic import dataclasses as pydantic_dataclasses

from isma.contract import Policy
from isma.model import vectors
from isma.model.elbo import Objective, Sequences
from isma.model.frame import Frame
from isma.model.latent import Kind, LatentModel
from isma.model.vectors import Scales
from isma.planning.cross_entropy import Budget
from isma.policies.learned.cross_entropy_planner import Exploration, Search
from isma.policies.learned.latent_planner import LatentPlanner
from isma.training import workload
from isma.training.exploration import RandomCode, Scattered
from isma.training.fit import SEEN, Experience, Fitting
from isma.training.learner import Learner, Metrics, OnSteps, in_blocks
from isma.training.options import LearnerOptions, Part, Positive, Rate, Several, Weight
from isma.training.record import TestKey, spread
from isma.training.replay import Replay
from isma.training.server_experience import ServerExperience, blank, collect_servers
from isma.world.scenario import Scenario

_ORDER_SEED = 0
_BLOCK = 60
"""Updates that run as one program."""

COLLECTING = Budget(candidates=64, iterations=5, horizon=0, elites=8)
"""The planner's budget while collecting."""
TESTING = Budget(candidates=200, iterations=10, horizon=0, elites=20)
"""The planner's budget in the worlds that a training is tested in."""


@pydantic_dataclasses.dataclass(frozen=True)
class LatentOptions(LearnerOptions):
    """The model's form, and the amounts of experience and fitting (docs/decisions/0031)."""

    cells: Positive = 1
    """Stacked LSTM cells."""
    separate: bool = False
    """Whether every server gets a model of its own."""

    rounds: Positive = 30
    """Rounds of collecting and fitting; the planner acts from the second one on."""
    updates: Positive = 900
    """Updates in each round."""
    random_worlds: Positive = 12
    """Worlds of each round with random codes as actions, forgotten after it."""
    scattered_worlds: Positive = 96
    """Worlds of each round in which every user acts by itself at random, forgotten after it."""
    planned_worlds: Several = 12
    """Worlds of each later round that the planner decides, with noise, and that are kept."""
    kept_rounds: Positive = 30
    """Rounds of planned worlds that are kept; the oldest make room."""
    planned_part: Part = 0.5
    """Part of a batch that is planned."""
    test_worlds: Positive = 4
    """Worlds that the planner decides without noise, and that are never trained on."""
    test_every: Positive = 10
    """Rounds from one test to the next."""
    periods: Annotated[int, Field(gt=SEEN + 1)] = 24
    """Decision periods collected in each world."""
    remote_price_s: Weight = 30.0
    """Price on shares requested from other servers in half of the planned worlds, in seconds of a
    user's delay for a whole CPU; the other half is planned without."""
    batch: Positive = 3
    """Sequences of each server in a batch."""
    length: Several = 6
    """Decisions in a sequence."""
    learning_rate: Rate = 2.5e-3
    reward_weight: Rate = 250.0
    """Inverse variance of a user's reward, relative to 1 for each observed number."""
    mean_weight: Weight = 1.0
    """Weight of the error of a server's mean reward, relative to that of each user's."""
    kl_weight: Weight = 0.0005
    """Weight of the divergence in the bound."""
    free_nats: Weight = 0.0
    """Divergence that costs nothing, in nats a step."""

    def __post_init__(self) -> None:
        """Refuse sequences that are longer than the collected ones."""
        if self.length > self.periods:
            raise ValueError(f"length must be at most periods ({self.periods}), got {self.length}")


class LatentState(eqx.Module):
    """All that the next round depends on."""

    model: LatentModel
    optimiser: Any
    planned: Replay
    test_key: TestKey

    @property
    def network(self) -> LatentModel:
        """The model: the content of a checkpoint."""
        return self.model


@dataclass(frozen=True)
class LatentLearner(Learner):
    """Trains one of the paper's models on worlds spread over the scenarios."""

    frame: Frame
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
        shape = spread(scenarios, 1).shape
        sizes = (shape.num_users, shape.num_servers, options.cells)
        frame = Frame(kind, *sizes, options.separate, workload.largest_speedup(scenarios))
        return cls(frame, tuple(scenarios), options, vectors.scales(scenarios))

    def for_steps(self, steps: int) -> Learner:
        """Learner with `steps` updates in all, in whole rounds; fewer than a round make a shorter one."""
        updates = min(self.options.updates, max(steps, 1))
        options = replace(self.options, updates=updates)
        return Learner.for_steps(replace(self, options=options), steps)

    def tests_in(self, number: int) -> bool:
        """Whether round `number` ends with a test, which takes plans that the first one cannot make."""
        return (number + 1) % self.options.test_every == 0 or number == self.rounds - 1

    def start(self, key: PRNGKeyArray) -> LatentState:
        """Random weights and no experience."""
        model_key, test_key = jax.random.split(key)
        model, plan = self.frame.make(model_key), self.options
        users, servers = self.frame.num_users, self.frame.num_servers
        like = blank(users, servers, (servers, plan.periods))
        room = Replay.blank(plan.kept_rounds * plan.planned_worlds, like)
        return LatentState(model, self._fitting.first(model), room, jax.random.key_data(test_key))

    def advance(
        self, state: LatentState, number: int, key: PRNGKeyArray, on_steps: OnSteps
    ) -> tuple[LatentState, Metrics]:
        """Collect with the present model, then fit it."""
        explore_key, plan_key, fit_key = jax.random.split(key, 3)
        plan, fitting, planned = self.options, self._fitting, state.planned
        explored = Replay.of(self._explored(explore_key))
        metrics: dict[str, Array] = {}
        if number > 0:
            plans = self._planned(state.model, number, plan_key)
            planned = planned.add(plans)
            metrics["planned_reward"] = jnp.mean(plans.mean_reward, where=plans.known)
        experience = Experience(explored, planned, plan.planned_part)
        model, optimiser, terms = state.model, state.optimiser, None
        for keys in in_blocks(jax.random.split(fit_key, plan.updates), _BLOCK, on_steps):
            model, optimiser, terms = fitting.updates(model, optimiser, experience, keys)
        metrics |= terms._asdict() if terms is not None else {}
        state = LatentState(model, optimiser, planned, state.test_key)
        if self.tests_in(number):
            metrics |= self.tested(state)
        return state, metrics

    def tested(self, state: LatentState) -> dict[str, Array]:
        """Skill of the model's forecasts in held-out worlds, by the policy that acts.

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
            skill = self._fitting.skill(state.model, worlds, self.frame.largest, keys[2])
            metrics |= {f"{name}_{measure}": value for measure, value in skill.items()}
        return metrics

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
        """Sequences of several policies' worlds, one policy's after another's."""
        keys = jax.random.split(key, len(policies))
        sequences = [
            self._collect(policy, scenarios, one).sequences
            for (policy, scenarios), one in zip(policies, keys, strict=True)
        ]
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *sequences)

    def _planner(self, model: LatentModel, search: Search) -> LatentPlanner:
        return LatentPlanner(search, self.frame, model, self.scales)

    def _scenarios(self, worlds: int, turn: int = 0) -> list[Scenario]:
        """One scenario for each world, in a fixed shuffled order that continues from turn to turn."""
        known = self.scenarios
        order = np.random.default_rng(_ORDER_SEED).permutation(len(known))
        return [known[order[(turn * worlds + world) % len(known)]] for world in range(worlds)]

    def _collect(
        self, policy: Policy, scenarios: Sequence[Scenario], key: PRNGKeyArray
    ) -> ServerExperience:
        largest, periods = self.frame.largest, self.options.periods
        planned = isinstance(policy, LatentPlanner)
        return collect_servers(
            scenarios, policy, self.scales, largest, periods, key, in_turn=planned
        )

    @property
    def _fitting(self) -> Fitting:
        plan, frame = self.options, self.frame
        which = vectors.reconstructed(frame.num_users, frame.num_servers)
        return Fitting(
            *(self.descent(cosine=True), plan.batch, plan.length),
            reconstructed=tuple(which.tolist()),
            separate=frame.separate,
            objective=Objective(
                plan.kl_weight, plan.free_nats, plan.reward_weight, plan.mean_weight
            ),
        )
