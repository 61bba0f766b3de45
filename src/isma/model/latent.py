"""The paper's latent space models (section III.A, Table I): RLSM, and its halves SLSM and DLSM.

All work on one explicit `Carry`: `observe` brings it from one decision to the next with an
observation at hand, `imagine` without. One latent step is one decision period.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from isma.model.layers import Gaussian, GaussianHead, Lstm, LstmMemory, Mlp, sigmoid


class Kind(StrEnum):
    """The model behind an algorithm."""

    RLSM = "rlsm"
    """Recurrent latent space model: deterministic and stochastic state."""
    SLSM = "slsm"
    """Only the stochastic state s."""
    DLSM = "dlsm"
    """Only deterministic transitions."""


@dataclass(frozen=True)
class Sizes:
    """Widths of Table I."""

    observation: int
    """Length of the observation vector: N + 5 N + L."""
    action: int
    """Length of the action vector: N (1 + L)."""
    reconstructed: int
    """Length of the observation model's output: N + 3 N + L."""
    users: int
    """Rows of users, N: as many of the reward model's outputs are read."""
    latent: int = 60
    """Dimensions of the stochastic state s."""
    memory: int = 200
    """Dimensions of the deterministic state h."""
    cells: int = 5
    """Stacked LSTM cells."""
    hidden: int = 512
    """Hidden units of the stochastic transition, the reward and the observation model."""
    observation_hidden: int = 256
    """Hidden units of the observation model's second layer."""
    reward_units: int = 60
    """Units of the reward model's second layer, and of its output where that is enough for N."""


class Carry(eqx.Module):
    """Belief about the world at one decision."""

    memory: LstmMemory | None
    """Behind the deterministic state h, the last cell's output; None without one."""
    sample: Float[Array, "*rows latent"]
    """The stochastic state s."""

    @property
    def features(self) -> Float[Array, "*rows features"]:
        """Inputs of the reward and the observation model: s and h."""
        if self.memory is None:
            return self.sample
        return jnp.concatenate([self.sample, self.memory.hidden[-1]], axis=-1)


class LatentModel(eqx.Module):
    """A model of one server's observations, and of the reward of its actions."""

    encoder: GaussianHead
    """q(s | ., o)."""
    transition: GaussianHead
    """p(s | .), the stochastic transition."""
    observation_model: Mlp
    """p(o | h, s): mean of the reconstructed observation, identity covariance."""
    reward_model: Mlp
    """p(r | h, s): means, a reward for each user."""
    sizes: Sizes = eqx.field(static=True)

    stochastic: ClassVar[bool]
    """Whether states are drawn, or are their means."""

    @abstractmethod
    def start(self, rows: tuple[int, ...] = ()) -> Carry:
        """The belief before the first observation: all zero."""

    @abstractmethod
    def advance(
        self, carry: Carry, action: Float[Array, "*rows action"]
    ) -> tuple[LstmMemory | None, Float[Array, "*rows context"]]:
        """Deterministic step: the next memory, and the context of the next stochastic state."""

    def observe(
        self,
        carry: Carry,
        action: Float[Array, "*rows action"],
        observation: Float[Array, "*rows observation"],
        key: PRNGKeyArray,
    ) -> tuple[Carry, Gaussian, Gaussian]:
        """Belief after `action` and `observation`; its posterior, and the prior of the transition model."""
        memory, context = self.advance(carry, action)
        seen = self.encoder(jnp.concatenate([context, observation], axis=-1))
        return Carry(memory, self.draw(seen, key)), seen, self.transition(context)

    def imagine(
        self,
        carry: Carry,
        action: Float[Array, "*rows action"],
        key: PRNGKeyArray,
        common: bool = False,
    ) -> Carry:
        """The belief after `action`, with nothing seen; in `common`, all rows meet the same draws.

        One belief without rows may stand before the actions of many.
        """
        memory, context = self.advance(carry, action)
        return Carry(memory, self.draw(self.transition(context), key, common))

    def reward(self, carry: Carry) -> Float[Array, "*rows users"]:
        """Mean rewards of the actions that led here, one for each row of users."""
        return self.reward_model(carry.features)[..., : self.sizes.users]

    def reconstruct(self, carry: Carry) -> Float[Array, "*rows reconstructed"]:
        """Mean of the reconstructed part of the observation."""
        return self.observation_model(carry.features)

    def draw(
        self, state: Gaussian, key: PRNGKeyArray, common: bool = False
    ) -> Float[Array, "*rows latent"]:
        """A stochastic state from its distribution; its mean where nothing is drawn."""
        return state.sample(key, common) if self.stochastic else state.mean


class _WithLstm(LatentModel):
    """h_τ = f(h_{τ-1}, s_{τ-1}, A_{τ-1}); the next stochastic state depends on h alone."""

    lstm: Lstm

    def start(self, rows: tuple[int, ...] = ()) -> Carry:
        none = jnp.zeros((*rows, self.sizes.latent), self.encoder.mean.bias.dtype)
        return Carry(self.lstm.start(rows), none)

    def advance(
        self, carry: Carry, action: Float[Array, "*rows action"]
    ) -> tuple[LstmMemory | None, Float[Array, "*rows context"]]:
        assert carry.memory is not None
        memory = self.lstm(carry.memory, _joined(carry.sample, action))
        return memory, memory.hidden[-1]


class Rlsm(_WithLstm):
    """The paper's recurrent latent space model."""

    stochastic: ClassVar[bool] = True


class Dlsm(_WithLstm):
    """RLSM with nothing drawn: every state is its mean."""

    stochastic: ClassVar[bool] = False


class Slsm(LatentModel):
    """RLSM without h: s_τ ~ p(s | s_{τ-1}, A_{τ-1})."""

    stochastic: ClassVar[bool] = True

    def start(self, rows: tuple[int, ...] = ()) -> Carry:
        """The belief before the first observation: all zero."""
        return Carry(None, jnp.zeros((*rows, self.sizes.latent), self.encoder.mean.bias.dtype))

    def advance(
        self, carry: Carry, action: Float[Array, "*rows action"]
    ) -> tuple[LstmMemory | None, Float[Array, "*rows context"]]:
        """There is no deterministic step: the next state depends on the last one and the action."""
        return None, _joined(carry.sample, action)


def _joined(sample: Array, action: Array) -> Array:
    """State and action as one vector a row; one state may stand for all rows."""
    sample = jnp.broadcast_to(sample, (*action.shape[:-1], sample.shape[-1]))
    return jnp.concatenate([sample, action], axis=-1)


def _reward_model(key: PRNGKeyArray, features: int, sizes: Sizes) -> Mlp:
    """Table I's 512, 60 and 60 units, all relu; the first N outputs are the users' rewards.

    Outputs start in the middle of [0, 1], where a relu has a gradient.
    """
    widths = (features, sizes.hidden, sizes.reward_units, max(sizes.reward_units, sizes.users))
    made = Mlp.make(key, widths, (jax.nn.relu,) * 3)
    last = replace(made.layers[-1], bias=jnp.full_like(made.layers[-1].bias, 0.5))
    return replace(made, layers=(*made.layers[:-1], last))


_CLASSES: dict[Kind, type[LatentModel]] = {Kind.RLSM: Rlsm, Kind.SLSM: Slsm, Kind.DLSM: Dlsm}


def make(kind: Kind, sizes: Sizes, key: PRNGKeyArray) -> LatentModel:
    """A model with random weights, layer by layer as Table I has it."""
    keys = jax.random.split(key, 5)
    with_lstm = issubclass(_CLASSES[kind], _WithLstm)
    context = sizes.memory if with_lstm else sizes.latent + sizes.action
    features = sizes.latent + sizes.memory if with_lstm else sizes.latent
    hidden, second = sizes.hidden, sizes.observation_hidden
    lstm = (
        {"lstm": Lstm.make(keys[4], sizes.latent + sizes.action, sizes.memory, sizes.cells)}
        if with_lstm
        else {}
    )
    return _CLASSES[kind](
        encoder=GaussianHead.make(keys[0], context + sizes.observation, sizes.latent),
        transition=GaussianHead.make(keys[1], context, sizes.latent, hidden),
        observation_model=Mlp.make(
            keys[2],
            (features, hidden, second, sizes.reconstructed),
            (jnp.tanh, jnp.tanh, sigmoid),
        ),
        reward_model=_reward_model(keys[3], features, sizes),
        sizes=sizes,
        **lstm,
    )
