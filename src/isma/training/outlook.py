"""Training of the outlook that isma2 plans with: by likelihood, on what hosts see in many worlds.

A round lives in worlds of every kind that is given, with `price` deciding, and learns from windows of
what their hosts saw: a window is taken in look by look, and from some of its looks what then came
about is to be likely, segment by segment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from isma.errors import RunError
from isma.model import checkpoint
from isma.model.outlook import Latent, Outlook, OutlookFrame
from isma.training.collect import kinds
from isma.training.lived import TestKey
from isma.training.options import at_least, positive, rounds_for
from isma.training.past import Past, Window
from isma.training.session import Metrics
from isma.training.watched import ground_of, period_s, watch
from isma.world.scenario import Scenario
from isma.world.switches import Migrating

_WEIGHTS = {"way": 3.0}
"""What counts more than the rest in what is learned: ways to servers are what is planned with."""
_TESTS = 8
"""Windows of each kind of world that a test looks at."""


@dataclass(frozen=True)
class OutlookOptions:
    """How large the model is, and what it learns from."""

    rounds: int = 10
    updates: int = 300
    """Updates in each round."""
    worlds: int = 8
    """Worlds of each kind in a round, forgotten after it."""
    test_worlds: int = 4
    """Worlds of each kind that are never learned from."""
    periods: int = 240
    """Decision periods for which a world is watched."""
    looks: int = 24
    """Looks in a window."""
    anchors: int = 3
    """Looks of a window from which the future is foretold."""
    rows: int = 256
    """Users in a window, about: those of so many worlds as it takes."""
    width: int = 32
    """Numbers in a state."""
    learning_rate: float = 3e-3
    """Step size of Adam at first; it falls to zero over the training."""
    clip_norm: float = 1.0
    """Largest norm of a gradient."""

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        counts = ("rounds", "updates", "worlds", "test_worlds", "anchors", "rows", "width")
        at_least(self, 1, *counts)
        at_least(self, 2, "looks")
        at_least(self, self.looks + 1, "periods")
        positive(self, "learning_rate", "clip_norm")


class OutlookState(eqx.Module):
    """All that the next round depends on."""

    model: Outlook
    optimiser: Any
    test_key: TestKey


@dataclass(frozen=True)
class OutlookLearner:
    """Trains the model in worlds of several kinds."""

    frame: OutlookFrame
    kinds: tuple[tuple[Scenario, ...], ...]
    """Scenarios whose worlds have one shape."""
    options: OutlookOptions

    @classmethod
    def make(cls, scenarios: Sequence[Scenario], options: OutlookOptions) -> "OutlookLearner":
        """A learner for these scenarios. Raises ScenarioError, and RunError where moves are free."""
        for one in scenarios:
            if one.migration.kind is Migrating.FREE:
                raise RunError(
                    f"isma2 learns where moves cost something: scenario {one.name}: "
                    "migration.kind must not be free"
                )
        alike = [group for kind in kinds(scenarios) for group in _by_ground(kind)]
        return cls(OutlookFrame(options.width), tuple(map(tuple, alike)), options)

    def for_steps(self, steps: int) -> "OutlookLearner":
        """Learner with so many updates in all, in whole rounds. Raises RunError."""
        rounds = rounds_for(steps, self.steps_per_round)
        return replace(self, options=replace(self.options, rounds=rounds))

    @property
    def rounds(self) -> int:
        """Rounds of a whole training."""
        return self.options.rounds

    @property
    def steps_per_round(self) -> int:
        """Updates in a round."""
        return self.options.updates

    def start(self, key: PRNGKeyArray) -> OutlookState:
        """Random weights."""
        model_key, test_key = jax.random.split(key)
        model = self.frame.make(model_key)
        first = self._optimiser.init(eqx.filter(model, eqx.is_array))
        return OutlookState(model, first, jax.random.key_data(test_key))

    def advance(
        self, state: OutlookState, number: int, key: PRNGKeyArray, on_steps: Callable[[int], None]
    ) -> tuple[OutlookState, Metrics]:
        """Watch new worlds and learn from them; the loss in worlds that are never learned from."""
        watched = self.lived(self.options.worlds, key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        model, optimiser = state.model, state.optimiser
        update, losses = partial(_update, self._optimiser), []
        for done in range(self.options.updates):
            window = self._drawn(watched[rng.integers(len(watched))], rng)
            model, optimiser, loss = update(model, optimiser, window)
            losses.append(loss)
            if done % 20 == 19:
                on_steps(done + 1)
        tested = self.tested(model, state.test_key)
        metrics = {"loss": float(np.mean(jax.device_get(losses))), **tested}
        return OutlookState(model, optimiser, state.test_key), metrics

    def finish(self, state: OutlookState, out: Path, about: Mapping[str, Any]) -> Path:
        """Write the weights for the policy that plans with them."""
        path = out / f"{self.frame.kind}.safetensors"
        told = {"frame": asdict(self.frame), **about}
        checkpoint.save(path, state.model, told, np.dtype(np.float16))
        return path

    def lived(self, worlds: int, key: PRNGKeyArray) -> list[Past]:
        """So many worlds of each kind, watched: of each some scenarios, in an order by chance."""
        return [
            self._past(kind, worlds, one)
            for kind, one in zip(self.kinds, jax.random.split(key, len(self.kinds)), strict=True)
        ]

    def _past(self, kind: Sequence[Scenario], worlds: int, key: PRNGKeyArray) -> Past:
        order_key, watch_key = jax.random.split(key)
        order = np.asarray(jax.random.permutation(order_key, len(kind)))
        chosen = [kind[number] for number in order]
        lived = watch(chosen, worlds, self.options.periods, watch_key)
        return Past.of(lived, period_s(kind[0]), ground_of(kind[0]))

    def tested(self, model: Outlook, test_key: TestKey) -> dict[str, float]:
        """Mean losses in the test's worlds, part by part."""
        rng = np.random.default_rng(0)
        tests = [
            jax.device_get(nats(model, self._drawn(past, rng)))
            for past in self.lived(self.options.test_worlds, jax.random.wrap_key_data(test_key))
            for _ in range(_TESTS)
        ]
        means = {
            f"test_{name}_nats": float(np.mean([test[name] for test in tests])) for name in tests[0]
        }
        return {"test_loss": sum(means.values()), **means}

    def _drawn(self, past: Past, rng: np.random.Generator) -> Window:
        options = self.options
        return past.window(options.looks, options.anchors, options.rows, rng)

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        options = self.options
        steps = options.rounds * options.updates
        falling = optax.cosine_decay_schedule(options.learning_rate, steps)
        return optax.chain(optax.clip_by_global_norm(options.clip_norm), optax.adam(falling))


def _by_ground(scenarios: Sequence[Scenario]) -> list[list[Scenario]]:
    """Scenarios in groups in which every place is as many hops from every other."""
    groups: dict[bytes, list[Scenario]] = {}
    for one in scenarios:
        groups.setdefault(np.asarray(ground_of(one).hops).tobytes(), []).append(one)
    return list(groups.values())


@eqx.filter_jit
def nats(model: Outlook, window: Window) -> dict[str, Float[Array, ""]]:
    """Negative log-likelihoods of what came about, each a mean over all of which something is known."""
    outcomes = window.outcomes
    latents = taken_in(model, window)
    then = jax.tree.map(lambda states: states[window.anchor], latents)
    host = window.host[window.anchor]
    prices = jax.vmap(lambda state, came: model.prices(state, came=came))(
        then.server, outcomes.price.value
    )
    home = jax.vmap(lambda rows, at: rows[at])(then.server, host)
    price = jax.vmap(lambda rows, at: rows[:, at])(outcomes.price.value, host)
    ways = jax.vmap(lambda user, server, price, came: model.ways(user, server, price, came=came))(
        then.user, home, price, outcomes.channel.value
    )
    farther = jax.vmap(model.to_places)(ways, outcomes.place)
    hit = jnp.take_along_axis(farther, outcomes.farther[..., None], axis=-1)[..., 0]
    event = lambda odds, came: _mean(jax.nn.softplus(odds) - odds * came.value, came.known)  # noqa: E731
    amount = lambda normal, came: _mean(-normal.log_density(came.value), came.known)  # noqa: E731
    return {
        "leaves": event(ways.leaves, outcomes.leaves),
        "moves": event(ways.moves, outcomes.moves),
        "channel": amount(ways.channel, outcomes.channel),
        "price": amount(prices.change, outcomes.price),
        "way": _mean(-jnp.mean(hit, axis=-1), outcomes.farther_known),
    }


def taken_in(model: Outlook, window: Window) -> Latent:
    """Recurrent states after each look of a window, which begins with none (looks first)."""
    servers = window.server.shape[1]

    def take_in(before: Latent, seen: tuple[Array, Array, Array, Array]) -> tuple[Latent, Latent]:
        user, server, host, there = seen
        state = model.user_seen(before, user, host)
        state = jnp.where(there[:, None], state, before.user)
        members = jnp.where(there, host, servers)
        number = jax.ops.segment_sum(there.astype(state.dtype), members, servers)
        pooled = jax.ops.segment_sum(state, members, servers) / jnp.maximum(number, 1)[:, None]
        latent = Latent(state, model.server_seen(before, server, pooled))
        return latent, latent

    start = model.nothing(window.user.shape[1], servers)
    return jax.lax.scan(take_in, start, (window.user, window.server, window.host, window.there))[1]


def _mean(value: Float[Array, "..."], known: Bool[Array, "..."]) -> Float[Array, ""]:
    return jnp.sum(jnp.where(known, value, 0)) / jnp.maximum(jnp.sum(known), 1)


@eqx.filter_jit
def _update(
    optimiser: optax.GradientTransformation, model: Outlook, standing: Any, window: Window
) -> tuple[Outlook, Any, Float[Array, ""]]:
    loss, slope = eqx.filter_value_and_grad(
        lambda model: jnp.sum(
            jnp.stack(
                [_WEIGHTS.get(part, 1.0) * value for part, value in nats(model, window).items()]
            )
        )
    )(model)
    change, standing = optimiser.update(slope, standing, eqx.filter(model, eqx.is_array))
    return eqx.apply_updates(model, change), standing, loss
