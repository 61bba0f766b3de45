"""Proximal policy optimisation (arXiv 1707.06347) of a recurrent actor-critic on users' sequences."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from pydantic.dataclasses import dataclass

from isma.model.actor_critic import ActorCritic, Judged
from isma.planning.action_grid import Choice
from isma.policies.learned.sequential import Turns
from isma.training.descent import Descent
from isma.training.options import Part, Positive, Weight
from isma.training.user_experience import mean_of


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


@dataclass(frozen=True)
class PpoOptions:
    """How a policy is improved."""

    epochs: Positive = 4
    """Times that each decision is learned from."""
    minibatches: Positive = 8
    """Updates in an epoch."""
    clip_ratio: Part = 0.2
    """How far the odds of an action may move in a round."""
    value_weight: Weight = 0.5
    """Weight of the critic's error in the loss."""
    discount: Part = 0.0
    """γ, for each decision."""
    trace: Part = 0.9
    """λ of generalised advantages (arXiv 1506.02438); it matters only with a discount."""


class Ppo(eqx.Module):
    """How a policy is improved; everything in it is static."""

    descent: Descent
    options: PpoOptions = eqx.field(static=True)

    @eqx.filter_jit
    def improve(
        self,
        network: ActorCritic,
        optimiser: Any,
        batch: Sequences,
        entropy_weight: Float[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[ActorCritic, Any, Terms]:
        """All updates on one batch of sequences; the terms are those of the last epoch."""
        arrays, rest = eqx.partition(network, eqx.is_array)
        fixed = self._fixed(network, batch)
        rows = batch.reward.shape[0]

        def loss(arrays: ActorCritic, batch: Sequences, fixed: _Fixed) -> tuple[Array, Terms]:
            terms = self._terms(eqx.combine(arrays, rest), batch, fixed, entropy_weight)
            return terms.loss, terms

        def one(carry: tuple[ActorCritic, Any], index: Array):
            arrays, optimiser = carry
            part = jax.tree.map(lambda leaf: leaf[index], (batch, fixed))
            gradient, terms = jax.grad(loss, has_aux=True)(arrays, *part)
            return self.descent.update(arrays, optimiser, gradient), terms

        order = jax.vmap(lambda key: jax.random.permutation(key, rows))(
            jax.random.split(key, self.options.epochs)
        )
        index = order.reshape(self.options.epochs * self.options.minibatches, -1)
        (arrays, optimiser), terms = jax.lax.scan(one, (arrays, optimiser), index)
        last = jax.tree.map(lambda leaf: jnp.mean(leaf[-self.options.minibatches :]), terms)
        return eqx.combine(arrays, rest), optimiser, last

    def _fixed(self, network: ActorCritic, batch: Sequences) -> _Fixed:
        odds = along(network, batch.turns)
        log_odds, _ = log_odds_of(odds, batch.turns.choice)
        advantage = advantages(
            batch.reward, odds.value, batch.known, self.options.discount, self.options.trace
        )
        return _Fixed(log_odds, _standardised(advantage, batch.known), advantage + odds.value)

    def _terms(
        self,
        network: ActorCritic,
        batch: Sequences,
        fixed: _Fixed,
        entropy_weight: Float[Array, ""],
    ) -> Terms:
        odds = along(network, batch.turns)
        log_odds, entropy = log_odds_of(odds, batch.turns.choice)
        change = log_odds - fixed.log_odds
        ratio = jnp.exp(change)
        kept = jnp.clip(ratio, 1 - self.options.clip_ratio, 1 + self.options.clip_ratio)
        gain = jnp.minimum(ratio * fixed.advantage, kept * fixed.advantage)
        mean = lambda each: mean_of(each, batch.known)  # noqa: E731
        policy, value = -mean(gain), 0.5 * mean((odds.value - fixed.worth) ** 2)
        loss = policy + self.options.value_weight * value - entropy_weight * mean(entropy)
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
