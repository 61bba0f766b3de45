"""Proximal policy optimisation (arXiv 1707.06347) of a recurrent actor-critic on users' sequences."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from isma.model.actor_critic import ActorCritic, Judged
from isma.planning.action_grid import Choice
from isma.policies.learned.sequential import Turns
from isma.training.lived import mean_of


class Sequences(eqx.Module):
    """Training data: rows of users, the first decisions of each."""

    turns: Turns
    reward: Float[Array, "rows steps"]
    known: Bool[Array, "rows steps"]


class Terms(NamedTuple):
    """Parts of the loss, means over decisions."""

    loss: Float[Array, ""]
    policy: Float[Array, ""]
    value: Float[Array, ""]
    """Half the squared error of the critic."""
    entropy: Float[Array, ""]
    """Of server, ratio and share together, in nats."""
    divergence: Float[Array, ""]
    """KL of the policy from the one that acted, in nats (Schulman's third estimator)."""


class _Fixed(eqx.Module):
    """Constants of an update: the acting policy's odds, and what they turned out to be worth."""

    log_odds: Float[Array, "rows steps"]
    advantage: Float[Array, "rows steps"]
    worth: Float[Array, "rows steps"]


class Ppo(eqx.Module):
    """How a policy is improved; everything in it is static."""

    epochs: int = eqx.field(static=True)
    minibatches: int = eqx.field(static=True)
    learning_rate: float = eqx.field(static=True)
    total_updates: int = eqx.field(static=True)
    """Updates in a whole training: over them the learning rate falls to zero."""
    clip_ratio: float = eqx.field(static=True)
    clip_norm: float = eqx.field(static=True)
    value_weight: float = eqx.field(static=True)
    discount: float = eqx.field(static=True)
    trace: float = eqx.field(static=True)
    """λ of generalised advantages (arXiv 1506.02438)."""

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """Adam with clipped gradients."""
        falling = optax.linear_schedule(self.learning_rate, 0.0, self.total_updates)
        return optax.chain(optax.clip_by_global_norm(self.clip_norm), optax.adam(falling))

    def first(self, network: ActorCritic) -> Any:
        """The optimiser's state before the first update."""
        return self.optimiser.init(eqx.filter(network, eqx.is_array))

    @eqx.filter_jit
    def improve(
        self,
        network: ActorCritic,
        optimiser: Any,
        lived: Sequences,
        entropy_weight: Float[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[ActorCritic, Any, Terms]:
        """All updates on one batch of sequences; the terms are those of the last epoch."""
        arrays, rest = eqx.partition(network, eqx.is_array)
        fixed = self._fixed(network, lived)
        rows = lived.reward.shape[0]

        def loss(arrays: ActorCritic, lived: Sequences, fixed: _Fixed) -> tuple[Array, Terms]:
            terms = self._terms(eqx.combine(arrays, rest), lived, fixed, entropy_weight)
            return terms.loss, terms

        def one(carry: tuple[ActorCritic, Any], index: Array):
            arrays, optimiser = carry
            part = jax.tree.map(lambda leaf: leaf[index], (lived, fixed))
            gradient, terms = jax.grad(loss, has_aux=True)(arrays, *part)
            step, optimiser = self.optimiser.update(gradient, optimiser)
            return (eqx.apply_updates(arrays, step), optimiser), terms

        order = jax.vmap(lambda key: jax.random.permutation(key, rows))(
            jax.random.split(key, self.epochs)
        )
        index = order.reshape(self.epochs * self.minibatches, -1)
        (arrays, optimiser), terms = jax.lax.scan(one, (arrays, optimiser), index)
        last = jax.tree.map(lambda leaf: jnp.mean(leaf[-self.minibatches :]), terms)
        return eqx.combine(arrays, rest), optimiser, last

    def _fixed(self, network: ActorCritic, lived: Sequences) -> _Fixed:
        odds = along(network, lived.turns)
        log_odds, _ = log_odds_of(odds, lived.turns.choice)
        advantage = advantages(lived.reward, odds.value, lived.known, self.discount, self.trace)
        return _Fixed(log_odds, _standardised(advantage, lived.known), advantage + odds.value)

    def _terms(
        self,
        network: ActorCritic,
        lived: Sequences,
        fixed: _Fixed,
        entropy_weight: Float[Array, ""],
    ) -> Terms:
        odds = along(network, lived.turns)
        log_odds, entropy = log_odds_of(odds, lived.turns.choice)
        change = log_odds - fixed.log_odds
        ratio = jnp.exp(change)
        kept = jnp.clip(ratio, 1 - self.clip_ratio, 1 + self.clip_ratio)
        gain = jnp.minimum(ratio * fixed.advantage, kept * fixed.advantage)
        mean = lambda each: mean_of(each, lived.known)  # noqa: E731
        policy, value = -mean(gain), 0.5 * mean((odds.value - fixed.worth) ** 2)
        loss = policy + self.value_weight * value - entropy_weight * mean(entropy)
        return Terms(loss, policy, value, mean(entropy), mean(ratio - 1 - change))


def along(network: ActorCritic, turns: Turns) -> Judged:
    """Odds and values along sequences, with the memory that the users had then."""

    def one(memory: Any, view: Any):
        memory = network.remember(memory, view)
        return memory, memory.hidden[-1]

    views = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), turns.view)
    rows = turns.choice.server.shape[0]
    _, remembered = jax.lax.scan(one, network.start((rows,)), views)
    return network.judge(jnp.moveaxis(remembered, 0, 1), turns.view, turns.asked)


def log_odds_of(
    odds: Judged, choice: Choice
) -> tuple[Float[Array, "*rows"], Float[Array, "*rows"]]:
    """Log-probability of a choice; entropy of the policy, given the chosen server."""
    ratio, share = odds.at(choice.server)
    log_odds, entropy = 0.0, 0.0
    for logits, picked in (
        (odds.server, choice.server),
        (ratio, choice.ratio),
        (share, choice.share),
    ):
        log = jax.nn.log_softmax(logits)
        log_odds += jnp.take_along_axis(log, picked[..., None], axis=-1)[..., 0]
        entropy -= jnp.sum(jnp.exp(log) * log, axis=-1)
    return jnp.asarray(log_odds), jnp.asarray(entropy)


def advantages(
    reward: Float[Array, "rows steps"],
    value: Float[Array, "rows steps"],
    known: Bool[Array, "rows steps"],
    discount: float,
    trace: float,
) -> Float[Array, "rows steps"]:
    """Generalised advantages (arXiv 1506.02438); a step of which nothing is known ends the trace.

    The last step has no next value and gets none.
    """

    def one(later: Float[Array, "rows"], step: tuple[Array, Array, Array, Array]):
        reward, value, following, known = step
        error = reward + discount * following - value
        advantage = jnp.where(known, error + discount * trace * later, 0)
        return advantage, advantage

    steps = (reward[:, :-1].T, value[:, :-1].T, value[:, 1:].T, known[:, :-1].T)
    none = jnp.zeros(reward.shape[0])
    _, found = jax.lax.scan(one, none, steps, reverse=True)
    return jnp.concatenate([found.T, none[:, None]], axis=1)


def _standardised(
    each: Float[Array, "rows steps"], known: Bool[Array, "rows steps"]
) -> Float[Array, "rows steps"]:
    mean = mean_of(each, known)
    return (each - mean) / jnp.sqrt(mean_of((each - mean) ** 2, known) + 1e-8)
