"""Proximal policy optimisation (arXiv 1707.06347) of any actor-critic on users' sequences."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree
from pydantic.dataclasses import dataclass

from isma.training.descent import Descent
from isma.training.options import Part, Positive, Weight
from isma.training.user_experience import mean_of


class Sequences(eqx.Module):
    """Training data: rows of users, the first decisions of each."""

    decisions: PyTree
    """Inputs and actions, in the form of the network's evaluation."""
    reward: Float[Array, "rows steps"]
    known: Bool[Array, "rows steps"]


class Evaluated(NamedTuple):
    """A network's evaluation of decisions."""

    log_odds: Float[Array, "rows steps"]
    """Log-probability of the chosen action."""
    entropy: Float[Array, "rows steps"]
    """Of all choices of the decision together, in nats."""
    value: Float[Array, "rows steps"]
    """Expected return."""


Evaluate = Callable[[Any, PyTree], Evaluated]
"""Evaluation of the decisions of some sequences by a network."""


class Terms(NamedTuple):
    """Parts of the loss, means over decisions."""

    loss: Float[Array, ""]
    policy: Float[Array, ""]
    value: Float[Array, ""]
    """Half the squared error of the critic."""
    entropy: Float[Array, ""]
    """Of all choices of a decision together, in nats."""
    divergence: Float[Array, ""]
    """KL of the policy from the one that acted, in nats (Schulman's third estimator)."""


class _Fixed(eqx.Module):
    """Constants of an update: log-probabilities under the acting policy, advantages and returns."""

    log_odds: Float[Array, "rows steps"]
    advantage: Float[Array, "rows steps"]
    worth: Float[Array, "rows steps"]


@dataclass(frozen=True)
class PpoOptions:
    """Options of PPO."""

    epochs: Positive = 4
    """Times that each decision is learned from."""
    minibatches: Positive = 8
    """Updates in an epoch."""
    clip_ratio: Part = 0.2
    """Range of the probability ratio of an action in a round: 1 ± this."""
    value_weight: Weight = 0.5
    """Weight of the critic's error in the loss."""
    discount: Part = 0.0
    """γ, for each decision."""
    trace: Part = 0.9
    """λ of generalised advantages (arXiv 1506.02438); it matters only with a discount."""


class Ppo(eqx.Module):
    """PPO's update of a policy; every field but the descent is static."""

    descent: Descent
    options: PpoOptions = eqx.field(static=True)
    evaluate: Evaluate = eqx.field(static=True)

    @eqx.filter_jit
    def improve(
        self,
        network: PyTree,
        optimiser: Any,
        batch: Sequences,
        entropy_weight: Float[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[PyTree, Any, Terms]:
        """All updates on one batch of sequences; the terms are those of the last epoch."""
        arrays, rest = eqx.partition(network, eqx.is_array)
        fixed = self._fixed(network, batch)
        rows = batch.reward.shape[0]

        def loss(arrays: PyTree, batch: Sequences, fixed: _Fixed) -> tuple[Array, Terms]:
            terms = self._terms(eqx.combine(arrays, rest), batch, fixed, entropy_weight)
            return terms.loss, terms

        def one(carry: tuple[PyTree, Any], index: Array):
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

    def _fixed(self, network: PyTree, batch: Sequences) -> _Fixed:
        evaluated = self.evaluate(network, batch.decisions)
        advantage = advantages(
            batch.reward, evaluated.value, batch.known, self.options.discount, self.options.trace
        )
        standard = _standardised(advantage, batch.known)
        return _Fixed(evaluated.log_odds, standard, advantage + evaluated.value)

    def _terms(
        self,
        network: PyTree,
        batch: Sequences,
        fixed: _Fixed,
        entropy_weight: Float[Array, ""],
    ) -> Terms:
        evaluated = self.evaluate(network, batch.decisions)
        change = evaluated.log_odds - fixed.log_odds
        ratio = jnp.exp(change)
        kept = jnp.clip(ratio, 1 - self.options.clip_ratio, 1 + self.options.clip_ratio)
        gain = jnp.minimum(ratio * fixed.advantage, kept * fixed.advantage)
        mean = lambda each: mean_of(each, batch.known)  # noqa: E731
        policy, value = -mean(gain), 0.5 * mean((evaluated.value - fixed.worth) ** 2)
        loss = policy + self.options.value_weight * value - entropy_weight * mean(evaluated.entropy)
        return Terms(loss, policy, value, mean(evaluated.entropy), mean(ratio - 1 - change))


def advantages(
    reward: Float[Array, "rows steps"],
    value: Float[Array, "rows steps"],
    known: Bool[Array, "rows steps"],
    discount: float,
    trace: float,
) -> Float[Array, "rows steps"]:
    """Generalised advantages (arXiv 1506.02438); an unknown step ends the trace.

    The last step has no next value and gets none.
    """

    def one(later: Float[Array, "rows"], step: tuple[Array, Array, Array, Array]):
        reward, value, following, known = step
        error = reward + discount * following - value
        advantage = jnp.where(known, error + discount * trace * later, 0)
        return advantage, advantage

    steps = (reward[:, :-1].T, value[:, :-1].T, value[:, 1:].T, known[:, :-1].T)
    none = jnp.zeros(reward.shape[0])
    _, evaluated = jax.lax.scan(one, none, steps, reverse=True)
    return jnp.concatenate([evaluated.T, none[:, None]], axis=1)


def _standardised(
    each: Float[Array, "rows steps"], known: Bool[Array, "rows steps"]
) -> Float[Array, "rows steps"]:
    mean = mean_of(each, known)
    return (each - mean) / jnp.sqrt(mean_of((each - mean) ** 2, known) + 1e-8)
