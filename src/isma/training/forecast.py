"""Training of isma2's forecast model: maximum likelihood, on the features that hosts observe in many worlds.

A round runs worlds of every kind that is given, with `price` deciding, and learns from windows of what their
hosts observed: a window is encoded observation by observation, and from some of them the likelihood of what
followed is raised, segment by segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from pydantic import dataclasses as pydantic_dataclasses

from isma.errors import RunError
from isma.model.forecast import ForecastFrame, ForecastModel, Latent
from isma.training.descent import Descent
from isma.training.feature_history import observe_features, topology_of
from isma.training.forecast_windows import History, Window
from isma.training.learner import Learner, Metrics, OnSteps
from isma.training.options import LearnerOptions, Positive, Rate, Several
from isma.training.record import TestKey, kinds, period_s
from isma.world.scenario import Scenario
from isma.world.switches import Migrating

_WEIGHTS = {"way": 3.0}
"""Weights in the loss, relative to 1: `isma2` plans mostly with changes of hops to servers."""
_TESTS = 8
"""Windows in a test of each kind of world."""


@pydantic_dataclasses.dataclass(frozen=True)
class ForecastOptions(LearnerOptions):
    """Size of the model, and the amounts of experience and learning."""

    rounds: Positive = 10
    updates: Positive = 300
    """Updates in each round."""
    worlds: Positive = 8
    """Worlds of each kind in a round, forgotten after it."""
    test_worlds: Positive = 4
    """Worlds of each kind that are never learned from."""
    periods: Positive = 240
    """Decision periods for which features of a world are recorded."""
    looks: Several = 24
    """Observations in a window."""
    anchors: Positive = 3
    """Observations of a window from which the future is forecast."""
    rows: Positive = 256
    """Users in a window, about: those of as many worlds as it takes."""
    width: Positive = 32
    """Numbers in a state."""
    learning_rate: Rate = 3e-3
    clip_norm: Rate = 1.0

    def __post_init__(self) -> None:
        """Refuse records that are no longer than a window."""
        if self.periods <= self.looks:
            raise ValueError(f"periods must be above looks ({self.looks}), got {self.periods}")


class ForecastState(eqx.Module):
    """All that the next round depends on."""

    model: ForecastModel
    optimiser: Any
    test_key: TestKey

    @property
    def network(self) -> ForecastModel:
        """The model: the content of a checkpoint."""
        return self.model


@dataclass(frozen=True)
class ForecastLearner(Learner):
    """Trains the model in worlds of several kinds."""

    frame: ForecastFrame
    options: ForecastOptions
    kinds: tuple[tuple[Scenario, ...], ...]
    """Scenarios whose worlds have one shape."""

    @classmethod
    def make(cls, scenarios: Sequence[Scenario], options: ForecastOptions) -> "ForecastLearner":
        """A learner for these scenarios. Raises ScenarioError, and RunError where moves are free."""
        for one in scenarios:
            if one.migration.kind is Migrating.FREE:
                raise RunError(
                    f"isma2 learns where moves cost something: scenario {one.name}: "
                    "migration.kind must not be free"
                )
        alike = [group for kind in kinds(scenarios) for group in _by_topology(kind)]
        frame = ForecastFrame(options.width)
        return cls(frame, tuple(scenarios), options, None, tuple(map(tuple, alike)))

    def start(self, key: PRNGKeyArray) -> ForecastState:
        """Random weights."""
        model_key, test_key = jax.random.split(key)
        model = self.frame.make(model_key)
        first = self.descent(cosine=True).first(model)
        return ForecastState(model, first, jax.random.key_data(test_key))

    def advance(
        self, state: ForecastState, number: int, key: PRNGKeyArray, on_steps: OnSteps
    ) -> tuple[ForecastState, Metrics]:
        """Record new worlds and learn from them; the loss in worlds that are never learned from."""
        histories = self.histories(self.options.worlds, key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        model, optimiser = state.model, state.optimiser
        update, losses = partial(_update, self.descent(cosine=True)), []
        for done in range(self.options.updates):
            window = self._window(histories[rng.integers(len(histories))], rng)
            model, optimiser, loss = update(model, optimiser, window)
            losses.append(loss)
            if done % 20 == 19:
                on_steps(done + 1)
        tested = self.tested(model, state.test_key)
        metrics = {"loss": float(np.mean(jax.device_get(losses))), **tested}
        return ForecastState(model, optimiser, state.test_key), metrics

    def histories(self, worlds: int, key: PRNGKeyArray) -> list[History]:
        """Records of a number of worlds of each kind: of each some scenarios, in random order."""
        return [
            self._history(kind, worlds, one)
            for kind, one in zip(self.kinds, jax.random.split(key, len(self.kinds)), strict=True)
        ]

    def _history(self, kind: Sequence[Scenario], worlds: int, key: PRNGKeyArray) -> History:
        order_key, world_key = jax.random.split(key)
        order = np.asarray(jax.random.permutation(order_key, len(kind)))
        chosen = [kind[number] for number in order]
        observed = observe_features(chosen, worlds, self.options.periods, world_key)
        return History.of(observed, period_s(kind[0]), topology_of(kind[0]))

    def tested(self, model: ForecastModel, test_key: TestKey) -> dict[str, float]:
        """Mean losses in the test's worlds, part by part."""
        rng = np.random.default_rng(0)
        tests = [
            jax.device_get(nats(model, self._window(history, rng)))
            for history in self.histories(
                self.options.test_worlds, jax.random.wrap_key_data(test_key)
            )
            for _ in range(_TESTS)
        ]
        means = {
            f"test_{name}_nats": float(np.mean([test[name] for test in tests])) for name in tests[0]
        }
        return {"test_loss": sum(means.values()), **means}

    def _window(self, history: History, rng: np.random.Generator) -> Window:
        options = self.options
        return history.window(options.looks, options.anchors, options.rows, rng)


def _by_topology(scenarios: Sequence[Scenario]) -> list[list[Scenario]]:
    """Scenarios in groups with the same hops between all places."""
    groups: dict[bytes, list[Scenario]] = {}
    for one in scenarios:
        groups.setdefault(np.asarray(topology_of(one).hops).tobytes(), []).append(one)
    return list(groups.values())


@eqx.filter_jit
def nats(model: ForecastModel, window: Window) -> dict[str, Float[Array, ""]]:
    """Negative log-likelihoods of the targets, each a mean over the known ones."""
    targets = window.targets
    states = jax.tree.map(lambda leaf: leaf[window.anchor], encoded(model, window))
    host = window.host[window.anchor]
    prices = jax.vmap(lambda state, actual: model.forecast_prices(state, actual=actual))(
        states.server, targets.price.value
    )
    home = jax.vmap(lambda rows, at: rows[at])(states.server, host)
    price = jax.vmap(lambda rows, at: rows[:, at])(targets.price.value, host)
    users = jax.vmap(
        lambda user, server, price, actual: model.forecast_users(user, server, price, actual=actual)
    )(states.user, home, price, targets.channel.value)
    changes = jax.vmap(model.hop_changes)(users, targets.place)
    hit = jnp.take_along_axis(changes, targets.hop_change[..., None], axis=-1)[..., 0]
    event = lambda odds, target: _mean(  # noqa: E731
        jax.nn.softplus(odds) - odds * target.value, target.known
    )
    amount = lambda normal, target: _mean(-normal.log_density(target.value), target.known)  # noqa: E731
    return {
        "leaves": event(users.leaves, targets.leaves),
        "moves": event(users.moves, targets.moves),
        "channel": amount(users.channel, targets.channel),
        "price": amount(prices.change, targets.price),
        "way": _mean(-jnp.mean(hit, axis=-1), targets.hop_change_known),
    }


def encoded(model: ForecastModel, window: Window) -> Latent:
    """Recurrent states after each observation of a window, from blank ones on (observations first)."""
    servers = window.server.shape[1]

    def encode(before: Latent, seen: tuple[Array, Array, Array, Array]) -> tuple[Latent, Latent]:
        user, server, host, present = seen
        state = model.update_users(before, user, host)
        state = jnp.where(present[:, None], state, before.user)
        members = jnp.where(present, host, servers)
        number = jax.ops.segment_sum(present.astype(state.dtype), members, servers)
        pooled = jax.ops.segment_sum(state, members, servers) / jnp.maximum(number, 1)[:, None]
        latent = Latent(state, model.update_servers(before, server, pooled))
        return latent, latent

    start = model.start(window.user.shape[1], servers)
    return jax.lax.scan(encode, start, (window.user, window.server, window.host, window.present))[1]


def _mean(value: Float[Array, "..."], known: Bool[Array, "..."]) -> Float[Array, ""]:
    return jnp.sum(jnp.where(known, value, 0)) / jnp.maximum(jnp.sum(known), 1)


@eqx.filter_jit
def _update(
    descent: Descent, model: ForecastModel, optimiser: Any, window: Window
) -> tuple[ForecastModel, Any, Float[Array, ""]]:
    @eqx.filter_value_and_grad
    def weighted(model: ForecastModel) -> Float[Array, ""]:
        parts = nats(model, window)
        return jnp.sum(jnp.stack([_WEIGHTS.get(one, 1.0) * parts[one] for one in parts]))

    loss, gradient = weighted(model)
    model, optimiser = descent.update(model, optimiser, gradient)
    return model, optimiser, loss
